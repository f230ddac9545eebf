"""The one engine of servers that share a database."""

import asyncio

import pytest

from tagboat.core.config import ENGINE_ID
from tagboat.core.errors import EngineUnavailableError, SettingsError
from tagboat.deploy import engine_identity
from tagboat.deploy.engine_identity import claim_engine, once_claimed
from tests.unit.deploy.deploy_harness import World

pytestmark = pytest.mark.anyio


async def recorded(world: World) -> object:
    return await world.store.read(lambda reader: reader.setting(ENGINE_ID))


async def test_a_server_alone_may_use_any_engine(world: World) -> None:
    assert await claim_engine(world.store, world.runtime)
    assert await recorded(world) is None


async def test_the_first_engine_is_on_record_and_another_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(world.store), "exclusive", False)
    world.runtime.id = "one"
    assert await claim_engine(world.store, world.runtime, moved_to="unknown")
    assert await claim_engine(world.store, world.runtime)
    world.runtime.id = "two"
    for moved_to in ("", "one", "three"):
        with pytest.raises(SettingsError, match=r"\(id one\).*\(id two\).*TAGBOAT_ENGINE_ID=two"):
            await claim_engine(world.store, world.runtime, moved_to)
    assert await recorded(world) == "one"
    assert await claim_engine(world.store, world.runtime, moved_to="two")
    assert await claim_engine(world.store, world.runtime)
    assert await recorded(world) == "two"
    world.runtime.id = ""  # as Podman, which has none
    assert await claim_engine(world.store, world.runtime)
    assert await recorded(world) == "two"


async def test_the_work_begins_once_the_engine_is_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(world.store), "exclusive", False)
    monkeypatch.setattr(engine_identity, "ASK_AGAIN_S", 3.0)
    world.runtime.fail("identity", EngineUnavailableError("it is away"))
    assert not await claim_engine(world.store, world.runtime)
    answers = [False, SettingsError("another engine"), SettingsError("another engine"), True]
    done = asyncio.Event()

    async def claim() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, SettingsError):
            raise answer
        return bool(answer)

    async def work() -> None:
        done.set()

    await once_claimed(claim, work)
    assert done.is_set()
    assert world.clock.slept == [3.0, 3.0, 3.0]
