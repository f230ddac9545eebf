"""Connections to registries: one pool to anywhere, one to public addresses only; proxies."""

import aiohttp
from aiohttp.connector import Connection
from msgspec import Struct
from yarl import URL

from tagboat.core.proxies import Proxies, Proxy
from tagboat.registry.addresses import Resolver

_MAX_CONNECTIONS = 64
_MAX_CONNECTIONS_PER_HOST = 26
"""Two more than polls use at a time."""


class Timeouts(Struct, frozen=True):
    """Seconds: to connect with TLS, between two bytes, and for a whole call with all its requests.

    `listing` is for a call that may take hundreds of pages.
    """

    connect: float = 5
    read: float = 15
    total: float = 60
    listing: float = 120


class PlacedResponse(aiohttp.ClientResponse):
    """A response that knows the address of its connection, whatever the name resolves to."""

    peer: str = ""

    async def start(self, connection: Connection) -> "PlacedResponse":
        """Read the head."""
        name = connection.transport.get_extra_info("peername") if connection.transport else None
        self.peer = str(name[0]) if isinstance(name, tuple) else ""
        await super().start(connection)
        return self


class Connections:
    """The pools, made inside the running loop when they are first needed."""

    def __init__(self, timeouts: Timeouts, proxies: Proxies) -> None:
        self._timeouts = timeouts
        self._proxies = proxies
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self.closed = False

    async def close(self) -> None:
        """Close every connection, and open none from now on."""
        self.closed = True
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    def proxy_of(self, url: URL) -> Proxy | None:
        """Return the proxy for `url`, None for a direct connection."""
        return self._proxies.of(url.scheme, url.host or "", url.port)

    def session(self, *, public_only: bool) -> aiohttp.ClientSession:
        """Return the pool of connections to anywhere, or to public addresses only."""
        # Apart: a connection to a private address must not be reused for a request that may not.
        if public_only not in self._sessions:
            connector = aiohttp.TCPConnector(
                limit=_MAX_CONNECTIONS,
                limit_per_host=_MAX_CONNECTIONS_PER_HOST,
                resolver=Resolver(public_only=public_only),
            )
            self._sessions[public_only] = aiohttp.ClientSession(
                connector=connector,
                # Cookies of proxies, sent back, would connect the requests of different logins.
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    sock_connect=self._timeouts.connect, sock_read=self._timeouts.read
                ),
                # Unpacked by `codings`, never to more than the caller's limit.
                auto_decompress=False,
                response_class=PlacedResponse,
            )
        return self._sessions[public_only]
