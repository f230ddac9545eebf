"""A deploy whose paths an app could lead away ends before anything is touched."""

import pytest

from tagboat.core.deploy import DeployStatus, InstanceState
from tagboat.core.run import RunOptions
from tagboat.core.values import replace
from tagboat.deploy.pipeline import Pipeline
from tests.unit.deploy.deploy_harness import World

pytestmark = pytest.mark.anyio


async def deployed(world: World, tag: str) -> str:
    """Deploy where all paths of the host are allowed; return the reason of a failure."""
    deploy = await world.queue(tag)
    await Pipeline(replace(world.services, host_path=str), deploy.id).carry_out()
    ended = await world.deploy(deploy.id)
    assert ended.status in {DeployStatus.FAILED, DeployStatus.SUCCEEDED}
    return ended.reason or "" if ended.status is DeployStatus.FAILED else ""


async def test_what_was_saved_before_the_rule_goes_on_and_is_not_deployed(world: World) -> None:
    live = await world.ship("v1")
    await world.change_stage(run=RunOptions(binds=("/srv/a:/a", "/srv/a/sub:/s:ro")))
    world.publish("v2")
    reason = await deployed(world, "v2")
    assert "binds: /srv/a/sub lies below /srv/a, which the stage dev of app may write" in reason
    assert await world.instances(InstanceState.LIVE) == [live]
    # With writable binds, the old one would have been stopped first.
    assert await world.is_running(live.container)

    await world.change_stage(run=RunOptions(binds=("/srv/a:/a:ro", "/srv/a/sub:/s:ro")))
    assert await deployed(world, "v2") == ""


async def test_nor_below_what_another_stage_has_as_it_is_saved_or_still_runs(world: World) -> None:
    other = replace(await world.another_stage("other"), run=RunOptions(binds=("/srv/a:/a",)))
    await world.store.write(lambda tx: tx.put_stage(other))
    await world.change_stage(run=RunOptions(devices=("/srv/a/null",)))
    world.publish("v1")
    reason = await deployed(world, "v1")
    assert "devices: /srv/a/null of the stage dev of app lies below /srv/a, which the" in reason

    # The other one is live with it, and no more as it is saved.
    services, queued = replace(world.services, host_path=str), await world.queue("v1", stage=other)
    await world.change_stage(run=RunOptions())
    await Pipeline(services, queued.id).carry_out()
    await world.store.write(lambda tx: tx.put_stage(replace(other, run=RunOptions())))
    await world.change_stage(run=RunOptions(devices=("/srv/a/null",)))
    reason = await deployed(world, "v1")
    assert "the stage other of app runs with it until it is deployed again or stopped" in reason

    again = await world.queue("v1", stage=other)
    await Pipeline(services, again.id).carry_out()
    assert await deployed(world, "v1") == ""


async def test_nor_above_what_another_stage_uses(world: World) -> None:
    other = replace(await world.another_stage("other"), run=RunOptions(binds=("/srv/a/sub:/a:ro",)))
    await world.store.write(lambda tx: tx.put_stage(other))
    await world.change_stage(run=RunOptions(binds=("/srv/a:/a",)))
    world.publish("v1")
    reason = await deployed(world, "v1")
    assert "binds: /srv/a/sub of the stage other of app lies below /srv/a, which the" in reason

    await world.change_stage(run=RunOptions(binds=("/srv/a/sub:/a",)))
    assert await deployed(world, "v1") == ""
