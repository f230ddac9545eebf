"""With an ingress.

The switch, the watch after it, the drain and the retirement of the old instance.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, StepName, StepStatus
from tagboat.core.errors import (
    EngineError,
    EngineUnavailableError,
    IngressError,
    IngressUnavailableError,
)
from tagboat.core.image import ImageInfo
from tagboat.deploy.reconcile import reconcile
from tagboat.deploy.retry import delays
from tagboat.runtime.memory import MemoryImage
from tests.support.endpoints import port_of
from tests.unit.deploy.deploy_harness import HOST, REFUSED, World, assert_only, statuses
from tests.unit.deploy.interceptor import START

pytestmark = pytest.mark.anyio

AWAY = IngressUnavailableError("HAProxy does not answer")
TRIES = len([*delays(AWAY, START)]) + 1


async def a_newer_one_beside_a_live_one(
    world: World, content: MemoryImage | None = None
) -> tuple[Instance, Deploy]:
    old = await world.ship("v1", content)
    world.publish("v2", content)
    return old, await world.queue("v2")


async def old_is_back(world: World, old: Instance) -> None:
    assert await world.instances(InstanceState.LIVE) == [old]
    await assert_only(world, old)


def keep_away(world: World, calls: int) -> Callable[[], Awaitable[None]]:
    """Return what makes the ingress refuse that many leads."""

    async def go_away() -> None:
        assert world.ingress is not None
        for _ in range(calls):
            world.ingress.fail("apply_routes", AWAY)

    return go_away


# Switch.


async def test_every_step_is_taken(led: World) -> None:
    _, deploy = await a_newer_one_beside_a_live_one(led)
    ended = await led.carry_out(deploy)
    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "v2 is live")
    assert set(statuses(ended).values()) == {StepStatus.DONE}
    assert ended.step(StepName.SWITCH).detail == "v2 is live"
    assert ended.step(StepName.WATCH).detail == "it stayed healthy for 10 s"
    assert ended.step(StepName.DRAIN).detail.startswith("no request was in flight any more")
    await assert_only(led, await led.instance_of(ended))


async def test_a_first_one_has_nothing_to_drain(led: World) -> None:
    led.publish("v1")
    ended = await led.carry_out(await led.queue("v1"))
    assert ended.step(StepName.DRAIN).status is StepStatus.SKIPPED
    assert ended.step(StepName.DRAIN).detail == "there is no older instance"
    assert ended.step(StepName.RETIRE).detail == "there was nothing to retire"
    await assert_only(led, await led.instance_of(ended))


async def test_it_is_on_record_before_traffic_is_led(led: World) -> None:
    old, deploy = await a_newer_one_beside_a_live_one(led)
    seen: list[tuple[list[InstanceState], str]] = []

    async def look() -> None:
        seen.append(([instance.state for instance in await led.instances()], led.routes[HOST]))

    led.calls.before("apply_routes", look)
    await led.carry_out(deploy)
    assert seen == [([InstanceState.LIVE, InstanceState.DRAINING], str(port_of(old)))]


async def test_an_ingress_that_is_away_for_a_while_is_waited_for_and_the_old_one_serves(
    led: World,
) -> None:
    old, deploy = await a_newer_one_beside_a_live_one(led)
    details: list[str] = []

    async def look() -> None:
        assert led.routes[HOST] == str(port_of(old))
        assert await led.is_running(old.container)
        details.append((await led.deploy(deploy.id)).step(StepName.SWITCH).detail)

    await keep_away(led, 3)()
    for _ in range(4):
        led.calls.before("apply_routes", look)
    slept = len(led.clock.slept)
    ended = await led.carry_out(deploy)

    assert ended.status is DeployStatus.SUCCEEDED
    assert details[0] == ""
    assert details[1] == f"{AWAY}; trying again in 0 s"
    assert led.clock.slept[slept : slept + 3] == [0.5, 1.0, 2.0]
    await assert_only(led, await led.instance_of(ended))


async def test_an_ingress_that_does_not_obey_at_all_fails_the_deploy_and_the_old_one_is_live_again(
    led: World,
) -> None:
    assert led.ingress is not None
    old, deploy = await a_newer_one_beside_a_live_one(led)
    await keep_away(led, TRIES)()
    ended = await led.carry_out(deploy)
    assert (ended.status, ended.reason) == (DeployStatus.FAILED, str(AWAY))
    assert ended.step(StepName.SWITCH).status is StepStatus.FAILED
    assert ended.step(StepName.SWITCH).detail == str(AWAY)
    assert [led_to[HOST] for led_to in led.ingress.journal] == [
        "none",
        str(port_of(old)),
        str(port_of(old)),
    ][-2:]
    await old_is_back(led, old)


async def test_what_cannot_be_tried_again_fails_at_once(led: World) -> None:
    assert led.ingress is not None
    old, deploy = await a_newer_one_beside_a_live_one(led)
    led.ingress.fail("apply_routes", IngressError("HAProxy is too old"))
    ended = await led.carry_out(deploy)
    assert (ended.status, ended.reason) == (DeployStatus.FAILED, "HAProxy is too old")
    await old_is_back(led, old)


async def test_the_new_one_is_left_running_until_traffic_is_known_to_be_led_away(
    led: World,
) -> None:
    """An ingress that did not confirm may have obeyed all the same."""
    old, deploy = await a_newer_one_beside_a_live_one(led)
    led.calls.after("apply_routes", lambda: obeyed_but_silent(led, 2 * TRIES - 1))
    ended = await led.carry_out(deploy)

    assert ended.status is DeployStatus.FAILED
    assert ended.reason == f"{AWAY}; routing update failed: {AWAY}"
    assert ended.step(StepName.SWITCH).detail == str(AWAY)
    new = await led.instance_of(ended)
    assert (new.state, (await led.instances(InstanceState.LIVE))) == (InstanceState.FAILED, [old])
    assert await led.is_running(new.container)
    assert led.routes[HOST] == str(port_of(new))

    await keep_away(led, 1)()
    with pytest.raises(IngressUnavailableError):
        await reconcile(led.services)
    assert await led.is_running(new.container)

    await reconcile(led.services)
    await old_is_back(led, old)


async def obeyed_but_silent(world: World, calls: int) -> None:
    """Lose the ingress's answer, and let it refuse that many leads from then on."""
    await keep_away(world, calls)()
    raise AWAY


# Watch.


def sickens(world: World, old: Instance, how: Callable[[str], Awaitable[None]]) -> None:
    """Do something to the new container as soon as traffic is led to it."""

    async def answers(port: int) -> str | None:
        if port != port_of(old) and str(port) in world.routes.values():
            world.probe.of_port = None
            (new,) = [
                one for one in await world.instances(InstanceState.LIVE) if port_of(one) == port
            ]
            await how(new.container)
        return None

    world.probe.of_port = answers


async def exits(world: World, container: str) -> None:
    world.runtime.say(container, "out of luck")
    world.runtime.exit(container, 7)


async def exits_and_is_restarted(world: World, container: str) -> None:
    await exits(world, container)
    await world.runtime.start(container)


async def is_removed(world: World, container: str) -> None:
    await world.runtime.remove(container)
    world.cut.clear()  # that was not Tagboat


async def falls_silent(world: World, container: str) -> None:
    world.runtime.say(container, "out of luck")
    world.probe.says = REFUSED


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (exits, "the new container exited with code 7"),
        (exits_and_is_restarted, "the new container exited"),
        (is_removed, "the new container was removed by somebody else"),
        (falls_silent, REFUSED),
    ],
)
async def test_one_that_sickens_is_taken_back(
    led: World, how: Callable[[World, str], Awaitable[None]], reason: str
) -> None:
    assert led.ingress is not None
    old, deploy = await a_newer_one_beside_a_live_one(led)
    sickens(led, old, lambda container: how(led, container))
    ended = await led.carry_out(deploy)

    assert ended.status is DeployStatus.FAILED
    assert (ended.reason or "").startswith(f"it was healthy and live, and then: {reason}")
    assert ended.step(StepName.WATCH).status is StepStatus.FAILED
    assert ended.step(StepName.WATCH).detail == ended.reason
    assert ended.log == ("" if how is is_removed else "out of luck")
    new = await led.instance_of(ended)
    assert new.state is InstanceState.FAILED
    assert [led_to[HOST] for led_to in led.ingress.journal[-2:]] == [
        str(port_of(new)),
        str(port_of(old)),
    ]
    await old_is_back(led, old)


async def test_one_whose_own_healthcheck_says_unhealthy_is_taken_back(led: World) -> None:
    await led.change_project(healthcheck="image")
    content = MemoryImage(info=ImageInfo(has_healthcheck=True))

    async def become(health: str) -> None:
        led.runtime.set_health((await led.instances())[0].container, health)

    led.calls.after("start", lambda: become("healthy"))
    old, deploy = await a_newer_one_beside_a_live_one(led, content)
    led.calls.after("start", lambda: become("healthy"))
    led.calls.after("apply_routes", lambda: become("unhealthy"))
    ended = await led.carry_out(deploy)
    assert (
        ended.reason == "it was healthy and live, and then: the image's HEALTHCHECK says unhealthy"
    )
    await old_is_back(led, old)


async def silent_for(world: World, old: Instance, probes: int, *, then_well: int = 10**6) -> None:
    """Let the new one not answer so many probes in a row once it is live, answer some, and so
    on.
    """
    count = 0

    async def answers(port: int) -> str | None:
        nonlocal count
        if port == port_of(old) or str(port) not in world.routes.values():
            return None
        count += 1
        return REFUSED if (count - 1) % (probes + then_well) < probes else None

    world.probe.of_port = answers


@pytest.mark.parametrize("probes", [1, 2])
async def test_a_hiccup_is_forgiven_however_often(led: World, probes: int) -> None:
    old, deploy = await a_newer_one_beside_a_live_one(led)
    await silent_for(led, old, probes, then_well=1)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED, ended.reason
    await assert_only(led, await led.instance_of(ended))


async def test_three_silences_in_a_row_are_no_hiccup(led: World) -> None:
    old, deploy = await a_newer_one_beside_a_live_one(led)
    await silent_for(led, old, 3)
    ended = await led.carry_out(deploy)
    assert ended.reason == f"it was healthy and live, and then: {REFUSED}"
    await old_is_back(led, old)


async def test_the_watch_does_not_end_in_a_silence(led: World) -> None:
    """One that falls silent at the very end is looked at until it is clear what it is."""
    old, deploy = await a_newer_one_beside_a_live_one(led)
    began: list[float] = []
    now = asyncio.get_running_loop().time

    async def answers(port: int) -> str | None:
        if port == port_of(old) or str(port) not in led.routes.values():
            return None
        began.append(now())
        return REFUSED if now() - began[0] >= led.stage.watch_s - 0.25 else None

    led.probe.of_port = answers
    ended = await led.carry_out(deploy)
    assert ended.reason == f"it was healthy and live, and then: {REFUSED}"
    await old_is_back(led, old)


@pytest.mark.parametrize("watch_s", [1, 25])
async def test_it_is_watched_for_as_long_as_the_stage_says(led: World, watch_s: int) -> None:
    await led.change_stage(watch_s=watch_s)
    _, deploy = await a_newer_one_beside_a_live_one(led)
    began = time.monotonic()
    ended = await led.carry_out(deploy)
    by_itself_s = time.monotonic() - began  # the time of the loop passes so too
    step = ended.step(StepName.WATCH)
    assert step.started_at is not None
    assert step.finished_at is not None
    watched_s = (step.finished_at - step.started_at).total_seconds()
    assert watch_s - by_itself_s <= watched_s < watch_s + 2
    assert step.detail == f"it stayed healthy for {watch_s} s"


async def test_without_a_time_it_is_not_watched(led: World) -> None:
    await led.change_stage(watch_s=0)
    old, deploy = await a_newer_one_beside_a_live_one(led)
    sickens(led, old, lambda container: exits(led, container))
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    assert (ended.step(StepName.WATCH).status, ended.step(StepName.WATCH).detail) == (
        StepStatus.SKIPPED,
        "watch_s is 0",
    )


async def test_but_not_while_it_is_silent(led: World) -> None:
    old, deploy = await a_newer_one_beside_a_live_one(led)
    await led.change_deploy(deploy, status=DeployStatus.RUNNING)
    led.publish("v3")
    await led.queue("v3")
    await silent_for(led, old, 3)
    ended = await led.carry_out(deploy)
    assert ended.reason == f"it was healthy and live, and then: {REFUSED}"
    await old_is_back(led, old)


async def test_an_engine_that_is_away_meanwhile_is_no_sickness(led: World) -> None:
    _, deploy = await a_newer_one_beside_a_live_one(led)

    async def go_away() -> None:
        led.runtime.fail("status", EngineUnavailableError("the engine is away"))

    led.calls.after("apply_routes", go_away)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED, ended.reason
    await assert_only(led, await led.instance_of(ended))


async def test_an_engine_that_is_away_while_it_is_taken_back_leaves_the_container_to_the_sweep(
    led: World,
) -> None:
    old, deploy = await a_newer_one_beside_a_live_one(led)
    await silent_for(led, old, 3)
    led.calls.after("apply_routes", nothing)
    led.calls.after("apply_routes", lambda: engine_away(led))
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.FAILED
    assert REFUSED in (ended.reason or "")
    await reconcile(led.services)
    await old_is_back(led, old)


async def nothing() -> None:
    """Let it pass."""


async def engine_away(world: World) -> None:
    world.runtime.fail("list_workloads", EngineUnavailableError("the engine is away"))


async def test_what_the_new_one_was_sent_it_may_answer(led: World) -> None:
    """Taken back, it is drained before it is removed."""
    assert led.ingress is not None
    old, deploy = await a_newer_one_beside_a_live_one(led)
    await silent_for(led, old, 3)
    waits: list[str] = []

    async def send_a_request() -> None:
        assert led.ingress is not None
        port = await led.ingress.begin(HOST)
        assert port not in {None, port_of(old)}

        async def end() -> None:
            assert led.ingress is not None
            assert port is not None
            waits.append(led.routes[HOST])
            led.ingress.end(port)

        for _ in range(5):
            led.calls.before("in_flight", nothing)
        led.calls.before("in_flight", end)

    led.calls.after("apply_routes", send_a_request)
    led.calls.before("remove", lambda: note_removal(waits))
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.FAILED
    assert waits == [str(port_of(old)), "removed"]
    await old_is_back(led, old)


async def test_it_is_not_swept_away_meanwhile(led: World) -> None:
    old, deploy = await a_newer_one_beside_a_live_one(led)
    await led.change_deploy(deploy, status=DeployStatus.RUNNING)
    await silent_for(led, old, 3)
    swept: list[bool] = []

    async def sweep_now() -> None:
        await reconcile(led.services)
        swept.append(await led.is_running(led.container_of(deploy)))

    led.calls.before("in_flight", sweep_now)  # while it is drained
    ended = await led.carry_out(deploy)
    assert swept == [True]
    assert ended.status is DeployStatus.FAILED
    await old_is_back(led, old)


async def note_removal(seen: list[str]) -> None:
    seen.append("removed")


async def test_side_by_side_what_was_replaced_is_live_again(led: World) -> None:
    await led.change_stage(max_instances=2)
    first, second = await led.ship("v1"), await led.ship("v2")
    led.publish("v3")
    deploy = await led.queue("v3")

    async def answers(port: int) -> str | None:
        mine = port not in {port_of(first), port_of(second)}
        return REFUSED if mine and str(port) in led.routes.values() else None

    led.probe.of_port = answers
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.FAILED
    assert await led.instances(InstanceState.LIVE) == [second, first]
    assert led.routes[HOST] == str(port_of(second))
    assert set(led.routes.values()) == {str(port_of(first)), str(port_of(second))}
    assert led.cut == []


async def test_what_an_earlier_deploy_left_draining_does_not_come_back(led: World) -> None:
    first = await led.ship("v1")
    led.runtime.fail("stop", EngineError("it cannot be killed"))
    led.publish("v2")
    ended = await led.carry_out(await led.queue("v2"))
    second = await led.instance_of(ended)
    assert (ended.status, second.state) == (DeployStatus.FAILED, InstanceState.LIVE)
    for tag, content in (("v3", MemoryImage(exit_code=1)), ("v4", None)):
        led.publish(tag, content)
        deploy = await led.queue(tag)
        await silent_for(led, second, 3)
        ended = await led.carry_out(deploy)
        assert ended.status is DeployStatus.FAILED
        assert await led.instances(InstanceState.LIVE) == [second]
        assert [one.id for one in await led.instances(InstanceState.DRAINING)] == [first.id]
    await reconcile(led.services)
    await old_is_back(led, second)


# Drain and retire.


async def test_the_old_one_is_stopped_only_once_it_has_answered_everything(led: World) -> None:
    assert led.ingress is not None
    old, deploy = await a_newer_one_beside_a_live_one(led)
    assert await led.ingress.begin(HOST) == port_of(old)
    order: list[str] = []

    async def end() -> None:
        assert led.ingress is not None
        order.append("answered")
        led.ingress.end(port_of(old))

    for _ in range(5):
        led.calls.before("in_flight", nothing)
    led.calls.before("in_flight", end)
    led.calls.before("stop", lambda: note_stop(order))
    ended = await led.carry_out(deploy)
    assert order == ["answered", "stopped"]
    assert led.calls.calls.count("in_flight") == 5 + 1 + 1
    await assert_only(led, await led.instance_of(ended))


async def note_stop(order: list[str]) -> None:
    order.append("stopped")


async def test_one_that_goes_on_answering_is_stopped_in_the_end(led: World) -> None:
    assert led.ingress is not None
    await led.change_stage(drain_timeout_s=7)
    old, deploy = await a_newer_one_beside_a_live_one(led)
    assert await led.ingress.begin(HOST) == port_of(old)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    assert ended.step(StepName.DRAIN).detail == "1 request was still in flight after 7 s"
    await assert_only(led, await led.instance_of(ended))


async def test_an_ingress_silent_during_the_drain_fails_nothing(led: World) -> None:
    assert led.ingress is not None
    _, deploy = await a_newer_one_beside_a_live_one(led)
    for _ in range(10**4):
        led.ingress.fail("in_flight", AWAY)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    assert (
        ended.step(StepName.DRAIN).detail
        == "it is not known how many requests were still in flight after 30 s"
    )
    await assert_only(led, await led.instance_of(ended))


async def test_the_old_one_is_kept_running_while_the_new_one_is_watched(led: World) -> None:
    old, deploy = await a_newer_one_beside_a_live_one(led)
    running: list[bool] = []

    async def look(_port: int) -> str | None:
        running.append(await led.is_running(old.container))
        return None

    led.probe.of_port = look
    await led.carry_out(deploy)
    assert len(running) > 10
    assert all(running)


async def test_retiring_is_on_record(led: World) -> None:
    old, deploy = await a_newer_one_beside_a_live_one(led)
    ended = await led.carry_out(deploy)
    assert ended.step(StepName.RETIRE).detail == f"retired {old.container}"
    retired = await led.store.read(lambda reader: reader.instance(old.id))
    assert retired.state is InstanceState.STOPPED
    assert retired.stopped_at == ended.step(StepName.RETIRE).finished_at


async def test_one_that_cannot_be_retired_keeps_the_new_one_live(led: World) -> None:
    _, deploy = await a_newer_one_beside_a_live_one(led)
    led.runtime.fail("stop", EngineError("it cannot be killed"))
    ended = await led.carry_out(deploy)
    assert (
        ended.reason == "v2 is live, but the old instance could not be retired: it cannot be killed"
    )
    new = await led.instance_of(ended)
    assert led.routes[HOST] == str(port_of(new))
    await reconcile(led.services)
    await assert_only(led, await led.instance_of(ended))
