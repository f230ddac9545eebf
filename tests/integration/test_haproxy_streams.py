"""What apps and their clients notice of the ingress: streams without delay, clients that leave,
long heads, who closes.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tagboat.core.route import Route, RouteState
from tests.support import loopback
from tests.support.endpoints import target
from tests.support.haproxy import IngressWorld, haproxy_world, held, to
from tests.support.http_load import App, Client, ask, open_websocket

pytestmark = pytest.mark.anyio

HOST = "app-prod.localhost"
KIB = 1024
_EVENTS = 40
_EACH_S = 0.03
_LATE_S = 0.02
_PATIENCE_S = 60.0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[IngressWorld]:
    async with haproxy_world(tmp_path / "ingress") as world:
        yield world


@contextlib.asynccontextmanager
async def serving(world: IngressWorld, serve: loopback.Serve) -> AsyncIterator[int]:
    """An app that treats each connection so, and the way to it; its port."""

    async with loopback.serving(serve) as port:
        await world.ingress.apply_routes([Route(HOST, RouteState.OPEN, target(port))])
        yield port


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_event_of_a_stream_is_passed_on_as_it_comes(
    world: IngressWorld, method: str
) -> None:
    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
            b"chunked\r\n\r\n"
        )
        for _ in range(_EVENTS):
            event = f"data: {time.monotonic():.6f}\n\n".encode()
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.sleep(_EACH_S)
        writer.write(b"0\r\n\r\n")

    late: list[float] = []
    for _ in range(3):  # the machine may be busy elsewhere
        async with (
            serving(world, tell),
            asking(world, method=method) as reader,
            asyncio.timeout(_PATIENCE_S),
        ):
            late.clear()
            while len(late) < _EVENTS:
                line = await reader.readline()
                assert line, "the stream ended early"
                if line.startswith(b"data: "):
                    late.append(time.monotonic() - float(line[6:]))
        # What is gathered is late always: most of the events wait for the next one.
        if sorted(late)[_EVENTS // 4] < _LATE_S:
            return
    pytest.fail(f"they came late: {late}")


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"]
)
async def test_an_app_is_told_of_a_client_that_left_and_no_drain_waits_for_it(
    world: IngressWorld, head: bytes
) -> None:
    """A long poll has no answer yet, a silent stream has begun and says nothing."""
    asked, left = asyncio.Event(), asyncio.Event()

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        asked.set()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        left.set()

    async with serving(world, be_silent) as port, asyncio.timeout(_PATIENCE_S):
        async with asking(world):
            await asked.wait()
            assert await world.ingress.in_flight(target(port)) == 1
        await left.wait()
        while await world.ingress.in_flight(target(port)):  # noqa: ASYNC110 - the port has no events to wait for
            await asyncio.sleep(0.01)


async def test_who_leaves_while_held_is_not_asked_for(world: IngressWorld) -> None:
    app = await world.app("blue")
    await world.ingress.apply_routes([Route(HOST, RouteState.HELD)])
    async with asking(world):
        await held(world, 1)
    await world.ingress.apply_routes([to(app)])
    assert (await world.ask(HOST, "/next")).status == 200
    assert [request["path"] for request in app.seen] == ["/next"]


async def test_a_head_of_sixty_kib_reaches_the_app(world: IngressWorld) -> None:
    app = await world.app("blue")
    await world.ingress.apply_routes([to(app)])
    cookies = {f"X-Cookie-{number}": "c" * 6 * KIB for number in range(10)}
    for method in ("GET", "POST"):
        answer = await ask(world.port, HOST, method=method, headers=cookies)
        assert answer.status == 200
        assert (
            sum(
                len(value)
                for name, value in app.seen[-1]["headers"].items()
                if name.startswith("x-cookie-")
            )
            == 60 * KIB
        )


@pytest.mark.parametrize(("lines", "each"), [(10, 6 * KIB), (200, 20)])
async def test_a_long_head_of_an_answer_reaches_the_client(
    world: IngressWorld, lines: int, each: int
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        told = "".join(f"X-Told-{number}: {'t' * each}\r\n" for number in range(lines))
        writer.write(f"HTTP/1.1 200 OK\r\n{told}Content-Length: 0\r\n\r\n".encode())
        await writer.drain()
        await reader.read()

    async with serving(world, answer):
        found = await world.ask(HOST)
    assert found.status == 200
    assert sum(name.startswith("x-told-") for name in found.headers) == lines


async def test_two_hundred_header_lines_reach_the_app(world: IngressWorld) -> None:
    app = await world.app("blue")
    await world.ingress.apply_routes([to(app)])
    answer = await ask(world.port, HOST, headers={f"X-Line-{number}": "x" for number in range(200)})
    assert answer.status == 200
    assert sum(name.startswith("x-line-") for name in app.seen[-1]["headers"]) == 200


async def test_the_app_closes_after_what_may_be_a_client_s_only_request(
    world: IngressWorld,
) -> None:
    app = await world.app("blue")
    await world.ingress.apply_routes([to(app)])
    client = Client(world.port)
    for _ in range(3):
        await client.call(HOST)
    await client.close()
    assert [request["headers"].get("connection") for request in app.seen] == ["close", None, None]


async def test_the_app_closes_after_each_request_while_many_clients_come_and_go(
    world: IngressWorld,
) -> None:
    app = await world.app("blue")
    await world.ingress.apply_routes([to(app)])
    client = Client(world.port)
    await client.call(HOST)

    async def closes(*, clients: int) -> bool:
        for _ in range(clients):
            socket.create_connection(("127.0.0.1", world.port)).close()
        await client.call(HOST)
        return bool(app.seen[-1]["headers"].get("connection") == "close")

    async with asyncio.timeout(_PATIENCE_S):
        for _ in range(2):
            while await closes(clients=0):  # those of the last second count
                pass
            while not await closes(clients=400):  # unless that took much longer than a second
                pass
    await client.close()


async def test_an_upgrade_is_asked_for_whole(world: IngressWorld) -> None:
    app: App = await world.app("blue")
    await world.ingress.apply_routes([to(app)])
    socket = await open_websocket(world.port, HOST)
    assert app.seen[-1]["headers"]["connection"].lower() == "upgrade"
    assert await socket.echo(b"ping") == b"ping"
    await socket.close()


@contextlib.asynccontextmanager
async def asking(
    world: IngressWorld, *, method: str = "GET"
) -> AsyncIterator[asyncio.StreamReader]:
    """A request under way, whose client leaves with the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    length = "Content-Length: 0\r\n" if method == "POST" else ""
    writer.write(f"{method} / HTTP/1.1\r\nHost: {HOST}\r\n{length}\r\n".encode())
    try:
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()
