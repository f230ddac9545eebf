"""The client of all registries: lists tags, resolves them to digests, and reads image configurations without pulling."""

import asyncio
import platform
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from yarl import URL

from tagboat.core.catalog import Registry
from tagboat.core.errors import (
    RegistryDeniedError,
    RegistryError,
    RegistryNotFoundError,
    RegistryProtocolError,
    RegistryUnreachableError,
)
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.registry import gitea, manifests
from tagboat.registry.auth import Logins
from tagboat.registry.challenges import parse_challenges
from tagboat.registry.failures import excerpt, registry_errors
from tagboat.registry.pages import Listing, next_page, parse_page
from tagboat.registry.site import Site, site_of
from tagboat.registry.transport import Answer, Clock, Request, Sleep, Timeouts, Transport, utc_now

MAX_PAGE = 8 * 1024 * 1024
MAX_MANIFEST = 4 * 1024 * 1024
MAX_SMALL = 64 * 1024
_MAX_INDEX_DEPTH = 4
_ANY_TYPE = "*/*"


@dataclass(frozen=True, slots=True)
class _Repository:
    site: Site
    path: str

    def __str__(self) -> str:
        return f"{self.site.host}/{self.path}"

    @property
    def scope(self) -> str:
        return f"repository:{self.path}:pull"

    def url(self, rest: str) -> URL:
        return self.site.url(f"/v2/{self.path}/{rest}")


@dataclass(frozen=True, slots=True)
class LoginResult:
    """How a login went that succeeded. `needed` is whether the registry asks for one at all, `scheme` what it asked for."""

    needed: bool
    scheme: str = ""


class RegistryClient:
    """Implements `core.ports.TagSource` over HTTP. Safe for many calls at a time; call `close` once at the end.

    `clock` tells the time for tokens and `Retry-After`, `sleep` waits between attempts, `machine` is this machine's
    architecture as `platform.machine()` says it, `ssl_context` replaces the system's trusted certificates.
    """

    def __init__(
        self,
        *,
        clock: Clock = utc_now,
        sleep: Sleep = asyncio.sleep,
        timeouts: Timeouts | None = None,
        machine: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._transport = Transport(clock=clock, sleep=sleep, timeouts=self._timeouts, ssl_context=ssl_context)
        self._logins = Logins(self._transport, clock)
        self._architecture = manifests.architecture_of(platform.machine() if machine is None else machine)

    async def close(self) -> None:
        """Close all connections; calls made later fail with RegistryUnreachableError."""
        await self._transport.close()

    async def list_tags(self, image: ImageName, registry: Registry | None) -> list[str]:
        """All tags of `image` in the registry's order, each once, without signatures and attestations.

        Raises RegistryError.
        """
        repository = _Repository(site_of(image.host, registry), image.path)
        async with self._deadline(repository.site):
            return await self._list(repository)

    async def resolve(self, image: ImageName, tag: str, registry: Registry | None) -> Digest:
        """The digest that `tag` (or a digest) names now.

        Raises RegistryNotFoundError if it names nothing, else RegistryError.
        """
        repository = _Repository(site_of(image.host, registry), image.path)
        async with self._deadline(repository.site):
            return await self._resolve(repository, _reference(repository.site, tag))

    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo:
        """What `image` says of itself, for this machine's platform. Its digest is that of what the reference names.

        Raises RegistryError.
        """
        repository = _Repository(site_of(image.name.host, registry), image.name.path)
        async with self._deadline(repository.site):
            return await self._inspect(repository, image.digest or _reference(repository.site, image.tag))

    async def knock(self, registry: Registry) -> bool:
        """Ask for the API's root without a login: whether an OCI registry answers there.

        Raises RegistryError if nothing does.
        """
        site = site_of("", registry)
        async with self._deadline(site):
            answer = await self._transport.send(_root(site))
        return answer.status in {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}

    async def log_in(self, registry: Registry) -> LoginResult:
        """Log in from the start, whatever is kept from earlier. Raises RegistryDeniedError if refused, else RegistryError."""
        site = site_of("", registry)
        self._logins.forget(site)
        async with self._deadline(site):
            answer = await self._transport.send(_root(site))
            if answer.status == HTTPStatus.OK:
                return LoginResult(needed=False)
            challenges = parse_challenges(answer.headers.getall("WWW-Authenticate", []))
            grant = await self._logins.renew(site, "", challenges, None)
            if grant is None:
                raise _denied(site, answer, "the registry")
            scheme = grant.header.partition(" ")[0].lower()
            if scheme == "basic" or site.credentials:
                again = await self._transport.send(_root(site, grant.header))
                if again.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                    raise _denied(site, again, "the registry")
            return LoginResult(needed=True, scheme=scheme)

    async def gitea_version(self, registry: Registry) -> str:
        """The version of the Gitea or Forgejo at the registry's URL. Raises RegistryError if there is none."""
        site = site_of("", registry)
        async with self._deadline(site):
            answer = await self._transport.send(Request("GET", gitea.version_url(registry.url), MAX_SMALL))
        _expect(answer, site, "Gitea's version")
        return gitea.parse_version(answer.body, site.host)

    async def _list(self, repository: _Repository) -> list[str]:
        listing = Listing(str(repository), lower_case=gitea.is_gitea(repository.site))
        url: URL | None = repository.url("tags/list")
        # No `n`: most registries then give the whole list at once, and no number is small enough for each of them.
        while url is not None:
            answer = await self._ask(repository, Request("GET", url, MAX_PAGE), str(repository))
            following = next_page(answer.headers.getall("Link", []), url)
            if gitea.is_gitea(repository.site) and gitea.is_last_page(following):
                following = None
            url = listing.add(parse_page(answer.body, str(repository)), following)
        return listing.tags

    async def _resolve(self, repository: _Repository, reference: str) -> Digest:
        url = repository.url(f"manifests/{reference}")
        what = _named(repository, reference)
        head = Request("HEAD", url, 0, manifests.ACCEPT)
        answer = await self._ask(repository, head, what, accept_status=HTTPStatus.METHOD_NOT_ALLOWED)
        digest = manifests.read_digest(answer.headers.get("Docker-Content-Digest"))
        if answer.status == HTTPStatus.OK and digest:
            return digest
        return manifests.digest_of(await self._manifest(repository, reference))

    async def _inspect(self, repository: _Repository, reference: str) -> ImageInfo:
        body = await self._manifest(repository, reference)
        digest = manifests.digest_of(body)
        source = _named(repository, reference)
        for _ in range(_MAX_INDEX_DEPTH):
            manifest = manifests.parse_manifest(body, source)
            if isinstance(manifest, manifests.Manifest):
                config = await self._blob(repository, manifest.config)
                return manifests.parse_config(config, digest, source)
            entry = manifests.choose(manifest, self._architecture, source)
            body = await self._manifest(repository, entry.digest)
        raise RegistryProtocolError(f"{source} has indexes nested more than {_MAX_INDEX_DEPTH} deep")

    async def _manifest(self, repository: _Repository, reference: str) -> bytes:
        """A manifest's bytes, checked against the digest they were asked by or the one that the registry states."""
        url = repository.url(f"manifests/{reference}")
        what = _named(repository, reference)
        answer = await self._ask(repository, Request("GET", url, MAX_MANIFEST, manifests.ACCEPT), what)
        stated = manifests.read_digest(reference) or manifests.read_digest(answer.headers.get("Docker-Content-Digest"))
        return _verified(answer.body, stated, what)

    async def _blob(self, repository: _Repository, digest: Digest) -> bytes:
        what = f"{repository}@{digest}"
        request = Request("GET", repository.url(f"blobs/{digest}"), MAX_MANIFEST, _ANY_TYPE)
        answer = await self._ask(repository, request, what)
        return _verified(answer.body, digest, what)

    async def _ask(
        self, repository: _Repository, request: Request, what: str, *, accept_status: int = HTTPStatus.OK
    ) -> Answer:
        """Send `request` with whatever login it takes; return a 200 (or `accept_status`). `what` is asked for, in words."""
        site = repository.site
        grant = await self._logins.grant(site, repository.scope)
        answer = await self._transport.send(request.with_login(grant.header if grant else None))
        if answer.status == HTTPStatus.UNAUTHORIZED and answer.url.origin() == request.url.origin():
            challenges = parse_challenges(answer.headers.getall("WWW-Authenticate", []))
            renewed = await self._logins.renew(site, repository.scope, challenges, grant)
            if renewed is not None:
                answer = await self._transport.send(request.with_login(renewed.header))
        if answer.status != accept_status:
            _expect(answer, site, what)
        return answer

    @asynccontextmanager
    async def _deadline(self, site: Site) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeouts.total):
                yield
        except TimeoutError:
            raise RegistryUnreachableError(
                f"{site.host} did not finish answering within {self._timeouts.total:g} seconds"
            ) from None


def _root(site: Site, authorization: str | None = None) -> Request:
    return Request("GET", site.url("/v2/"), MAX_SMALL, authorization=authorization)


def _reference(site: Site, tag: str) -> str:
    return tag.lower() if gitea.is_gitea(site) else tag


def _named(repository: _Repository, reference: str) -> str:
    return f"{repository}{'@' if ':' in reference else ':'}{reference}"


def _verified(body: bytes, digest: Digest | None, what: str) -> bytes:
    if digest is not None and manifests.digest_of(body) != digest:
        raise RegistryProtocolError(f"the content of {what} does not match its digest; it was damaged or changed on the way")
    return body


def _expect(answer: Answer, site: Site, what: str) -> None:
    """Raise what a status other than 200 means for `what`."""
    if answer.status != HTTPStatus.OK:
        raise _refusal(answer, site, what)


def _refusal(answer: Answer, site: Site, what: str) -> RegistryError:
    codes = {code for code, _ in registry_errors(answer.body)}
    if answer.status == HTTPStatus.NOT_FOUND or "NAME_UNKNOWN" in codes:
        return RegistryNotFoundError(f"{site.host} has no {what.removeprefix(site.host + '/')}{_detail(answer, site)}")
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return _denied(site, answer, what)
    return RegistryProtocolError(f"{answer.host} answered with status {answer.status} for {what}{_detail(answer, site)}")


def _denied(site: Site, answer: Answer, what: str) -> RegistryDeniedError:
    detail = _detail(answer, site)
    if answer.url.origin() != site.base.origin():
        return RegistryDeniedError(
            f"{site.host} redirects to {answer.host}, which denied access to {what}; no credentials were sent there{detail}"
        )
    if site.credentials:
        return RegistryDeniedError(
            f"{site.host} denied access to {what} although credentials were sent; "
            f"either they are wrong, or their owner may not read it, or it does not exist{detail}"
        )
    return RegistryDeniedError(
        f"{site.host} denied access to {what}, and no credentials were sent; "
        f"either it does not exist, or it is private: enter a username and a password for this registry{detail}"
    )


def _detail(answer: Answer, site: Site) -> str:
    return excerpt(answer.body, site.credentials.password if site.credentials else "")
