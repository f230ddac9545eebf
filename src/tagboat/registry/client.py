"""The registry client: lists tags, resolves them to digests, reads configurations without pulls."""

import asyncio
import platform
import ssl
from collections.abc import Callable, Collection
from copy import copy
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TypeVar

from msgspec import Struct
from yarl import URL

from tagboat.core.catalog import Registry
from tagboat.core.errors import RegistryDeniedError, RegistryProtocolError
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.core.proxies import NO_PROXIES, Proxies
from tagboat.core.values import replace
from tagboat.registry import gitea, manifests
from tagboat.registry.auth import LoginCache
from tagboat.registry.budget import POLL_SHARE, Budgets
from tagboat.registry.challenges import parse_challenges
from tagboat.registry.connections import Timeouts
from tagboat.registry.endpoint import RegistryEndpoint, endpoint_for
from tagboat.registry.failures import ResponseTooLargeError, parse_json
from tagboat.registry.image_catalogue import MAX_IMAGES, ImageCatalogue, ImageList
from tagboat.registry.login_service import Bearer, Pin
from tagboat.registry.requests import MAX_SMALL, api_root, get_request, is_registry
from tagboat.registry.session import (
    HEAD_PROVES_NOTHING,
    Deadline,
    RegistrySession,
    denied,
    expect_ok,
    no_login_offered,
)
from tagboat.registry.tag_listing import TagListing, next_page, parse_page
from tagboat.registry.transport import (
    Clock,
    RegistryRequest,
    RegistryResponse,
    RegistryTransport,
    Sleep,
    utc_now,
)

MAX_PAGE = 1024 * 1024
MAX_MANIFEST = 1024 * 1024
MAX_CONFIG = 512 * 1024
_MAX_PARSED_INLINE = 32 * 1024
"""Bytes of a body that are parsed in the event loop; more are parsed in a thread."""
_TAGS_PER_PAGE = 1000
"""Tags asked for at a time if they are too many for one response."""
_MAX_INDEX_DEPTH = 4
_ANY_TYPE = "*/*"
_Parsed = TypeVar("_Parsed")
# Of one registry, thousands of repositories may be asked in a row.
_endpoint_for = lru_cache(256)(endpoint_for)


class _Repository(Struct, frozen=True):
    endpoint: RegistryEndpoint
    path: str

    def __str__(self) -> str:
        return f"{self.endpoint.host}/{self.path}"

    @property
    def scope(self) -> str:
        return f"repository:{self.path}:pull"

    def url(self, rest: str) -> URL:
        return self.endpoint.url(f"/v2/{self.path}/{rest}")

    def named(self, reference: str) -> str:
        """Return repository and reference as messages name them."""
        return f"{self}{'@' if ':' in reference else ':'}{reference}"


class LoginResult(Struct, frozen=True):
    """A successful login. `needed` is whether the registry asks for one, `scheme` which kind.

    `named` is the login service that it names (a URL), `used` the one that gave a token
    (`https://HOST[:PORT]`); empty without one.
    """

    needed: bool
    scheme: str = ""
    named: str = ""
    used: str = ""


class ApiProbe(Struct, frozen=True):
    """The server at a registry's URL: is it a registry, and to which URL does it redirect?

    `elsewhere` is empty unless it redirects.
    """

    is_registry: bool
    elsewhere: str = ""


class RegistryClient:
    """Implements `core.ports.TagSource` over HTTP. Safe for concurrent calls.

    Call `close` once at the end. `clock` gives the time for tokens and `Retry-After`, `sleep` waits
    between attempts, `machine` is this machine's architecture as `platform.machine()` returns it,
    `ssl_context` replaces the system's trusted certificates, `poll_share` is the part of a
    registry's limit that `rate_limited_view` may use up (0 to 1), `pin` records which login service
    gets a registry's password.
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
        self._transport = RegistryTransport(
            clock=clock,
            sleep=sleep,
            timeouts=self._timeouts,
            ssl_context=ssl_context,
            proxies=proxies,
        )
        self._logins = LoginCache(self._transport, clock, pin)
        self._session = RegistrySession(self._transport, self._logins, Budgets(poll_share), clock)
        self._architecture = manifests.architecture_of(
            platform.machine() if machine is None else machine
        )
        self._is_rate_limited = False

    def rate_limited_view(self) -> "RegistryClient":
        """Return this client for background work: it leaves a part of each registry's limit.

        It raises BudgetSpentError instead of a request that the registry counts: for a manifest.
        Lists, and digests of tags, are not counted.
        """
        # Shares connections, tokens and budgets with this one.
        view = copy(self)
        view._is_rate_limited = True  # noqa: SLF001 - its own
        return view

    def proxy_of(self, registry: Registry) -> str:
        """Return the proxy (`HOST:PORT`) for `registry`, empty if none. Raises RegistryError."""
        return str(self._transport.proxy_of(endpoint_for("", registry).base) or "")

    async def close(self) -> None:
        """Close all connections; later calls fail with RegistryUnreachableError."""
        await self._transport.close()

    async def list_tags(self, image: ImageName, registry: Registry | None) -> list[str]:
        """Return all tags of `image` in the registry's order, without signatures and attestations.

        Raises RegistryError.
        """
        repository = _Repository(_endpoint_for(image.host, registry), image.path)
        listing = TagListing(str(repository), lower_case=gitea.is_gitea(repository.endpoint))
        start = repository.url("tags/list")
        async with self._deadline(repository.endpoint, self._timeouts.listing):
            # Without `n`, most registries return the whole list at once, and no number is small
            # enough for each of them.
            try:
                url = await self._add_page(repository, listing, start)
            except ResponseTooLargeError:
                url = await self._add_page(repository, listing, start.with_query(n=_TAGS_PER_PAGE))
            while url is not None:
                url = await self._add_page(repository, listing, url)
            while listing.in_doubt:
                await self._widen(repository, listing, start)
        return listing.tags

    async def list_images(self, registry: Registry, limit: int = MAX_IMAGES) -> ImageList:
        """Return the images of `registry` that its credentials may see, `limit` at most.

        Raises RegistryError; most public registries do not list them, and the text says what to do
        instead.
        """
        endpoint = endpoint_for("", registry)
        async with self._deadline(endpoint, self._timeouts.listing):
            return await ImageCatalogue(self._session, endpoint, registry, limit).read()

    async def resolve(self, image: ImageName, tag: str, registry: Registry | None) -> Digest:
        """Return the digest to which `tag` (or a digest) points now.

        Raises RegistryNotFoundError if it does not exist, else RegistryError.
        """
        repository = _Repository(_endpoint_for(image.host, registry), image.path)
        reference = gitea.stored_tag(repository.endpoint, tag)
        async with self._deadline(repository.endpoint, self._timeouts.total):
            response = await self._head(repository, reference)
            digest = manifests.read_digest(response.headers.get("Docker-Content-Digest"))
            if response.status == HTTPStatus.OK and digest:
                return digest
            body = await self._manifest(repository, reference)
            # Without a digest to compare with, parsing is what shows a body that was cut short.
            await parse_aside(body, lambda: parse_json(body, repository.named(reference)))
            return manifests.digest_of(body)

    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo:
        """Return the configuration of `image` for this machine's platform.

        Its digest is that of the reference: of the index, for an image for several platforms.
        Raises RegistryError.
        """
        repository = _Repository(_endpoint_for(image.name.host, registry), image.name.path)
        async with self._deadline(repository.endpoint, self._timeouts.total):
            digest, manifest = await self._image_manifest(repository, image)
            config = await self._config(repository, manifest.config)
            source = repository.named(
                image.digest or gitea.stored_tag(repository.endpoint, image.tag)
            )
            parse = partial(manifests.parse_config, config, digest, source)
            return await parse_aside(config, parse)

    async def identify(self, image: ImageRef, registry: Registry | None) -> Digest:
        """Return the digest of `image`, the index's for several platforms, by manifests alone.

        Raises NotAnImageError if it is something else, another RegistryError if that is not known.
        """
        repository = _Repository(_endpoint_for(image.name.host, registry), image.name.path)
        async with self._deadline(repository.endpoint, self._timeouts.total):
            return (await self._image_manifest(repository, image))[0]

    async def probe_api(self, registry: Registry) -> ApiProbe:
        """Ask for the API's root without a login. Raises RegistryError if nothing answers."""
        endpoint = endpoint_for("", registry)
        async with self._deadline(endpoint, self._timeouts.total):
            response = await self._transport.send(api_root(endpoint))
        is_at_home = response.url.origin() == endpoint.base.origin()
        elsewhere = "" if is_at_home else str(response.url.origin())
        return ApiProbe(is_registry(response), elsewhere)

    async def log_in(self, registry: Registry) -> LoginResult:
        """Log in from the start, and send the password to that login service from now on.

        Raises RegistryDeniedError if refused, else RegistryError.
        """
        # Without the pinned service: testing is how a person confirms another one.
        endpoint = endpoint_for("", replace(registry, login_service=""))
        # A kept token would hide a password that is wrong by now.
        self._logins.forget(endpoint)
        async with self._deadline(endpoint, self._timeouts.total):
            response = await self._transport.send(api_root(endpoint))
            if response.status == HTTPStatus.OK:
                return LoginResult(needed=False)
            if response.url.origin() != endpoint.base.origin():
                raise denied(endpoint, response, "the registry")
            challenges = parse_challenges(response.headers.getall("WWW-Authenticate", []))
            grant = await self._logins.renew(
                endpoint, "", challenges, None, inside=response.leads_inside
            )
            if grant is None:
                error = no_login_offered(endpoint, response, "the registry")
                if error:
                    raise RegistryProtocolError(str(error))
                raise denied(endpoint, response, "the registry")
            scheme = grant.header.partition(" ")[0].lower()
            # A token without credentials proves nothing about the registry.
            if scheme == "basic" or endpoint.credentials:
                again = await self._transport.send(api_root(endpoint, grant.header))
                if again.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                    raise denied(endpoint, again, "the registry")
            realm = grant.method.realm if isinstance(grant.method, Bearer) else ""
            return LoginResult(needed=True, scheme=scheme, named=realm, used=grant.service)

    async def gitea_version(self, registry: Registry) -> str:
        """Return the version of the Gitea or Forgejo at the registry's URL.

        Raises RegistryError if there is none.
        """
        endpoint = endpoint_for("", registry)
        request = get_request(endpoint, gitea.api_url(registry.url, "version"), MAX_SMALL)
        async with self._deadline(endpoint, self._timeouts.total):
            response = await self._transport.send(request)
        expect_ok(response, endpoint, "Gitea's version")
        return gitea.parse_gitea_version(response.body, endpoint.host)

    def _deadline(self, endpoint: RegistryEndpoint, seconds: float) -> Deadline:
        return Deadline(endpoint, seconds, self._transport.proxy_of(endpoint.base))

    async def _add_page(self, repository: _Repository, listing: TagListing, url: URL) -> URL | None:
        """Add a page of tags to the listing, and return the URL of the next one."""
        body, following = await self._fetch_page(repository, listing, url)
        return await parse_aside(
            body, lambda: listing.add(parse_page(body, str(repository)), following)
        )

    async def _widen(self, repository: _Repository, listing: TagListing, start: URL) -> None:
        """Add one page that is wider than everything known, to a list whose pages repeat."""
        try:
            body, following = await self._fetch_page(
                repository, listing, start.with_query(n=listing.wider)
            )
        except (RegistryProtocolError, RegistryDeniedError):
            # The registry refuses the number.
            listing.give_up_widening()
            return
        await parse_aside(body, lambda: listing.widen(parse_page(body, str(repository)), following))

    async def _fetch_page(
        self, repository: _Repository, listing: TagListing, url: URL
    ) -> tuple[bytes, URL | None]:
        request = get_request(repository.endpoint, url, MAX_PAGE)
        response = await self._request(repository, request, str(repository))
        listing.spend(len(response.body))
        following = next_page(response.headers.getall("Link", []), url)
        if gitea.is_gitea(repository.endpoint) and gitea.is_last_page(following):
            following = None
        return response.body, following

    async def _head(self, repository: _Repository, reference: str) -> RegistryResponse:
        request = RegistryRequest(
            "HEAD",
            repository.url(f"manifests/{reference}"),
            0,
            manifests.ACCEPT,
            ca_cert=repository.endpoint.ca_cert,
            vouched=repository.endpoint.is_vouched,
        )
        return await self._request(
            repository, request, repository.named(reference), accept=HEAD_PROVES_NOTHING
        )

    async def _manifest(self, repository: _Repository, reference: str) -> bytes:
        """Return a manifest, checked against the digest asked for or stated by the registry."""
        endpoint, what = repository.endpoint, repository.named(reference)
        if self._is_rate_limited and self._session.is_budget_spent(endpoint):
            # A HEAD is not counted, and reports whether the limit is still used up.
            await self._head(repository, reference)
            self._session.expect_budget(endpoint)
        url = repository.url(f"manifests/{reference}")
        request = get_request(endpoint, url, MAX_MANIFEST, manifests.ACCEPT)
        response = await self._request(repository, request, what)
        # By tag, only the registry can state the digest.
        stated = response.headers.get("Docker-Content-Digest")
        digest = manifests.read_digest(reference) or manifests.read_digest(stated)
        return manifests.verified(response.body, digest, what)

    async def _image_manifest(
        self, repository: _Repository, image: ImageRef
    ) -> tuple[Digest, manifests.Manifest]:
        """Return the digest of the reference, and the manifest for this machine's platform."""
        reference = image.digest or gitea.stored_tag(repository.endpoint, image.tag)
        source = repository.named(reference)
        body = await self._manifest(repository, reference)
        digest = manifests.digest_of(body)
        for _ in range(_MAX_INDEX_DEPTH):
            manifest = await parse_aside(body, partial(manifests.parse_manifest, body, source))
            if isinstance(manifest, manifests.Manifest):
                return digest, manifest
            # An index may refer to another index.
            entry = manifests.choose(manifest, self._architecture, source)
            body = await self._manifest(repository, entry.digest)
        raise RegistryProtocolError(
            f"{source} has indexes nested more than {_MAX_INDEX_DEPTH} deep"
        )

    async def _config(self, repository: _Repository, digest: Digest) -> bytes:
        what = f"{repository}@{digest}"
        url = repository.url(f"blobs/{digest}")
        request = get_request(repository.endpoint, url, MAX_CONFIG, _ANY_TYPE)
        response = await self._request(repository, request, what)
        return manifests.verified(response.body, digest, what)

    async def _request(
        self,
        repository: _Repository,
        request: RegistryRequest,
        what: str,
        *,
        accept: Collection[int] = (HTTPStatus.OK,),
    ) -> RegistryResponse:
        return await self._session.request(
            repository.endpoint, repository.scope, request, what, accept=accept
        )


async def parse_aside(body: bytes, parse: Callable[[], _Parsed]) -> _Parsed:
    """Call `parse`, which parses `body`: in a thread if it is long, or all else would wait."""
    return parse() if len(body) <= _MAX_PARSED_INLINE else await asyncio.to_thread(parse)
