"""How an instance is asked how it is, at the gate and in the watch."""

import pytest

from tagboat.core.deploy import DeployStatus, StepName
from tagboat.core.errors import EngineError
from tagboat.core.health import Manner, TestRun
from tagboat.core.image import ImageInfo
from tagboat.core.run import RunOptions
from tagboat.core.values import replace
from tagboat.deploy.context import read_context
from tagboat.deploy.health import manner
from tagboat.runtime.memory import MemoryImage
from tests.support.endpoints import port_of
from tests.unit.deploy.deploy_harness import HOST, REFUSED, World, assert_fails

pytestmark = pytest.mark.anyio
PASSES = TestRun(passed=True)


def checked(test: TestRun, needs_s: float = 0.0) -> MemoryImage:
    return MemoryImage(info=ImageInfo(has_healthcheck=True, health_needs_s=needs_s), test=test)


@pytest.mark.parametrize(
    ("stage", "host"),
    [
        ({}, HOST),
        ({"domains": ("app.example.com", "www.example.com")}, "app.example.com"),
        (
            {"domains": ("app.example.com",), "healthcheck_host": "internal.example.com"},
            "internal.example.com",
        ),
    ],
)
async def test_a_path_is_asked_as_people_ask_at_the_gate_and_in_the_watch(
    led: World, stage: dict[str, object], host: str
) -> None:
    await led.change_project(healthcheck="/up")
    await led.change_stage(healthcheck_request_timeout_s=7, **stage)
    asked: list[Manner | None] = []

    async def note(_port: int) -> None:
        asked.append(led.probe.manner)

    led.probe.of_port = note
    await led.ship("v1")
    assert len(asked) > 10
    assert set(asked) == {Manner(host=host, proto="http", limit_s=7)}


async def test_the_front_says_by_what_protocol_it_was_asked(world: World) -> None:
    deploy = await world.queue("v1")
    scene = await world.store.read(lambda reader: read_context(reader, deploy.id))
    parts = replace(world.services, front_proto="https")
    assert manner(parts, scene) == Manner(host=HOST, proto="https", limit_s=5)


async def test_a_healthcheck_that_the_engine_has_not_run_yet_is_run_by_hand(led: World) -> None:
    """As with an interval of five minutes."""
    await led.change_project(healthcheck="image")
    began = led.clock.now()
    await led.ship("v1", checked(PASSES, needs_s=900))
    (deploy,) = await led.deploys()
    assert (
        deploy.step(StepName.CHECK).detail == "the image's HEALTHCHECK passes, and the port answers"
    )
    assert (led.clock.now() - began).total_seconds() < 15


async def test_one_that_becomes_well_late_has_the_time_that_its_image_asks_for(led: World) -> None:
    await led.change_project(healthcheck="image")
    led.publish("v1", checked(TestRun(passed=False, said="warming up"), needs_s=900))
    deploy = await led.queue("v1")
    began = led.clock.now()

    async def warm_up() -> None:
        if (led.clock.now() - began).total_seconds() > 75 and led.runtime._find(
            led.container_of(deploy)
        ):
            led.runtime.set_test(led.container_of(deploy), PASSES)
        else:
            led.calls.after("status", warm_up)

    led.calls.after("status", warm_up)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED, ended.reason


async def test_what_a_person_has_set_ends_sooner_and_says_what_the_test_said(led: World) -> None:
    await led.change_project(healthcheck="image")
    await led.change_stage(health_timeout_s=20)
    led.publish("v1", checked(TestRun(passed=False, said="no such table"), needs_s=900))
    ended = await led.carry_out(await led.queue("v1"))
    assert (ended.reason or "").startswith(
        "not healthy within 20 s: the image's HEALTHCHECK fails: no such table"
    )


async def test_one_whose_test_passes_inside_while_its_port_answers_nobody_is_refused(
    led: World,
) -> None:
    await led.change_project(healthcheck="image")
    old = await led.ship("v1", checked(PASSES))
    led.publish("v2", checked(PASSES))
    led.probe.of_port = lambda port: _says(None if port == port_of(old) else REFUSED)
    deploy = await led.queue("v2")
    led.calls.after("start", lambda: _healthy(led, led.container_of(deploy)))
    ended = await led.carry_out(deploy)
    assert (ended.status, ended.step(StepName.CHECK).detail) == (DeployStatus.FAILED, ended.reason)
    assert f"the image's HEALTHCHECK says healthy, but {REFUSED}" in (ended.reason or "")
    assert led.routes == {HOST: str(port_of(old))}


async def _says(words: str | None) -> str | None:
    return words


async def _healthy(world: World, container: str) -> None:
    world.runtime.set_health(container, "healthy")


async def test_what_is_waited_for_is_told_about_once_a_second(led: World) -> None:
    began, told = led.clock.now(), []

    async def refuse_at_first(_port: int) -> str | None:
        (deploy,) = await led.deploys()
        told.append(deploy.step(StepName.CHECK).detail)
        return REFUSED if (led.clock.now() - began).total_seconds() < 5 else None

    led.probe.of_port = refuse_at_first
    await led.change_stage(health_timeout_s=20)
    await led.ship("v1")
    said = list(dict.fromkeys(filter(None, told)))
    assert 3 <= len(said) <= 6
    assert said[0] == f"{REFUSED}, 1 s of 20 s"
    (deploy,) = await led.deploys()
    assert deploy.step(StepName.CHECK).detail == "it answers"


@pytest.mark.parametrize(
    ("fall_ill", "reason"),
    [
        ("pause", "docker unpause"),
        ("test", "the image's HEALTHCHECK fails: disk I/O error"),
        ("port", REFUSED),
        ("unhealthy", "the image's HEALTHCHECK says unhealthy: gone"),
    ],
)
async def test_in_the_watch_too_each_sign_counts(led: World, fall_ill: str, reason: str) -> None:
    await led.change_project(healthcheck="image")
    old = await led.ship("v1", checked(PASSES))
    led.publish("v2", checked(PASSES))
    deploy = await led.queue("v2")
    container = led.container_of(deploy)

    async def sicken() -> None:
        match fall_ill:
            case "pause":
                led.runtime.pause(container)
            case "test":
                led.runtime.set_test(container, TestRun(passed=False, said="disk I/O error"))
            case "port":
                led.probe.says = REFUSED
            case _:
                led.runtime.set_health(container, "unhealthy", "gone")

    led.calls.after("apply_routes", sicken)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.FAILED
    assert (ended.reason or "").startswith("it was healthy and live, and then: ")
    assert reason in (ended.reason or "")
    assert led.routes == {HOST: str(port_of(old))}


async def test_one_that_is_paused_at_the_gate_does_not_become_live(led: World) -> None:
    await led.ship("v1")
    led.publish("v2")
    deploy = await led.queue("v2")

    async def pause() -> None:
        led.runtime.pause(led.container_of(deploy))

    led.calls.after("start", pause)
    ended = await led.carry_out(deploy)
    assert "the container is paused" in (ended.reason or "")


async def test_one_that_exits_in_the_watch_is_told_with_its_code(led: World) -> None:
    await led.ship("v1")
    led.publish("v2")
    deploy = await led.queue("v2")
    container = led.container_of(deploy)

    async def crash() -> None:
        led.runtime.exit(container, 7)
        await led.runtime.start(container)

    led.calls.after("apply_routes", crash)
    ended = await led.carry_out(deploy)
    assert ended.reason == (
        "it was healthy and live, and then: the new container exited with code 7, and was restarted"
    )


async def test_an_engine_that_cannot_run_the_test_is_waited_for(led: World) -> None:
    await led.change_project(healthcheck="image")
    led.publish("v1", checked(PASSES))
    led.runtime.fail("run_healthcheck", EngineError("no exec here"))
    ended = await led.carry_out(await led.queue("v1"))
    assert ended.status is DeployStatus.SUCCEEDED, ended.reason


async def test_no_secret_of_the_app_is_told_by_its_answer(world: World) -> None:
    await world.change_project(
        healthcheck="/up", run=RunOptions(secrets={"DSN": "postgres://me:hunter22@db/app"})
    )
    world.probe.says = "answered HTTP 500: cannot open postgres://me:hunter22@db/app"
    ended = await assert_fails(
        world, world_tag(world), StepName.CHECK, "answered HTTP 500: cannot open ***"
    )
    assert "hunter22" not in (ended.reason or "")


def world_tag(world: World) -> str:
    world.publish("v1")
    return "v1"


async def test_a_request_that_the_end_of_the_gate_cuts_short_hides_no_reason(world: World) -> None:
    await world.change_project(healthcheck="/up")
    await world.change_stage(health_timeout_s=12)

    async def silent(_port: int) -> str:
        assert world.probe.manner is not None
        world.clock.move(world.probe.manner.limit_s)
        return f"no answer within {world.probe.manner.limit_s:g} s"

    world.probe.of_port = silent
    world.publish("v1")
    ended = await world.carry_out(await world.queue("v1"))
    assert (ended.reason or "").startswith("not healthy within 12 s: no answer within 5 s")
