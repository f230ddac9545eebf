"""The HTTP server under callers who take their time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send

from tagboat import http_server
from tagboat.http_server import HttpServer
from tests.support.ports import free_port

pytestmark = pytest.mark.anyio

REQUEST = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\nbody"


async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(http_server, "REQUEST_LIMIT_S", 0.5)
    server = HttpServer(echo)
    server.config.port = free_port()
    ready = asyncio.Event()
    server.on_ready = ready.set
    running = asyncio.create_task(server.serve())
    await ready.wait()
    yield server.config.port
    server.stop()
    await running


async def hang_up(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        return await reader.readexactly(4)


@pytest.mark.parametrize("begun", [b"", b"POST / HT", REQUEST[:-2]], ids=["nothing", "half a head", "half a body"])
async def test_half_a_request_is_not_waited_for(port: int, begun: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    await hang_up(writer)


async def test_a_second_request_may_not_dawdle_either(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    assert await answer(reader) == b"body"
    writer.write(REQUEST[:-1])
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    await hang_up(writer)


async def test_requests_in_pieces_and_after_a_pause_are_answered(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(REQUEST[:20])
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(REQUEST[20:])
        assert await answer(reader) == b"body"
        await asyncio.sleep(0.7)  # longer than a request may take, shorter than a connection may rest
    await hang_up(writer)


async def test_hundreds_who_dawdle_keep_nobody_out(port: int) -> None:
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(500)]
    for _, writer in slow:
        writer.write(b"POST / HTTP/1.1\r\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    assert await answer(reader) == b"body"
    await hang_up(writer, *(slow_writer for _, slow_writer in slow))
