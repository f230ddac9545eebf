"""One connection of a client: uvicorn's protocol with the limits that it does not have."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_LIMIT_S = 20.0
"""Seconds from the start of a connection, or of a request on it, until the request is complete."""

STALL_LIMIT_S = 30.0
"""Seconds for which a client may read nothing of what waits for it, as 64 KiB do then."""

MAX_HEAD = 64 * 1024
"""Bytes of a request line and headers, or of trailers: else they could fill the memory."""
_GATHERED_MOST = 64 * 1024
"""Bytes that wait for the end of a turn at most: the transport's own limit for a slow client."""
_CONNECT = b"CONNECT"
# RFC 6585, section 5.
_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """A connection that must send complete requests in time, with heads of at most `MAX_HEAD`.

    A request that offers another protocol (`Upgrade`) is answered as if it did not: RFC 9110,
    section 7.8. Java's clients offer HTTP/2 with each request in clear text, and uvicorn would
    lose their bodies.
    """

    _complete = False
    """True while everything received so far belongs to complete requests."""
    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    """Runs while the client reads too slowly: without it, a stream would be held open for ever."""
    heard_at = 0.0
    """Time of the last bytes received, or of the start; in seconds of the loop's clock."""
    _head = 0
    """Bytes received since the last complete head or piece of body."""
    _again: bytes | None = None
    """A request to be read once more, without its offer of another protocol."""

    def __init__(
        self,
        most_connections: int,
        *arguments: Any,  # noqa: ANN401 - uvicorn's
        **options: Any,  # noqa: ANN401 - uvicorn's
    ) -> None:
        super().__init__(*arguments, **options)
        self._most_connections = most_connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make room for the connection, and start its first deadline."""
        self.parser = _UpgradeDecliningParser(self)
        gathering = _GatheringTransport(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.Transport", gathering))
        self.heard_at = self.loop.time()
        if len(self.connections) > self._most_connections:
            # The one that has been silent longest, or this one if all are busy.
            others = cast("Iterable[Connection]", self.connections)
            idle = [one for one in others if one.is_idle()]
            min(idle, key=lambda one: one.heard_at, default=self).transport.abort()
        self._deadline = self.loop.call_later(REQUEST_LIMIT_S, self._time_out)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the deadlines."""
        self._cancel_deadline()
        self._end_stall()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give the client a limited time to read what waits for it."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALL_LIMIT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client has read most of it."""
        super().resume_writing()
        self._end_stall()

    def data_received(self, data: bytes) -> None:
        """Read `data`; refuse a head that is too long."""
        self.heard_at = self.loop.time()
        self._complete = False
        self._head += len(data)
        super().data_received(data)
        # A loop, not a call within decline(): a thousand such requests in one packet would
        # otherwise exceed the depth of recursion.
        while self._again is not None:
            data, self._again = self._again, None
            super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head > MAX_HEAD:
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()
        elif self._complete:
            self._cancel_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_LIMIT_S, self._time_out)

    def on_headers_complete(self) -> None:
        """Start to answer a request whose head is complete."""
        if not self._offers_upgrade():
            self._head = 0
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hand a piece of body to the application."""
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        if not self._offers_upgrade():
            super().on_message_complete()
            self._complete, self._head = True, 0

    def decline(self, rest: bytes) -> None:
        """Read the current request once more without its offer; `rest` begins with its body."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        # The head is written again from its parts: the parser keeps no bytes of it.
        head = [b"%b %b HTTP/%b" % (method, self.url, version)]
        head += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        self.parser = _UpgradeDecliningParser(self)
        self._again = b"\r\n".join([*head, b"", rest])

    def is_idle(self) -> bool:
        """Return whether no request of this connection is being answered, and it is open."""
        busy = self.cycle is not None and not self.cycle.response_complete
        return not busy and not self.transport.is_closing()

    def _offers_upgrade(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != _CONNECT

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _time_out(self) -> None:
        self._deadline = None
        self.transport.close()


class _UpgradeDecliningParser(httptools.HttpRequestParser):
    """A parser that gives a request back to its connection if the request offers an upgrade."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._connection = connection

    def feed_data(self, data: bytes) -> None:  # type: ignore[override] # transports give only bytes
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            # CONNECT is not an offer: without a tunnel there is nothing to answer.
            if self.get_method() == _CONNECT:
                raise
            self._connection.decline(data[stop.args[0] :])


class _GatheringTransport:
    """A transport that sends at once what is written within one turn of the loop.

    Uvicorn writes the head and the body of an answer separately; a system call for each costs
    more than all its other work.
    """

    __slots__ = (
        "_loop",
        "_size",
        "_transport",
        "_waiting",
        "get_extra_info",
        "is_closing",
        "pause_reading",
        "resume_reading",
    )

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []
        self._size = 0
        # Bound here, not looked up by __getattr__: uvicorn calls them for each request.
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Send `data` at the end of this turn, or at once what has grown to `_GATHERED_MOST`."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)
        self._size += len(data)
        # An answer that is always ready gives no turn to the loop: it would fill the memory
        # here, as only the transport can pause it.
        if self._size >= _GATHERED_MOST:
            self._flush()

    def close(self) -> None:
        """Send everything that waits, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._waiting:
            waiting, self._waiting, self._size = self._waiting, [], 0
            self._transport.write(b"".join(waiting))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any other attribute of a transport
        return getattr(self._transport, name)
