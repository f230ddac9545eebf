"""Registries that mean harm.

None of them holds up the server, fills it, or has it ask where it should not.
"""

import asyncio
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import (
    RegistryDeniedError,
    RegistryError,
    RegistryProtocolError,
    RegistryUnreachableError,
)
from tagboat.core.image import ImageName, ImageRef
from tagboat.core.values import replace
from tagboat.registry import addresses, transport
from tagboat.registry.client import RegistryClient
from tagboat.registry.connections import Timeouts
from tagboat.registry.endpoint import RegistryEndpoint
from tests.support.hostile_registries import (
    MIB,
    Handler,
    asking_for_logins_at,
    body,
    bomb,
    crowded,
    dripping,
    endless,
    giving_tokens,
    hostile,
    huge,
    junk,
    leading_to,
    lying,
    nested,
)
from tests.support.pace import slowness
from tests.support.private_ca import PrivateCa

pytestmark = pytest.mark.anyio
HELD_UP_S = 0.1
"""No longer may the loop work on one thing, in seconds of the processor.

Everything else waits for it.
"""
MEMORY_MB = 60
METADATA = "http://169.254.169.254/latest/meta-data"
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    made = RegistryClient(timeouts=Timeouts(connect=30, read=30, total=60, listing=120))
    yield made
    await made.close()


@asynccontextmanager
async def held_up_less_than(seconds: float) -> AsyncIterator[None]:
    """Look every few milliseconds whether the loop still turns.

    Fail if it ever worked for longer than that in between, on a usual machine.
    """
    worst = 0.0

    async def look() -> None:
        nonlocal worst
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.005)
            worst = max(worst, time.thread_time() - before)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
    assert worst < seconds * slowness()


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (huge(8 * MIB), "answered with more than 1048576 bytes"),
        (huge(MIB - 100), "more than 20000 tags"),
        (crowded(MIB - 100), "more than 20000 tags"),
        (junk(MIB - 100), "longer than 16 MiB"),
        (endless(5_000), "more than 20000 tags"),
        (nested(MIB), "more than 1048576 bytes"),
        (nested(MIB // 2), "not JSON"),
        (bomb(300 * MIB), "answered with more than 1048576 bytes"),
        (bomb(300 * MIB, "x-gzip"), "answered with more than 1048576 bytes"),
        (body(b"{}", Content_Encoding="zstd"), r"packs its answers as zstd \(Content-Encoding\)"),
        (body(b"{}", Content_Encoding="br"), "packs its answers as br"),
    ],
    ids=[
        "huge",
        "long",
        "crowded",
        "junk",
        "endless",
        "nested",
        "nested-less",
        "bomb",
        "x-bomb",
        "zstd",
        "br",
    ],
)
async def test_lists_that_are_too_much(
    client: RegistryClient, handler: Handler, words: str
) -> None:
    before = peak_mb()
    async with hostile(handler) as registry, held_up_less_than(HELD_UP_S):
        with pytest.raises(RegistryProtocolError, match=words):
            await client.list_tags(ImageName(registry.host, "acme/app"), None)
    assert peak_mb() - before < MEMORY_MB


async def test_images_to_choose_from_that_are_too_many(client: RegistryClient) -> None:
    paths = (
        b'{"repositories": [' + b",".join(b'"a/%d"' % number for number in range(60_000)) + b"]}"
    )
    async with hostile(body(paths)) as registry, held_up_less_than(HELD_UP_S):
        found = await client.list_images(configured(registry.url))
    assert (len(found.images), found.whole) == (5_000, False)


@pytest.mark.parametrize(
    "handler", [huge(2 * MIB), crowded(MIB), nested(MIB // 2), bomb(300 * MIB), lying(DIGEST)]
)
async def test_images_that_are_none(client: RegistryClient, handler: Handler) -> None:
    async with hostile(handler) as registry, held_up_less_than(HELD_UP_S):
        with pytest.raises(RegistryProtocolError):
            await client.inspect(ImageRef(ImageName(registry.host, "acme/app"), "v1"), None)


async def test_one_byte_at_a_time() -> None:
    client = RegistryClient(timeouts=Timeouts(connect=1, read=1, total=0.5, listing=0.8))
    async with hostile(dripping(0.05)) as registry:
        image = ImageName(registry.host, "acme/app")
        with pytest.raises(
            RegistryUnreachableError, match="did not finish answering within 0.5 seconds"
        ):
            await client.inspect(ImageRef(image, "v1"), None)
        with pytest.raises(
            RegistryUnreachableError, match="did not finish answering within 0.8 seconds"
        ):
            await client.list_tags(image, None)
    await client.close()


# Leading elsewhere. Of the loopback addresses, 127.0.0.1 plays a public one here, and 127.0.0.2 a
# private one.


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (addresses, transport):
        monkeypatch.setattr(module, "is_public", lambda host: host == "127.0.0.1")
    monkeypatch.setattr(transport, "is_loopback", lambda _: False)


def configured(url: str, password: str | None = None) -> Registry:
    return Registry(
        id="r1",
        name="ours",
        url=url,
        kind=RegistryKind.OCI,
        username="ci" if password else "",
        password=password,
    )


async def test_nothing_leads_out_of_tls(client: RegistryClient, tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    tls = ca.issue("registry").server_context()
    async with hostile(giving_tokens) as plain, hostile(leading_to(plain.url), tls=tls) as registry:
        ours = replace(configured(f"https://{registry.host}", "hush"), ca_cert=ca.pem)
        with pytest.raises(
            RegistryProtocolError, match=f"redirects from https to {plain.host} without TLS"
        ):
            await client.list_tags(ImageName(registry.host, "acme/app"), ours)
        async with hostile(asking_for_logins_at(plain.url), tls=tls) as other:
            with pytest.raises(
                RegistryProtocolError,
                match="names a login service without TLS, and the registry has TLS",
            ):
                await client.list_tags(
                    ImageName(other.host, "acme/app"), replace(ours, url=f"https://{other.host}")
                )
        assert plain.asked == []


@pytest.mark.usefixtures("world")
async def test_nothing_public_leads_inside(client: RegistryClient) -> None:
    async with (
        hostile(body(b'{"tags": ["v1"]}'), "127.0.0.2") as inside,
        hostile(leading_to(inside.url)) as public,
    ):
        async with hostile(leading_to(public.url)) as first:
            for registry in (None, configured(first.url)):
                with pytest.raises(
                    RegistryProtocolError, match=rf"{inside.host} is not a public address"
                ):
                    await client.list_tags(ImageName(first.host, "acme/app"), registry)
        assert inside.asked == []


@pytest.mark.usefixtures("world")
async def test_nothing_public_leads_inside_by_a_name(
    client: RegistryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "ThreadedResolver", PlayedResolver)
    async with hostile(body(b'{"tags": ["v1"]}'), "127.0.0.2") as inside:
        by_name = inside.url.replace("127.0.0.2", "inside.example.com")
        async with hostile(leading_to(by_name)) as public:
            with pytest.raises(
                RegistryProtocolError, match=r"inside\.example\.com:[0-9]+ is not a public address"
            ):
                await client.list_tags(ImageName(public.host, "acme/app"), None)
            # Named by a person, it is asked all the same.
            assert await client.list_tags(
                ImageName(inside.host, "acme/app"), configured(by_name)
            ) == ["v1"]
        assert len(inside.asked) == 1


class PlayedResolver:
    """Knows one name, of a private address."""

    async def resolve(self, host: str, port: int, _family: int) -> list[dict[str, object]]:
        assert host == "inside.example.com"
        return [
            {
                "hostname": host,
                "host": "127.0.0.2",
                "port": port,
                "family": 2,
                "proto": 0,
                "flags": 0,
            }
        ]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.usefixtures("world")
async def test_inside_one_may_lead_to_another_where_a_person_has_named_it(
    client: RegistryClient,
) -> None:
    async with (
        hostile(body(b'{"tags": ["v1"]}'), "127.0.0.2") as storage,
        hostile(leading_to(storage.url), "127.0.0.2") as registry,
    ):
        image = ImageName(registry.host, "acme/app")
        assert await client.list_tags(image, configured(registry.url)) == ["v1"]
        with pytest.raises(RegistryProtocolError, match="is not a public address"):
            await client.list_tags(image, replace(configured(registry.url), id=""))


@pytest.mark.usefixtures("world")
async def test_no_login_is_asked_for_inside(client: RegistryClient) -> None:
    async with (
        hostile(giving_tokens, "127.0.0.2") as inside,
        hostile(asking_for_logins_at(inside.url)) as public,
    ):
        for password in (None, "hush"):
            with pytest.raises(RegistryProtocolError, match="is not a public address"):
                await client.list_tags(
                    ImageName(public.host, "acme/app"), configured(public.url, password)
                )
        assert inside.asked == []


@pytest.mark.parametrize(
    "target",
    [
        METADATA,
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://0251.0376.0251.0376/",
    ],
)
async def test_metadata_is_asked_of_nobody(client: RegistryClient, target: str) -> None:
    for handler in (leading_to(target), asking_for_logins_at(target)):
        async with hostile(handler) as registry:
            with pytest.raises(
                RegistryProtocolError, match=r"link-local|neither a name nor an address"
            ):
                await client.list_tags(ImageName(registry.host, "acme/app"), None)


# The password


async def test_a_password_goes_where_it_went_first() -> None:
    pins: list[tuple[str, str]] = []

    async def pin(site: RegistryEndpoint, origin: str) -> None:
        pins.append((site.id, origin))

    client = RegistryClient(pin=pin)
    async with hostile(giving_tokens) as first, hostile(giving_tokens) as second:
        realms = asking_for_logins_at(first.url, first.url, second.url)
        async with hostile(realms) as registry:
            ours = configured(registry.url, "hush")
            image = ImageName(registry.host, "acme/app")
            with pytest.raises(RegistryDeniedError, match="although credentials were sent"):
                await client.list_tags(image, ours)
            assert pins == [("r1", first.url)]
            moved = (
                f"names {second.url} as its login service, and the password has gone to {first.url}"
            )
            for known in (
                ours,
                replace(ours, login_service=first.url),
            ):  # on record meanwhile, or not yet
                with pytest.raises(RegistryDeniedError, match=moved):
                    await client.list_tags(image, known)
            assert second.asked == []

            with pytest.raises(
                RegistryDeniedError, match="denied access to the registry"
            ):  # though that did give a token
                await client.log_in(replace(ours, login_service=first.url))
            assert pins == [("r1", first.url), ("r1", second.url)]
            assert second.asked[0][2].startswith("Basic ")
    await client.close()


async def test_after_a_restart_the_record_counts() -> None:
    client = RegistryClient()
    async with (
        hostile(giving_tokens) as service,
        hostile(asking_for_logins_at(service.url)) as registry,
    ):
        ours = replace(configured(registry.url, "hush"), login_service="https://auth.example.com")
        with pytest.raises(RegistryDeniedError, match="registries test NAME` confirms it"):
            await client.list_tags(ImageName(registry.host, "acme/app"), ours)
        with pytest.raises(RegistryError):  # without a password there is nothing to be had
            await client.list_tags(
                ImageName(registry.host, "acme/app"), replace(ours, password=None)
            )
        assert [authorization for _, _, authorization in service.asked] == [""]
    await client.close()
