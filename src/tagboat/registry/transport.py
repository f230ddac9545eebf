"""HTTP to registries: time-outs, retries, redirects, capped bodies, and errors of the core's tree only."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from tagboat import __version__
from tagboat.core.errors import (
    InvalidValueError,
    RegistryError,
    RegistryFailedError,
    RegistryProtocolError,
    RegistryRateLimitedError,
    RegistryUnreachableError,
)
from tagboat.core.proxies import NO_PROXIES, Proxies, Proxy
from tagboat.registry.addresses import (
    LINK_LOCAL,
    NOT_PUBLIC,
    address_of,
    is_disguised,
    is_link_local,
    is_loopback,
    is_public,
)
from tagboat.registry.codings import unpacker
from tagboat.registry.connections import Connections, PlacedResponse, Timeouts, proxy_login
from tagboat.registry.failures import TooLargeError, by_proxy, for_good, from_library, wait_until
from tagboat.registry.site import shown_host
from tagboat.registry.trust import Contexts

USER_AGENT = f"tagboat/{__version__}"
MAX_REDIRECTS = 5
RETRY_PAUSES = (0.2, 0.6)
MAX_ERROR_BODY = 16 * 1024
RETRY_WITHIN = timedelta(seconds=4)
"""Whoever took longer to fail is not asked again at once: a person may be waiting."""
_CHUNK = 64 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

Clock = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]


def utc_now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask; it may always be repeated. `max_body` caps the body of a successful answer, in bytes.

    `form` is sent as the body of a POST; `ca_cert` (PEM) is trusted beside the system's authorities. `vouched`: a person has
    named the registry that is asked. `public_only`: nothing is asked at an address that is not public.
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
        """The host that is asked, as messages call it."""
        return shown_host(self.url)

    def with_login(self, authorization: str | None) -> "Request":
        """The same request with another `Authorization`."""
        return (
            self
            if authorization == self.authorization
            else replace(self, authorization=authorization)
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole. `url` is where from, after redirects; `status` is never 429, a redirect or, 501 aside, 5xx.

    `leads_inside`: it may name addresses that are not public, for it came from this machine, or from a private network where a
    person has named the registry.
    """

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    url: URL
    leads_inside: bool = False

    @property
    def host(self) -> str:
        """The host that answered, as messages call it."""
        return shown_host(self.url)


class Transport:
    """Sends requests, through `proxies` where they say so."""

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
        self._contexts = Contexts(ssl_context)
        self._connections = Connections(timeouts, proxies)

    async def close(self) -> None:
        """Close every connection. Requests from now on, and those under way, fail with RegistryUnreachableError."""
        await self._connections.close()

    def proxy_of(self, url: URL) -> Proxy | None:
        """The proxy through which `url` is asked, None if directly."""
        return self._connections.proxy_of(url)

    async def send(self, request: Request) -> Answer:
        """Ask, again after quick failures (lost connections, 5xx but 501), and return any answer that is none of these.

        Raises RegistryUnreachableError, RegistryRateLimitedError (429, or a 503 that says when to come back) or
        RegistryProtocolError.
        """
        began = self._clock()
        for pause in RETRY_PAUSES:
            try:
                return await self._follow(request)
            except RegistryUnreachableError as error:
                if not error.retryable or self._clock() - began > RETRY_WITHIN:
                    raise
            await self._sleep(pause)
        return await self._follow(request)

    async def _follow(self, request: Request) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._exchange(request)
            if answer.status not in _REDIRECTS:
                return answer
            if request.form is not None:  # whose secret is meant for nobody else
                raise RegistryProtocolError(
                    f"{answer.host} redirects a login elsewhere; nothing was sent there"
                )
            request = _redirected(request, answer)
        raise RegistryProtocolError(f"{shown_host(request.url)} redirects in circles")

    async def _exchange(self, request: Request) -> Answer:
        """One request and its answer, with every error of the libraries below translated."""
        proxy = self._connections.proxy_of(request.url)
        try:
            return await self._ask(request, proxy)
        except RegistryError as error:
            raise by_proxy(error, proxy) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Through a proxy, only the proxy's own name is resolved here.
            unresolved = proxy is not None and isinstance(error, aiohttp.ClientConnectorDNSError)
            # The chain is cut because the libraries' texts hold whole URLs.
            raise by_proxy(
                self._translated(error, f"the proxy {proxy}" if unresolved else request.host), proxy
            ) from None
        except RuntimeError as error:
            if not self._connections.closed:
                raise
            raise self._translated(error, request.host) from None

    async def _ask(self, request: Request, proxy: Proxy | None) -> Answer:
        _expect_address(request)
        login = proxy_login(proxy)
        if self._connections.closed:
            raise for_good(RegistryUnreachableError("the registry client is closed"))
        # Through a proxy, it is the proxy's address that would be judged.
        session = self._connections.session(public_only=request.public_only and proxy is None)
        async with session.request(
            request.method,
            request.url,
            headers={**_headers(request), **(login if request.url.scheme == "http" else {})},
            data=request.form,
            ssl=self._context(request) or True,
            allow_redirects=False,
            proxy=f"http://{proxy}" if proxy else None,
            proxy_headers=login or None,
        ) as response:
            if proxy and response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                raise aiohttp.ClientHttpProxyError(
                    response.request_info, (), status=response.status
                )
            self._refuse_overload(response, request)
            body = await _read(response, request)
            inside = (
                proxy is None
                and isinstance(response, PlacedResponse)
                and _leads_inside(request, response.peer)
            )
            return Answer(response.status, response.headers, body, request.url, inside)

    def _context(self, request: Request) -> ssl.SSLContext | None:
        try:
            return self._contexts.get(request.ca_cert)
        except InvalidValueError as error:
            raise for_good(
                RegistryUnreachableError(f"{request.host} was not asked: {error}")
            ) from None

    def _refuse_overload(self, response: aiohttp.ClientResponse, request: Request) -> None:
        if response.status < HTTPStatus.TOO_MANY_REQUESTS:
            return
        host = request.host
        retry_at = wait_until(response.headers.get("Retry-After"), self._clock())
        when = f"; it may be asked again at {retry_at:%Y-%m-%dT%H:%M:%SZ}" if retry_at else ""
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise RegistryRateLimitedError(
                f"{host} has had too many requests from here{when}", retry_at
            )
        if response.status == HTTPStatus.SERVICE_UNAVAILABLE and retry_at:
            raise RegistryRateLimitedError(f"{host} is not available{when}", retry_at)
        # 501 is no failure: it says that this will never be answered.
        if (
            response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            and response.status != HTTPStatus.NOT_IMPLEMENTED
        ):
            raise RegistryFailedError(
                f"{host} failed with status {response.status}; its own log says why"
            )

    def _translated(self, error: Exception, host: str) -> RegistryError:
        if self._connections.closed:
            return for_good(RegistryUnreachableError("the registry client is closed"))
        return from_library(error, host)


def _expect_address(request: Request) -> None:
    """Raise RegistryProtocolError if the host is an address that is not to be asked. Names are judged as they are resolved."""
    host = request.url.host or ""
    if is_link_local(host):
        raise RegistryProtocolError(f"{request.host} {LINK_LOCAL}")
    if is_disguised(host):
        raise RegistryProtocolError(
            f"{request.host} is neither a name nor an address with four numbers; nothing is asked there"
        )
    if request.public_only and address_of(host) and not is_public(host):
        raise RegistryProtocolError(f"{request.host} {NOT_PUBLIC}")


def _leads_inside(request: Request, peer: str) -> bool:
    """Whether what the address `peer` answers may lead to others that are not public."""
    return is_loopback(peer) or (
        request.vouched and not is_public(peer) and not request.public_only
    )


def _redirected(request: Request, answer: Answer) -> Request:
    """The request to where the answer to `request` redirects. Raises RegistryProtocolError if that is not to be asked."""
    target = _redirect_target(answer)
    if answer.url.scheme == "https" and target.scheme == "http":
        raise RegistryProtocolError(
            f"{answer.host} redirects from https to {shown_host(target)} without TLS; nothing was sent there"
        )
    if target.origin() == answer.url.origin():
        return replace(request, url=target)
    # Object storage is somebody else: it gets a signed URL, and never the registry's login.
    return replace(
        request,
        url=target,
        authorization=None,
        public_only=request.public_only or not answer.leads_inside,
    )


def _headers(request: Request) -> Mapping[str, str]:
    # `identity`: digests are of the bytes as stored, and a small answer cannot unpack into a huge one.
    headers = {"User-Agent": USER_AGENT, "Accept": request.accept, "Accept-Encoding": "identity"}
    if request.authorization is not None:
        headers["Authorization"] = request.authorization
    return headers


def _redirect_target(answer: Answer) -> URL:
    location = answer.headers.get("Location", "")
    try:
        # Kept as written where it is clean: a signature covers its exact spelling.
        clean = location.isascii() and location.isprintable() and " " not in location
        target = answer.url.join(URL(location, encoded=clean))
        target.origin()
    except ValueError:
        raise RegistryProtocolError(
            f"{answer.host} redirects to something that is not a URL"
        ) from None
    if target.scheme not in {"http", "https"} or not location:
        raise RegistryProtocolError(
            f"{answer.host} redirects to something that is not a web address"
        )
    return target


async def _read(response: aiohttp.ClientResponse, request: Request) -> bytes:
    """Read a body no further than its cap. Of an error only the beginning is wanted, of anything else all or nothing."""
    failed = response.status >= HTTPStatus.BAD_REQUEST
    cap = MAX_ERROR_BODY if failed else request.max_body
    unpack = unpacker(response.headers.get("Content-Encoding", ""), request.host)
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += unpack(chunk, cap + 1 - len(body))
        if len(body) > cap:
            if failed:
                return bytes(body[:cap])
            raise TooLargeError(f"{request.host} answered with more than {cap} bytes")
    return bytes(body)
