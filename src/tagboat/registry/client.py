"""The client of all registries: lists tags, resolves them to digests, and reads image configurations without pulling."""

import asyncio
import platform
import ssl
from collections.abc import Callable, Collection
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TypeVar

from yarl import URL

from tagboat.core.catalog import Registry
from tagboat.core.errors import RegistryDeniedError, RegistryProtocolError
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.core.proxies import NO_PROXIES, Proxies
from tagboat.registry import gitea, manifests
from tagboat.registry.asking import (
    HEAD_PROVES_NOTHING,
    Asker,
    Deadline,
    denied,
    expect_ok,
    unguided,
)
from tagboat.registry.auth import Bearer, Logins, Pin
from tagboat.registry.budget import POLL_SHARE, Budgets
from tagboat.registry.challenges import parse_challenges
from tagboat.registry.connections import Timeouts
from tagboat.registry.failures import TooLargeError, parse_json
from tagboat.registry.pages import Listing, next_page, parse_page
from tagboat.registry.repositories import MAX_IMAGES, Found, Repositories
from tagboat.registry.site import Site, site_of
from tagboat.registry.transport import Answer, Clock, Request, Sleep, Transport, utc_now

MAX_PAGE = 1024 * 1024
MAX_MANIFEST = 1024 * 1024
MAX_CONFIG = 512 * 1024
MAX_SMALL = 64 * 1024
_FEW = 32 * 1024
"""Bytes of an answer that may be read where everything else waits; more are read beside it."""
_PAGE = 1000
"""Tags asked for at a time where they are too many to come at once."""
_MAX_INDEX_DEPTH = 4
_ANY_TYPE = "*/*"
_T = TypeVar("_T")
_site_of = lru_cache(256)(site_of)
"""Of one registry, thousands of repositories may be asked in a row."""


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
    """How a login went that succeeded. `needed` is whether the registry asks for one at all, `scheme` what it asked for.

    `named` is the login service that it names (a URL), `used` the one that gave a token (`https://HOST[:PORT]`); empty where
    there is none.
    """

    needed: bool
    scheme: str = ""
    named: str = ""
    used: str = ""


@dataclass(frozen=True, slots=True)
class Knock:
    """Who answers at a registry's URL: whether it is one, and the URL elsewhere that was led to, if any."""

    is_registry: bool
    elsewhere: str = ""


class RegistryClient:
    """Implements `core.ports.TagSource` over HTTP. Safe for many calls at a time; call `close` once at the end.

    `clock` tells the time for tokens and `Retry-After`, `sleep` waits between attempts, `machine` is this machine's
    architecture as `platform.machine()` says it, `ssl_context` replaces the system's trusted certificates, `poll_share` is
    the part of a registry's limit that `sparing` may see used up (0 to 1), `pin` puts on record which login service a
    registry's password goes to.
    """

    def __init__(
        self,
        *,
        clock: Clock = utc_now,
        sleep: Sleep = asyncio.sleep,
        timeouts: Timeouts | None = None,
        machine: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        poll_share: float = POLL_SHARE,
        proxies: Proxies = NO_PROXIES,
        pin: Pin | None = None,
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._transport = Transport(
            clock=clock,
            sleep=sleep,
            timeouts=self._timeouts,
            ssl_context=ssl_context,
            proxies=proxies,
        )
        self._logins = Logins(self._transport, clock, pin)
        self._asker = Asker(self._transport, self._logins, Budgets(poll_share), clock)
        self._architecture = manifests.architecture_of(
            platform.machine() if machine is None else machine
        )
        self._sparing = False

    def rate_limited_view(self) -> "RegistryClient":
        """This client for work that nobody waits for: it raises BudgetSpentError rather than use up a registry's limit.

        That concerns what registries count: reading manifests. Lists, and looking where a tag points to, go on.
        """
        made = copy(self)
        made._sparing = True  # noqa: SLF001 - its own
        return made

    def proxy_of(self, registry: Registry) -> str:
        """The proxy (`HOST:PORT`) through which `registry` is asked, empty if directly. Raises RegistryError."""
        return str(self._transport.proxy_of(site_of("", registry).base) or "")

    async def close(self) -> None:
        """Close all connections; calls made later fail with RegistryUnreachableError."""
        await self._transport.close()

    async def list_tags(self, image: ImageName, registry: Registry | None) -> list[str]:
        """All tags of `image` in the registry's order, each once, without signatures and attestations.

        Raises RegistryError.
        """
        repository = _Repository(_site_of(image.host, registry), image.path)
        async with self._deadline(repository.site, self._timeouts.listing):
            return await self._list(repository)

    async def list_images(self, registry: Registry, limit: int = MAX_IMAGES) -> Found:
        """The images of `registry` that its credentials may see, `limit` at most, to choose from.

        Raises RegistryError; most public registries do not tell, and the text says what to do instead.
        """
        site = site_of("", registry)
        async with self._deadline(site, self._timeouts.listing):
            return await Repositories(self._asker, site, registry, limit).find()

    async def resolve(self, image: ImageName, tag: str, registry: Registry | None) -> Digest:
        """The digest that `tag` (or a digest) names now.

        Raises RegistryNotFoundError if it names nothing, else RegistryError.
        """
        repository = _Repository(_site_of(image.host, registry), image.path)
        async with self._deadline(repository.site, self._timeouts.total):
            return await self._resolve(repository, _reference(repository.site, tag))

    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo:
        """What `image` says of itself, for this machine's platform. Its digest is that of what the reference names.

        Raises RegistryError.
        """
        repository = _Repository(_site_of(image.name.host, registry), image.name.path)
        async with self._deadline(repository.site, self._timeouts.total):
            return await self._inspect(
                repository, image.digest or _reference(repository.site, image.tag)
            )

    async def knock(self, registry: Registry) -> Knock:
        """Ask for the API's root without a login. Raises RegistryError if nothing answers."""
        site = site_of("", registry)
        async with self._deadline(site, self._timeouts.total):
            answer = await self._transport.send(_root(site))
        return Knock(
            _is_registry(answer),
            "" if answer.url.origin() == site.base.origin() else str(answer.url.origin()),
        )

    async def log_in(self, registry: Registry) -> LoginResult:
        """Log in from the start, whatever is kept from earlier, and have the password go to that login service from now on.

        Raises RegistryDeniedError if refused, else RegistryError.
        """
        site = site_of("", replace(registry, login_service=""))
        self._logins.forget(site)
        async with self._deadline(site, self._timeouts.total):
            answer = await self._transport.send(_root(site))
            if answer.status == HTTPStatus.OK:
                return LoginResult(needed=False)
            if answer.url.origin() != site.base.origin():
                raise denied(site, answer, "the registry")
            challenges = parse_challenges(answer.headers.getall("WWW-Authenticate", []))
            grant = await self._logins.renew(site, "", challenges, None, inside=answer.leads_inside)
            if grant is None:
                error = unguided(site, answer, "the registry")
                raise (
                    RegistryProtocolError(str(error))
                    if error
                    else denied(site, answer, "the registry")
                )
            scheme = grant.header.partition(" ")[0].lower()
            if scheme == "basic" or site.credentials:
                again = await self._transport.send(_root(site, grant.header))
                if again.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                    raise denied(site, again, "the registry")
            realm = grant.login.realm if isinstance(grant.login, Bearer) else ""
            return LoginResult(needed=True, scheme=scheme, named=realm, used=grant.service)

    async def gitea_version(self, registry: Registry) -> str:
        """The version of the Gitea or Forgejo at the registry's URL. Raises RegistryError if there is none."""
        site = site_of("", registry)
        async with self._deadline(site, self._timeouts.total):
            answer = await self._transport.send(
                _get(site, gitea.api_url(registry.url, "version"), MAX_SMALL)
            )
        expect_ok(answer, site, "Gitea's version")
        return gitea.parse_version(answer.body, site.host)

    def _deadline(self, site: Site, seconds: float) -> Deadline:
        return Deadline(site, seconds, self._transport.proxy_of(site.base))

    async def _list(self, repository: _Repository) -> list[str]:
        listing = Listing(str(repository), lower_case=gitea.is_gitea(repository.site))
        start = repository.url("tags/list")
        # No `n`: most registries then give the whole list at once, and no number is small enough for each of them.
        try:
            url = await self._page(repository, listing, start)
        except TooLargeError:
            url = await self._page(repository, listing, start.with_query(n=_PAGE))
        while url is not None:
            url = await self._page(repository, listing, url)
        while listing.in_doubt:
            await self._widen(repository, listing, start)
        return listing.tags

    async def _page(self, repository: _Repository, listing: Listing, url: URL) -> URL | None:
        """Take a page of tags in; where the next one is."""
        body, following = await self._fetch_page(repository, listing, url)
        return await _aside(body, lambda: listing.add(parse_page(body, str(repository)), following))

    async def _fetch_page(
        self, repository: _Repository, listing: Listing, url: URL
    ) -> tuple[bytes, URL | None]:
        answer = await self._ask(repository, _get(repository.site, url, MAX_PAGE), str(repository))
        listing.spend(len(answer.body))
        following = next_page(answer.headers.getall("Link", []), url)
        if gitea.is_gitea(repository.site) and gitea.is_last_page(following):
            following = None
        return answer.body, following

    async def _widen(self, repository: _Repository, listing: Listing, start: URL) -> None:
        """Where pages repeat, ask for one page that is wider than all that is known."""
        try:
            body, following = await self._fetch_page(
                repository, listing, start.with_query(n=listing.wider)
            )
        except (RegistryProtocolError, RegistryDeniedError):  # it refuses the number
            listing.give_up_widening()
            return
        await _aside(body, lambda: listing.widen(parse_page(body, str(repository)), following))

    async def _resolve(self, repository: _Repository, reference: str) -> Digest:
        what = _named(repository, reference)
        answer = await self._head(repository, reference)
        digest = manifests.read_digest(answer.headers.get("Docker-Content-Digest"))
        if answer.status == HTTPStatus.OK and digest:
            return digest
        body = await self._manifest(repository, reference)
        await _aside(
            body, lambda: parse_json(body, what)
        )  # Without a digest to hold against it, this is what tells a body that was cut short.
        return manifests.digest_of(body)

    async def _head(self, repository: _Repository, reference: str) -> Answer:
        request = _to(
            repository.site, "HEAD", repository.url(f"manifests/{reference}"), 0, manifests.ACCEPT
        )
        return await self._ask(
            repository, request, _named(repository, reference), accept=HEAD_PROVES_NOTHING
        )

    async def _inspect(self, repository: _Repository, reference: str) -> ImageInfo:
        body = await self._manifest(repository, reference)
        digest = manifests.digest_of(body)
        source = _named(repository, reference)
        for _ in range(_MAX_INDEX_DEPTH):
            manifest = await _aside(body, partial(manifests.parse_manifest, body, source))
            if isinstance(manifest, manifests.Manifest):
                config = await self._blob(repository, manifest.config)
                return await _aside(config, partial(manifests.parse_config, config, digest, source))
            entry = manifests.choose(manifest, self._architecture, source)
            body = await self._manifest(repository, entry.digest)
        raise RegistryProtocolError(
            f"{source} has indexes nested more than {_MAX_INDEX_DEPTH} deep"
        )

    async def _manifest(self, repository: _Repository, reference: str) -> bytes:
        """A manifest's bytes, checked against the digest they were asked by or the one that the registry states."""
        if self._sparing:
            await self._expect_budget(repository, reference)
        what = _named(repository, reference)
        request = _get(
            repository.site,
            repository.url(f"manifests/{reference}"),
            MAX_MANIFEST,
            manifests.ACCEPT,
        )
        answer = await self._ask(repository, request, what)
        stated = manifests.read_digest(reference) or manifests.read_digest(
            answer.headers.get("Docker-Content-Digest")
        )
        return _verified(answer.body, stated, what)

    async def _expect_budget(self, repository: _Repository, reference: str) -> None:
        """Raise BudgetSpentError if the registry, asked again in the way that it does not count, says that it is spent."""
        if self._asker.is_budget_spent(repository.site):
            await self._head(repository, reference)
            self._asker.expect_budget(repository.site)

    async def _blob(self, repository: _Repository, digest: Digest) -> bytes:
        what = f"{repository}@{digest}"
        request = _get(repository.site, repository.url(f"blobs/{digest}"), MAX_CONFIG, _ANY_TYPE)
        answer = await self._ask(repository, request, what)
        return _verified(answer.body, digest, what)

    async def _ask(
        self,
        repository: _Repository,
        request: Request,
        what: str,
        *,
        accept: Collection[int] = (HTTPStatus.OK,),
    ) -> Answer:
        return await self._asker.ask(
            repository.site, repository.scope, request, what, accept=accept
        )


async def _aside(body: bytes, read: Callable[[], _T]) -> _T:
    """The value of `read`, which reads `body`: in a thread if that is long, so that nothing else waits for it."""
    return read() if len(body) <= _FEW else await asyncio.to_thread(read)


def _is_registry(answer: Answer) -> bool:
    """Whether the API's root answers as a registry's: a web page in its place is somebody else's."""
    if answer.status != HTTPStatus.OK:
        return answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    if "Docker-Distribution-Api-Version" in answer.headers or not answer.body.strip():
        return True
    try:
        parse_json(answer.body, answer.host)
    except RegistryProtocolError:
        return False
    return True


def _root(site: Site, authorization: str | None = None) -> Request:
    return _get(site, site.url("/v2/"), MAX_SMALL).with_login(authorization)


def _get(site: Site, url: URL, max_body: int, accept: str = "application/json") -> Request:
    return _to(site, "GET", url, max_body, accept)


def _to(site: Site, method: str, url: URL, max_body: int, accept: str) -> Request:
    return Request(method, url, max_body, accept, ca_cert=site.ca_cert, vouched=site.is_vouched)


def _reference(site: Site, tag: str) -> str:
    return tag.lower() if gitea.is_gitea(site) else tag


def _named(repository: _Repository, reference: str) -> str:
    return f"{repository}{'@' if ':' in reference else ':'}{reference}"


def _verified(body: bytes, digest: Digest | None, what: str) -> bytes:
    if digest is not None and manifests.digest_of(body) != digest:
        raise RegistryProtocolError(
            f"the content of {what} does not match its digest; it was damaged or changed on the way"
        )
    return body
