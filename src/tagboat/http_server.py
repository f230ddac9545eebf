"""Uvicorn as Tagboat runs it: told when to stop, telling when it answers, and sparing with system calls."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import httptools
import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUESTS_GRACE_S = 2
BACKLOG = 4096
TICK_S = 1.0
REQUEST_LIMIT_S = 20.0
"""Seconds from the beginning of a connection, or of a request on it, until the request is whole."""

MOST_CONNECTIONS = 100_000
LEAST_CONNECTIONS = 16
RESERVED_FILES = 120
"""Files that are left to the database, the engine, HAProxy and ssh: strangers' connections must not take theirs."""

MAX_HEAD = 64 * 1024
"""Bytes of a request line and headers, or of trailers, that are taken; without a limit anybody could fill the memory."""
_CONNECT = b"CONNECT"
_HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

log = structlog.get_logger("tagboat.http")


def most_connections(open_files: int) -> int:
    """How many connections to take at once where so many files may be open (-1: any number): the others are needed here."""
    if open_files < 0:
        return MOST_CONNECTIONS
    return max(
        LEAST_CONNECTIONS, min(MOST_CONNECTIONS, open_files - max(RESERVED_FILES, open_files // 4))
    )


class _Config(uvicorn.Config):
    """Uvicorn's own, and how many connections there may be."""

    def __init__(self, most_connections: int, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **options)
        self.most_connections = most_connections


class HttpServer(uvicorn.Server):
    """Serves `app` until `stop`; `on_ready` is called once it answers, `on_stop` as it stops.

    `faulty` is whether a fault stopped it.

    Of more than `most_connections` those go first that have been silent the longest.
    """

    def __init__(self, app: ASGIApp, most_connections: int = MOST_CONNECTIONS) -> None:
        super().__init__(
            _Config(
                most_connections,
                app,
                loop="none",
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=REQUESTS_GRACE_S,
            )
        )
        self.on_ready: Callable[[], None] = lambda: None
        self.on_stop: Callable[[], None] = lambda: None
        self.faulty = False
        self._stopping = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:  # noqa: ANN401 - uvicorn's signature
        """Start, then say so."""
        await super().startup(sockets)
        self.on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever runs this: raised again at the end, they would make the exit code other than 0."""
        yield

    async def main_loop(self) -> None:
        """Wait for the end, and renew the date that answers bear each second: Uvicorn itself looks ten times as often."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._stopping.wait()

    def stop(self) -> None:
        """Stop taking requests."""
        self.should_exit = True
        self.on_stop()  # streams have no end of their own that could be waited for
        self._stopping.set()

    def stop_after_fault(self, task: "asyncio.Task[None]") -> None:
        """Stop when a task that works beside the API ends by itself: half a server would deceive."""
        if not task.cancelled():
            log.critical(
                "a part of the server broke down", action="stop", exc_info=task.exception()
            )
            self.faulty = True
            self.stop()


class _Protocol(HttpToolsProtocol):
    """Uvicorn's own, over a transport that gathers what it writes, with no patience for half a request, nor for a long head.

    A request that offers to speak another protocol is answered as if it did not (RFC 9110, section 7.8). Java's clients offer
    HTTP/2 with everything they send in the clear, and uvicorn would lose their bodies.
    """

    _whole = False
    """Whether everything received so far belongs to whole requests."""
    _slow: asyncio.TimerHandle | None = None
    _heard_at = 0.0
    """When it was made, or last heard of, in seconds of the loop's clock."""
    _head = 0
    """Bytes received that are neither of a whole head nor of a body, but for those that came with such."""
    _again: bytes | None = None
    """What is to be read once more, without the offer in it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.parser = _Parser(self)
        super().connection_made(
            cast("asyncio.Transport", _Gathering(cast("asyncio.Transport", transport), self.loop))
        )
        self._heard_at = self.loop.time()
        self._make_room()
        self._slow = self.loop.call_later(REQUEST_LIMIT_S, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_patient()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        self._whole = False
        self._head += len(data)
        super().data_received(data)
        while self._again is not None:
            data, self._again = self._again, None
            super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head > MAX_HEAD:
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()
        elif self._whole:
            self._be_patient()
        elif self._slow is None:
            self._slow = self.loop.call_later(REQUEST_LIMIT_S, self._hang_up)

    def on_headers_complete(self) -> None:
        if not self._is_offer():
            self._head = 0
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._is_offer():
            super().on_message_complete()
            self._whole, self._head = True, 0

    def decline(self, rest: bytes) -> None:
        """Have the request read once more that was read up to its body, which `rest` begins."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        head = [b"%b %b HTTP/%b" % (method, self.url, version)]
        head += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        self.parser = _Parser(self)
        self._again = b"\r\n".join([*head, b"", rest])

    def _make_room(self) -> None:
        """Hang up on whoever has been silent the longest, where there are too many: on the new one where all are served."""
        config = cast("_Config", self.config)
        if len(self.connections) > config.most_connections:
            others = cast("Iterable[_Protocol]", self.connections)
            silent = [one for one in others if one.is_silent()]
            min(silent, key=lambda one: one._heard_at, default=self).transport.abort()  # noqa: SLF001 - one of its own kind

    def is_silent(self) -> bool:
        """Whether no request of it is being answered, and it is not hung up on already."""
        served = self.cycle is not None and not self.cycle.response_complete
        return not served and not self.transport.is_closing()

    def _is_offer(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != _CONNECT

    def _be_patient(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _hang_up(self) -> None:
        self._slow = None
        self.transport.close()


class _Parser(httptools.HttpRequestParser):
    """Httptools' own, which stops behind the head of a request that offers to speak another protocol."""

    def __init__(self, protocol: _Protocol) -> None:
        super().__init__(protocol)
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._protocol = protocol

    def feed_data(self, data: bytes) -> None:  # type: ignore[override] # transports give bytes, and nothing wider
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            if (
                self.get_method() == _CONNECT
            ):  # which is no offer: without a tunnel there is nothing to say
                raise
            self._protocol.decline(data[stop.args[0] :])


class _Gathering:
    """A transport that sends what is written within one turn of the loop at once.

    Uvicorn writes the head and the body of an answer one by one; a system call for each costs more than all else it does.
    """

    __slots__ = (
        "_loop",
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
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Send `data` at the end of this turn."""
        if not self._waiting:
            self._loop.call_soon(self._send)
        self._waiting.append(data)

    def close(self) -> None:
        """Send what waits, then close."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._transport.write(b"".join(waiting))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a transport can
        return getattr(self._transport, name)
