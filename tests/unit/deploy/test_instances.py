"""How the life of an instance is written down."""

from datetime import UTC, datetime, timedelta

import pytest

from tagboat.core.deploy import DeployStatus, Instance, InstanceState, made_draining
from tagboat.deploy.instances import ended
from tagboat.deploy.vigil import revert
from tagboat.runtime.memory import MemoryImage
from tests.unit.deploy.deploy_harness import World

pytestmark = pytest.mark.anyio

HOUR_S = 3600.0
NOW = datetime(2026, 11, 29, tzinfo=UTC)


async def test_what_was_live_last_ended_last_though_the_clock_was_set_back(world: World) -> None:
    instances = [await world.ship(tag) for tag in ("v1", "v2")]
    world.clock.move(-HOUR_S)
    instances.append(await world.ship("v3"))
    await world.ship("v4")
    recent = await world.store.read(
        lambda reader: reader.recent_instances(world.stage.id, [InstanceState.STOPPED], 3)
    )
    assert [one.id for one in recent] == [one.id for one in reversed(instances)]


async def test_one_that_ends_by_a_right_clock_ends_now(world: World) -> None:
    await world.ship("v1")
    live = await world.ship("v2")
    later = world.clock.now() + timedelta(hours=1)
    over = await world.store.read(lambda reader: ended(reader, live, InstanceState.FAILED, later))
    assert (over.state, over.stopped_at) == (InstanceState.FAILED, later)


async def test_it_is_on_record_from_when_to_when_each_was_live(world: World) -> None:
    first = await world.ship("v1")
    assert (first.left_at, first.left_for) == (None, "")
    world.clock.move(60)
    second = await world.ship("v2")
    gone = await world.store.read(lambda reader: reader.instance(first.id))
    assert gone.live_at == first.live_at
    assert gone.live_at is not None
    assert gone.live_at >= first.started_at
    assert (gone.left_at, gone.left_for) == (second.live_at, second.deploy_id)


async def test_one_that_was_never_live_has_no_such_time(world: World) -> None:
    await world.ship("v1")
    failed = await assert_fails_to_start(world, "v2")
    assert (failed.state, failed.live_at, failed.left_at) == (InstanceState.FAILED, None, None)
    lived = await world.store.read(lambda reader: reader.instances_that_lived(world.stage.id))
    assert [one.tag for one in lived] == ["v1"]


async def test_one_that_is_taken_back_was_live_until_then_and_the_other_still_is(
    world: World,
) -> None:
    old, new = await world.ship("v1"), await world.ship("v2")
    await world.store.write(lambda tx: tx.put_instance(made_draining(old, NOW, new.deploy_id)))
    deploy = await world.deploy(new.deploy_id)
    await world.change_deploy(deploy, replaced=(old.id,))
    now = world.clock.now()
    assert await world.store.write(lambda tx: revert(tx, world.services, new, "sick", ""))
    lived = {
        one.id: one
        for one in await world.store.read(
            lambda reader: reader.instances_that_lived(world.stage.id)
        )
    }
    assert (lived[old.id].left_at, lived[old.id].left_for) == (None, "")
    assert lived[old.id].state is InstanceState.LIVE
    left = lived[new.id].left_at
    assert left is not None
    assert left >= now


async def assert_fails_to_start(world: World, tag: str) -> Instance:
    """Deploy a tag whose app ends at once; return its instance."""
    world.publish(tag, MemoryImage(exit_code=1))
    deploy = await world.carry_out(
        await world.change_deploy(await world.queue(tag), status=DeployStatus.RUNNING)
    )
    assert deploy.status is DeployStatus.FAILED
    return await world.instance_of(deploy)
