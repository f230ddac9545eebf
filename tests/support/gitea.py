"""A Gitea of the tests' own.

Its container registry and its webhooks, with the manners of a real one (1.26).

Bodies of calls have the fields that the real ones have and that anybody could read; what is pushed
comes from the test.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from demo.sample_image import Image

DELIVER_TIMEOUT_S = 5.0
_SERVICE = "container_registry"


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A webhook on the event *Package* alone.

    `owner` and `repository` are what it covers, empty for `system`.
    """

    url: str
    target: Literal["organization", "repository", "system"]
    owner: str = ""
    repository: str = ""
    kind: Literal["gitea", "slack"] = "gitea"
    secret: str = ""


@dataclass(frozen=True)
class Delivery:
    """One call that was made, once. `status` is None where nobody answered in time."""

    hook: Hook
    version: str
    status: int | None
    answer: Any = None


@dataclass
class _Package:
    """One image: its manifests by digest, what its tags point to, and its blobs."""

    manifests: dict[str, Image] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    children: set[str] = field(default_factory=set)
    blobs: dict[str, bytes] = field(default_factory=dict)
    linked: str = ""

    def put(self, tag: str, image: Image) -> None:
        """Move the tag.

        What nothing points to any more is gone at once, but for the children of indexes.
        """
        self.manifests[image.digest] = image
        self.blobs |= image.blobs
        self.tags[tag] = image.digest
        kept = {*self.tags.values(), *self.children}
        self.manifests = {
            digest: kept_image for digest, kept_image in self.manifests.items() if digest in kept
        }
        needed = {digest for kept_image in self.manifests.values() for digest in kept_image.blobs}
        self.blobs = {digest: blob for digest, blob in self.blobs.items() if digest in needed}


class Gitea:
    """Answers as a registry on loopback; `push` also calls the hooks.

    `asked` are method and path of all requests, in order.

    `root_url` is what it believes to be its own address. Requests for a blob or, where `held` names
    them so, for manifests wait while `hold` is in force.
    """

    def __init__(self, login: tuple[str, str] = ("ci", "a-password-for-tests")) -> None:
        self.login = login
        self._basic = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        self.hooks: list[Hook] = []
        self.deliveries: list[Delivery] = []
        self.asked: list[str] = []
        self.private: set[str] = set()
        self._owners: dict[str, dict[str, _Package]] = {}
        self._tokens: dict[str, bool] = {}
        self._open = threading.Event()
        self._open.set()
        self._held = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self.root_url = self.url

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def hold(self, kind: Literal["blobs", "manifests"]) -> Iterator[None]:
        """Let requests for that kind of content wait meanwhile."""
        self._held = kind
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def push(
        self, owner: str, name: str, tag: str, image: Image, children: tuple[Image, ...] = ()
    ) -> str:
        """Push over the network, as a client sees it: children of an index first, then the tag.

        Returns the digest.
        """
        package = self._owners.setdefault(owner.lower(), {}).setdefault(name.lower(), _Package())
        for child in children:
            package.manifests[child.digest] = child
            package.children.add(child.digest)
            package.blobs |= child.blobs
            self._tell(owner, name, child.digest)
        package.put(tag.lower(), image)
        self._tell(owner, name, tag.lower())
        return image.digest

    def link(self, owner: str, name: str, repository: str) -> None:
        """Link a package to a repository, whose hooks hear of it from then on."""
        self._owners[owner.lower()][name.lower()].linked = repository

    def test_delivery(self, hook: Hook) -> None:
        """Press *Test delivery*: a push to Git, for hooks of repositories only."""
        assert hook.target == "repository"
        body: dict[str, object] = {
            "ref": "refs/heads/main",
            "commits": [{"message": "a test"}],
            "repository": {},
            "pusher": {},
            "sender": {},
        }
        self._call(hook, "push", "a test", body)

    def _tell(self, owner: str, name: str, version: str) -> None:
        package = self._owners[owner.lower()][name.lower()]
        for hook in self.hooks:
            covers = (
                hook.target == "system"
                or (hook.target == "organization" and hook.owner == owner)
                or (
                    hook.target == "repository"
                    and (hook.owner, hook.repository) == (owner, package.linked)
                )
            )
            if covers:
                self._call(hook, "package", version, self._body(hook, owner, name, version))

    def _body(self, hook: Hook, owner: str, name: str, version: str) -> dict[str, object]:
        url = f"{self.root_url}/{owner}/-/packages/container/{name}/{version}"
        if hook.kind == "slack":
            return {
                "channel": "#ops",
                "text": f"Package created: {url}",
                "username": "Gitea",
                "icon_url": "",
                "attachments": [],
            }
        linked = self._owners[owner.lower()][name.lower()].linked
        about = {
            "id": 7,
            "owner": {"id": 3, "login": owner, "username": owner},
            "repository": {"name": linked, "full_name": f"{owner}/{linked}"} if linked else None,
            "creator": {"id": 1, "login": "skipper"},
            "type": "container",
            "name": name.lower(),
            "version": version,
            "html_url": url,
            "created_at": "2026-11-28T17:29:04Z",
        }
        sender = {"id": 1, "login": "skipper"}
        return {
            "action": "created",
            "repository": None,
            "package": about,
            "organization": {"name": owner},
            "sender": sender,
        }

    def _call(self, hook: Hook, event: str, version: str, body: dict[str, object]) -> None:
        """Call once, whatever comes of it."""
        content = json.dumps(body).encode()
        names = ("X-Gitea", "X-GitHub", "X-Gogs")
        headers = {f"{name}-Event": event for name in names} | {
            f"{name}-Event-Type": event for name in names
        }
        headers |= {"Content-Type": "application/json", "X-Gitea-Delivery": secrets.token_hex(8)}
        headers["X-Gitea-Hook-Installation-Target-Type"] = hook.target
        if hook.secret:
            signature = hmac.new(hook.secret.encode(), content, hashlib.sha256).hexdigest()
            headers |= {
                "X-Gitea-Signature": signature,
                "X-Hub-Signature-256": f"sha256={signature}",
            }
        try:
            request = urllib.request.Request(hook.url, content, headers, method="POST")
            with urllib.request.urlopen(request, timeout=DELIVER_TIMEOUT_S) as answer:
                self.deliveries.append(Delivery(hook, version, answer.status, json.load(answer)))
        except urllib.error.HTTPError as error:
            self.deliveries.append(Delivery(hook, version, error.code))
        except OSError:
            self.deliveries.append(Delivery(hook, version, None))

    # The registry.

    def answer(self, method: str, target: str, authorization: str) -> "_Answer":
        """Answer one request."""
        self.asked.append(f"{method} {target}")
        parts = urlsplit(target)
        if parts.path == "/v2/token":
            return self._token(authorization)
        known = (
            True
            if authorization == self._basic
            else self._tokens.get(authorization.removeprefix("Bearer "))
        )
        if known is None:
            realm = f'Bearer realm="{self.root_url}/v2/token",service="{_SERVICE}",scope="*"'
            return _error(401, "UNAUTHORIZED", realm, 'Basic realm="Gitea Container Registry"')
        if parts.path == "/v2/":
            return _Answer(200, b"{}")
        return self._content(parts.path.removeprefix("/v2/"), parse_qs(parts.query), known=known)

    def _token(self, authorization: str) -> "_Answer":
        """Give a token to those who are known and to those who say nothing; it has no end."""
        if authorization not in {"", self._basic}:
            return _error(401, "UNAUTHORIZED")
        token = secrets.token_hex(8)
        self._tokens[token] = authorization == self._basic
        return _Answer(200, json.dumps({"token": token}).encode())

    def _content(self, path: str, query: dict[str, list[str]], *, known: bool) -> "_Answer":
        repository, kind, reference = path.rsplit("/", 2)
        owner, _, name = repository.partition("/")
        if repository != repository.lower():
            return _error(400, "NAME_INVALID")
        if owner not in self._owners:
            return _Answer(404, b"Not found.\n", "text/plain; charset=utf-8")
        if owner in self.private and not known:
            return _error(401, "UNAUTHORIZED", 'Basic realm="Gitea Package API"')
        package = self._owners[owner].get(name)
        if package is None:
            return _error(404, "NAME_UNKNOWN")
        if kind == self._held:
            self._open.wait(120)
        return (
            _tags(f"/v2/{path}", sorted(package.tags), query)
            if kind == "tags"
            else _stored(package, kind, reference)
        )


def _stored(package: _Package, kind: str, reference: str) -> "_Answer":
    """A blob or a manifest."""
    if kind == "blobs":
        blob = package.blobs.get(reference)
        return (
            _Answer(200, blob, "application/octet-stream", digest=reference)
            if blob
            else _error(404, "BLOB_UNKNOWN")
        )
    image = package.manifests.get(package.tags.get(reference, reference))
    if image is None:
        return _error(404, "MANIFEST_UNKNOWN")
    return _Answer(200, image.manifest, image.media_type, digest=image.digest)


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    media_type: str = "application/json"
    digest: str = ""
    link: str = ""
    challenges: tuple[str, ...] = ()


def _tags(path: str, tags: list[str], query: dict[str, list[str]]) -> _Answer:
    """A page of tags, with a link to the next one also on the last.

    Without `n` all of them, with a link without one.
    """
    last = query.get("last", [""])[0]
    size = int(query["n"][0]) if "n" in query else len(tags)
    page = [tag for tag in tags if tag > last][:size]
    size_again = f"n={size}&" if "n" in query else ""
    link = f'<{path}?{size_again}last={page[-1]}>; rel="next"' if page else ""
    name = path.removeprefix("/v2/").removesuffix("/tags/list")
    return _Answer(200, json.dumps({"name": name, "tags": page}).encode(), link=link)


def _error(status: int, code: str, *challenges: str) -> _Answer:
    body = json.dumps({"errors": [{"code": code, "message": ""}]}).encode()
    return _Answer(status, body, challenges=challenges)


def _handler(gitea: Gitea) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = gitea.answer(self.command, self.path, self.headers.get("Authorization", ""))
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            for challenge in answer.challenges:
                self.send_header("WWW-Authenticate", challenge)
            if answer.digest:
                self.send_header("Docker-Content-Digest", answer.digest)
            if answer.link:
                self.send_header("Link", answer.link)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_HEAD = do_GET  # noqa: N815 - the library's name

        # The library's name for its argument.
        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    return Handler


@contextmanager
def running_gitea() -> Iterator[Gitea]:
    """A Gitea that answers."""
    gitea = Gitea()
    gitea.start()
    try:
        yield gitea
    finally:
        gitea.stop()
