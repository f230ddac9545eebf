"""Nothing accepted is lost or doubled, whatever comes in between.

Merges, moving tags, renames, restarts.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from tagboat.core.catalog import HeldPush, Strategy
from tagboat.core.deploy import (
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
    StepStatus,
    Trigger,
)
from tagboat.core.errors import (
    ConflictError,
    EngineError,
    EngineNotFoundError,
    EngineUnavailableError,
    RegistryNotFoundError,
)
from tagboat.core.image import parse_image_ref
from tagboat.core.ports import Queued, Tx
from tagboat.core.push import Outcome
from tagboat.core.run import RunOptions
from tagboat.core.tags import parse_tag_pattern
from tagboat.deploy.ownership import release_container
from tagboat.deploy.pipeline import Pipeline
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.reconcile import reconcile
from tagboat.deploy.worker import Worker
from tagboat.intake.explain import explain_image
from tagboat.operations.stage_actions import StageActions
from tagboat.runtime.memory import MemoryImage
from tests.support.endpoints import port_of
from tests.unit.deploy.deploy_harness import HOST, REFUSED, World, assert_only
from tests.unit.deploy.interceptor import Died

T = TypeVar("T")
pytestmark = pytest.mark.anyio


async def push(world: World, tag: str) -> Queued:
    queue = DeployQueue(world.clock.now)
    return await world.store.write(
        lambda tx: queue.trigger_deploy(
            world.project.id, world.stage.id, tag, tx=tx, trigger=Trigger.WEBHOOK
        )
    )


async def order(world: World, work: Callable[[StageActions, Tx], T]) -> T:
    orders = StageActions(DeployQueue(world.clock.now), world.clock.now)
    return await world.store.write(lambda tx: work(orders, tx))


async def at_work(world: World, tag: str) -> Deploy:
    return await world.change_deploy(await world.queue(tag), status=DeployStatus.RUNNING)


# Merging.


async def test_a_push_does_not_merge_into_a_deploy_that_has_failed(led: World) -> None:
    """The registry's notification comes again while the first deploy, which found no such tag,
    is taken back.
    """
    await led.ship("v1")
    deploy = await at_work(led, "v2")
    told: list[Queued] = []

    async def told_again() -> None:
        led.publish("v2")
        expected = await led.store.read(
            lambda reader: explain_image(reader, parse_image_ref(f"{led.project.image}:v2"))
        )
        told.append(await push(led, "v2"))
        assert expected.outcome is told[0].outcome

    led.calls.after("apply_routes", told_again)
    assert (await led.carry_out(deploy)).status is DeployStatus.FAILED
    assert told[0].outcome is Outcome.QUEUED
    assert (await led.carry_out(await led.deploy(told[0].deploy_id))).reason == "v2 is live"


async def test_nor_into_one_that_is_being_cancelled(led: World) -> None:
    deploy = await at_work(led, "v2")
    await order(led, lambda orders, tx: orders.cancel(tx, deploy.id))
    led.publish("v2")
    assert (await push(led, "v2")).outcome is Outcome.QUEUED
    assert (await led.carry_out(deploy)).status is DeployStatus.CANCELLED


async def test_a_push_that_merges_while_the_tag_is_not_found_has_it_looked_up_again(
    led: World,
) -> None:
    deploy = await at_work(led, "v2")
    told: list[Queued] = []

    async def told_again() -> None:
        told.append(await push(led, "v2"))
        led.tags.failures.append(
            RegistryNotFoundError("the registry has no tag v2")
        )  # the answer was on its way by then
        led.publish("v2")

    led.calls.before("resolve", told_again)
    ended = await led.carry_out(deploy)
    assert told == [Queued(Outcome.MERGED, deploy.id)]
    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "v2 is live")
    assert led.tags.asked == ["v2", "v2"]


async def test_a_tag_that_nobody_told_of_again_fails_at_once(led: World) -> None:
    ended = await led.carry_out(await led.queue("no-such-tag"))
    assert (ended.status, led.tags.asked) == (DeployStatus.FAILED, ["no-such-tag"])


# A tag that moves on.


@pytest.mark.parametrize("call", ["pull", "create"])
async def test_a_tag_that_moves_on_is_superseded_by_what_it_points_to_then(
    led: World, call: str
) -> None:
    live = await led.ship("v1")
    first = led.publish("moving")
    deploy = await at_work(led, "moving")

    async def pushed_again() -> None:
        led.publish("moving", MemoryImage(log=("newer",)))
        led.runtime.fail(
            call,
            EngineNotFoundError("unknown blob")
            if call == "create"
            else EngineError("unknown blob"),
        )

    led.calls.before(call, pushed_again)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUPERSEDED
    assert (
        ended.reason == "moving was pushed again while it was pulled, and is deployed as it is now"
    )
    assert ended.digest == first
    assert live.state is InstanceState.LIVE
    (following,) = [one for one in await led.deploys() if not one.status.final]
    assert (following.tag, following.trigger) == ("moving", Trigger.WEBHOOK)
    assert (await push(led, "moving")).outcome is Outcome.MERGED, "the call that tells of it"
    newer = await led.carry_out(following)
    assert newer.status is DeployStatus.SUCCEEDED
    assert newer.digest == led.tags.digests["moving"] != first
    await assert_only(led, await led.instance_of(newer))


async def test_one_that_has_not_moved_fails_with_the_reason(led: World) -> None:
    await led.ship("v1")
    led.publish("v2")
    led.runtime.fail("pull", EngineError("unknown blob"))
    ended = await led.carry_out(await at_work(led, "v2"))
    assert (ended.status, ended.reason) == (DeployStatus.FAILED, "unknown blob")
    assert all(one.status.final for one in await led.deploys())


async def test_what_a_person_rolls_back_to_is_looked_up_nowhere_else(led: World) -> None:
    first = await led.ship("moving")
    led.clock.move(1)
    led.publish("moving", MemoryImage(log=("newer",)))
    await led.carry_out(await led.queue("moving"))
    led.runtime.prune(f"{led.project.image}@{first.digest}")
    back = await order(led, lambda orders, tx: orders.rollback(tx, led.stage.id))
    led.runtime.fail("pull", EngineError("manifest unknown"))
    ended = await led.carry_out(await led.deploy(back.deploy_id))
    assert (ended.status, ended.reason) == (DeployStatus.FAILED, "manifest unknown")


async def test_what_is_rolled_back_to_is_not_what_the_tag_points_to(led: World) -> None:
    await led.ship("moving")
    led.clock.move(1)
    newer = led.publish("moving", MemoryImage(log=("newer",)))
    await led.carry_out(await led.queue("moving"))
    back = await order(led, lambda orders, tx: orders.rollback(tx, led.stage.id))
    assert (await led.carry_out(await led.deploy(back.deploy_id))).status is DeployStatus.SUCCEEDED
    known = await led.store.read(lambda reader: reader.known_tag(led.project.id, "moving"))
    assert known is not None
    assert known.digest == newer


# What is released is decided on anew.


async def test_only_what_the_pattern_takes_now_is_deployed(led: World) -> None:
    await led.change_stage(pattern=parse_tag_pattern("v*"), held=True)
    for tag in ("v2.0-beta", "v1.5"):
        offer = HeldPush(
            stage_id=led.stage.id, tag=tag, digest=None, source="webhook", seen_at=led.clock.now()
        )
        await led.store.write(lambda tx, offer=offer: tx.add_held_push(offer))  # type: ignore[misc]
        led.clock.move(1)
    await led.change_stage(pattern=parse_tag_pattern("v1*"))
    queued = await order(led, lambda orders, tx: orders.release(tx, led.stage.id))
    assert [(await led.deploy(one.deploy_id)).tag for one in queued] == ["v1.5"]
    known = await led.store.read(lambda reader: reader.known_tag(led.project.id, "v2.0-beta"))
    assert known is not None
    assert known.verdict is not None
    assert (known.verdict.outcome, known.verdict.reason) == (
        Outcome.RECORDED,
        "tag v2.0-beta matches no stage's pattern (tried dev v1*)",
    )


async def test_of_what_was_queued_before_and_offered_after_the_hold_the_newest_is_deployed(
    led: World,
) -> None:
    await led.ship("v1")
    led.publish("v2")
    before = await led.queue("v2")
    await led.change_stage(held=True)
    offer = HeldPush(
        stage_id=led.stage.id, tag="v1.5", digest=None, source="webhook", seen_at=led.clock.now()
    )
    await led.store.write(lambda tx: tx.add_held_push(offer))
    (goes_on,) = await order(led, lambda orders, tx: orders.release(tx, led.stage.id))
    assert goes_on.deploy_id == before.id
    assert (await led.carry_out(before)).reason == "v2 is live"


# The release command.

MIGRATE = RunOptions(
    release_command=("migrate",), release_timeout_s=10**9
)  # the clock of the scene runs fast


async def begun(world: World) -> tuple[Deploy, str, "asyncio.Task[Deploy]"]:
    """Return a deploy whose release command runs."""
    await world.change_stage(run=MIGRATE)
    world.publish("v1")
    deploy = await at_work(world, "v1")
    task = asyncio.create_task(world.carry_out(deploy))
    release = release_container(world.container_of(deploy))
    for _ in range(20_000):
        if await world.is_running(release):
            return deploy, release, task
        await asyncio.to_thread(time.sleep, 0.001)
    raise AssertionError("the release command was never begun")


async def cut_off(task: "asyncio.Task[Deploy]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def changes_of(world: World, container: str) -> list[str]:
    return [line for line in world.runtime.journal if line.endswith(f" {container}")]


async def test_a_restart_waits_for_it_and_begins_it_no_second_time(led: World) -> None:
    deploy, release, task = await begun(led)
    assert (await led.deploy(deploy.id)).step(StepName.START).detail == "the release command runs"
    await cut_off(task)
    task = asyncio.create_task(led.carry_out(deploy))
    for _ in range(50):
        await asyncio.sleep(0)
        await asyncio.to_thread(time.sleep, 0.001)
    assert changes_of(led, release) == [f"create {release}", f"start {release}"]
    led.runtime.exit(release, 0)
    ended = await task
    assert (ended.status, ended.released) == (DeployStatus.SUCCEEDED, True)
    assert changes_of(led, release) == [
        f"create {release}",
        f"start {release}",
        f"remove {release}",
    ]


@pytest.mark.parametrize(
    ("code", "status"), [(0, DeployStatus.SUCCEEDED), (3, DeployStatus.FAILED)]
)
async def test_one_that_ended_while_nobody_looked_is_believed(
    led: World, code: int, status: DeployStatus
) -> None:
    deploy, release, task = await begun(led)
    await cut_off(task)
    led.runtime.exit(release, code)
    assert (await led.carry_out(deploy)).status is status
    assert changes_of(led, release).count(f"start {release}") == 1


async def test_one_that_vanished_while_nobody_looked_is_not_begun_again(led: World) -> None:
    deploy, release, task = await begun(led)
    await cut_off(task)
    await led.runtime.remove(release)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.FAILED
    assert "it is not known how that ended, and it is not begun again" in (ended.reason or "")
    assert changes_of(led, release).count(f"start {release}") == 1


async def at_once() -> bool:
    return True


async def test_one_that_was_made_and_not_started_is_made_again(led: World) -> None:
    await led.change_stage(run=MIGRATE)
    led.publish("v1")
    deploy = await at_work(led, "v1")
    led.calls.die_when("create", at_once)
    with pytest.raises(Died):
        await Pipeline(led.services, deploy.id).carry_out()
    led.calls.live_on()
    release = release_container(led.container_of(deploy))

    async def end() -> None:
        led.runtime.exit(release, 0)

    led.calls.after("start", end)
    assert (await led.carry_out(deploy)).status is DeployStatus.SUCCEEDED
    assert changes_of(led, release).count(f"start {release}") == 1


async def die() -> None:
    raise Died


async def test_one_that_was_never_started_is_begun_however_often_the_server_dies(
    led: World,
) -> None:
    await led.change_stage(run=MIGRATE)
    led.publish("v1")
    deploy = await at_work(led, "v1")
    for when in (led.calls.before, led.calls.after):
        when("start" if when == led.calls.before else "remove", die)
        with pytest.raises(Died):
            await Pipeline(led.services, deploy.id).carry_out()
    release = release_container(led.container_of(deploy))

    async def end() -> None:
        led.runtime.exit(release, 0)

    led.calls.after("start", end)
    ended = await led.carry_out(deploy)
    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "v1 is live")
    assert changes_of(led, release).count(f"start {release}") == 1


async def test_why_it_failed_is_known_after_a_death_too(led: World) -> None:
    _, release, task = await begun(led)
    led.calls.after("remove", die)
    led.runtime.exit(release, 3)
    with pytest.raises(Died):
        await task
    (deploy,) = await led.deploys()
    ended = await led.carry_out(deploy)
    assert ended.reason == "the release command exited with code 3; what is live is unchanged"
    assert await led.containers() == []


async def test_a_release_command_that_a_swarm_could_not_start_has_its_words(led: World) -> None:
    """It says so of the task, once it has ended."""
    _, release, task = await begun(led)
    led.runtime.exit(release, 127, 'exec: "/no/such": stat', began=False)
    await task
    (deploy,) = await led.deploys()
    assert deploy.reason == (
        'the release command cannot be run: exec: "/no/such": stat; what is live is unchanged'
    )


async def test_cancelled_it_is_told_to_end_before_it_is_removed(led: World) -> None:
    deploy, release, task = await begun(led)
    await cut_off(task)
    await order(led, lambda orders, tx: orders.cancel(tx, deploy.id))
    assert (await led.carry_out(deploy)).status is DeployStatus.CANCELLED
    assert changes_of(led, release)[-2:] == [f"stop {release}", f"remove {release}"]


async def test_it_has_the_time_that_is_set(led: World) -> None:
    await led.change_stage(run=RunOptions(release_command=("migrate",), release_timeout_s=7))
    led.publish("v1")
    began, began_s = led.clock.now(), led.clock.seconds()
    ended = await led.carry_out(await at_work(led, "v1"))
    assert "still running after 7 s" in (ended.reason or "")
    assert led.clock.seconds() - began_s >= 7
    assert (led.clock.now() - began).total_seconds() < 10


async def test_the_sweep_leaves_it_alone_although_the_project_was_renamed(led: World) -> None:
    deploy, release, task = await begun(led)
    await led.change_project(name="shop")
    await reconcile(led.services)
    assert await led.is_running(release)
    led.runtime.exit(release, 0)
    ended = await task
    assert ended.status is DeployStatus.SUCCEEDED
    assert (await led.instance_of(ended)).container == f"app-dev-{deploy.id[-8:]}", (
        "the name that was on record"
    )


# Renames, and changes of settings in mid-deploy.


async def sickens_after_start(world: World, old: Instance, change: Callable[[], object]) -> Deploy:
    """Return a deploy that fails at the gate, after something was changed."""
    world.publish("v2", MemoryImage(log=("cannot connect to the database",)))
    deploy = await at_work(world, "v2")

    async def of_port(port: int) -> str | None:
        return None if port == port_of(old) else REFUSED

    async def happen() -> None:
        await change()  # type: ignore[misc]
        world.probe.of_port = of_port

    world.calls.after("start", happen)
    return await world.carry_out(deploy)


@pytest.mark.parametrize("strategy", list(Strategy))
async def test_a_failed_one_goes_with_its_log_although_the_project_was_renamed(
    led: World, strategy: Strategy
) -> None:
    await led.change_stage(strategy=strategy)
    old = await led.ship("v1")
    ended = await sickens_after_start(led, old, lambda: led.change_project(name="shop"))
    assert (ended.status, ended.log) == (DeployStatus.FAILED, "cannot connect to the database")
    assert await led.containers() == [old.container]
    assert await led.is_running(old.container)


@pytest.mark.parametrize(
    ("before", "after"),
    [(Strategy.RECREATE, Strategy.ROLLING), (Strategy.ROLLING, Strategy.RECREATE)],
)
async def test_what_was_done_decides_the_undo(
    led: World, before: Strategy, after: Strategy
) -> None:
    await led.change_stage(strategy=before)
    old = await led.ship("v1")
    began = len(led.runtime.journal)
    ended = await sickens_after_start(led, old, lambda: led.change_stage(strategy=after))
    assert ended.status is DeployStatus.FAILED
    await reconcile(led.services)
    assert [one.id for one in await led.instances(InstanceState.LIVE)] == [old.id]
    assert await led.is_running(old.container)
    assert led.routes == {HOST: str(port_of(old))}
    starts = led.runtime.journal[began:].count(f"start {old.container}")
    assert starts == (1 if before is Strategy.RECREATE else 0)


async def test_the_number_of_instances_of_then_counts_too(led: World) -> None:
    old = await led.ship("v1")
    led.publish("v2")
    deploy = await at_work(led, "v2")

    async def widen_and_sicken() -> None:
        await led.change_stage(max_instances=3)
        (live,) = await led.instances(InstanceState.LIVE)

        async def of_port(port: int) -> str | None:
            return REFUSED if port == port_of(live) else None

        led.probe.of_port = of_port

    led.calls.after("apply_routes", widen_and_sicken)
    assert (await led.carry_out(deploy)).status is DeployStatus.FAILED
    assert [one.id for one in await led.instances(InstanceState.LIVE)] == [old.id]


async def test_a_container_that_was_renamed_is_found_by_its_id(led: World) -> None:
    live = await led.ship("v1")
    held = led.runtime._find(live.container)
    assert held is not None
    held.status = held.status.__class__(
        **{**{name: getattr(held.status, name) for name in held.status.__slots__}, "name": "mine"}
    )
    held.spec = held.spec.__class__(
        **{**{name: getattr(held.spec, name) for name in held.spec.__slots__}, "name": "mine"}
    )
    await reconcile(led.services)
    assert await led.containers() == ["mine"], "neither started anew beside it nor removed"
    assert await led.is_running("mine")
    await led.ship("v2")
    assert "mine" not in await led.containers()


async def test_a_copy_that_a_person_made_of_our_container_is_left_alone(led: World) -> None:
    live = await led.ship("v1")
    held = led.runtime._find(live.container)
    assert held is not None
    await led.foreign_container("my-copy", **held.spec.labels)
    await led.ship("v2")
    await reconcile(led.services)
    assert await led.is_running("my-copy")


# An orderly stop.


async def test_parking_while_an_app_is_replaced_that_cannot_run_twice_leaves_the_old_one_serving(
    led: World,
) -> None:
    await led.change_stage(strategy=Strategy.RECREATE)
    old = await led.ship("v1")
    led.publish("v2")
    worker = Worker(led.services, "here")
    deploy = await led.queue("v2")
    led.probe.keep_waiting()
    led.probe._calls = asyncio.Semaphore(0)
    await worker._look()
    await led.probe.asked_once_more()
    assert led.routes[HOST] == "held"

    await worker.close(0.01)

    assert led.routes[HOST] == str(port_of(old))
    assert await led.containers() == [old.container]
    assert await led.is_running(old.container)
    parked = await led.deploy(deploy.id)
    assert (parked.status, parked.claimed_by, parked.made_way) == (DeployStatus.QUEUED, None, False)
    led.probe.let_answer()
    ended = await led.carry_out(parked)
    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "v2 is live")
    await assert_only(led, await led.instance_of(ended))


async def test_parking_what_has_failed_leaves_the_old_one_serving(led: World) -> None:
    await led.change_stage(strategy=Strategy.RECREATE)
    old = await led.ship("v1")
    led.publish("v2", MemoryImage(exit_code=3, log=("out of luck",)))
    deploy = await at_work(led, "v2")

    async def has_failed() -> bool:
        return (await led.deploy(deploy.id)).failed_step is not None

    led.calls.die_when("write", has_failed)
    with pytest.raises(Died):
        await Pipeline(led.services, deploy.id).carry_out()
    led.calls.live_on()
    assert not await led.is_running(old.container)
    await Pipeline(led.services, deploy.id).park()
    assert led.routes == {HOST: str(port_of(old))}
    assert await led.is_running(old.container)
    ended = await led.carry_out(deploy)
    assert (ended.status, ended.log) == (DeployStatus.FAILED, "out of luck")
    assert "exited with code 3" in (ended.reason or "")
    await assert_only(led, old)


async def test_an_old_one_that_is_being_stopped_is_stopped_before_it_is_started_again(
    led: World,
) -> None:
    """The engine goes on with a stop although whoever asked for it has left."""
    await led.change_stage(strategy=Strategy.RECREATE)
    old = await led.ship("v1")
    led.publish("v2")
    worker = Worker(led.services, "here")
    await led.queue("v2")
    stop, asked = led.runtime.stop, asyncio.Event()

    async def stop_slowly(workload: str, within_s: int | None = None) -> None:
        asked.set()
        if within_s is None:
            await asyncio.Event().wait()
        await stop(workload)

    led.runtime.stop = stop_slowly  # type: ignore[method-assign]
    await worker._look()
    await asked.wait()
    began = len(led.runtime.journal)
    await worker.close(0.01)
    assert led.runtime.journal[began:] == [f"stop {old.container}", f"start {old.container}"]
    assert led.routes == {HOST: str(port_of(old))}
    await assert_only(led, (await led.instances(InstanceState.LIVE))[0])


async def test_an_engine_that_fails_meanwhile_does_not_keep_the_server_from_going(
    led: World,
) -> None:
    await led.change_stage(strategy=Strategy.RECREATE)
    await led.ship("v1")
    led.publish("v2")
    worker = Worker(led.services, "here")
    deploy = await led.queue("v2")
    asked = asyncio.Event()

    async def stop_never(workload: str, within_s: int | None = None) -> None:
        asked.set()
        if within_s is not None:
            raise EngineUnavailableError(f"the engine does not answer about {workload}")
        await asyncio.Event().wait()

    led.runtime.stop = stop_never  # type: ignore[method-assign]
    await worker._look()
    await asked.wait()
    await worker.close(0.01)
    assert worker._tasks == {}
    assert (await led.deploy(deploy.id)).claimed_by is None


@pytest.mark.parametrize("last", ["write", "apply_routes"])
async def test_parking_after_the_switch_leaves_the_new_one_serving(led: World, last: str) -> None:
    await led.change_stage(strategy=Strategy.RECREATE)
    await led.ship("v1")
    led.publish("v2")
    deploy = await at_work(led, "v2")
    led.calls.die_when(last, lambda: is_live(led, deploy))
    with pytest.raises(Died):
        await Pipeline(led.services, deploy.id).carry_out()
    led.calls.live_on()
    await Pipeline(led.services, deploy.id).park()
    made = await led.instance_of(await led.deploy(deploy.id))
    assert led.routes == {HOST: str(port_of(made))}
    assert (await led.deploy(deploy.id)).step(StepName.CHECK).status is StepStatus.DONE
    assert (await led.carry_out(deploy)).status is DeployStatus.SUCCEEDED


async def test_two_tags_that_stay_live_do_not_share_an_address(led: World) -> None:
    await led.change_stage(max_instances=2)
    first = await led.ship("v1.0")
    led.clock.move(1)
    led.publish("v1-0")
    ended = await led.carry_out(await led.queue("v1-0"))
    assert ended.status is DeployStatus.FAILED
    assert "its address would be that of v1.0, which is live" in (ended.reason or "")
    assert await led.instances(InstanceState.LIVE) == [first]
    # Once another is newer, the older one makes way by itself.
    await led.ship("v2")
    led.clock.move(1)
    await led.ship("v1-0")


@pytest.mark.parametrize("gone", [False, True])
async def test_an_engine_that_dies_with_the_server_in_the_watch_is_no_fault_of_the_app(
    led: World, gone: bool
) -> None:
    await led.change_stage(watch_s=30)
    old = await led.ship("v1")
    led.publish("v2")
    deploy = await at_work(led, "v2")
    led.calls.die_when("apply_routes", lambda: is_live(led, deploy))
    with pytest.raises(Died):
        await Pipeline(led.services, deploy.id).carry_out()
    led.calls.live_on()
    made = await led.instance_of(await led.deploy(deploy.id))
    # The engine comes back with all containers ended, and no word of why.
    for one in (old, made):
        await led.runtime.stop(one.handle)
    if gone:
        await led.runtime.remove(made.handle)
    ended = await led.carry_out(deploy)
    if gone:
        assert ended.status is DeployStatus.FAILED
        assert "removed by somebody else" in (ended.reason or "")
    else:
        assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "v2 is live")
        assert await led.is_running(made.container)


async def is_live(world: World, deploy: Deploy) -> bool:
    return any(one.deploy_id == deploy.id for one in await world.instances(InstanceState.LIVE))


async def test_the_only_one_that_serves_is_not_cancelled(led: World) -> None:
    led.publish("v1")
    deploy = await at_work(led, "v1")
    refused: list[str] = []

    async def cancel() -> None:
        with pytest.raises(ConflictError) as error:
            await order(led, lambda orders, tx: orders.cancel(tx, deploy.id))
        refused.append(str(error.value))

    led.calls.after("apply_routes", cancel)
    assert (await led.carry_out(deploy)).status is DeployStatus.SUCCEEDED
    assert "v1 is live and nothing else could go on serving" in refused[0]


async def test_an_image_that_somebody_removes_between_pull_and_start_is_pulled_again(
    led: World,
) -> None:
    await led.ship("v1")
    digest = led.publish("v2")
    image = f"{led.project.image}@{digest}"

    async def prune() -> None:
        led.runtime.prune(image)

    led.calls.before("create", prune)
    ended = await led.carry_out(await at_work(led, "v2"))
    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "v2 is live")
    assert led.runtime.journal.count(f"pull {image}") == 2


async def test_a_release_command_that_cannot_be_run_is_named_as_such(led: World) -> None:
    await led.change_stage(run=RunOptions(release_command=("/bin/migrate",)))
    led.publish("v1", MemoryImage(start_error="exec: no such file"))
    ended = await led.carry_out(await at_work(led, "v1"))
    assert ended.status is DeployStatus.FAILED
    assert "the release command cannot be run" in (ended.reason or "")
    assert await led.containers() == []
