"""Sweeping with live instances.

What has stopped comes back as it was, what has outlived its time goes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from tagboat.core.catalog import Strategy
from tagboat.core.deploy import DeployStatus, Instance, InstanceState, StepName
from tagboat.core.errors import (
    DiskFullError,
    EngineError,
    EngineUnavailableError,
    IngressUnavailableError,
)
from tagboat.core.run import RunOptions
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.reconcile import RECONCILE_EVERY_S, reconcile, run_reconciler
from tagboat.runtime.memory import MemoryImage
from tests.support.endpoints import at, port_of
from tests.unit.deploy.deploy_harness import HOST, INSTALLATION, World, assert_only

pytestmark = pytest.mark.anyio

OURS = {"tagboat.managed": "true", "tagboat.installation": INSTALLATION}
AWAY = IngressUnavailableError("HAProxy does not answer")


def image_of(world: World, instance: Instance) -> str:
    return f"{world.project.image}@{instance.digest}"


async def stopped(world: World, instance: Instance) -> None:
    await world.runtime.stop(instance.container)


async def removed(world: World, instance: Instance) -> None:
    await world.runtime.remove(instance.container)


async def pruned(world: World, instance: Instance) -> None:
    await world.runtime.remove(instance.container)
    world.runtime.prune(image_of(world, instance))


HARMS = [stopped, removed, pruned]


async def harmed(world: World, harm: Callable[..., object], instance: Instance) -> None:
    """Do that to it, as somebody with a shell on the machine."""
    await harm(world, instance)  # type: ignore[misc] # all of them are coroutines
    world.cut.clear()


# What has stopped comes back.


@pytest.mark.parametrize("harm", HARMS)
async def test_a_live_instance_comes_back_as_it_was(
    led: World, harm: Callable[..., object]
) -> None:
    await led.change_stage(
        env={"COLOUR": "blue"},
        run=RunOptions(secrets={"PASSWORD": "hunter2"}, volumes={"data": "/data"}),
    )
    live = await led.ship("v1")
    was = led.runtime.spec(live.container)
    # A changed configuration is deployed only when somebody asks for it.
    await led.change_stage(env={"COLOUR": "green"}, run=RunOptions())
    await led.change_project(port=9090)
    await harmed(led, harm, live)

    await reconcile(led.services)

    assert led.runtime.spec(live.container) == was
    assert was.env == {"COLOUR": "blue", "PASSWORD": "hunter2"}
    assert (was.port, port_of(was)) == (8080, port_of(live))
    (back,) = await led.instances(InstanceState.LIVE)
    assert back == replace(live, container_id=back.container_id)
    await assert_only(led, live)


async def test_an_image_that_is_still_there_is_not_pulled(led: World) -> None:
    live = await led.ship("v1")
    await harmed(led, removed, live)
    began = len(led.runtime.journal)
    await reconcile(led.services)
    assert led.runtime.journal[began:] == [f"create {live.container}", f"start {live.container}"]


@pytest.mark.parametrize("harm", HARMS)
async def test_where_its_port_was_taken_it_gets_another(
    led: World, harm: Callable[..., object]
) -> None:
    live = await led.ship("v1")
    await harmed(led, harm, live)
    await led.foreign_container("squatter")
    squatter = led.runtime._find("squatter")
    assert squatter is not None
    squatter.status = squatter.status.with_tasks(endpoint=at(port_of(live)))

    await reconcile(led.services)

    (back,) = await led.instances(InstanceState.LIVE)
    assert back == replace(live, endpoints=back.endpoints, container_id=back.container_id)
    assert port_of(back) not in {0, port_of(live)}
    assert port_of(led.runtime.spec(back.container)) == port_of(back)
    assert await led.is_running(back.container)
    assert led.routes == {HOST: str(port_of(back))}
    began = len(led.runtime.journal)
    await reconcile(led.services)
    assert led.runtime.journal[began:] == []


async def test_what_was_launched_before_a_death_is_adopted_where_it_is(led: World) -> None:
    """The server died after it had launched a live instance again, and before it recorded where."""
    live = await led.ship("v1")
    await led.store.write(
        lambda tx: tx.put_instance(replace(live, container_id="", endpoints=(at(1),)))
    )
    await reconcile(led.services)
    (back,) = await led.instances(InstanceState.LIVE)
    assert back == live
    assert led.routes == {HOST: str(port_of(live))}
    began = len(led.runtime.journal)
    await reconcile(led.services)
    assert led.runtime.journal[began:] == []


async def test_a_runtime_that_heals_itself_only_gets_back_what_is_gone(led: World) -> None:
    led.runtime.self_healing = True
    live = await led.ship("v1")
    await harmed(led, stopped, live)
    began = len(led.runtime.journal)
    await reconcile(led.services)
    assert led.runtime.journal[began:] == []

    await led.runtime.remove(live.container)
    await reconcile(led.services)
    assert await led.is_running(live.container)


async def test_what_somebody_has_set_to_no_replicas_is_started(
    led: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    led.runtime.self_healing = True
    live = await led.ship("v1")
    await led.runtime.stop(live.container)
    listed = led.runtime.list_workloads

    async def at_none(labels: Mapping[str, str]) -> list[WorkloadStatus]:
        return [one if one.running else replace(one, wanted=0) for one in await listed(labels)]

    monkeypatch.setattr(led.runtime, "list_workloads", at_none)
    await reconcile(led.services)
    assert await led.is_running(live.container)


@pytest.mark.parametrize("reached_elsewhere", [True, False])
async def test_tasks_that_nobody_can_reach_any_more_are_replaced(
    led: World, reached_elsewhere: bool
) -> None:
    led.runtime.self_healing = True
    await led.ship("v1")
    (held,) = led.runtime._containers.values()
    status = held.status if reached_elsewhere else held.status.with_tasks(endpoint=None)
    held.status = replace(status, lost_track=True)
    await reconcile(led.services)
    # What other tasks are answering must not be cut off.
    assert (
        any(one.startswith("replace_tasks") for one in led.runtime.journal) is not reached_elsewhere
    )


async def test_without_an_ingress_it_comes_back_too(world: World) -> None:
    live = await world.ship("v1")
    await world.runtime.stop(live.container)
    await reconcile(world.services)
    await assert_only(world, live)


async def test_all_of_several_come_back(led: World) -> None:
    await led.change_stage(max_instances=2)
    lives = [await led.ship("v1"), await led.ship("v2")]
    for live in lives:
        await harmed(led, pruned, live)
    await reconcile(led.services)
    assert [await led.is_running(live.container) for live in lives] == [True, True]
    assert [live.id for live in await led.instances(InstanceState.LIVE)] == [
        live.id for live in lives[::-1]
    ]


async def test_one_that_the_engine_restarts_by_itself_is_left_to_it(led: World) -> None:
    live = await led.ship("v1")
    led.runtime.exit(live.container, 1)
    began = len(led.runtime.journal)
    await reconcile(led.services)
    assert led.runtime.journal[began:] == []


async def test_one_that_the_engine_has_restarted_since_it_was_listed_is_left_alone(
    led: World,
) -> None:
    live = await led.ship("v1")
    await harmed(led, stopped, live)
    led.calls.after("list_workloads", lambda: led.runtime.start(live.container))
    began = len(led.runtime.journal)
    await reconcile(led.services)
    assert led.runtime.journal[began:] == [f"start {live.container}"]  # by the engine


async def test_one_that_the_engine_is_about_to_restart_since_it_was_listed_is_left_alone(
    led: World,
) -> None:
    live = await led.ship("v1")
    await harmed(led, stopped, live)

    async def restarts() -> None:
        await led.runtime.start(live.container)
        led.runtime.exit(live.container, 1)

    led.calls.after("list_workloads", restarts)
    began = len(led.runtime.journal)
    await reconcile(led.services)
    assert led.runtime.journal[began:] == [f"start {live.container}"]  # by the engine


@pytest.mark.parametrize("state", [InstanceState.DRAINING, InstanceState.STOPPED])
async def test_one_that_was_replaced_since_it_was_listed_is_left_alone(
    led: World, state: InstanceState
) -> None:
    live = await led.ship("v1")
    await harmed(led, stopped, live)

    async def replaced() -> None:
        await led.store.write(lambda tx: tx.put_instance(replace(live, state=state)))

    led.calls.after("status", replaced)
    began = len(led.runtime.journal)
    await reconcile(led.services)
    assert led.runtime.journal[began:] == []


async def test_a_deploy_looks_after_its_own_instance_until_it_has_ended(led: World) -> None:
    """Else one that sickens in the watch would be started again over and over."""
    await led.ship("v1")
    led.publish("v2")
    deploy = await led.change_deploy(await led.queue("v2"), status=DeployStatus.RUNNING)

    async def dies_and_is_swept() -> None:
        container = led.container_of(deploy)
        await led.runtime.stop(container)
        led.cut.clear()
        await reconcile(led.services)
        assert not await led.is_running(container)

    led.calls.after("apply_routes", dies_and_is_swept)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.FAILED
    assert ended.step(StepName.WATCH).detail == ended.reason


async def test_the_live_one_is_looked_after_while_the_next_is_deployed(led: World) -> None:
    live = await led.ship("v1")
    led.publish("v2")
    deploy = await led.change_deploy(await led.queue("v2"), status=DeployStatus.RUNNING)

    async def dies_and_is_swept() -> None:
        await harmed(led, stopped, live)
        await reconcile(led.services)
        assert await led.is_running(live.container)

    led.calls.after("pull", dies_and_is_swept)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED


async def test_one_that_was_stopped_to_be_recreated_is_not_started_beside_the_new_one(
    led: World,
) -> None:
    await led.change_stage(strategy=Strategy.RECREATE)
    old = await led.ship("v1")
    led.publish("v2")
    deploy = await led.change_deploy(await led.queue("v2"), status=DeployStatus.RUNNING)

    async def swept() -> None:
        await reconcile(led.services)
        assert not await led.is_running(old.container)

    led.calls.before("create", swept)
    led.calls.after("start", swept)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED


@pytest.mark.parametrize(
    "error", [EngineError("no such file"), DiskFullError("no space left on device")]
)
async def test_one_that_cannot_come_back_does_not_keep_the_others(
    led: World, error: EngineError
) -> None:
    await led.change_stage(max_instances=2)
    first, second = await led.ship("v1"), await led.ship("v2")
    await led.orphan("orphan")
    for live in (first, second):
        await harmed(led, stopped, live)
    led.runtime.fail("start", error)
    with pytest.raises(type(error)):
        await reconcile(led.services)
    assert sorted(
        [await led.is_running(first.container), await led.is_running(second.container)]
    ) == [False, True]
    assert "orphan" not in await led.containers()
    await reconcile(led.services)
    assert await led.is_running(first.container)
    assert await led.is_running(second.container)


# Traffic is led before anything is removed, and what serves comes back whatever the ingress does.


async def test_what_traffic_may_still_be_led_to_is_not_removed(led: World) -> None:
    assert led.ingress is not None
    live = await led.ship("v1")
    await led.orphan("orphan")
    led.ingress.fail("apply_routes", AWAY)
    with pytest.raises(IngressUnavailableError):
        await reconcile(led.services)
    assert await led.is_running("orphan")
    await reconcile(led.services)
    await assert_only(led, live)


async def test_a_live_instance_comes_back_while_the_ingress_is_away(led: World) -> None:
    assert led.ingress is not None
    await led.change_stage(max_instances=2)
    lives = [await led.ship("v1"), await led.ship("v2")]
    for live in lives:
        await harmed(led, stopped, live)
    led.ingress.fail("apply_routes", AWAY)
    with pytest.raises(IngressUnavailableError):
        await reconcile(led.services)
    assert [await led.is_running(live.container) for live in lives] == [True, True]


# What has outlived its time goes.


async def test_an_instance_goes_once_its_hours_are_over(led: World) -> None:
    assert led.ingress is not None
    await led.change_stage(max_instances=2, ttl_h=2)
    first = await led.ship("v1")
    led.clock.move(3600)
    second = await led.ship("v2")
    led.clock.move((first.started_at + timedelta(hours=2) - led.clock.now()).total_seconds() - 60)
    await reconcile(led.services)
    assert len(await led.instances(InstanceState.LIVE)) == 2

    led.clock.move(61)
    await reconcile(led.services)

    (left,) = await led.instances(InstanceState.LIVE)
    assert left == second
    gone = await led.store.read(lambda reader: reader.instance(first.id))
    assert gone.state is InstanceState.STOPPED
    assert await led.containers() == [second.container]
    assert set(led.routes.values()) == {str(port_of(second))}
    assert led.cut == []


async def test_a_deploy_that_fails_does_not_bring_it_back(led: World) -> None:
    await led.change_stage(ttl_h=1)
    live = await led.ship("v1")
    led.clock.move(3601)
    led.publish("v2", MemoryImage(exit_code=1))
    deploy = await led.change_deploy(await led.queue("v2"), status=DeployStatus.RUNNING)
    led.calls.after("pull", lambda: reconcile(led.services))
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.FAILED
    assert [one.id for one in await led.instances(InstanceState.DRAINING)] == [live.id]
    await reconcile(led.services)
    assert await led.containers() == []


async def test_what_it_still_answers_it_may_answer(led: World) -> None:
    assert led.ingress is not None
    await led.change_stage(ttl_h=1)
    live = await led.ship("v1")
    assert await led.ingress.begin(HOST) == port_of(live)
    led.clock.move(3601)
    began = led.clock.now()

    async def end() -> None:
        assert led.ingress is not None
        assert led.routes[HOST] == "none"
        assert await led.is_running(live.container)
        led.ingress.end(port_of(live))

    led.calls.before("in_flight", end)
    await reconcile(led.services)
    assert await led.containers() == []
    assert (led.clock.now() - began).total_seconds() < led.stage.drain_timeout_s


async def test_without_a_limit_it_stays_for_ever(led: World) -> None:
    live = await led.ship("v1")
    led.clock.move(10 * 365 * 24 * 3600)
    await reconcile(led.services)
    await assert_only(led, live)


# The engine's news.


@asynccontextmanager
async def sweeping(world: World) -> AsyncIterator[None]:
    """Keep sweeping, with the clock standing still but for what others sleep."""
    task = asyncio.create_task(run_reconciler(world.services, "here"))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def comes_back(world: World, instance: Instance) -> None:
    """Wait for it, but not until the next sweep would come by itself."""
    async with asyncio.timeout(RECONCILE_EVERY_S - 5):
        while not await world.is_running(instance.container):
            await world.instances()  # a round of the loop, and of the database's thread


async def listening(world: World) -> None:
    while not world.runtime._listeners:
        await world.instances()


async def test_one_that_ends_comes_back_at_once(led: World) -> None:
    live = await led.ship("v1")
    async with sweeping(led):
        await listening(led)
        for harm in HARMS:
            await harmed(led, harm, live)
            await comes_back(led, live)


async def test_after_an_engine_that_went_away_its_news_are_heard_again(led: World) -> None:
    live = await led.ship("v1")
    async with sweeping(led):
        await listening(led)
        led.runtime.fail("watch_exits", EngineUnavailableError("the engine is away"))
        led.runtime.fail("list_workloads", EngineUnavailableError("the engine is away"))
        led.runtime.go_away()
        await harmed(led, stopped, live)  # as an engine that is killed does, and nobody hears of it
        await comes_back(led, live)
        await listening(led)
        await harmed(led, removed, live)
        await comes_back(led, live)


# Where it is reached.


async def test_a_port_that_differs_from_the_record_is_put_on_record(led: World) -> None:
    live = await led.ship("v1")
    port = port_of(live)
    await led.change_instance(live, endpoints=(at(port + 500),))
    await reconcile(led.services)
    assert port_of(await led.instance_of(await led.deploy(live.deploy_id))) == port
    assert led.routes == {HOST: str(port)}


async def test_a_port_that_a_person_has_published_is_not_taken_for_it(led: World) -> None:
    await led.change_project(run=RunOptions(publish=("127.0.0.1:7:8080",)))
    live = await led.ship("v1")
    port = port_of(live)
    await reconcile(led.services)
    assert port_of(await led.instance_of(await led.deploy(live.deploy_id))) == port
    await led.change_instance(live, endpoints=(at(port + 500),))
    await reconcile(led.services)
    assert port_of(await led.instance_of(await led.deploy(live.deploy_id))) == port
