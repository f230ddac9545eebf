"""A death of the process after every single change that a deploy makes outside, with traffic led
by an ingress.

Each journey is made once for every such moment, in a world of its own: the process dies, the
next one sweeps (as at every start) and goes on with the deploy. What must be true then does not
depend on the moment.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from tagboat.core.catalog import Strategy
from tagboat.core.deploy import (
    ACTIVE_STATES,
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
    StepStatus,
    TakenBack,
)
from tagboat.core.errors import EngineError
from tagboat.core.values import replace
from tagboat.deploy.pipeline import Pipeline
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.reconcile import reconcile
from tagboat.operations.stage_actions import StageActions
from tagboat.runtime.memory import MemoryImage
from tagboat.store import SqlStore
from tests.support.endpoints import at, port_of
from tests.unit.deploy.deploy_harness import HOST, REFUSED, World, assert_only, build_world
from tests.unit.deploy.interceptor import Clock, Died

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Journey:
    """A deploy in a stage where `v1` has been deployed, and what comes of it.

    `prepare` makes the deploy; `ends` is its status, `reason` what its reason contains; `live` is
    the tag that is live then, in the container of the first deploy of that tag unless `anew`. `log`
    is what is kept of a new instance that failed. At least so many `changes` it takes.
    """

    prepare: Callable[[World], Awaitable[Deploy]]
    ends: DeployStatus
    reason: str
    live: str
    changes: int
    log: str = ""
    anew: bool = False


async def succeeding(world: World) -> Deploy:
    await world.ship("v1")
    world.publish("v2")
    return await world.queue("v2")


async def failing_in_check(world: World) -> Deploy:
    await world.ship("v1")
    world.publish("v2", MemoryImage(exit_code=1, log=("out of luck",)))
    return await world.queue("v2")


async def failing_in_watch(world: World) -> Deploy:
    deploy = await succeeding(world)
    old = await live_instance(world)

    async def answers_until_it_is_led_to(port: int) -> str | None:
        return REFUSED if port != port_of(old) and str(port) in world.routes.values() else None

    world.probe.of_port = answers_until_it_is_led_to
    return deploy


async def cancelled_in_watch(world: World) -> Deploy:
    deploy = await succeeding(world)
    orders = StageActions(DeployQueue(world.clock.now), world.clock.now)

    async def cancels_once_it_is_watched(_port: int) -> str | None:
        current = await world.deploy(deploy.id)
        if current.step(StepName.WATCH).status is StepStatus.RUNNING and not current.cancelling:
            # By somebody else: not one of the changes that this process makes.
            await SqlStore.write(world.store, lambda tx: orders.cancel(tx, deploy.id))
        return None

    world.probe.of_port = cancels_once_it_is_watched
    return deploy


async def rolling_back(world: World) -> Deploy:
    await world.change_stage(env={"COLOUR": "blue"})
    await world.ship("v1")
    await world.change_stage(env={"COLOUR": "green"})
    await world.ship("v2")
    orders = StageActions(DeployQueue(world.clock.now), world.clock.now)
    queued = await world.store.write(lambda tx: orders.rollback(tx, world.stage.id))
    return await world.deploy(queued.deploy_id)


async def recreating(world: World) -> Deploy:
    await world.change_stage(strategy=Strategy.RECREATE)
    return await succeeding(world)


async def recreating_and_failing(world: World) -> Deploy:
    await world.change_stage(strategy=Strategy.RECREATE)
    return await failing_in_check(world)


async def recreating_and_failing_in_watch(world: World) -> Deploy:
    await world.change_stage(strategy=Strategy.RECREATE)
    return await failing_in_watch(world)


JOURNEYS = {
    "succeeds": Journey(succeeding, DeployStatus.SUCCEEDED, "v2 is live", "v2", 16),
    "fails in check": Journey(
        failing_in_check, DeployStatus.FAILED, "exited with code 1", "v1", 11, "out of luck"
    ),
    "fails in watch": Journey(failing_in_watch, DeployStatus.FAILED, REFUSED, "v1", 14),
    "is cancelled in watch": Journey(
        cancelled_in_watch, DeployStatus.CANCELLED, "cancelled", "v1", 14
    ),
    "rolls back": Journey(rolling_back, DeployStatus.SUCCEEDED, "v1 is live", "v1", 14, anew=True),
    "recreates": Journey(recreating, DeployStatus.SUCCEEDED, "v2 is live", "v2", 18),
    "recreates and fails": Journey(
        recreating_and_failing, DeployStatus.FAILED, "exited with code 1", "v1", 15, "out of luck"
    ),
    "recreates and fails in watch": Journey(
        recreating_and_failing_in_watch, DeployStatus.FAILED, REFUSED, "v1", 18
    ),
}


async def a_world(store: SqlStore, clock: Clock) -> World:
    world = await build_world(store, clock, ingress=True)
    await world.change_stage(watch_s=1)
    return world


async def live_instance(world: World) -> Instance:
    (live,) = await world.instances(InstanceState.LIVE)
    return live


async def dies(world: World, deploy: Deploy, changes: int) -> bool:
    """Carry the deploy out in a process that dies after so many changes.

    Whether it comes to that.
    """
    world.calls.die_after_changes(changes)
    try:
        await Pipeline(world.services, deploy.id).carry_out()
    except Died:
        return True
    finally:
        world.calls.live_on()
    return False


async def assert_ended_well(
    world: World, journey: Journey, deploy: Deploy, before: Instance
) -> None:
    """That the record is true, that one instance is live and led to, and that a second sweep
    finds nothing to do.
    """
    ended = await world.deploy(deploy.id)
    assert (ended.status, ended.claimed_by) == (journey.ends, None)
    assert journey.reason in (ended.reason or "")
    if journey.ends is DeployStatus.SUCCEEDED:
        assert {step.status for step in ended.steps} <= {StepStatus.DONE, StepStatus.SKIPPED}
    else:
        assert [step.status for step in ended.steps].count(StepStatus.FAILED) == 1
        assert ended.failed_step is not None
        assert ended.failed_step.detail in (ended.reason or "")
        assert (await world.instance_of(ended)).state is InstanceState.FAILED
        assert ended.log == journey.log
    live = await live_instance(world)
    assert live.tag == journey.live
    if journey.ends is not DeployStatus.SUCCEEDED:
        assert replace(live, started_at=before.started_at) == before
    elif journey.anew:
        assert live.deploy_id == deploy.id
        assert dict(world.runtime.spec(live.container).env) == {"COLOUR": "blue"}
    await assert_only(world, live)
    done, known = list(world.runtime.journal), await world.instances()
    await reconcile(world.services)
    assert (world.runtime.journal, await world.instances()) == (done, known)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in {"succeeds", "fails in watch"} else pytest.mark.slow)
        for name in JOURNEYS
    ],
)
async def test_a_death_after_any_change(
    new_store: Callable[[], SqlStore], clock: Clock, name: str
) -> None:
    journey, changes = JOURNEYS[name], 0
    while True:
        world = await a_world(new_store(), clock)
        deploy = await journey.prepare(world)
        before = await live_instance(world)
        deploy = await world.change_deploy(deploy, status=DeployStatus.RUNNING)
        died = await dies(world, deploy, changes)
        await reconcile(world.services)
        if not (await world.deploy(deploy.id)).status.final:
            await world.carry_out(deploy)
        try:
            await assert_ended_well(world, journey, deploy, before)
        except AssertionError as error:
            error.add_note(f"it died after {changes} changes: {world.calls.calls}")
            raise
        if not died:
            break
        changes += 1
    assert changes >= journey.changes


@pytest.mark.parametrize("name", JOURNEYS)
async def test_dying_again_and_again(
    new_store: Callable[[], SqlStore], clock: Clock, name: str
) -> None:
    """Every life is one change longer than the last, so that each comes a little further."""
    journey, changes = JOURNEYS[name], 0
    world = await a_world(new_store(), clock)
    deploy = await journey.prepare(world)
    before = await live_instance(world)
    deploy = await world.change_deploy(deploy, status=DeployStatus.RUNNING)
    while await dies(world, deploy, changes):
        await reconcile(world.services)
        changes += 1
    await assert_ended_well(world, journey, deploy, before)


@pytest.mark.parametrize("live", ["v1", "v2"])
async def test_a_death_after_the_tag_was_looked_up(
    new_store: Callable[[], SqlStore], clock: Clock, live: str
) -> None:
    """What was taken back stays away, and what is live is left alone, though the process died
    before it could see that.
    """
    changes, died = 0, True
    while died:
        world = await a_world(new_store(), clock)
        old = await world.ship(live)
        deploy = await world.queue("v2")
        digest = world.publish("v2")
        version = TakenBack(
            stage_id=world.stage.id,
            digest=digest,
            fingerprint="f",
            tag="v2",
            reason="ill",
            at=clock.now(),
        )
        if live == "v1":
            await world.store.write(lambda tx, version=version: tx.put_taken_back(version))  # type: ignore[misc]
        deploy = await world.change_deploy(deploy, status=DeployStatus.RUNNING)
        died = await dies(world, deploy, changes)
        ended = await world.carry_out(deploy) if died else await world.deploy(deploy.id)
        expected = DeployStatus.CANCELLED if live == "v1" else DeployStatus.SUCCEEDED
        assert (ended.status, await live_instance(world)) == (expected, old), (
            f"it died after {changes} changes"
        )
        changes += 1
    assert changes >= 3


# The sweep.


async def much_to_sweep(world: World) -> Instance:
    """A live instance that was removed and whose port is taken, one left draining, one given up,
    and an orphan.
    """
    await world.ship("v1")
    world.runtime.fail("stop", EngineError("it cannot be killed"))
    world.publish("v2")
    await world.carry_out(await world.queue("v2"))
    live = await live_instance(world)
    world.publish("v3")
    begun = await world.queue("v3")
    world.calls.die_when("start", at_once)
    with pytest.raises(Died):
        await Pipeline(world.services, begun.id).carry_out()
    world.calls.live_on()
    await world.change_deploy(begun, status=DeployStatus.CANCELLED)
    await world.runtime.remove(live.container)
    world.cut.clear()
    await world.orphan("orphan")
    await world.foreign_container("squatter")
    squatter = world.runtime._find("squatter")
    assert squatter is not None
    squatter.status = squatter.status.with_tasks(endpoint=at(port_of(live)))
    return live


async def at_once() -> bool:
    return True


async def test_a_death_after_any_change_of_a_sweep(
    new_store: Callable[[], SqlStore], clock: Clock
) -> None:
    changes, died = 0, True
    while died:
        world = await a_world(new_store(), clock)
        live = await much_to_sweep(world)
        world.calls.die_after_changes(changes)
        try:
            await reconcile(world.services)
            died = False
        except Died:
            pass
        world.calls.live_on()
        await reconcile(world.services)
        (left,) = await world.instances(*ACTIVE_STATES)
        assert left == replace(live, endpoints=left.endpoints, container_id=left.container_id), (
            changes
        )
        assert await world.containers() == sorted([live.container, "squatter"])
        assert await world.is_running(live.container)
        assert world.routes == {HOST: str(port_of(left))}
        assert world.cut == []
        done = list(world.runtime.journal)
        await reconcile(world.services)
        assert world.runtime.journal == done
        changes += 1
    assert changes > 12
