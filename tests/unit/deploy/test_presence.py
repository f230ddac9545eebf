"""Signs of life of servers, and of edges, that share a database."""

import asyncio
from contextlib import suppress

import pytest

from tagboat.deploy import presence
from tagboat.deploy.edges import GRACE_S
from tagboat.deploy.presence import Sighting, keep_present, others_seen
from tests.unit.deploy.deploy_harness import World

pytestmark = pytest.mark.anyio


async def seen(world: World, own: str) -> tuple[Sighting, ...]:
    return await world.store.read(lambda reader: others_seen(reader, own))


async def present(world: World, own: str) -> None:
    """Let the server say twice that it is there, or until it would have."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            await keep_present(world.store, own)


async def test_a_server_is_seen_by_others_until_the_grace_has_passed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(world.store), "exclusive", False)
    monkeypatch.setattr(presence, "SIGN_EVERY_S", 0.05)
    await present(world, "one")
    world.clock.move(20)
    await present(world, "two")
    assert await seen(world, "one") == (Sighting("two", 0.0),)
    assert await seen(world, "two") == (Sighting("one", 20.0),)
    world.clock.move(GRACE_S - 20)
    assert await seen(world, "two") == ()
    assert await seen(world, "") == (Sighting("two", 40.0),)
    await present(world, "one")
    assert await seen(world, "two") == (Sighting("one", 0.0),)


async def test_edges_are_seen_once_with_the_newest_of_both_signs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(world.store), "exclusive", False)
    await present(world, "two")
    await world.store.write(lambda tx: tx.put_edge("one", 1, {}))
    world.clock.move(5)
    await world.store.write(lambda tx: tx.put_edge("two", 1, {}))
    assert await seen(world, "") == (Sighting("one", 5.0), Sighting("two", 0.0))
    world.clock.move(3)
    await present(world, "one")
    assert await seen(world, "") == (Sighting("one", 0.0), Sighting("two", 3.0))


async def test_a_server_alone_writes_nothing(world: World) -> None:
    await present(world, "one")
    assert await seen(world, "") == ()
    assert "write" not in world.calls.calls
