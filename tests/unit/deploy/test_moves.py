"""Instances of several tasks, which a runtime starts on several machines and moves by itself."""

import pytest

from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, StepName
from tagboat.core.endpoint import Endpoint
from tagboat.core.values import replace
from tagboat.core.workload import TaskStatus, WorkloadStatus
from tagboat.deploy.health_gate import HealthState, Signs, evaluate_health
from tagboat.deploy.reconcile import reconcile
from tests.support.endpoints import port_of
from tests.unit.deploy.deploy_harness import HOST, REFUSED, World

pytestmark = pytest.mark.anyio

ONE = TaskStatus(id="t1", running=True, node="n1", endpoint=Endpoint("10.0.0.1", 8001))
TWO = TaskStatus(id="t2", running=True, node="n2", endpoint=Endpoint("10.0.0.2", 8002))
THREE = TaskStatus(id="t3", running=True, node="n3", endpoint=Endpoint("10.0.0.3", 8003))
LOST = replace(TWO, node_lost=True, endpoint=None)
BOTH = (ONE.endpoint, TWO.endpoint)


def of_tasks(*tasks: TaskStatus, restarts: int = 0) -> WorkloadStatus:
    return WorkloadStatus(
        id="c", name="app-dev-1", labels={}, tasks=tasks, wanted=2, restarts=restarts
    )


def become(world: World, *tasks: TaskStatus, restarts: int = 0) -> None:
    """Let the newest workload have these tasks."""
    held = list(world.runtime._containers.values())[-1]
    held.status = replace(held.status, tasks=tasks, wanted=2, restarts=restarts)


def looks(world: World, *steps: tuple[TaskStatus, ...] | None) -> None:
    """Let there be other tasks at each of the next looks; None for the same as before."""

    def plan(tasks: tuple[TaskStatus, ...] | None) -> None:
        async def do() -> None:
            if tasks is not None:
                become(world, *tasks)

        world.calls.before("status", do)

    for tasks in steps:
        plan(tasks)


def begin_with(world: World, *tasks: TaskStatus) -> None:
    """Let the next workload have these tasks, and the runtime move them by itself."""
    world.runtime.self_healing = True

    async def start() -> None:
        become(world, *tasks)

    world.calls.after("start", start)


async def ship_both(world: World, tag: str) -> Instance:
    """Deploy a tag whose instance has two tasks."""
    begin_with(world, ONE, TWO)
    return await world.ship(tag)


@pytest.mark.parametrize(
    ("status", "probed", "state", "reason"),
    [
        (of_tasks(ONE, TWO), None, HealthState.HEALTHY, "it answers"),
        (of_tasks(ONE, TWO), REFUSED, HealthState.WAIT, REFUSED),
        (of_tasks(ONE), None, HealthState.SHORT, "1 of 2 tasks run"),
        (
            replace(of_tasks(), waits_for="no suitable node"),
            None,
            HealthState.SHORT,
            "0 of 2 tasks run; no suitable node",
        ),
        (of_tasks(ONE, LOST), None, HealthState.SHORT, "1 of 2 tasks run; n2 does not answer"),
        (of_tasks(LOST), None, HealthState.SHORT, "0 of 2 tasks run; n2 does not answer"),
        (of_tasks(ONE, LOST, THREE), None, HealthState.HEALTHY, "it answers"),
        # Of a lost task nothing is known: neither that it failed, nor that it was killed.
        (
            of_tasks(ONE, replace(LOST, running=False, exit_code=255, oom_killed=True), THREE),
            None,
            HealthState.HEALTHY,
            "it answers",
        ),
        (
            of_tasks(ONE, replace(TWO, running=False, exit_code=3)),
            None,
            HealthState.FAILED,
            "the new container on n2 exited with code 3",
        ),
        (
            of_tasks(ONE, TWO, restarts=1),
            None,
            HealthState.FAILED,
            "the new container exited, and was restarted",
        ),
    ],
)
def test_tasks_count_together(
    status: WorkloadStatus, probed: str | None, state: HealthState, reason: str
) -> None:
    report = evaluate_health(Signs(status=status, running_s=9, probed=probed), "/ok", listens=True)
    assert (report.state, report.reason) == (state, reason)


def test_the_health_of_several_is_that_of_the_worst() -> None:
    starting, healthy = replace(ONE, health="starting"), replace(TWO, health="healthy")
    assert of_tasks(starting, healthy).health == "starting"
    assert of_tasks(starting, healthy, replace(THREE, health="unhealthy")).health == "unhealthy"
    assert of_tasks(ONE, TWO).health is None


async def test_every_endpoint_is_asked_and_goes_on_record_and_into_the_route(led: World) -> None:
    live = await ship_both(led, "v1")
    assert live.endpoints == BOTH
    assert {port for port, _ in led.probe.asked} == {8001, 8002}
    assert led.routes == {HOST: f"{live.id}/http/pool"}
    assert live.url == "http://10.0.0.1:8001"


async def test_one_endpoint_that_does_not_answer_fails_the_deploy(led: World) -> None:
    old = await led.ship("v1")
    begin_with(led, ONE, TWO)

    async def answers(port: int) -> str | None:
        return REFUSED if port == 8002 else None

    led.probe.of_port = answers
    led.publish("v2")
    ended = await led.carry_out(await led.queue("v2"))
    assert (ended.status, ended.failed_step and ended.failed_step.name) == (
        DeployStatus.FAILED,
        StepName.CHECK,
    )
    assert "10.0.0.2:8002" in (ended.reason or "")
    assert led.routes == {HOST: str(port_of(old))}


async def test_the_gate_waits_until_all_wanted_tasks_run(led: World) -> None:
    begin_with(led, ONE)
    looks(led, None, None, (ONE, TWO))
    assert (await led.ship("v1")).endpoints == BOTH


async def watched(world: World, *steps: tuple[TaskStatus, ...] | None, restarts: int = 0) -> Deploy:
    """Deploy v2 with two tasks; at each look of its watch there are others."""
    begin_with(world, ONE, TWO)
    world.publish("v2")
    deploy = await world.change_deploy(await world.queue("v2"), status=DeployStatus.RUNNING)

    async def begin() -> None:
        looks(world, *steps)
        if restarts:
            become(world, ONE, THREE, restarts=restarts)

    world.calls.after("apply_routes", begin)
    return await world.carry_out(deploy)


async def test_a_machine_that_is_lost_within_the_watch_takes_nothing_back(led: World) -> None:
    await led.ship("v1")
    none = [None] * 5
    ended = await watched(led, (ONE, LOST), *none, (ONE, LOST, THREE))
    assert ended.status is DeployStatus.SUCCEEDED
    # The task that took its place is followed.
    await reconcile(led.services)
    (live,) = await led.instances(InstanceState.LIVE)
    assert live.endpoints == of_tasks(ONE, THREE).endpoints


async def test_a_task_that_is_never_replaced_ends_the_watch_in_the_end(led: World) -> None:
    old = await led.ship("v1")
    ended = await watched(led, (ONE, LOST))
    assert ended.status is DeployStatus.FAILED
    assert "n2 does not answer" in (ended.reason or "")
    assert led.routes == {HOST: str(port_of(old))}


async def test_a_task_that_ends_within_the_watch_is_a_failure(led: World) -> None:
    old = await led.ship("v1")
    ended = await watched(led, restarts=1)
    assert (ended.status, ended.failed_step and ended.failed_step.name) == (
        DeployStatus.FAILED,
        StepName.WATCH,
    )
    assert led.routes == {HOST: str(port_of(old))}


async def test_tasks_that_move_are_followed_on_record_and_in_the_route(led: World) -> None:
    live = await ship_both(led, "v1")
    become(led, ONE, THREE)
    assert led.ingress is not None
    applied = len(led.ingress.journal)
    await reconcile(led.services)
    (moved,) = await led.instances(InstanceState.LIVE)
    assert moved == replace(live, endpoints=of_tasks(ONE, THREE).endpoints)
    assert len(led.ingress.journal) > applied
    # Until another task runs, requests wait where the last ones were.
    become(led, LOST)
    await reconcile(led.services)
    assert await led.instances(InstanceState.LIVE) == [moved]


async def test_a_runtime_that_moves_nothing_is_not_followed(led: World) -> None:
    live = await led.ship("v1")
    held = led.runtime._find(live.container)
    assert held is not None
    held.status = held.status.with_tasks(endpoint=Endpoint("10.0.0.9", 1))
    await reconcile(led.services)
    assert await led.instances(InstanceState.LIVE) == [live]


async def test_the_time_of_a_pull_is_not_the_apps(led: World) -> None:
    await led.change_stage(health_timeout_s=1)
    begin_with(led, ONE)

    def plan(*, preparing: bool, tasks: tuple[TaskStatus, ...]) -> None:
        async def do() -> None:
            become(led, *tasks)
            held = list(led.runtime._containers.values())[-1]
            held.status = replace(held.status, preparing=preparing)

        led.calls.before("status", do)

    # The pauses between so many looks are longer than the app has.
    for _ in range(13):
        plan(preparing=True, tasks=(ONE,))
    plan(preparing=False, tasks=(ONE, TWO))
    assert (await led.ship("v1")).endpoints == BOTH


async def test_tasks_that_cannot_be_reached_are_replaced_before_they_go_live(led: World) -> None:
    led.runtime.self_healing = True

    async def lost() -> None:
        become(led, replace(ONE, endpoint=None), TWO)
        (held,) = led.runtime._containers.values()
        held.status = replace(held.status, tasks=held.status.tasks[:1], lost_track=True)

    async def found() -> None:
        become(led, ONE, TWO)
        (held,) = led.runtime._containers.values()
        held.status = replace(held.status, lost_track=False)

    led.calls.after("start", lost)
    led.calls.after("replace_tasks", found)
    live = await led.ship("v1")
    assert live.endpoints == (ONE.endpoint, TWO.endpoint)
    asked = [one for one in led.runtime.journal if one.startswith("replace_tasks")]
    assert len(asked) == 1


async def test_tasks_that_never_start_are_not_the_ports_fault(led: World) -> None:
    led.runtime.self_healing = True

    async def wait() -> None:
        become(led)
        (held,) = led.runtime._containers.values()
        held.status = replace(held.status, waits_for="no suitable node")

    led.calls.after("start", wait)
    led.publish("v1")
    failed = await led.carry_out(await led.queue("v1"))
    assert failed.reason == "not healthy within 60 s: 0 of 2 tasks run; no suitable node"
