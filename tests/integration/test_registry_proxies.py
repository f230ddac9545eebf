"""Registries that are reached through a proxy only: nobody but the proxy knows where they are."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import RegistryError, RegistryProtocolError, RegistryUnreachableError
from tagboat.core.image import ImageName
from tagboat.core.proxies import Proxies, Proxy, parse_exemptions
from tagboat.registry.client import RegistryClient
from tagboat.registry.connections import Timeouts
from tagboat.registry.diagnostics import diagnose
from tests.support.fake_registry import FakeRegistry, Quirks, cut_short, fake_registry, status
from tests.support.forward_proxy import ForwardProxy, forward_proxy
from tests.support.hostile_registries import body, hostile, leading_to
from tests.support.private_ca import PrivateCa

pytestmark = pytest.mark.anyio
PLAIN = "http://registry.invalid"
TLS = "10.9.8.7"
LOGIN = "Basic " + base64.b64encode(b"ann:h@sh").decode()


def registry(url: str, password: str | None = None, ca_cert: str = "") -> Registry:
    return Registry(
        id="r1",
        name="ours",
        url=url,
        kind=RegistryKind.OCI,
        username="ci" if password else "",
        password=password,
        ca_cert=ca_cert,
    )


def app(url: str) -> ImageName:
    return ImageName(url.partition("://")[2], "acme/app")


def through(proxy: ForwardProxy, exempt: str = "", password: str = "") -> RegistryClient:
    there = Proxy("127.0.0.1", proxy.port, "ann" if password else "", password)
    proxies = Proxies(there, there, *parse_exemptions(exempt))
    return RegistryClient(
        proxies=proxies, sleep=no_wait, timeouts=Timeouts(connect=30, read=30, total=60)
    )


async def no_wait(_: float) -> None:
    """Try again at once."""


@asynccontextmanager
async def proxied(
    login: str | None = None, quirks: Quirks | None = None
) -> AsyncIterator[tuple[ForwardProxy, FakeRegistry]]:
    async with (
        fake_registry(quirks) as fake,
        forward_proxy({"registry.invalid": fake.host}, login) as proxy,
    ):
        fake.add_image("acme/app", "v1", {})
        yield proxy, fake


async def test_plain_http() -> None:
    async with proxied() as (proxy, fake):
        client = through(proxy)
        assert await client.list_tags(app(PLAIN), registry(PLAIN)) == ["v1"]
        assert proxy.asked == [f"GET {PLAIN}/v2/acme/app/tags/list HTTP/1.1"]
        checks = await diagnose(client, registry(PLAIN), None)
        assert checks[0].detail == f"{PLAIN} is used, through the proxy {proxy.host}"
        assert all(check.ok for check in checks)
        assert await client.list_tags(app(fake.url), None) == ["v1"]  # which is on this machine
        assert all("registry.invalid" in line for line in proxy.asked)
        await client.close()


async def test_tls_is_end_to_end(tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    tls = ca.issue("registry", address=TLS).server_context()
    async with (
        hostile(body(b'{"tags": ["v1"]}'), tls=tls) as server,
        forward_proxy({f"{TLS}:443": server.host}, LOGIN) as proxy,
    ):
        client = through(proxy, password="h@sh")
        assert await client.list_tags(
            app(f"https://{TLS}"), registry(f"https://{TLS}", ca_cert=ca.pem)
        ) == ["v1"]
        assert proxy.asked == [f"CONNECT {TLS}:443 HTTP/1.1"]
        with pytest.raises(
            RegistryUnreachableError, match=f"{TLS} is not trusted.*through the proxy {proxy.host}"
        ):
            await client.list_tags(app(f"https://{TLS}"), registry(f"https://{TLS}"))
        await client.close()


async def test_a_proxy_with_a_login() -> None:
    async with proxied(LOGIN, Quirks(auth="basic", login=("ci", "secret"))) as (proxy, fake):
        client = through(proxy, password="h@sh")
        assert await client.list_tags(app(PLAIN), registry(PLAIN, "secret")) == ["v1"]
        assert not any("Proxy-Authorization" in asked.headers for asked in fake.asked)
        await client.close()


@pytest.mark.parametrize("url", [PLAIN, "https://registry.invalid"])
@pytest.mark.parametrize("password", ["", "wrong"])
async def test_a_proxy_that_wants_another_login(url: str, password: str) -> None:
    async with proxied(LOGIN) as (proxy, _):
        client = through(proxy, password=password)
        said = await complaint(client, url)
        assert said.startswith("registry.invalid was not asked: the proxy wants a login (407)")
        assert said.endswith(f"(asked through the proxy {proxy.host})")
        assert "wrong" not in said
        assert len(proxy.asked) == 1
        await client.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://other.invalid", "failed with status 502"),
        ("https://other.invalid", "nothing through, with status 502"),
    ],
)
async def test_a_proxy_that_cannot_reach_it(url: str, words: str) -> None:
    async with proxied() as (proxy, _):
        client = through(proxy)
        said = await complaint(client, url)
        assert words in said
        assert proxy.host in said
        await client.close()


async def test_a_refusal_names_the_proxy() -> None:
    async with proxied() as (proxy, fake):
        client = through(proxy)
        for answer in (
            status(403),
            status(200, body=b"<html>please log in</html>"),
            cut_short,
            status(418),
        ):
            fake._scripted = [answer] * 3
            said = await complaint(client, PLAIN)
            assert said.count(f"(asked through the proxy {proxy.host})") == 1
        await client.close()


async def test_no_proxy_there() -> None:
    nobody = Proxy("127.0.0.1", 1, "ann", "hush")
    unknown = Proxy("proxy.invalid", 3128)
    client = RegistryClient(proxies=Proxies(http=nobody, https=unknown), sleep=no_wait)
    assert "no connection to the proxy" in (said := await complaint(client, PLAIN))
    assert "127.0.0.1:1" in said
    assert "hush" not in said
    said = await complaint(client, "https://registry.invalid")
    assert said.startswith("the proxy proxy.invalid:3128 is a host name that cannot be resolved")
    await client.close()


@pytest.mark.parametrize("exempt", ["*", "registry.invalid", ".invalid", "invalid"])
async def test_what_is_exempt_is_asked_directly(exempt: str) -> None:
    async with proxied() as (proxy, _):
        client = through(proxy, exempt)
        assert "host name that cannot be resolved" in await complaint(client, PLAIN)
        assert proxy.asked == []
        await client.close()


async def test_what_came_through_a_proxy_does_not_lead_to_this_machine() -> None:
    async with (
        hostile(body(b'{"tags": ["v1"]}')) as inside,
        hostile(leading_to(inside.url)) as outside,
        forward_proxy({"registry.invalid": outside.host}) as proxy,
    ):
        client = through(proxy)
        with pytest.raises(RegistryProtocolError, match="is not a public address"):
            await client.list_tags(app(PLAIN), registry(PLAIN))
        assert inside.asked == []
        await client.close()


async def complaint(client: RegistryClient, url: str) -> str:
    with pytest.raises(RegistryError) as caught:
        await client.list_tags(app(url), registry(url))
    return str(caught.value)
