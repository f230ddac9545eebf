"""Forgetting old deploys: not those that somebody still needs."""

import asyncio
from datetime import timedelta

import pytest

from tagboat.core.config import HISTORY_KEEP_DAYS, IMAGES_KEEP
from tagboat.core.deploy import DeployStatus, InstanceState
from tagboat.core.errors import NotFoundError, StoreUnavailableError
from tagboat.core.ports import Topic, Tx
from tagboat.core.values import replace
from tagboat.deploy import history
from tagboat.deploy.history import forget, keep_forgetting
from tagboat.deploy.queue import DeployQueue
from tagboat.operations.stage_actions import StageActions
from tests.unit.deploy.deploy_harness import World

pytestmark = pytest.mark.anyio
DAY_S = 86_400


async def tags(world: World) -> list[str]:
    return [deploy.tag for deploy in await world.deploys()]


async def failed(world: World, *tags: str) -> None:
    """Deploys of tags that nobody pushed."""
    for tag in tags:
        await world.carry_out(await world.queue(tag))


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each stage one deploy is kept however old, and not twenty."""
    monkeypatch.setattr(history, "NEWEST", 1)


async def test_a_year_after_its_end_a_deploy_is_forgotten(world: World) -> None:
    await failed(world, "a", "b", "c")
    world.clock.move(364 * DAY_S)
    assert await forget(world.store, world.clock.now()) == 0
    world.clock.move(2 * DAY_S)
    assert await forget(world.store, world.clock.now()) == 2
    assert await tags(world) == ["c"]


async def test_of_each_stage_the_newest_twenty_stay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    other = await world.another_stage("other")
    for number in range(22):
        deploy = await world.queue(f"v{number}")
        await world.change_deploy(deploy, status=DeployStatus.FAILED, finished_at=world.clock.now())
    lonely = await world.queue("w", stage=other)
    await world.change_deploy(lonely, status=DeployStatus.FAILED, finished_at=world.clock.now())
    assert await forget(world.store, world.clock.now() + timedelta(days=3650)) == 2
    assert await tags(world) == [*(f"v{number}" for number in range(2, 22)), "w"]


async def test_logs_configurations_and_instances_go_with_it(world: World) -> None:
    first = await world.ship("v1")
    for tag in ("v2", "v3", "v4"):
        await world.ship(tag)
    world.clock.move(366 * DAY_S)
    assert await forget(world.store, world.clock.now()) == 1
    assert await world.store.read(lambda reader: reader.deploy_config(first.deploy_id)) is None
    assert [instance.tag for instance in await world.instances()] == ["v4", "v3", "v2"]
    with pytest.raises(NotFoundError):
        await world.deploy(first.deploy_id)


async def test_what_is_live_and_what_one_can_go_back_to_stays_however_old(world: World) -> None:
    await world.store.write(lambda tx: tx.put_setting(IMAGES_KEEP, 0))
    for tag in ("v1", "v2", "v3"):
        await world.ship(tag)
    await failed(world, "x", "y")
    world.clock.move(5000 * DAY_S)
    await forget(world.store, world.clock.now())
    assert await tags(world) == ["v2", "v3", "y"]

    orders = StageActions(DeployQueue(world.clock.now), world.clock.now)
    queued = await world.store.write(lambda tx: orders.rollback(tx, world.stage.id))
    ended = await world.carry_out(await world.deploy(queued.deploy_id))
    assert (ended.status, ended.tag) == (DeployStatus.SUCCEEDED, "v2")


async def test_what_still_drains_stays(world: World) -> None:
    old = await world.ship("v1")
    await world.store.write(lambda tx: tx.put_setting(IMAGES_KEEP, 0))
    for tag in ("v2", "v3"):
        await world.ship(tag)
    await world.store.write(
        lambda tx: tx.put_instance(replace(tx.instance(old.id), state=InstanceState.DRAINING))
    )
    world.clock.move(5000 * DAY_S)
    await forget(world.store, world.clock.now())
    assert await tags(world) == ["v1", "v2", "v3"]


async def test_an_open_deploy_stays(world: World) -> None:
    await world.queue("v1")
    await world.change_stage(max_instances=9)
    await world.queue("v2")
    world.clock.move(5000 * DAY_S)
    assert await forget(world.store, world.clock.now()) == 0


async def test_many_go_in_small_transactions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_FORGOTTEN_AT_ONCE", 2)
    await failed(world, *"abcdef")
    began = world.calls.calls.count("write")
    assert await forget(world.store, world.clock.now() + timedelta(days=366)) == 5
    assert world.calls.calls.count("write") - began == 3


async def test_a_setting_that_was_changed_counts_at_once_and_a_store_out_of_reach_ends_nothing(
    world: World,
) -> None:
    await failed(world, "a", "b")
    world.clock.move(2 * DAY_S)

    async def out_of_reach() -> None:
        raise StoreUnavailableError("the database is locked")

    def shorten(tx: Tx) -> None:
        tx.put_setting(HISTORY_KEEP_DAYS, 1)
        tx.announce(Topic.SETTINGS)

    world.calls.before("read", out_of_reach)
    forgetting = asyncio.create_task(keep_forgetting(world.store, world.clock.now))
    await asyncio.sleep(0)
    await world.store.write(shorten)
    for _ in range(500):
        if await tags(world) == ["b"]:
            break
    assert await tags(world) == ["b"]
    forgetting.cancel()
    await asyncio.gather(forgetting, return_exceptions=True)
