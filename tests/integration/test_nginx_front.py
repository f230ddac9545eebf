"""HTTPS: nginx in front, with the README's own lines."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tagboat.core.route import Route, RouteState
from tests.support.endpoints import target
from tests.support.haproxy import IngressWorld, haproxy_world, to
from tests.support.http_load import WEBSOCKET, Client
from tests.support.loopback import Counted, serving
from tests.support.nginx import Nginx, running_nginx

pytestmark = pytest.mark.anyio

DOMAIN = "shop.apps.example.com"
MIB = 1 << 20


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[IngressWorld]:
    async with haproxy_world(tmp_path / "ingress") as world:
        yield world


@pytest.fixture
async def nginx(tmp_path: Path, world: IngressWorld) -> AsyncIterator[Nginx]:
    async with running_nginx(tmp_path, upstream=world.port) as nginx:
        yield nginx


@pytest.fixture
async def client(nginx: Nginx) -> AsyncIterator[Client]:
    client = Client(nginx.port, tls=nginx.context(), server_name="127.0.0.1")
    yield client
    await client.close()


async def test_https_reaches_the_app_and_the_app_knows(world: IngressWorld, client: Client) -> None:
    blue, green = await world.app("blue"), await world.app("green")
    await world.ingress.apply_routes([to(blue, DOMAIN)])
    forged = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "gopher"}
    answer = (await client.call(DOMAIN, headers=forged)).json
    assert (answer["app"], answer["headers"]["host"]) == ("blue", DOMAIN)
    assert answer["headers"]["x-forwarded-proto"] == "https"
    assert answer["headers"]["x-forwarded-for"] == "127.0.0.1, 127.0.0.1"
    await world.ingress.apply_routes([to(green, DOMAIN)])
    assert (await client.call(DOMAIN)).json["app"] == "green", (
        "the switch shows on a connection that nginx keeps"
    )


async def test_a_host_that_no_stage_has_is_the_ingress_s_to_answer(
    world: IngressWorld, client: Client
) -> None:
    await world.ingress.apply_routes([])
    assert (await client.call("stranger.apps.example.com")).status == (
        await world.ask("stranger.apps.example.com")
    ).status


async def test_connections_to_the_ingress_are_kept_whoever_comes_and_goes(tmp_path: Path) -> None:
    counted = Counted()
    async with (
        serving(counted.serve) as upstream,
        running_nginx(tmp_path, upstream=upstream) as nginx,
    ):
        for _ in range(40):
            client = Client(nginx.port, tls=nginx.context(), server_name="127.0.0.1")
            assert (await client.call(DOMAIN)).body == b"hello"
            await client.close()
    assert counted.connections <= 4, "each that is closed keeps a port for a minute"


async def test_long_heads_pass_both_ways(world: IngressWorld, client: Client) -> None:
    app = await world.app("blue")
    await world.ingress.apply_routes([to(app, DOMAIN)])
    answer = await client.call(
        DOMAIN, headers={f"X-Cookie-{number}": "c" * 10_000 for number in range(5)}
    )
    assert sum(name.startswith("x-cookie-") for name in answer.json["headers"]) == 5


async def test_a_websocket_lives_through_a_switch(world: IngressWorld, client: Client) -> None:
    blue, green = await world.app("blue"), await world.app("green")
    await world.ingress.apply_routes([to(blue, DOMAIN)])
    await client.send(DOMAIN, "/ws", headers=WEBSOCKET)
    assert (await client.receive()).status == 101
    assert await client.echo(b"ping") == b"ping"
    await world.ingress.apply_routes([to(green, DOMAIN)])
    assert await client.echo(b"still there") == b"still there"
    assert await world.ingress.in_flight(target(blue.port)) == 1


async def test_a_long_upload_arrives_whole(world: IngressWorld, client: Client) -> None:
    app = await world.app("blue")
    await world.ingress.apply_routes([to(app, DOMAIN)])
    pieces = 16
    await client.send(
        DOMAIN, "/upload", method="PUT", headers={"Content-Length": str(pieces * MIB)}
    )
    for _ in range(pieces):
        await client.send_more(b"x" * MIB)
    answer = await client.receive()
    assert (answer.status, answer.json["length"]) == (200, pieces * MIB)


@contextlib.asynccontextmanager
async def streaming(world: IngressWorld, hears: bytes) -> AsyncIterator[asyncio.Event]:
    """An app that begins to answer with an event once it has heard so much of a body, and never
    ends. Set: it has heard.
    """
    heard, over = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(hears)) == hears
        heard.set()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: "
            b"close\r\n\r\ndata: 1\n\n"
        )
        await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        await world.ingress.apply_routes(
            [Route(DOMAIN, RouteState.OPEN, target(server.sockets[0].getsockname()[1]))]
        )
        yield heard
    finally:
        over.set()
        server.close()
        await server.wait_closed()


async def test_an_app_hears_the_beginning_of_an_upload_before_its_end(
    world: IngressWorld, client: Client
) -> None:
    async with streaming(world, b"first") as heard, asyncio.timeout(60):
        await client.send(DOMAIN, "/upload", method="PUT", headers={"Content-Length": "10"})
        await client.send_more(b"first")
        await heard.wait()


async def test_an_event_is_seen_while_more_are_to_come(world: IngressWorld, nginx: Nginx) -> None:
    tls, name = nginx.context(), "127.0.0.1"
    async with asyncio.timeout(60):
        async with streaming(world, b""):
            reader, writer = await asyncio.open_connection(
                name, nginx.port, ssl=tls, server_hostname=name
            )
            writer.write(
                f"GET /events HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n".encode()
            )
            assert b"text/event-stream" in await reader.readuntil(b"\r\n\r\n")
            assert b"data: 1" in await reader.readuntil(b"data: 1\n\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()
