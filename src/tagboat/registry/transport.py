"""HTTP to registries: time-outs, retries, redirects, size limits, and no errors but the core's."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final

import aiohttp
from msgspec import Struct
from multidict import CIMultiDictProxy
from yarl import URL

from tagboat import __version__
from tagboat.core.addresses import (
    address_of,
    is_disguised,
    is_link_local,
    is_loopback,
    is_public,
)
from tagboat.core.errors import (
    InvalidValueError,
    RegistryError,
    RegistryFailedError,
    RegistryProtocolError,
    RegistryRateLimitedError,
    RegistryUnreachableError,
)
from tagboat.core.proxies import NO_PROXIES, Proxies, Proxy, proxy_login
from tagboat.core.values import replace
from tagboat.registry.addresses import LINK_LOCAL, NOT_PUBLIC
from tagboat.registry.codings import unpacker
from tagboat.registry.connections import Connections, PlacedResponse, Timeouts
from tagboat.registry.endpoint import shown_host
from tagboat.registry.failures import (
    ResponseTooLargeError,
    by_proxy,
    from_library,
    mark_permanent,
    wait_until,
)
from tagboat.registry.trust import TrustContexts

USER_AGENT = f"tagboat/{__version__}"
MAX_REDIRECTS = 5
RETRY_PAUSES = (0.2, 0.6)
MAX_ERROR_BODY = 16 * 1024
RETRY_WITHIN = timedelta(seconds=4)
"""A request that took longer to fail is not repeated: a person may be waiting."""
_READ_SIZE = 64 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

Clock = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RegistryRequest:
    """A request that is safe to repeat. `max_body` limits a successful response, in bytes.

    `form` is sent as the body of a POST; `ca_cert` (PEM) is trusted as well as the system's
    authorities. `vouched` marks a registry that is configured. With `public_only`, only public
    addresses are connected to.
    """

    method: str
    url: URL
    max_body: int
    accept: str = "application/json"
    authorization: str | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    ca_cert: str = field(default="", repr=False)
    vouched: bool = False
    public_only: bool = False

    @property
    def host(self) -> str:
        """The host that is asked, as messages name it."""
        return shown_host(self.url)

    def with_login(self, authorization: str | None) -> "RegistryRequest":
        """Return the request with another `Authorization`."""
        if authorization == self.authorization:
            return self
        return replace(self, authorization=authorization)


class RegistryResponse(Struct, frozen=True):
    """A whole response. `status` is never 429, a redirect or, except for 501, 5xx.

    `url` is the URL after redirects. `leads_inside` allows it to name addresses that are not
    public: it came from this machine, or from the private network of a configured registry.
    """

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    url: URL
    leads_inside: bool = False

    @property
    def host(self) -> str:
        """The host that answered, as messages name it."""
        return shown_host(self.url)


class RegistryTransport:
    """Sends requests, through `proxies` if they apply."""

    def __init__(
        self,
        *,
        clock: Clock,
        sleep: Sleep,
        timeouts: Timeouts,
        ssl_context: ssl.SSLContext | None = None,
        proxies: Proxies = NO_PROXIES,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._contexts = TrustContexts(ssl_context)
        self._connections = Connections(timeouts, proxies)

    async def close(self) -> None:
        """Close all connections. All requests then fail with RegistryUnreachableError."""
        await self._connections.close()

    def proxy_of(self, url: URL) -> Proxy | None:
        """Return the proxy for `url`, None for a direct connection."""
        return self._connections.proxy_of(url)

    async def send(self, request: RegistryRequest) -> RegistryResponse:
        """Send a request, follow redirects, and repeat it after quick failures.

        These are lost connections and 5xx except 501. Raises RegistryUnreachableError,
        RegistryRateLimitedError (429, or a 503 with `Retry-After`) or RegistryProtocolError.
        """
        began = self._clock()
        # Short: polls come again, and deploys have retries of their own.
        for pause in RETRY_PAUSES:
            try:
                return await self._follow(request)
            except RegistryUnreachableError as error:
                if not error.retryable or self._clock() - began > RETRY_WITHIN:
                    raise
            await self._sleep(pause)
        return await self._follow(request)

    async def _follow(self, request: RegistryRequest) -> RegistryResponse:
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._send_once(request)
            if response.status not in _REDIRECTS:
                return response
            # A form holds a secret that is meant for the first host only.
            if request.form is not None:
                raise RegistryProtocolError(
                    f"{response.host} redirects a login elsewhere; nothing was sent there"
                )
            request = redirected(request, response)
        raise RegistryProtocolError(f"{shown_host(request.url)} redirects in circles")

    async def _send_once(self, request: RegistryRequest) -> RegistryResponse:
        """Send one request, with all errors of the libraries translated."""
        proxy = self._connections.proxy_of(request.url)
        try:
            return await self._exchange(request, proxy)
        except RegistryError as error:
            raise by_proxy(error, proxy) from None
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            if self._connections.closed:
                raise by_proxy(client_closed(), proxy) from None
            if isinstance(error, RuntimeError):
                raise
            # Through a proxy, only the proxy's own name is resolved here.
            unresolved = proxy is not None and isinstance(error, aiohttp.ClientConnectorDNSError)
            host = f"the proxy {proxy}" if unresolved else request.host
            # The chain is cut because the libraries' texts hold whole URLs.
            raise by_proxy(from_library(error, host), proxy) from None

    async def _exchange(self, request: RegistryRequest, proxy: Proxy | None) -> RegistryResponse:
        expect_allowed_address(request)
        login = proxy_login(proxy)
        if self._connections.closed:
            raise client_closed()
        # `identity`: digests are of the bytes as stored, and nothing small unpacks to much.
        headers = {
            "User-Agent": USER_AGENT,
            "Accept": request.accept,
            "Accept-Encoding": "identity",
        }
        if request.authorization is not None:
            headers["Authorization"] = request.authorization
        if request.url.scheme == "http":
            # With TLS the login goes into the CONNECT request, by `proxy_headers`.
            headers |= login
        try:
            context = self._contexts.get(request.ca_cert) or True
        except InvalidValueError as error:
            message = f"{request.host} was not asked: {error}"
            raise mark_permanent(RegistryUnreachableError(message)) from None
        # Through a proxy, the address checked would be the proxy's.
        session = self._connections.session(public_only=request.public_only and proxy is None)
        async with session.request(
            request.method,
            request.url,
            headers=headers,
            data=request.form,
            ssl=context,
            allow_redirects=False,
            proxy=f"http://{proxy}" if proxy else None,
            proxy_headers=login or None,
        ) as response:
            # For plain HTTP aiohttp passes a 407 of the proxy on as if it were the registry's.
            if proxy and response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                raise aiohttp.ClientHttpProxyError(
                    response.request_info, (), status=response.status
                )
            if response.status >= HTTPStatus.TOO_MANY_REQUESTS:
                expect_no_overload(response, request.host, self._clock())
            body = await read_limited_body(response, request)
            inside = False
            if proxy is None and isinstance(response, PlacedResponse):
                is_private = not is_public(response.peer) and not request.public_only
                inside = is_loopback(response.peer) or (request.vouched and is_private)
            return RegistryResponse(response.status, response.headers, body, request.url, inside)


def client_closed() -> RegistryUnreachableError:
    """Return the error for a request after `close`."""
    return mark_permanent(RegistryUnreachableError("the registry client is closed"))


def expect_no_overload(response: aiohttp.ClientResponse, host: str, now: datetime) -> None:
    """Raise RegistryRateLimitedError or RegistryFailedError for a 429 or a 5xx except 501."""
    retry_at = wait_until(response.headers.get("Retry-After"), now)
    when = f"; it may be asked again at {retry_at:%Y-%m-%dT%H:%M:%SZ}" if retry_at else ""
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise RegistryRateLimitedError(
            f"{host} has had too many requests from here{when}", retry_at
        )
    if response.status == HTTPStatus.SERVICE_UNAVAILABLE and retry_at:
        raise RegistryRateLimitedError(f"{host} is not available{when}", retry_at)
    # 501 says that this will never be answered, so it is not a failure to repeat.
    if (
        response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        and response.status != HTTPStatus.NOT_IMPLEMENTED
    ):
        raise RegistryFailedError(
            f"{host} failed with status {response.status}; its own log says why"
        )


def expect_allowed_address(request: RegistryRequest) -> None:
    """Raise RegistryProtocolError for a literal address that must not be connected to.

    Names are checked by the resolver.
    """
    host = request.url.host or ""
    if is_link_local(host):
        raise RegistryProtocolError(f"{request.host} {LINK_LOCAL}")
    if is_disguised(host):
        raise RegistryProtocolError(
            f"{request.host} is neither a name nor an address with four numbers; "
            "nothing is asked there"
        )
    if request.public_only and address_of(host) and not is_public(host):
        raise RegistryProtocolError(f"{request.host} {NOT_PUBLIC}")


def redirected(request: RegistryRequest, response: RegistryResponse) -> RegistryRequest:
    """Return the request to the target of a redirect. Raises RegistryProtocolError."""
    location = response.headers.get("Location", "")
    try:
        # Kept as written if it is clean: a signature covers its exact spelling.
        clean = location.isascii() and location.isprintable() and " " not in location
        target = response.url.join(URL(location, encoded=clean))
        target.origin()
    except ValueError:
        raise RegistryProtocolError(
            f"{response.host} redirects to something that is not a URL"
        ) from None
    if target.scheme not in {"http", "https"} or not location:
        raise RegistryProtocolError(
            f"{response.host} redirects to something that is not a web address"
        )
    # A man in the middle could serve any manifest there.
    if response.url.scheme == "https" and target.scheme == "http":
        raise RegistryProtocolError(
            f"{response.host} redirects from https to {shown_host(target)} without TLS; "
            "nothing was sent there"
        )
    if target.origin() == response.url.origin():
        return replace(request, url=target)
    # Object storage is another party: it gets a signed URL, and never the registry's login.
    return replace(
        request,
        url=target,
        authorization=None,
        public_only=request.public_only or not response.leads_inside,
    )


async def read_limited_body(response: aiohttp.ClientResponse, request: RegistryRequest) -> bytes:
    """Read a body up to its limit. Raises ResponseTooLargeError."""
    failed = response.status >= HTTPStatus.BAD_REQUEST
    limit = MAX_ERROR_BODY if failed else request.max_body
    unpack = unpacker(response.headers.get("Content-Encoding", ""), request.host)
    # One byte more than the limit is read, to see that there is more.
    body = bytearray()
    async for chunk in response.content.iter_chunked(_READ_SIZE):
        body += unpack(chunk, limit + 1 - len(body))
        if len(body) > limit:
            if failed:
                # Only the beginning of an error is shown.
                return bytes(body[:limit])
            raise ResponseTooLargeError(f"{request.host} answered with more than {limit} bytes")
    return bytes(body)
