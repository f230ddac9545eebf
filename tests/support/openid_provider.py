"""An OpenID provider on loopback that follows the standards, and breaks them on request.

For each rule of OpenID Connect Core, PKCE and both logouts, a test can make it do the wrong thing.
The flow itself is also tested with a provider that others wrote, see `canaille.py`.
"""

import base64
import functools
import hashlib
import json
import secrets
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, JWKRegistry, RSAKey

CLIENT_ID, CLIENT_SECRET = "tagboat", "s3cret: with/signs+"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

Claims = dict[str, Any]
Reply = tuple[int, Mapping[str, str], bytes]


def unchanged(claims: Claims) -> Claims:
    return claims


@dataclass(frozen=True)
class _Grant:
    redirect_uri: str
    challenge: str
    nonce: str


@dataclass
class OpenIdProvider:
    """`person` are the claims of whoever is sent here: all of them sign in without being asked.

    `in_id_token` are the names of the claims that the ID token has, None for all; the endpoint
    userinfo has all. `change_*` see what is about to be sent. `replies` replace the answer of a
    path, and `delays_s` hold it back. `asked` are the paths of all requests.
    """

    person: Claims = field(default_factory=lambda: {"sub": "ada-1", "preferred_username": "ada"})
    in_id_token: frozenset[str] | None = None
    change_metadata: Callable[[Claims], Claims] = unchanged
    change_id_token: Callable[[Claims], Claims] = unchanged
    change_userinfo: Callable[[Claims], Claims] = unchanged
    change_answer: Callable[[dict[str, str]], dict[str, str]] = unchanged
    replies: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    delays_s: dict[str, float] = field(default_factory=dict)
    header: Claims = field(default_factory=dict)
    auth_methods: tuple[str, ...] = ("client_secret_basic", "client_secret_post")
    sid: str = "session-1"
    asked: list[str] = field(default_factory=list)
    issuer: str = ""

    def __post_init__(self) -> None:
        self.key: RSAKey | ECKey = _first_key()
        self.published = [self.key]
        self._grants: dict[str, _Grant] = {}
        self._access: set[str] = set()
        self._over = threading.Event()

    def rotate(self, kind: str = "RSA", *, keep: bool = False) -> None:
        """Sign with a new key from now on; the old one is published only with `keep`."""
        self.key = new_key(kind)
        self.published = [*self.published, self.key] if keep else [self.key]

    @property
    def metadata(self) -> Claims:
        """The discovery document."""
        return self.change_metadata(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "end_session_endpoint": f"{self.issuer}/logout",
                "response_types_supported": ["code"],
                "token_endpoint_auth_methods_supported": list(self.auth_methods),
                "authorization_response_iss_parameter_supported": True,
            }
        )

    def sign(self, claims: Claims, **header: str) -> str:
        """Return a token with these claims, signed with the current key."""
        alg = "RS256" if isinstance(self.key, RSAKey) else "ES256"
        head = {"alg": alg, "kid": self.key.kid, **self.header, **header}
        return jwt.encode(head, claims, self.key, algorithms=["RS256", "ES256"])

    def logout_token(self, change: Callable[[Claims], Claims] = unchanged) -> str:
        """Return a token that says that the session of `sid` has ended."""
        claims = {
            "iss": self.issuer,
            "sub": self.person["sub"],
            "aud": CLIENT_ID,
            "iat": int(time.time()),
            "exp": int(time.time()) + 120,
            "jti": secrets.token_hex(8),
            "sid": self.sid,
            "events": {LOGOUT_EVENT: {}},
        }
        return self.sign(change(claims), typ="logout+jwt")

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: str) -> Reply:
        url = urllib.parse.urlsplit(target)
        self.asked.append(url.path)
        self._over.wait(self.delays_s.get(url.path, 0))
        if url.path in self.replies:
            status, content = self.replies[url.path]
            return status, {"Location": f"{self.issuer}/elsewhere"}, content
        query = dict(urllib.parse.parse_qsl(url.query))
        public = {"keys": [key.as_dict(private=False) for key in self.published]}
        routes: dict[tuple[str, str], Callable[[], Reply]] = {
            ("GET", "/.well-known/openid-configuration"): lambda: _json(200, self.metadata),
            ("GET", "/keys"): lambda: _json(200, public),
            ("GET", "/authorize"): lambda: self._authorize(query),
            ("POST", "/token"): lambda: self._token(headers, dict(urllib.parse.parse_qsl(body))),
            ("GET", "/userinfo"): lambda: self._userinfo(headers.get("Authorization", "")),
            ("GET", "/logout"): lambda: (
                302,
                {"Location": query.get("post_logout_redirect_uri", "")},
                b"",
            ),
        }
        route = routes.get((method, url.path))
        return _json(404, {"error": "not found"}) if route is None else route()

    def _authorize(self, query: Mapping[str, str]) -> Reply:
        expected = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "code_challenge_method": "S256",
        }
        if any(query.get(name) != value for name, value in expected.items()):
            return _json(400, {"error": "invalid_request"})
        if "openid" not in query["scope"].split():
            return _json(400, {"error": "invalid_scope"})
        code = secrets.token_urlsafe(16)
        self._grants[code] = _Grant(query["redirect_uri"], query["code_challenge"], query["nonce"])
        answer = self.change_answer({"code": code, "state": query["state"], "iss": self.issuer})
        return 302, {"Location": f"{query['redirect_uri']}?{urllib.parse.urlencode(answer)}"}, b""

    def _token(self, headers: Mapping[str, str], form: Mapping[str, str]) -> Reply:
        if not self._knows_client(headers.get("Authorization", ""), form):
            return _json(401, {"error": "invalid_client"})
        grant = self._grants.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            grant is None
            or (grant.redirect_uri, grant.challenge) != (form.get("redirect_uri"), challenge)
            or form.get("grant_type") != "authorization_code"
        ):
            return _json(400, {"error": "invalid_grant"})
        access = secrets.token_urlsafe(16)
        self._access.add(access)
        half = hashlib.sha256(access.encode()).digest()[:16]
        claims = self.change_id_token(
            {
                **{
                    name: value
                    for name, value in self.person.items()
                    if self.in_id_token is None or name in self.in_id_token | {"sub"}
                },
                "iss": self.issuer,
                "aud": CLIENT_ID,
                "iat": int(time.time()),
                "exp": int(time.time()) + 300,
                "nonce": grant.nonce,
                "sid": self.sid,
                "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
            }
        )
        tokens = {"access_token": access, "token_type": "Bearer", "id_token": self.sign(claims)}
        return _json(200, tokens)

    def _knows_client(self, authorization: str, form: Mapping[str, str]) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        if scheme == "Basic" and "client_secret_basic" in self.auth_methods:
            given = base64.b64decode(encoded).decode().split(":", 1)
            pair = [urllib.parse.unquote_plus(part) for part in given]
            return pair == [CLIENT_ID, CLIENT_SECRET]
        if "client_secret_post" in self.auth_methods and not scheme:
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        return self.auth_methods == ("none",) and form.get("client_id") == CLIENT_ID

    def _userinfo(self, authorization: str) -> Reply:
        if authorization.removeprefix("Bearer ") not in self._access:
            return _json(401, {"error": "invalid_token"})
        return _json(200, self.change_userinfo(dict(self.person)))


@functools.cache
def _first_key() -> RSAKey | ECKey:
    # Made once: it takes a tenth of a second.
    return new_key()


def new_key(kind: str = "RSA") -> RSAKey | ECKey:
    """Return a new private key, RSA or EC, with an id."""
    key = RSAKey.generate_key(2048) if kind == "RSA" else ECKey.generate_key("P-256")
    key.ensure_kid()
    # Read again, so that its id is part of it.
    read = JWKRegistry.import_key({**key.as_dict(private=True), "kid": secrets.token_hex(4)})
    assert isinstance(read, RSAKey | ECKey)
    return read


@contextmanager
def openid_provider() -> Iterator[OpenIdProvider]:
    """Run a provider on a free port of loopback."""
    provider = OpenIdProvider()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(provider))
    server.daemon_threads = True
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield provider
    finally:
        provider._over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def way_back(url: str) -> str:
    """Go to the provider as a browser does, and return the URL that it sends the browser to."""
    try:
        with urllib.request.build_opener(_NoRedirect()).open(url, timeout=60) as page:
            raise AssertionError(f"no redirect, but {page.read()[:200]!r}")
    except urllib.error.HTTPError as answer:
        with answer:
            return str(answer.headers["Location"])


def _json(status: int, body: object) -> Reply:
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


def _handler(provider: OpenIdProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            status, headers, content = provider.answer(
                self.command, self.path, dict(self.headers), body
            )
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                # The client waits no longer.
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler
