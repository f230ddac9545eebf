"""How an instance's end is written down."""

from datetime import timedelta

import pytest

from tagboat.core.deploy import InstanceState
from tagboat.deploy.instances import ended
from tests.unit.deploy.deploy_harness import World

pytestmark = pytest.mark.anyio

HOUR_S = 3600.0


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
