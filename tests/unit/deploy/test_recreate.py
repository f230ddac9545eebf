"""An app that cannot run twice, and commands that run once before a new version starts."""

import pytest

from tagboat.core.catalog import Strategy
from tagboat.core.deploy import (
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
    StepStatus,
    Trigger,
)
from tagboat.core.endpoint import loopback_endpoint
from tagboat.core.errors import EngineError, EngineUnavailableError, IngressUnavailableError
from tagboat.core.run import RELEASE_TIMEOUT_S, RunOptions
from tagboat.core.values import replace
from tagboat.deploy.ownership import release_container
from tagboat.deploy.pipeline import Pipeline
from tagboat.deploy.reconcile import reconcile
from tagboat.runtime.memory import MemoryImage
from tests.support.endpoints import port_of
from tests.unit.deploy.deploy_harness import HOST, REFUSED, World, assert_only, statuses
from tests.unit.deploy.interceptor import Died

pytestmark = pytest.mark.anyio


# An app that cannot run twice.


async def a_live_one_to_recreate(world: World) -> Instance:
    await world.change_stage(strategy=Strategy.RECREATE)
    return await world.ship("v1")


async def at_work(world: World, tag: str) -> Deploy:
    """Return a deploy that a worker has claimed."""
    return await world.change_deploy(await world.queue(tag), status=DeployStatus.RUNNING)


async def old_is_back(world: World, old: Instance) -> None:
    (live,) = await world.instances(InstanceState.LIVE)
    assert live == old
    await assert_only(world, live)


async def test_the_old_one_is_held_drained_and_stopped_before_the_new_one_starts(
    led: World,
) -> None:
    assert led.ingress is not None
    old = await a_live_one_to_recreate(led)
    led.publish("v2")
    await led.ingress.begin(HOST)
    seen: list[tuple[str, str, bool]] = []

    async def look(moment: str) -> None:
        seen.append((moment, led.routes[HOST], await led.is_running(old.container)))

    async def end_the_request() -> None:
        assert led.ingress is not None
        await look("drain")
        led.ingress.end(port_of(old))

    led.calls.before("in_flight", end_the_request)
    led.calls.before("stop", lambda: look("stop"))
    led.calls.before("create", lambda: look("create"))
    led.calls.before("apply_routes", lambda: look("hold"))
    led.calls.before("apply_routes", lambda: look("switch"))
    ended = await led.carry_out(await at_work(led, "v2"))

    assert ended.status is DeployStatus.SUCCEEDED
    assert seen == [
        ("hold", str(port_of(old)), True),
        ("drain", "held", True),
        ("stop", "held", True),
        ("create", "held", False),
        ("switch", "held", False),
    ]
    await assert_only(led, await led.instance_of(ended))


async def test_without_an_ingress_it_is_stopped_first_all_the_same(world: World) -> None:
    old = await a_live_one_to_recreate(world)
    began = len(world.runtime.journal)
    new = await world.ship("v2")
    assert world.runtime.journal[began + 1 :] == [
        f"stop {old.container}",
        f"create {new.container}",
        f"start {new.container}",
        f"stop {old.container}",
        f"remove {old.container}",
    ]
    await assert_only(world, new)


@pytest.mark.parametrize("step", [StepName.RESOLVE, StepName.PULL])
async def test_what_fails_before_the_start_does_not_touch_it(led: World, step: StepName) -> None:
    old = await a_live_one_to_recreate(led)
    if step is StepName.PULL:
        led.publish("v2")
        led.runtime.fail("pull", EngineError("pull access denied"))
    began = len(led.runtime.journal)
    ended = await led.carry_out(await at_work(led, "v2"))
    assert ended.step(step).status is StepStatus.FAILED
    assert not [line for line in led.runtime.journal[began:] if line.startswith(("stop", "start"))]
    await old_is_back(led, old)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (MemoryImage(start_error="exec: no such file", log=("x",)), "exec: no such file"),
        (MemoryImage(exit_code=3, log=("out of luck",)), "exited with code 3"),
    ],
    ids=["start", "check"],
)
async def test_when_the_new_one_fails_the_old_one_starts_again(
    led: World, content: MemoryImage, reason: str
) -> None:
    old = await a_live_one_to_recreate(led)
    led.publish("v2", content)
    ended = await led.carry_out(await at_work(led, "v2"))
    assert ended.status is DeployStatus.FAILED
    assert reason in (ended.reason or "")
    assert "did not come back" not in (ended.reason or "")
    assert ended.log == ("out of luck" if content.exit_code else "")
    await old_is_back(led, old)


async def test_the_two_never_run_at_once(led: World) -> None:
    old = await a_live_one_to_recreate(led)
    led.publish("v2", MemoryImage(exit_code=3))
    deploy = await at_work(led, "v2")
    start = led.runtime.start

    async def alone(workload: str) -> None:
        running = [name for name in await led.containers() if await led.is_running(name)]
        assert running == []
        await start(workload)

    led.runtime.start = alone  # type: ignore[method-assign]
    ended = await led.carry_out(deploy)
    assert "exited with code 3" in (ended.reason or "")
    await old_is_back(led, old)


async def test_requests_wait_while_the_old_one_comes_back(led: World) -> None:
    """The new one was live for a while."""
    assert led.ingress is not None
    old = await a_live_one_to_recreate(led)
    led.publish("v2")
    deploy = await at_work(led, "v2")

    async def answers_until_it_is_led_to(port: int) -> str | None:
        return REFUSED if port != port_of(old) and str(port) in led.routes.values() else None

    led.probe.of_port = answers_until_it_is_led_to
    ended = await led.carry_out(deploy)

    assert ended.step(StepName.WATCH).status is StepStatus.FAILED
    new = port_of(await led.instance_of(ended))
    assert [led_to[HOST] for led_to in led.ingress.journal[-4:]] == [
        "held",
        str(new),
        "held",
        str(port_of(old)),
    ]
    await old_is_back(led, old)


async def test_an_old_one_that_does_not_come_back_is_told_and_tried_again_later(led: World) -> None:
    old = await a_live_one_to_recreate(led)
    led.publish("v2", MemoryImage(exit_code=3))
    led.calls.before("logs", lambda: fail_next_start(led))
    ended = await led.carry_out(await at_work(led, "v2"))
    assert ended.status is DeployStatus.FAILED
    assert (ended.reason or "").endswith(
        f"exited with code 3; {old.container} did not come back: no space left"
    )
    await reconcile(led.services)
    await old_is_back(led, old)


async def fail_next_start(world: World) -> None:
    world.runtime.fail("start", EngineError("no space left"))


async def test_an_old_one_that_comes_back_ill_is_told(led: World) -> None:
    old = await a_live_one_to_recreate(led)
    led.probe.says = REFUSED
    led.publish("v2")
    await led.change_stage(health_timeout_s=5)
    ended = await led.carry_out(await at_work(led, "v2"))
    assert (
        f"; {old.container} did not come back: not healthy within 5 s: nothing "
        f"accepted a connection"
    ) in (ended.reason or "")
    (live,) = await led.instances(InstanceState.LIVE)
    assert live == old


async def test_an_engine_that_is_away_for_a_moment_still_starts_the_old_one(led: World) -> None:
    old = await a_live_one_to_recreate(led)
    led.publish("v2", MemoryImage(exit_code=3))

    async def go_away() -> None:
        led.runtime.fail("start", EngineUnavailableError("the engine went away"))

    led.calls.before("logs", go_away)
    ended = await led.carry_out(await at_work(led, "v2"))
    assert "exited with code 3" in (ended.reason or "")
    assert "did not come back" not in (ended.reason or "")
    assert ended.step(StepName.CHECK).detail == ended.reason
    await old_is_back(led, old)


async def test_an_ingress_that_is_away_for_good_does_not_keep_the_old_one_from_starting(
    led: World,
) -> None:
    assert led.ingress is not None
    old = await a_live_one_to_recreate(led)
    led.publish("v2", MemoryImage(exit_code=3))
    deploy = await at_work(led, "v2")

    async def go_away() -> None:
        for _ in range(100):
            led.ingress.fail("apply_routes", IngressUnavailableError("HAProxy does not answer"))  # type: ignore[union-attr] # seen

    led.calls.after("apply_routes", go_away)
    ended = await led.carry_out(deploy)
    assert "routing update failed: HAProxy does not answer" in (ended.reason or "")
    assert await led.containers() == [old.container]
    assert await led.is_running(old.container)


async def test_a_domain_that_no_ingress_can_lead_keeps_no_other_from_being_led(led: World) -> None:
    await a_live_one_to_recreate(led)
    led.publish("v2")
    deploy = await at_work(led, "v2")
    await led.change_stage(domains=("no host at all",))
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    assert led.routes == {HOST: str(port_of(await led.instance_of(ended)))}


# A command before the start.


RELEASE = RunOptions(
    release_command=("migrate", "--all"),
    command=("serve",),
    secrets={"PASSWORD": "hunter2"},
    secret_files={"key": "the key"},
    volumes={"data": "/data"},
    user="1000",
)


async def a_stage_with_a_release_command(world: World) -> Instance:
    live = await world.ship("v1")
    await world.change_stage(run=RELEASE, env={"COLOUR": "blue"})
    return live


def releases(world: World) -> int:
    return sum(
        line.startswith("start ") and line.endswith("-release") for line in world.runtime.journal
    )


def released_by(world: World, deploy: Deploy, code: int = 0, *, says: str = "migrated") -> None:
    """Let the release command of the deploy end with `code` as soon as it is asked for."""
    container = release_container(world.container_of(deploy))

    async def end() -> None:
        held = world.runtime._find(container)
        if held is not None and held.status.running:
            world.runtime.say(container, says)
            world.runtime.exit(container, code)
        else:
            world.calls.before("status", end)

    world.calls.before("status", end)


async def test_it_is_run_once_before_the_start_with_the_same_surroundings(led: World) -> None:
    await a_stage_with_a_release_command(led)
    led.publish("v2")
    deploy = await at_work(led, "v2")
    container = release_container(led.container_of(deploy))
    specs = []

    async def look() -> None:
        specs.append(led.runtime.spec(container))

    led.calls.after("create", look)
    released_by(led, deploy)
    began = len(led.runtime.journal)
    ended = await led.carry_out(deploy)

    assert ended.status is DeployStatus.SUCCEEDED
    assert (ended.log, ended.released) == ("migrated", True)
    new = await led.instance_of(ended)
    assert [
        line
        for line in led.runtime.journal[began:]
        if line.startswith(("create", "start", "remove"))
    ][:5] == [
        f"create {container}",
        f"start {container}",
        f"remove {container}",
        f"create {new.container}",
        f"start {new.container}",
    ]
    app = led.runtime.spec(new.container)
    labels = {**app.labels, "tagboat.role": "release"}
    once = replace(
        app,
        name=container,
        labels=labels,
        command=RELEASE.release_command,
        port=0,
        endpoint=loopback_endpoint(0),
        restarts=False,
    )
    once = replace(once, aliases={})
    assert specs == [once]
    assert app.env == {"COLOUR": "blue", "PASSWORD": "hunter2"}
    assert app.files == {"/run/secrets/key": "the key"}
    assert app.volumes == {f"tagboat-{led.stage.id}-data": "/data"}
    await assert_only(led, new)


@pytest.mark.parametrize("strategy", list(Strategy))
async def test_when_it_fails_nothing_has_changed(led: World, strategy: Strategy) -> None:
    live = await a_stage_with_a_release_command(led)
    await led.change_stage(strategy=strategy)
    led.publish("v2")
    deploy = await at_work(led, "v2")
    released_by(led, deploy, 4, says="no such table")
    began = len(led.runtime.journal)
    ended = await led.carry_out(deploy)

    assert ended.status is DeployStatus.FAILED
    assert ended.reason == "the release command exited with code 4; what is live is unchanged"
    assert ended.log == "no such table"
    assert not ended.released
    assert not [line for line in led.runtime.journal[began:] if live.container in line]
    assert ended.step(StepName.START).status is StepStatus.FAILED
    await assert_only(led, live)


async def test_one_that_does_not_end_is_ended(led: World) -> None:
    live = await a_stage_with_a_release_command(led)
    led.publish("v2")
    began = led.clock.now()
    ended = await led.carry_out(await at_work(led, "v2"))
    assert "still running after 3600 s and was ended in the middle of its work" in (
        ended.reason or ""
    )
    container = release_container(led.container_of(ended))
    ends = [line for line in led.runtime.journal if line.endswith(f" {container}")][-2:]
    assert ends == [f"stop {container}", f"remove {container}"], (
        "it is told to end before it is removed"
    )
    assert RELEASE_TIMEOUT_S <= (led.clock.now() - began).total_seconds() < RELEASE_TIMEOUT_S + 5
    await assert_only(led, live)


async def test_one_that_somebody_removes_fails_the_deploy(led: World) -> None:
    live = await a_stage_with_a_release_command(led)
    led.publish("v2")
    deploy = await at_work(led, "v2")
    led.calls.after(
        "start", lambda: led.runtime.remove(release_container(led.container_of(deploy)))
    )
    ended = await led.carry_out(deploy)
    assert ended.reason == "the container of the release command was removed by somebody else"
    await assert_only(led, live)


@pytest.mark.parametrize("changes", range(16))
async def test_once_on_record_it_is_not_run_again_after_a_death(led: World, changes: int) -> None:
    await a_stage_with_a_release_command(led)
    led.publish("v2")
    deploy = await at_work(led, "v2")
    released_by(led, deploy)
    led.calls.die_after_changes(changes)
    with pytest.raises(Died):
        await Pipeline(led.services, deploy.id).carry_out()
    led.calls.live_on()
    await reconcile(led.services)

    released_by(led, deploy)
    ended = await led.carry_out(deploy)

    assert ended.status is DeployStatus.SUCCEEDED
    assert ended.log == "migrated"
    assert releases(led) == 1, "it is never begun twice, nor ended by another start"
    await assert_only(led, await led.instance_of(ended))


async def test_it_is_not_run_again_when_the_start_is_tried_again(led: World) -> None:
    await a_stage_with_a_release_command(led)
    led.publish("v2")
    deploy = await at_work(led, "v2")
    released_by(led, deploy)

    async def fail_once_it_is_released() -> None:
        led.runtime.fail("create", EngineUnavailableError("the engine went away"))

    led.calls.after("remove", fail_once_it_is_released)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    assert releases(led) == 1


async def test_a_rollback_does_not_run_it(led: World) -> None:
    await a_stage_with_a_release_command(led)
    digest = led.publish("v2")
    deploy = await led.change_deploy(await led.queue("v2", digest=digest), trigger=Trigger.ROLLBACK)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    assert releases(led) == 0


async def test_its_container_is_not_swept_away_while_it_runs(led: World) -> None:
    await a_stage_with_a_release_command(led)
    led.publish("v2")
    deploy = await at_work(led, "v2")

    async def sweep_and_end() -> None:
        await reconcile(led.services)
        assert await led.is_running(release_container(led.container_of(deploy)))
        released_by(led, deploy)

    led.calls.after("start", sweep_and_end)
    ended = await led.carry_out(deploy)
    assert (ended.status, ended.log) == (DeployStatus.SUCCEEDED, "migrated")


async def test_its_container_is_removed_by_the_sweep_when_the_deploy_was_withdrawn(
    led: World,
) -> None:
    live = await a_stage_with_a_release_command(led)
    led.publish("v2")
    deploy = await at_work(led, "v2")
    led.calls.after("start", lambda: die(led))
    with pytest.raises(Died):
        await Pipeline(led.services, deploy.id).carry_out()
    await led.change_deploy(deploy, status=DeployStatus.CANCELLED)
    await reconcile(led.services)
    await assert_only(led, live)


async def die(_world: World) -> None:
    raise Died


async def test_when_its_deploy_is_cancelled_meanwhile_its_container_is_removed(led: World) -> None:
    live = await a_stage_with_a_release_command(led)
    led.publish("v2")
    deploy = await at_work(led, "v2")
    led.calls.after("start", lambda: die(led))
    with pytest.raises(Died):
        await Pipeline(led.services, deploy.id).carry_out()
    await led.change_deploy(deploy, cancelling=True)
    ended = await led.carry_out(deploy)
    assert (ended.status, ended.reason) == (DeployStatus.CANCELLED, "cancelled")
    assert statuses(ended)[StepName.START] is StepStatus.FAILED
    await assert_only(led, live)
