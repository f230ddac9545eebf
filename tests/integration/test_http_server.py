"""The HTTP server under callers who take their time."""

import asyncio
import contextlib
import io
import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog
from starlette.types import Receive, Scope, Send

from tagboat.http import connection, server
from tagboat.http.server import HttpServer
from tagboat.logs import configure_logging
from tagboat.loops import wait_at_most
from tagboat.settings import LogFormat
from tests.support.clock import LoopTime

pytestmark = pytest.mark.anyio

REQUEST = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\nbody"


async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def serving(server: HttpServer) -> AsyncIterator[int]:
    ready = asyncio.Event()
    server.on_ready = ready.set
    listener = socket.create_server(("127.0.0.1", 0))
    port = int(listener.getsockname()[1])
    running = asyncio.create_task(server.serve([listener]))
    await ready.wait()
    yield port
    server.stop()
    await running


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with serving(HttpServer(echo)) as port:
        yield port


@pytest.fixture
async def hasty(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a server that gives a request half a second."""
    monkeypatch.setattr(connection, "REQUEST_LIMIT_S", 0.5)
    async with serving(HttpServer(echo)) as port:
        yield port


@pytest.fixture
async def small() -> AsyncIterator[int]:
    """The port of a server that takes three connections at once."""
    async with serving(HttpServer(echo, 3)) as port:
        yield port


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the server logs, as JSON."""
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logging(LogFormat.JSON, logging.INFO, stream)
    yield stream
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


async def hang_up(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        return await reader.readexactly(4)


@pytest.mark.parametrize(
    "begun", [b"", b"POST / HT", REQUEST[:-2]], ids=["nothing", "half a head", "half a body"]
)
async def test_half_a_request_is_not_waited_for(hasty: int, begun: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty)
    writer.write(begun)
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    await hang_up(writer)


async def test_a_second_request_may_not_dawdle_either(hasty: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty)
    writer.write(REQUEST)
    assert await answer(reader) == b"body"
    writer.write(REQUEST[:-1])
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    await hang_up(writer)


async def test_requests_in_pieces_and_after_a_pause_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    time, server = LoopTime(monkeypatch), HttpServer(echo)
    server._uvicorn.config.timeout_keep_alive = 3600
    async with serving(server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(REQUEST[:20])
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(REQUEST[20:])
            assert await answer(reader) == b"body"
            # Longer than a request may take, shorter than a connection may rest.
            time.move(connection.REQUEST_LIMIT_S + 5)
            await asyncio.sleep(0.01)
        await hang_up(writer)


async def connected(
    port: int, count: int
) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    return [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]


async def hears_the_end(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read(1) == b""


async def hears_nothing(reader: asyncio.StreamReader) -> None:
    """Fail if the connection ends, or brings something, within a moment."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read(1)


async def test_of_too_many_that_say_nothing_those_go_that_came_first(small: int) -> None:
    made = await connected(small, 5)
    reader, writer = made[-1]
    writer.write(REQUEST)
    assert await answer(reader) == b"body"
    for reader, _ in made[:2]:
        await hears_the_end(reader)
    for reader, _ in made[2:4]:
        await hears_nothing(reader)
    await hang_up(*(writer for _, writer in made))


async def test_whoever_is_heard_of_stays_longer(small: int) -> None:
    first, second = await connected(small, 2)
    first[1].write(REQUEST)
    assert await answer(first[0]) == b"body"
    others = await connected(small, 2)
    await hears_the_end(second[0])
    await hears_nothing(first[0])
    await hang_up(first[1], second[1], *(writer for _, writer in others))


async def test_nobody_who_is_being_served_is_hung_up_on() -> None:
    begun = asyncio.Semaphore(0)

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        begun.release()
        await echo(scope, receive, send)

    async with serving(HttpServer(note, 3)) as port:
        made = await connected(port, 3)
        for _, writer in made:
            writer.write(REQUEST[:-2])
        for _ in made:
            await begun.acquire()
        (new,) = await connected(port, 1)
        await hears_the_end(new[0])
        for reader, writer in made:
            writer.write(REQUEST[-2:])
            assert await answer(reader) == b"body"
        await hang_up(new[1], *(writer for _, writer in made))


@pytest.mark.parametrize(
    ("open_files", "connections"),
    [(64, 16), (200, 80), (1024, 768), (4096, 3072), (1 << 20, 100_000), (-1, 100_000)],
)
def test_connections_leave_files_to_the_others(open_files: int, connections: int) -> None:
    assert server.most_connections(open_files) == connections


CHUNKED = b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n4"


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /",
        REQUEST + b"GET / HTTP/1.1\r\nX: ",
        b"GET / HTTP/1.1\r\nHost: here\r\n",
        CHUNKED + b";X: ",
        CHUNKED + b"\r\nbody\r\n0\r\nX: ",
    ],
    ids=["address", "header", "headers", "extension", "trailer"],
)
@pytest.mark.parametrize("more", [b"x" * 1000, b": y\r\nX" * 200])
async def test_a_head_without_end_is_not_listened_to(port: int, begun: bytes, more: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionError):
            for _ in range(100_000):
                writer.write(more)
                await writer.drain()
            pytest.fail("100 MB were taken")
        with contextlib.suppress(ConnectionError):
            assert b" 200 " not in (await reader.read()).rpartition(b"HTTP/1.1")[2]
    await hang_up(writer)


async def test_who_is_not_listened_to_is_told_why(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * connection.MAX_HEAD)
    async with asyncio.timeout(60):
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
    await hang_up(writer)


async def test_a_long_head_and_long_bodies_are_listened_to(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = REQUEST.replace(b"Content", b"Cookie: " + b"x" * 60_000 + b"\r\nContent")
    body = b"x" * 1_000_000
    for request, length in (
        (head, 4),
        (REQUEST.replace(b"4\r\n\r\nbody", b"1000000\r\n\r\n") + body, len(body)),
        (head, 4),
    ):
        writer.write(request)
        async with asyncio.timeout(60):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await reader.readexactly(length)
    await hang_up(writer)


OFFER = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
    b"AAMAAABkAAQCAAAAAAIAAAAA\r\n"
)
OFFERS = [
    b"POST / HTTP/1.1\r\nHost: here\r\n" + OFFER + b"Content-Length: 4\r\n\r\nbody",
    b"POST / HTTP/1.1\r\n"
    + OFFER
    + b"Host: here\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n3\r\nody\r\n0\r\n\r\n",
    (
        b"POST / HTTP/1.1\r\nHost: here\r\nUPGRADE: websocket\r\nconnection: upgrade\r\n"
        b"Content-Length: 4\r\n\r\nbody"
    ),
]


@pytest.mark.parametrize("offer", OFFERS, ids=["h2c", "h2c in chunks", "websocket"])
async def test_whoever_offers_another_protocol_is_answered_in_this_one(
    port: int, log: io.StringIO, offer: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for pieces in (
        [offer],
        [offer[:30], offer[30:]],
        [offer[:-9], offer[-9:]],
        [offer + REQUEST + offer],
    ):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        for _ in range(b"".join(pieces).count(b"POST")):
            assert await answer(reader) == b"body"
    await hang_up(writer)
    assert not [
        line for line in log.getvalue().splitlines() if json.loads(line)["level"] == "warning"
    ]


async def test_a_thousand_offers_at_once_are_answered_one_by_one(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(OFFERS[0] * 1000)
    for _ in range(1000):
        assert await answer(reader) == b"body"
    await hang_up(writer)


async def test_hundreds_who_dawdle_keep_nobody_out(port: int) -> None:
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(500)]
    for _, writer in slow:
        writer.write(b"POST / HTTP/1.1\r\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    assert await answer(reader) == b"body"
    await hang_up(writer, *(slow_writer for _, slow_writer in slow))


@pytest.mark.parametrize("begun", [False, True], ids=["nothing said yet", "half an answer"])
async def test_a_request_cut_off_by_the_stop_is_told_of_in_one_line(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    monkeypatch.setattr(server, "REQUESTS_GRACE_S", 0.1)
    asked = asyncio.Event()

    async def never(_scope: Scope, _receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        asked.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(60), serving(HttpServer(never)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await asked.wait()
    async with asyncio.timeout(60):
        await reader.read()
    await hang_up(writer)
    troubles = [
        line
        for line in map(json.loads, log.getvalue().splitlines())
        if line["level"] not in {"info", "debug"}
    ]
    assert [line["event"] for line in troubles] == [
        "Cancel 1 running task(s), timeout graceful shutdown exceeded"
    ]
    assert "CancelledError" not in log.getvalue()


async def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    time, gone = LoopTime(monkeypatch), asyncio.Event()

    async def endless(_scope: Scope, receive: Receive, send: Send) -> None:
        async def write() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                body = b"x" * 65536
                await send({"type": "http.response.body", "body": body, "more_body": True})

        writing = asyncio.create_task(write())
        while (await receive())["type"] != "http.disconnect":
            pass
        writing.cancel()
        gone.set()

    async with serving(HttpServer(endless)) as port:
        reads, others = await asyncio.open_connection("127.0.0.1", port)
        others.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        # One that reads, however little at a time, is served on.
        for _ in range(20):
            assert await reads.read(1 << 20)
            await asyncio.sleep(0.02)
        assert not gone.is_set()
        for _ in range(200):
            time.move(connection.STALL_LIMIT_S)
            if await wait_at_most(gone, 0.02):
                break
        assert gone.is_set()
        others.close()
