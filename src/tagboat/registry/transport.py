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
    RegistryFailedError,
    RegistryProtocolError,
    RegistryRateLimitedError,
    RegistryUnreachableError,
)
from tagboat.registry.failures import for_good, from_library, wait_until
from tagboat.registry.link_local import Resolver, is_link_local
from tagboat.registry.site import shown_host
from tagboat.registry.trust import Contexts

USER_AGENT = f"tagboat/{__version__}"
MAX_REDIRECTS = 5
RETRY_PAUSES = (0.2, 0.6)
MAX_ERROR_BODY = 16 * 1024
RETRY_WITHIN = timedelta(seconds=4)
"""Whoever took longer to fail is not asked again at once: a person may be waiting."""
_CHUNK = 64 * 1024
_CONNECTIONS = 64
_CONNECTIONS_PER_HOST = 26
"""Two more than a round of polls asks through."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

Clock = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]


def utc_now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect (TLS included), between two bytes of an answer, and for a whole call with all its requests.

    `listing` is for a call that may take hundreds of pages.
    """

    connect: float = 5
    read: float = 15
    total: float = 60
    listing: float = 300


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask; it may always be repeated. `max_body` caps the body of a successful answer, in bytes.

    `form` is sent as the body of a POST; `ca_cert` (PEM) is trusted beside the system's authorities.
    """

    method: str
    url: URL
    max_body: int
    accept: str = "application/json"
    authorization: str | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    ca_cert: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """The host that is asked, as messages call it."""
        return shown_host(self.url)

    def with_login(self, authorization: str | None) -> "Request":
        """The same request with another `Authorization`."""
        return self if authorization == self.authorization else replace(self, authorization=authorization)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole. `url` is where from, after redirects; `status` is never 429, a redirect or, 501 aside, 5xx."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    url: URL

    @property
    def host(self) -> str:
        """The host that answered, as messages call it."""
        return shown_host(self.url)


class Transport:
    """One pool of connections, made inside the running loop when the first request needs it."""

    def __init__(self, *, clock: Clock, sleep: Sleep, timeouts: Timeouts, ssl_context: ssl.SSLContext | None = None) -> None:
        self._clock = clock
        self._sleep = sleep
        self._timeouts = timeouts
        self._contexts = Contexts(ssl_context)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def close(self) -> None:
        """Close every connection. Requests from now on, and those under way, fail with RegistryUnreachableError."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

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
                raise RegistryProtocolError(f"{answer.host} redirects a login elsewhere; nothing was sent there")
            target = _redirect_target(answer)
            # Object storage is somebody else: it gets a signed URL, and never the registry's login.
            stays = target.origin() == request.url.origin()
            request = replace(request, url=target, authorization=request.authorization if stays else None)
        raise RegistryProtocolError(f"{shown_host(request.url)} redirects in circles")

    async def _exchange(self, request: Request) -> Answer:
        """One request and its answer, with every error of the libraries below translated."""
        if is_link_local(request.url.host or ""):
            raise RegistryProtocolError(f"{request.host} is a link-local address, where no registry is asked for anything")
        context = self._context(request)
        try:
            async with self._open().request(
                request.method,
                request.url,
                headers=_headers(request),
                data=request.form,
                ssl=context or True,
                allow_redirects=False,
            ) as response:
                self._refuse_overload(response, request)
                body = await _read(response, request)
                return Answer(response.status, response.headers, body, request.url)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The chain is cut because the libraries' texts hold whole URLs.
            raise self._translated(error, request.host) from None
        except RuntimeError as error:
            if not self._closed:
                raise
            raise self._translated(error, request.host) from None

    def _context(self, request: Request) -> ssl.SSLContext | None:
        try:
            return self._contexts.get(request.ca_cert)
        except InvalidValueError as error:
            raise for_good(RegistryUnreachableError(f"{request.host} was not asked: {error}")) from None

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise for_good(RegistryUnreachableError("the registry client is closed"))
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS, limit_per_host=_CONNECTIONS_PER_HOST, resolver=Resolver())
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(sock_connect=self._timeouts.connect, sock_read=self._timeouts.read),
            )
        return self._session

    def _refuse_overload(self, response: aiohttp.ClientResponse, request: Request) -> None:
        if response.status < HTTPStatus.TOO_MANY_REQUESTS:
            return
        host = request.host
        retry_at = wait_until(response.headers.get("Retry-After"), self._clock())
        when = f"; it may be asked again at {retry_at:%Y-%m-%dT%H:%M:%SZ}" if retry_at else ""
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise RegistryRateLimitedError(f"{host} has had too many requests from here{when}", retry_at)
        if response.status == HTTPStatus.SERVICE_UNAVAILABLE and retry_at:
            raise RegistryRateLimitedError(f"{host} is not available{when}", retry_at)
        # 501 is no failure: it says that this will never be answered.
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR and response.status != HTTPStatus.NOT_IMPLEMENTED:
            raise RegistryFailedError(f"{host} failed with status {response.status}; its own log says why")

    def _translated(self, error: Exception, host: str) -> Exception:
        if self._closed:
            return for_good(RegistryUnreachableError("the registry client is closed"))
        return from_library(error, host)


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
        raise RegistryProtocolError(f"{answer.host} redirects to something that is no URL") from None
    if target.scheme not in {"http", "https"} or not location:
        raise RegistryProtocolError(f"{answer.host} redirects to something that is no web address")
    return target


async def _read(response: aiohttp.ClientResponse, request: Request) -> bytes:
    """Read a body no further than its cap. Of an error only the beginning is wanted, of anything else all or nothing."""
    failed = response.status >= HTTPStatus.BAD_REQUEST
    cap = MAX_ERROR_BODY if failed else request.max_body
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > cap:
            if failed:
                return bytes(body[:cap])
            raise RegistryProtocolError(f"{request.host} answered with more than {cap} bytes")
    return bytes(body)
