"""A login service for `docker-registry`, with the tokens that its `auth: token` asks for.

As the distribution project's documents "token", "jwt" and "oauth" have it; it signs with ES256.
"""

import base64
import json
import secrets
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.private_ca import Certificate

SERVICE = "tests' registry"
ISSUER = "tests' login service"


@dataclass
class Logins:
    """Who may do what. `pullers` may read every repository, the `catalogue` only those named.

    `refresh_token` is ci's.
    """

    passwords: Mapping[str, str]
    pullers: frozenset[str]
    catalogue: frozenset[str] = frozenset()
    refresh_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    lifetime_s: int = 300


class TokenServer:
    """`asked` holds the scopes of every request, with the name of the user ("" without one)."""

    def __init__(self, logins: Logins, signer: Certificate, tls: Certificate | None) -> None:
        self.logins = logins
        self.asked: list[tuple[str, list[str]]] = []
        self._signer = signer
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if tls:
            self._server.socket = tls.server_context().wrap_socket(
                self._server.socket, server_side=True
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self.realm = (
            f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}/Auth/Token"
        )

    @property
    def config(self) -> Mapping[str, str]:
        """What goes below `auth: token` in the registry's configuration."""
        bundle = str(self._signer.chain)
        return {"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, authorization: str, form: str) -> tuple[int, Mapping[str, object]]:
        query = urllib.parse.parse_qs(form or urllib.parse.urlsplit(path).query)
        scopes = query.get("scope", [])
        name = self._name(authorization, query)
        self.asked.append((name or "", scopes))
        if name is None:
            return 401, {
                "errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]
            }
        token = self._sign(
            name, [access for scope in scopes if (access := self._access(name, scope))]
        )
        return 200, {
            ("access_token" if form else "token"): token,
            "expires_in": self.logins.lifetime_s,
        }

    def _name(self, authorization: str, query: Mapping[str, Sequence[str]]) -> str | None:
        if query.get("grant_type") == ["refresh_token"]:
            return "ci" if query.get("refresh_token") == [self.logins.refresh_token] else None
        if not authorization:
            return ""
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        name, _, password = pair.partition(":")
        return (
            name
            if secrets.compare_digest(
                self.logins.passwords.get(name, "").encode(), password.encode()
            )
            else None
        )

    def _access(self, name: str, scope: str) -> Mapping[str, object] | None:
        kind, _, rest = scope.partition(":")
        what, _, actions = rest.rpartition(":")
        allowed = self.logins.pullers if kind == "repository" else self.logins.catalogue
        return (
            {"type": kind, "name": what, "actions": actions.split(",")} if name in allowed else None
        )

    def _sign(self, name: str, access: Sequence[Mapping[str, object]]) -> str:
        now = int(time.time())
        chain = x509.load_pem_x509_certificates(self._signer.chain.read_bytes())
        x5c = [
            base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in chain
        ]
        claims = {
            "iss": ISSUER,
            "sub": name,
            "aud": SERVICE,
            "iat": now,
            "nbf": now - 5,
            "exp": now + self.logins.lifetime_s,
        }
        header = {"typ": "JWT", "alg": "ES256", "x5c": x5c}
        signed = (
            f"{_part(header)}.{_part({**claims, 'jti': secrets.token_hex(8), 'access': access})}"
        )
        return f"{signed}.{_unpadded(self._signature(signed.encode()))}"

    def _signature(self, text: bytes) -> bytes:
        key = serialization.load_pem_private_key(self._signer.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@contextmanager
def token_server(
    logins: Logins, signer: Certificate, tls: Certificate | None = None
) -> Iterator[TokenServer]:
    """Run a login service until the block ends.

    `signer` signs its tokens, `tls` makes it speak https.
    """
    server = TokenServer(logins, signer, tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _handler(server: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _answer(self, form: str) -> None:
            status, content = server.answer(self.path, self.headers.get("Authorization", ""), form)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def _part(content: Mapping[str, object]) -> str:
    return _unpadded(json.dumps(content).encode())


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
