"""A registry in this process that misbehaves on demand.

What it does is a table of quirks, what it was asked is recorded.

For what a real registry does, use `docker_registry`; this is for what others do.
"""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from tagboat.core.values import replace

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BLOB = "application/octet-stream"
_BASIC_DENIED = 'Basic realm="Gitea Package API"'


@dataclass(frozen=True, kw_only=True)
class Quirks:
    """How this registry is. Headers may hold `{url}`, its own root.

    `fails_every` and `cuts_every` count requests: each of that number is answered 500, or with half
    a body. `pull_limit` is how many manifests may be read in how many seconds, and is told as
    Docker Hub does. `organisations` None hides them.
    """

    auth: Literal["none", "basic", "bearer"] = "none"
    login: tuple[str, str] | None = None
    anonymous_token: bool = True
    challenges: tuple[str, ...] = (
        'Bearer realm="{url}/token",service="fake",scope="repository:x:pull"',
    )
    token_path: str = "/token"
    token_field: str = "token"
    expires_in: int | None = 300
    denied: frozenset[str] = frozenset()
    denied_challenge: str | None = None
    lower_case_tags: bool = False
    page_size: int | None = None
    link: str = '<{path}?n={n}&last={last}>; rel="next"'
    link_on_every_page: bool = False
    ignores_n: bool = False
    ignores_last: bool = False
    refuses_n_from: int | None = None
    refuses_tokens: bool = False
    head_status: int | None = None
    digest_header: str | None = "right"
    version: str | None = None
    catalogue: bool = True
    organisations: tuple[str, ...] | None = ()
    retry_after: str | None = None
    fails_every: int | None = None
    cuts_every: int | None = None
    pull_limit: tuple[int, int] | None = None


GITEA = Quirks(
    auth="bearer",
    login=("ci", "secret"),
    challenges=(
        'Bearer realm="{url}/v2/token",service="container_registry",scope="*"',
        'Basic realm="Gitea Container Registry"',
    ),
    token_path="/v2/token",
    expires_in=None,
    denied_challenge=_BASIC_DENIED,
    lower_case_tags=True,
    link_on_every_page=True,
    version="1.22.3",
)
"""Gitea as its source has it.

One token for everything, no expiry, lower-case tags, a link even from the last page.
"""


@dataclass(frozen=True)
class Asked:
    """One request. `path` includes the query.

    `authorization` is the header as sent, empty if none.
    """

    method: str
    path: str
    authorization: str
    headers: Mapping[str, str] = field(repr=False)


Answerer = Callable[[web.Request], web.StreamResponse | None]


class FakeRegistry:
    """Holds tags, manifests and blobs, and answers by its quirks.

    `answer_next` puts other answers in front of them.
    """

    def __init__(self, quirks: Quirks) -> None:
        self.quirks = quirks
        self.url = ""
        self.asked: list[Asked] = []
        self.tokens: set[str] = set()
        self.tags: dict[str, list[str]] = {}
        self.contents: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.pulls = 0
        self._scripted: list[Answerer] = []
        self._issued = 0

    @property
    def host(self) -> str:
        return self.url.partition("://")[2]

    def paths(self) -> list[str]:
        """Method and path of every request, in order."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def add_blob(self, repository: str, body: bytes) -> str:
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        self.contents[repository, digest] = (BLOB, body)
        return digest

    def add_manifest(
        self, repository: str, tag: str | None, content: object, media_type: str = OCI_MANIFEST
    ) -> str:
        body = json.dumps(content).encode()
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        self.contents[repository, digest] = (media_type, body)
        if tag is not None:
            tag = tag.lower() if self.quirks.lower_case_tags else tag
            self.contents[repository, tag] = (media_type, body)
            self.tags.setdefault(repository, []).append(tag)
        return digest

    def add_image(self, repository: str, tag: str | None, config: object) -> str:
        """Add an image without layers, of which `config` is the whole configuration blob.

        Returns the manifest's digest.
        """
        body = json.dumps(config).encode()
        described = {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": self.add_blob(repository, body),
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": described | {"size": len(body)},
            "layers": [],
        }
        return self.add_manifest(repository, tag, manifest)

    def answer_next(self, *answerers: Answerer) -> None:
        """Let each of these answer one of the coming requests (token requests too).

        None from it means: as usual.
        """
        self._scripted.extend(answerers)

    def revoke_tokens(self) -> None:
        self.tokens.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        authorization = request.headers.get("Authorization", "")
        self.asked.append(
            Asked(request.method, request.raw_path, authorization, dict(request.headers))
        )
        # Lets requests that were sent together be answered together.
        await asyncio.sleep(0)
        if self._scripted and (scripted := self._scripted.pop(0)(request)) is not None:
            return scripted
        if self.quirks.fails_every and len(self.asked) % self.quirks.fails_every == 0:
            return _error(500, "UNKNOWN")
        response = await self._answer(request)
        if self.quirks.cuts_every and len(self.asked) % self.quirks.cuts_every == 0:
            return _cut(response)
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        if self.quirks.retry_after is not None:
            response = _error(429, "TOOMANYREQUESTS")
            response.headers["Retry-After"] = self.quirks.retry_after
            return response
        if request.path == self.quirks.token_path:
            return (
                await self._exchange(request) if request.method == "POST" else self._token(request)
            )
        if "/api/v1/" in request.path:
            return self._gitea_api(request, request.path.partition("/api/v1/")[2])
        return self._guarded(request)

    def _gitea_api(self, request: web.Request, call: str) -> web.Response:
        if self.quirks.version is None:
            return _error(404, "")
        if call == "version":
            return web.json_response({"version": self.quirks.version})
        if not self._is_password(request.headers.get("Authorization", "")):
            return _error(401, "UNAUTHORIZED")
        if call == "user":
            return web.json_response({"login": (self.quirks.login or ("",))[0]})
        if call == "user/orgs":
            return self._organisations()
        return self._packages(request, call.removeprefix("packages/"))

    def _organisations(self) -> web.Response:
        if self.quirks.organisations is None:
            return _error(403, "")
        return web.json_response([{"username": name} for name in self.quirks.organisations])

    def _packages(self, request: web.Request, owner: str) -> web.Response:
        """A page of an owner's packages.

        One entry for each version, which children of indexes are too.
        """
        versions = [
            {"name": repository.partition("/")[2], "version": reference, "type": "container"}
            for repository, reference in self.contents
            if repository.partition("/")[0] == owner
        ]
        size, page = int(request.query["limit"]), int(request.query["page"])
        return web.json_response(versions[size * (page - 1) : size * page])

    def _guarded(self, request: web.Request) -> web.Response:
        if not self._is_logged_in(request):
            challenges = (
                self.quirks.challenges
                if self.quirks.auth == "bearer"
                else ('Basic realm="fake, with a comma"',)
            )
            return _error(
                401, "UNAUTHORIZED", *[text.replace("{url}", self.url) for text in challenges]
            )
        if request.path == "/v2/":
            return web.json_response({})
        if request.path == "/v2/_catalog":
            return self._catalogue(request)
        repository, _, rest = request.path.removeprefix("/v2/").rpartition("/")
        if rest == "list":
            return self._list(request, repository.removesuffix("/tags"))
        return self._content(request, repository.rpartition("/")[0], rest)

    def _is_logged_in(self, request: web.Request) -> bool:
        authorization = request.headers.get("Authorization", "")
        if self.quirks.auth == "none":
            return True
        if authorization.startswith("Bearer "):
            return (
                not self.quirks.refuses_tokens
                and authorization.removeprefix("Bearer ") in self.tokens
            )
        return self._is_password(authorization) and "Basic" in "".join(
            (*self.quirks.challenges, self.quirks.auth.title())
        )

    def _is_password(self, authorization: str) -> bool:
        if self.quirks.login is None:
            return False
        return (
            authorization
            == "Basic " + base64.b64encode(":".join(self.quirks.login).encode()).decode()
        )

    def _token(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization", "")
        if authorization and not self._is_password(authorization):
            return _error(401, "UNAUTHORIZED")
        if not authorization and not self.quirks.anonymous_token:
            return _error(401, "UNAUTHORIZED")
        return self._issue()

    async def _exchange(self, request: web.Request) -> web.Response:
        """Give a token for an identity token, which is here the password of the login."""
        form = await request.post()
        password = self.quirks.login[1] if self.quirks.login else ""
        if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != password:
            return _error(401, "UNAUTHORIZED")
        return self._issue()

    def _issue(self) -> web.Response:
        self._issued += 1
        token = f"token-{self._issued}"
        self.tokens.add(token)
        expiry = {} if self.quirks.expires_in is None else {"expires_in": self.quirks.expires_in}
        return web.json_response({self.quirks.token_field: token} | expiry)

    def _denial(self, repository: str) -> web.Response | None:
        if repository not in self.quirks.denied:
            return None
        denied = self.quirks.denied_challenge
        return _error(
            401, "UNAUTHORIZED", denied or self.quirks.challenges[0].replace("{url}", self.url)
        )

    def _list(self, request: web.Request, repository: str) -> web.Response:
        if denial := self._denial(repository):
            return denial
        if repository not in self.tags:
            return _error(404, "NAME_UNKNOWN")
        return self._page(request, self.tags[repository], "tags")

    def _catalogue(self, request: web.Request) -> web.Response:
        if not self.quirks.catalogue:
            return _error(404, "")
        return self._page(request, sorted(self.tags), "repositories")

    def _page(self, request: web.Request, entries: list[str], name: str) -> web.Response:
        asked_n = None if self.quirks.ignores_n else request.query.get("n")
        if asked_n and self.quirks.refuses_n_from and int(asked_n) >= self.quirks.refuses_n_from:
            return _error(400, "PAGINATION_NUMBER_INVALID")
        last = request.query.get("last")
        if last and not self.quirks.ignores_last:
            entries = entries[entries.index(last) + 1 :]
        size = int(asked_n) if asked_n else self.quirks.page_size
        page = entries if size is None else entries[:size]
        response = web.json_response({"name": "x", name: page or None})
        if page and (self.quirks.link_on_every_page or len(page) < len(entries)):
            response.headers["Link"] = self._link(request, page[-1], size)
        return response

    def _link(self, request: web.Request, last: str, size: int | None) -> str:
        if size is None:
            return f'<{request.path}?last={last}>; rel="next"'
        link = self.quirks.link.replace("{path}", request.path).replace("{url}", self.url)
        return link.replace("{n}", str(size)).replace("{last}", last)

    def _content(self, request: web.Request, repository: str, reference: str) -> web.Response:
        if denial := self._denial(repository):
            return denial
        if request.method == "HEAD" and self.quirks.head_status is not None:
            return web.Response(status=self.quirks.head_status)
        found = self.contents.get((repository, reference))
        if found is None:
            return _error(404, "MANIFEST_UNKNOWN")
        media_type, body = found
        if self.quirks.pull_limit and request.method == "GET" and media_type != BLOB:
            self.pulls += 1
        response = web.Response(body=body, content_type=media_type)
        if self.quirks.pull_limit:
            limit, window = self.quirks.pull_limit
            response.headers["RateLimit-Limit"] = f"{limit};w={window}"
            response.headers["RateLimit-Remaining"] = f"{max(limit - self.pulls, 0)};w={window}"
        if self.quirks.digest_header is not None:
            right = "sha256:" + hashlib.sha256(body).hexdigest()
            response.headers["Docker-Content-Digest"] = self.quirks.digest_header.replace(
                "right", right
            )
        return response


@asynccontextmanager
async def fake_registry(
    quirks: Quirks | None = None, **changes: object
) -> AsyncIterator[FakeRegistry]:
    """Run a fake on a free loopback port; `changes` are fields of `quirks` to change."""
    # Fields by name; a wrong one raises.
    fake = FakeRegistry(replace(quirks or Quirks(), **changes))  # type: ignore[arg-type]
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        fake.url = f"http://{host}:{port}"
        yield fake
    finally:
        await runner.cleanup()


def status(code: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answerer:
    """An answer of that status, for `answer_next`."""
    return lambda _: web.Response(status=code, headers=dict(headers or {}), body=body)


def _cut(response: web.Response) -> web.Response:
    """The same answer with half its body, after which the connection is closed."""
    body = response.body if isinstance(response.body, bytes) else b""
    headers = dict(response.headers) | {"Content-Length": str(len(body))}
    cut = web.Response(status=response.status, headers=headers, body=body[: len(body) // 2])
    cut.force_close()
    return cut


def cut_short(_: web.Request) -> web.StreamResponse:
    """A list of tags of which half is missing, for `answer_next`."""
    return _cut(web.json_response({"tags": ["v1", "v2"]}))


def json_body(content: object, headers: Mapping[str, str] | None = None) -> Answerer:
    """A 200 with that JSON, for `answer_next`."""
    return lambda _: web.json_response(content, headers=dict(headers or {}))


def _error(code: int, name: str, *challenges: str) -> web.Response:
    errors: Sequence[Mapping[str, str]] = (
        [{"code": name, "message": f"{name.lower()} says the fake"}] if name else []
    )
    response = web.json_response({"errors": errors}, status=code)
    for challenge in challenges:
        response.headers.add("WWW-Authenticate", challenge)
    return response
