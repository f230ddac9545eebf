"""Deleting a project or a stage while the sweep goes on.

How deploys that come and go are met: tests/integration.
"""

from collections.abc import Iterable

import pytest

from tagboat.core.deploy import InstanceState
from tagboat.core.errors import EngineError
from tagboat.deploy.reconcile import reconcile
from tagboat.deploy.removal import Removal
from tests.unit.deploy.deploy_harness import World, assert_only

pytestmark = pytest.mark.anyio


def removal(world: World) -> Removal:
    async def abandon(_stage_ids: Iterable[str]) -> None:
        """No worker is at work here."""

    return Removal(world.store, world.runtime, abandon, world.clock.now)


@pytest.mark.parametrize("call", ["stop", "remove"])
async def test_what_is_being_removed_is_not_started_again(world: World, call: str) -> None:
    """Its ending wakes the sweep, which finds that it does not run."""
    live = await world.ship("v1")
    began = len(world.runtime.journal)
    world.calls.after(call, lambda: reconcile(world.services))
    await removal(world).remove_stage(world.stage.id)
    assert {line.split()[0] for line in world.runtime.journal[began:]} == {"stop", "remove"}
    assert live.container not in await world.containers()
    assert await world.instances() == []


async def test_what_could_not_be_removed_is_live_as_before(world: World) -> None:
    live = await world.ship("v1")
    world.runtime.fail("remove", EngineError("device or resource busy"))
    with pytest.raises(EngineError, match="busy"):
        await removal(world).remove_project(world.project.id)
    assert await world.instances(InstanceState.LIVE) == [live]
    await reconcile(world.services)
    await assert_only(world, live)


async def test_what_was_removed_before_a_failure_has_ended_like_any_other(world: World) -> None:
    await world.ship("v1")
    stage = await world.another_stage("other")
    world.publish("v2")
    await world.carry_out(await world.queue("v2", stage=stage))
    world.runtime.fail("remove", EngineError("device or resource busy"))
    with pytest.raises(EngineError, match="busy"):
        await removal(world).remove_project(world.project.id)
    (removed,) = await world.instances(InstanceState.STOPPED)
    assert removed.left_at is not None
    assert removed.left_at == removed.stopped_at == world.clock.now()
    (left,) = await world.instances(InstanceState.LIVE)
    assert left.left_at is None
