"""Going on with a deploy that was cut off.

From every step, and from before and after every call to the outside.
"""

from collections.abc import Callable

import pytest

from tagboat.core.deploy import (
    ACTIVE_STATES,
    Deploy,
    DeployStatus,
    InstanceState,
    StepName,
    StepStatus,
)
from tagboat.deploy.pipeline import Pipeline
from tagboat.deploy.reconcile import reconcile
from tagboat.runtime.memory import MemoryImage
from tagboat.store import SqlStore
from tests.unit.deploy.deploy_harness import World, assert_only, build_world, statuses
from tests.unit.deploy.interceptor import Clock, Died

pytestmark = pytest.mark.anyio

BEFORE_SWITCH = list(StepName)[: list(StepName).index(StepName.SWITCH)]


async def cut_off(world: World, deploy: Deploy, calls: int, when: str) -> bool:
    """Let the process die `before` or `after` the call that follows so many others.

    Whether it came to that.
    """
    world.calls.die(calls, when)
    return await dies(world, deploy)


async def dies(world: World, deploy: Deploy) -> bool:
    """Carry it out in a process that may die of what was planned; whether it does."""
    try:
        await Pipeline(world.services, deploy.id).carry_out()
    except Died:
        return True
    finally:
        world.calls.live_on()
    return False


async def stop_in(world: World, deploy: Deploy, name: StepName) -> Deploy:
    """Let the process die as soon as the step is on record as running."""

    async def is_running() -> bool:
        return (await world.deploy(deploy.id)).step(name).status is StepStatus.RUNNING

    world.calls.die_when("write", is_running)
    assert await dies(world, deploy)
    return await world.deploy(deploy.id)


async def a_deploy_beside_a_live_one(world: World) -> Deploy:
    await world.ship("v1")
    world.publish("v2")
    return await world.queue("v2")


@pytest.mark.parametrize("name", list(StepName))
async def test_a_record_that_stopped_in_a_step_is_gone_on_with(
    world: World, name: StepName
) -> None:
    deploy = await a_deploy_beside_a_live_one(world)
    await stop_in(world, deploy, name)

    ended = await world.carry_out(deploy)

    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "v2 is live")
    assert set(statuses(ended).values()) <= {StepStatus.DONE, StepStatus.SKIPPED}
    await assert_only(world, await world.instance_of(ended))


@pytest.mark.parametrize("name", list(StepName))
async def test_what_is_sure_is_not_done_again(world: World, name: StepName) -> None:
    deploy = await a_deploy_beside_a_live_one(world)
    stopped = await stop_in(world, deploy, name)
    kept = [
        step
        for step in stopped.steps
        if step.status is StepStatus.DONE and step.name in {"resolve", "pull"}
    ]
    asked, switched = len(world.tags.asked), stopped.step(StepName.SWITCH).status is StepStatus.DONE
    began = len(world.runtime.journal)

    ended = await world.carry_out(deploy)

    assert [ended.step(step.name) for step in kept] == kept
    if stopped.step(StepName.RESOLVE).status is StepStatus.DONE:
        assert len(world.tags.asked) == asked
    if switched:
        assert not [
            line for line in world.runtime.journal[began:] if line.startswith(("create", "start"))
        ]


@pytest.mark.parametrize("name", BEFORE_SWITCH)
async def test_the_old_instance_is_untouched_by_a_death_before_the_switch(
    world: World, name: StepName
) -> None:
    deploy = await a_deploy_beside_a_live_one(world)
    (old,) = await world.instances(InstanceState.LIVE)

    await stop_in(world, deploy, name)

    assert await world.instances(InstanceState.LIVE) == [old]
    assert await world.is_running(old.container)


async def test_whoever_dies_once_the_switch_is_on_record_has_made_it(world: World) -> None:
    """Step and instances are written in one.

    There is no moment at which the step runs and the old one is live.
    """
    deploy = await a_deploy_beside_a_live_one(world)
    (old,) = await world.instances(InstanceState.LIVE)

    stopped = await stop_in(world, deploy, StepName.SWITCH)

    assert [one.deploy_id for one in await world.instances(InstanceState.LIVE)] == [deploy.id]
    assert stopped.replaced == (old.id,)
    assert await world.is_running(old.container)


@pytest.mark.parametrize("name", [StepName.START, StepName.CHECK])
async def test_started_again_it_can_still_fail_and_be_taken_back(
    world: World, name: StepName
) -> None:
    deploy = await a_deploy_beside_a_live_one(world)
    (old,) = await world.instances(InstanceState.LIVE)
    stopped = await stop_in(world, deploy, name)
    world.runtime._images[f"{world.project.image}@{stopped.digest}"] = MemoryImage(
        log=("no more",), exit_code=4
    )

    ended = await world.carry_out(deploy)

    assert ended.status is DeployStatus.FAILED
    assert "exited with code 4" in (ended.reason or "")
    assert ended.log == "no more"
    assert statuses(ended) == {
        StepName.RESOLVE: StepStatus.DONE,
        StepName.PULL: StepStatus.DONE,
        StepName.START: StepStatus.DONE,
        StepName.CHECK: StepStatus.FAILED,
        StepName.SWITCH: StepStatus.PENDING,
        StepName.WATCH: StepStatus.PENDING,
        StepName.DRAIN: StepStatus.PENDING,
        StepName.RETIRE: StepStatus.PENDING,
    }
    await assert_only(world, old)


@pytest.mark.parametrize("when", [pytest.param("before", marks=pytest.mark.slow), "after"])
async def test_a_death_at_any_moment_ends_in_one_live_instance(
    new_store: Callable[[], SqlStore], clock: Clock, when: str
) -> None:
    """One world for each call to the outside.

    A sweep, as at every start, comes in between and must do no harm.
    """
    calls = 0
    while True:
        world = await build_world(new_store(), clock)
        deploy = await a_deploy_beside_a_live_one(world)
        died = await cut_off(world, deploy, calls, when)
        if not (await world.deploy(deploy.id)).status.final:
            await reconcile(world.services)
            ended = await world.carry_out(deploy)
            assert ended.status is DeployStatus.SUCCEEDED, (calls, ended)
        await assert_only(world, await world.instance_of(deploy))
        if not died:
            break
        calls += 1
    assert calls > 25


@pytest.mark.parametrize("when", [pytest.param("before", marks=pytest.mark.slow), "after"])
async def test_a_death_at_any_moment_of_a_deploy_that_fails_ends_in_the_old_instance_alone(
    new_store: Callable[[], SqlStore], clock: Clock, when: str
) -> None:
    calls = 0
    while True:
        world = await build_world(new_store(), clock)
        old = await world.ship("v1")
        world.publish("v2", MemoryImage(exit_code=1))
        deploy = await world.queue("v2")
        died = await cut_off(world, deploy, calls, when)
        if not (await world.deploy(deploy.id)).status.final:
            ended = await world.carry_out(deploy)
            assert ended.status is DeployStatus.FAILED, (calls, ended)
        await assert_only(world, old)
        if not died:
            break
        calls += 1
    assert calls > 20


async def test_dying_again_and_again_it_still_comes_to_its_end(world: World) -> None:
    deploy = await a_deploy_beside_a_live_one(world)

    calls = 0
    while await cut_off(world, deploy, calls, "after"):
        assert len(await world.containers()) <= 2
        assert len(await world.instances(*ACTIVE_STATES)) <= 2
        calls += 1

    ended = await world.deploy(deploy.id)
    assert ended.status is DeployStatus.SUCCEEDED
    await assert_only(world, await world.instance_of(ended))
