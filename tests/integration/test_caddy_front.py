"""HTTPS: Caddy in front, with certificates on demand for exactly the domains that Tagboat knows."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.caddy import AskServer, Caddy, running_caddy
from tests.support.haproxy import IngressWorld, haproxy_world, to
from tests.support.http_load import Client
from tests.support.loopback import Counted, serving

pytestmark = pytest.mark.anyio

DOMAIN = "shop.example.com"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[IngressWorld]:
    async with haproxy_world(tmp_path / "ingress") as world:
        yield world


@pytest.fixture
async def ask() -> AsyncIterator[AskServer]:
    async with AskServer({DOMAIN}).running() as ask:
        yield ask


@pytest.fixture
async def caddy(tmp_path: Path, world: IngressWorld, ask: AskServer) -> AsyncIterator[Caddy]:
    async with running_caddy(tmp_path, upstream=world.port, ask=ask.port) as caddy:
        yield caddy


async def test_https_reaches_the_app_and_the_app_knows(
    world: IngressWorld, ask: AskServer, caddy: Caddy
) -> None:
    blue, green = await world.app("blue"), await world.app("green")
    await world.ingress.apply_routes([to(blue, DOMAIN)])
    client = Client(caddy.port, tls=caddy.context(), server_name=DOMAIN)
    answer = (await client.call(DOMAIN)).json
    assert (answer["app"], answer["headers"]["host"]) == ("blue", DOMAIN)
    assert answer["headers"]["x-forwarded-proto"] == "https"
    assert answer["headers"]["x-forwarded-for"] == "127.0.0.1, 127.0.0.1"
    assert ask.asked == [DOMAIN]
    await world.ingress.apply_routes([to(green, DOMAIN)])
    assert (await client.call(DOMAIN)).json["app"] == "green", (
        "the switch shows on a connection that Caddy keeps"
    )
    await client.close()


async def test_connections_to_the_ingress_are_kept_whoever_comes_and_goes(
    tmp_path: Path, ask: AskServer
) -> None:
    counted = Counted()
    async with (
        serving(counted.serve) as upstream,
        running_caddy(tmp_path, upstream=upstream, ask=ask.port) as caddy,
    ):
        for _ in range(40):
            client = Client(caddy.port, tls=caddy.context(), server_name=DOMAIN)
            assert (await client.call(DOMAIN)).body == b"hello"
            await client.close()
    assert counted.connections <= 4, "each that is closed keeps a port for a minute"


async def test_a_domain_that_nobody_claims_gets_no_certificate(
    ask: AskServer, caddy: Caddy
) -> None:
    client = Client(caddy.port, tls=caddy.context(), server_name="stranger.example.com")
    with pytest.raises(ssl.SSLError):
        await client.call("stranger.example.com")
    assert ask.asked == ["stranger.example.com"]
