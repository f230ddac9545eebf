"""Apps that speak HTTP/2 in the clear, as gRPC does, or TLS, behind the ingress and at the
health gate.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tagboat.core.health import Manner
from tagboat.core.protocol import AppProtocol
from tagboat.core.route import Route, RouteState
from tagboat.runtime.docker.protocol_probe import ProtocolProbe
from tests.support.endpoints import at, target
from tests.support.haproxy import IngressWorld, haproxy_world
from tests.support.http2 import Http2App, call
from tests.support.http_load import WEBSOCKET, Client
from tests.support.loopback import serving
from tests.support.private_ca import PrivateCa

pytestmark = pytest.mark.anyio

HOST = "app-prod.localhost"
OTHER = "other-prod.localhost"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[IngressWorld]:
    async with haproxy_world(tmp_path / "ingress") as world:
        yield world


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """What an app has that made its certificate itself."""
    certificate = PrivateCa(tmp_path).issue("app")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.chain, certificate.key)
    return context


def h2c(app: Http2App, host: str = HOST) -> Route:
    return Route(host, RouteState.OPEN, target(app.port), AppProtocol.H2C)


@contextlib.asynccontextmanager
async def tls_app(tls: ssl.SSLContext) -> AsyncIterator[int]:
    """Answers HTTP/1.1 within TLS with the request's first line and body, or echoes what follows
    an upgrade; its port.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if "upgrade: websocket" in head:
                writer.write(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\n"
                )
                writer.write(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
                writer.write(await reader.read(100))
                break
            length = int(head.partition("content-length: ")[2].partition("\r")[0] or 0)
            said = head.partition("\r\n")[0].encode() + await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))

    async with serving(serve, tls) as port:
        yield port


# Through the ingress.


async def test_a_grpc_call_goes_through_with_its_trailers(world: IngressWorld) -> None:
    async with Http2App("blue").running() as app:
        await world.ingress.apply_routes([h2c(app)])
        answer = await call(world.port, HOST, "/shop.Cart/Add", b"x" * 16_000)
    assert (answer.fields[":status"], answer.fields["content-type"]) == ("200", "application/grpc")
    assert answer.body == b"blue:" + b"x" * 16_000
    assert answer.trailers == {"grpc-status": "0"}
    assert (app.seen[0][":path"], app.seen[0]["te"], app.seen[0][":authority"]) == (
        "/shop.Cart/Add",
        "trailers",
        HOST,
    )
    assert app.seen[0]["x-forwarded-proto"] == "http"


async def test_http_1_reaches_an_h2c_app_too(world: IngressWorld) -> None:
    async with Http2App("blue").running() as app:
        await world.ingress.apply_routes([h2c(app)])
        client = Client(world.port)
        await client.send(HOST, "/plain")
        assert b" 200 " in await client.hear(b"blue:")
        assert app.seen[0][":path"] == "/plain"


async def test_calls_of_many_clients_share_connections_to_their_own_app(
    world: IngressWorld,
) -> None:
    async with Http2App("blue").running() as blue, Http2App("green").running() as green:
        await world.ingress.apply_routes([h2c(blue), h2c(green, OTHER)])
        for number in range(60):
            host, name = ((HOST, b"blue:"), (OTHER, b"green:"))[number % 2]
            assert (await call(world.port, host, "/", b"")).body == name
        assert blue.connections + green.connections < 30, (
            "a connection for each call would use up the ports"
        )


async def test_a_switch_between_protocols_is_one_entry_and_what_is_in_flight_counts(
    world: IngressWorld,
) -> None:
    plain = await world.app("plain")
    async with Http2App("blue").running() as blue, Http2App("green").running() as green:
        await world.ingress.apply_routes([h2c(blue)])
        workers = world.workers
        long = asyncio.create_task(call(world.port, HOST, "/wait", b"!"))
        async with asyncio.timeout(60):
            await blue.waiting.acquire()
        await world.ingress.apply_routes([h2c(green)])
        assert (await call(world.port, HOST, "/", b"")).body == b"green:"
        assert (
            await world.ingress.in_flight(target(blue.port)),
            await world.ingress.in_flight(target(green.port)),
        ) == (1, 0)
        await world.ingress.apply_routes([Route(HOST, RouteState.OPEN, target(plain.port))])
        assert (await world.ask(HOST)).json["app"] == "plain"
        blue.release()
        assert (await long).body == b"blue:!"
        assert await world.ingress.in_flight(target(blue.port)) == 0
        assert world.workers == workers, "a switch is no reload"


async def test_an_app_that_speaks_tls_is_reached_at_its_own_certificate(
    world: IngressWorld, tls: ssl.SSLContext
) -> None:
    async with tls_app(tls) as port:
        await world.ingress.apply_routes(
            [Route(HOST, RouteState.OPEN, target(port), AppProtocol.HTTPS)]
        )
        client = Client(world.port)
        assert (await client.call(HOST, "/a")).body == b"get /a http/1.1"
        assert (
            await client.call(HOST, "/b", method="POST", body=b"!")
        ).body == b"post /b http/1.1!"
        await client.send(HOST, "/ws", headers=WEBSOCKET)
        assert (await client.receive()).status == 101
        assert await client.echo(b"ping") == b"ping"
        await client.close()


@pytest.mark.parametrize("protocol", [AppProtocol.HTTPS, AppProtocol.H2C])
async def test_both_ways_through_a_pool(
    world: IngressWorld, tls: ssl.SSLContext, protocol: AppProtocol
) -> None:
    with_tls = tls if protocol is AppProtocol.HTTPS else None
    if with_tls:
        with_tls.set_alpn_protocols(["h2"])
    async with (
        Http2App("blue").running(with_tls) as blue,
        Http2App("green").running(with_tls) as green,
    ):
        there = target(blue.port, green.port, instance="i1")
        await world.ingress.apply_routes([Route(HOST, RouteState.OPEN, there, protocol)])
        answers = [await call(world.port, HOST, "/shop.Cart/Add", b"!") for _ in range(8)]
        assert {answer.body for answer in answers} == {b"blue:!", b"green:!"}
        assert {answer.trailers["grpc-status"] for answer in answers} == {"0"}
        # The checks of the ingress speak the app's protocol as well: both stay in.
        async with asyncio.timeout(60):
            while await world.checks() != {"L6OK" if with_tls else "L4OK"}:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        answers = [await call(world.port, HOST, "/shop.Cart/Add", b"!") for _ in range(8)]
        assert {answer.body for answer in answers} == {b"blue:!", b"green:!"}


async def test_http_1_within_tls_through_a_pool(world: IngressWorld, tls: ssl.SSLContext) -> None:
    async with tls_app(tls) as blue, tls_app(tls) as green:
        there = target(blue, green, instance="i1")
        await world.ingress.apply_routes([Route(HOST, RouteState.OPEN, there, AppProtocol.HTTPS)])
        client = Client(world.port)
        for _ in range(4):
            assert (await client.call(HOST, "/a")).body == b"get /a http/1.1"
            answer = await client.call(HOST, "/b", method="POST", body=b"!")
            assert answer.body == b"post /b http/1.1!"
        await client.send(HOST, "/ws", headers=WEBSOCKET)
        assert (await client.receive()).status == 101
        assert await client.echo(b"ping") == b"ping"
        await client.close()


async def test_grpc_within_tls(world: IngressWorld, tls: ssl.SSLContext) -> None:
    tls.set_alpn_protocols(["h2"])
    async with Http2App("blue").running(tls) as app:
        await world.ingress.apply_routes(
            [Route(HOST, RouteState.OPEN, target(app.port), AppProtocol.HTTPS)]
        )
        answer = await call(world.port, HOST, "/shop.Cart/Add", b"!")
        assert (answer.body, answer.trailers) == (b"blue:!", {"grpc-status": "0"})


async def test_both_ways_a_restart_finds_its_routes_again(world: IngressWorld) -> None:
    async with Http2App("blue").running() as app:
        await world.ingress.apply_routes([h2c(app)])
        again = world.another(hold_s=77)
        await again.start()
        assert (await call(world.port, HOST, "/", b"")).body == b"blue:"
        await again.apply_routes([h2c(app)])
        assert (await call(world.port, HOST, "/", b"")).body == b"blue:"


# The probe.


async def test_a_path_is_asked_in_the_project_s_protocol(tls: ssl.SSLContext) -> None:
    probe = ProtocolProbe()
    async with Http2App("blue").running() as app, tls_app(tls) as tls_port:
        assert (
            await probe.ask(
                AppProtocol.H2C, at(app.port), "/up?x=1", Manner(host="app.example.com")
            )
            is None
        )
        assert (app.seen[0][":path"], app.seen[0][":authority"]) == ("/up?x=1", "app.example.com")
        assert await probe.ask(AppProtocol.HTTPS, at(tls_port), "/up") is None
        wrong = [
            await probe.ask(AppProtocol.HTTPS, at(app.port), "/"),
            await probe.ask(AppProtocol.H2C, at(tls_port), "/", Manner(limit_s=1)),
        ]
        assert wrong[0] == "it does not speak https, which the project's protocol says"
        assert wrong[1] is not None
        assert await probe.http(at(app.port), "/") is not None


async def test_a_server_that_only_calls_plain_requests_bad_is_found_out_too(
    tls: ssl.SSLContext,
) -> None:
    """As those do that tell plain requests from TLS by the first byte."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(1) != b"\x16":
            writer.write(
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            return
        inner, outer = ssl.MemoryBIO(), ssl.MemoryBIO()
        machine = tls.wrap_bio(inner, outer, server_side=True)
        inner.write(b"\x16")
        while True:
            try:
                machine.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outer.read())
                inner.write(await reader.read(65536))
        writer.write(outer.read())
        await reader.read()

    async with serving(serve) as port:
        assert await ProtocolProbe().spoken(at(port)) is AppProtocol.HTTPS


async def test_what_an_app_speaks_is_found_out(world: IngressWorld, tls: ssl.SSLContext) -> None:
    probe, plain = ProtocolProbe(), await world.app("plain")
    async with Http2App("blue").running() as app, tls_app(tls) as tls_port:
        assert await probe.spoken(at(app.port)) is AppProtocol.H2C
        assert await probe.spoken(at(tls_port)) is AppProtocol.HTTPS
        assert await probe.spoken(at(plain.port)) is None
    assert await probe.spoken(at(1)) is None
