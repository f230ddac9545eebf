"""The watch over a new instance means something.

What may cut it short, what is kept as long, and what comes of a failure.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, StepName, Trigger
from tagboat.core.errors import DeployFailedError, RegistryUnreachableError
from tagboat.core.image import Digest
from tagboat.core.ports import Queued
from tagboat.core.push import Outcome
from tagboat.core.run import RunOptions
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.reconcile import reconcile
from tagboat.deploy.vigil import keep_vigil, watch_over
from tagboat.operations.stage_actions import StageActions
from tests.support.endpoints import port_of
from tests.unit.deploy.deploy_harness import HOST, REFUSED, World, assert_only
from tests.unit.deploy.interceptor import Died

pytestmark = pytest.mark.anyio
CUT = "a newer deploy waits"
TO_THE_END = "it stayed healthy for 10 s"


async def at_work(world: World, tag: str, digest: Digest | None = None) -> Deploy:
    return await world.change_deploy(
        await world.queue(tag, digest=digest), status=DeployStatus.RUNNING
    )


async def while_watched(world: World, tag: str, do: Callable[[], Awaitable[object]]) -> Deploy:
    """Deploy `tag`, and let something happen once it is live."""
    deploy = await at_work(world, tag)

    async def happen() -> None:
        await do()

    world.calls.after("apply_routes", happen)
    return await world.carry_out(deploy)


async def sickens(world: World, instance: Instance) -> None:
    """Let an instance answer nothing any more, and every other go on."""

    async def answers(port: int) -> str | None:
        return REFUSED if port == port_of(instance) else None

    world.probe.of_port = answers


async def cut_short(world: World) -> tuple[Instance, Instance]:
    """v1, watched; then v2, whose watch v3 has cut short. v1 is kept, and v3 waits."""
    old = await world.ship("v1")
    world.publish("v2")
    world.publish("v3")
    watch_s = world.stage.watch_s
    await world.change_stage(watch_s=100_000)  # the clock of the scene runs faster than the disk
    ended = await while_watched(world, "v2", lambda: world.queue("v3"))
    await world.change_stage(watch_s=watch_s)
    assert ended.status is DeployStatus.SUCCEEDED
    assert CUT in ended.step(StepName.WATCH).detail
    return old, await world.instance_of(ended)


# What cuts it short.


async def test_one_that_is_sure_to_bring_another_image_does(led: World) -> None:
    await led.change_stage(watch_s=1000)
    old, new = await cut_short(led)
    assert (new.state, new.watched) == (InstanceState.LIVE, False)
    assert led.routes == {HOST: str(port_of(new))}
    assert f"{led.project.image}@{led.tags.digests['v3']}" in led.runtime._images
    (kept,) = await led.instances(InstanceState.DRAINING)
    assert kept.id == old.id
    assert await led.is_running(old.container)


async def test_what_is_kept_is_named_and_what_was_not_watched_is_not_kept(led: World) -> None:
    await led.change_stage(watch_s=1000)
    old, new = await cut_short(led)
    retire = (await led.deploy(new.deploy_id)).step(StepName.RETIRE).detail
    assert retire == f"{old.container} is kept until something newer has stayed healthy"
    (waiting,) = [deploy for deploy in await led.deploys() if not deploy.status.final]
    led.publish("v4")
    await led.change_deploy(waiting, status=DeployStatus.RUNNING)
    led.calls.after("apply_routes", lambda: push(led, "v4"))
    third = await led.carry_out(waiting)
    assert third.step(StepName.RETIRE).detail == f"retired {new.container}"
    await reconcile(led.services)
    assert await led.is_running(old.container), "the last one that was watched"
    assert not await led.is_running(new.container)


async def push(world: World, tag: str, digest: Digest | None = None) -> None:
    await world.queue(tag, digest=digest)


@pytest.mark.parametrize("told", ["the digest", "the tag alone"])
async def test_the_same_push_told_again_does_not(led: World, told: str) -> None:
    await led.ship("v1")
    digest = led.publish("v2")
    ended = await while_watched(
        led, "v2", lambda: push(led, "v2", digest if told == "the digest" else None)
    )
    assert ended.step(StepName.WATCH).detail == TO_THE_END


async def test_the_same_image_under_another_tag_does_not(led: World) -> None:
    await led.ship("v1")
    led.tags.digests["latest"] = led.publish("v2")
    ended = await while_watched(led, "v2", lambda: push(led, "latest"))
    assert ended.step(StepName.WATCH).detail == TO_THE_END


async def test_one_whose_tag_does_not_exist_does_not(led: World) -> None:
    await led.ship("v1")
    led.publish("v2")
    ended = await while_watched(led, "v2", lambda: push(led, "no-such-tag"))
    assert ended.step(StepName.WATCH).detail == TO_THE_END


async def test_one_whose_call_names_the_digest_of_another_tag_does_not(led: World) -> None:
    await led.ship("v1")
    led.publish("v2")
    other = led.publish("pr-666")
    led.tags.digests["latest"] = led.tags.digests["v2"]
    ended = await while_watched(led, "v2", lambda: push(led, "latest", other))
    assert ended.step(StepName.WATCH).detail == TO_THE_END


async def test_one_whose_image_cannot_be_pulled_does_not(led: World) -> None:
    await led.ship("v1")
    led.publish("v2")
    led.tags.digests["v3"] = Digest("sha256:" + "9" * 64)
    ended = await while_watched(led, "v2", lambda: push(led, "v3"))
    assert ended.step(StepName.WATCH).detail == TO_THE_END


async def test_one_that_a_held_stage_keeps_waiting_does_not(led: World) -> None:
    await led.ship("v1")
    led.publish("v2")
    led.publish("v3")

    async def queue_and_hold() -> None:
        await led.queue("v3")
        await led.change_stage(held=True)

    ended = await while_watched(led, "v2", queue_and_hold)
    assert ended.step(StepName.WATCH).detail == TO_THE_END


async def test_a_registry_that_is_away_is_asked_again(led: World) -> None:
    await led.ship("v1")
    await led.change_stage(watch_s=100_000)
    led.publish("v2")
    led.publish("v3")

    async def queue() -> None:
        led.tags.failures.append(RegistryUnreachableError("the registry is away"))
        await led.queue("v3")

    ended = await while_watched(led, "v2", queue)
    assert CUT in ended.step(StepName.WATCH).detail
    assert led.tags.asked.count("v3") == 2


async def test_a_fault_in_preparing_the_next_one_takes_nothing_back(led: World) -> None:
    await led.ship("v1")
    led.publish("v2")
    led.publish("v3")

    async def queue() -> None:
        led.tags.failures.append(ZeroDivisionError("a fault of ours"))
        await led.queue("v3")

    ended = await while_watched(led, "v2", queue)
    assert ended.status is DeployStatus.SUCCEEDED, ended.reason


# What is said of it afterwards.


async def test_one_image_under_two_tags_that_sickens_is_taken_back_once_and_for_all(
    led: World,
) -> None:
    old = await led.ship("v1")
    led.tags.digests["latest"] = led.publish("v2")

    async def told_again_and_sickens() -> None:
        await led.queue("latest")
        (live,) = await led.instances(InstanceState.LIVE)
        await sickens(led, live)

    ended = await while_watched(led, "v2", told_again_and_sickens)
    assert (ended.status, ended.reason) == (
        DeployStatus.FAILED,
        f"it was healthy and live, and then: {REFUSED}",
    )
    (second,) = [deploy for deploy in await led.deploys() if deploy.tag == "latest"]
    again = await led.carry_out(second)
    assert again.status is DeployStatus.CANCELLED
    assert "its image was taken back in the stage dev" in (again.reason or "")
    await assert_only(led, await led.store.read(lambda reader: reader.instance(old.id)))


async def test_already_live_is_not_said_of_what_was_not_watched(led: World) -> None:
    """v3 fails; v2, which it had cut short, is pushed again: its watch is made good first."""
    await led.change_stage(watch_s=300)
    _, new = await cut_short(led)
    (waiting,) = [deploy for deploy in await led.deploys() if not deploy.status.final]
    await led.change_deploy(waiting, status=DeployStatus.CANCELLED)
    began = led.clock.seconds()
    ended = await led.carry_out(await led.queue("v2"))
    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "already live")
    assert led.clock.seconds() - began >= 299
    assert (await led.store.read(lambda reader: reader.instance(new.id))).watched


async def test_nor_of_what_sickens_under_it(led: World) -> None:
    old, new = await cut_short(led)
    (waiting,) = [deploy for deploy in await led.deploys() if not deploy.status.final]
    await led.change_deploy(waiting, status=DeployStatus.CANCELLED)
    await sickens(led, new)
    ended = await led.carry_out(await led.queue("v2"))
    assert (ended.status, ended.reason) == (
        DeployStatus.FAILED,
        f"it was healthy and live, and then: {REFUSED}",
    )
    await reconcile(led.services)
    assert led.routes == {HOST: str(port_of(old))}


async def test_what_it_last_said_is_kept_without_the_secrets_of_the_app(led: World) -> None:
    await led.change_stage(run=RunOptions(secrets={"PASSWORD": "S3CR3T-needle"}))
    _, new = await cut_short(led)
    led.runtime.say(new.container, "PASSWORD=S3CR3T-needle")
    await sickens(led, new)
    with pytest.raises(DeployFailedError):
        await watch_over(led.services, new)
    failed = await led.store.read(lambda reader: reader.deploy(new.deploy_id))
    assert (failed.status, failed.log) == (DeployStatus.FAILED, "PASSWORD=***")


# Watching over it after its deploy.


async def test_it_is_watched_over_until_it_has_stayed_healthy_and_then_what_was_kept_goes(
    led: World,
) -> None:
    old, new = await cut_short(led)
    vigil = asyncio.create_task(keep_vigil(led.services))
    await led.until_state(new, lambda one: one.watched)
    vigil.cancel()
    await asyncio.gather(vigil, return_exceptions=True)
    await reconcile(led.services)
    assert (
        await led.store.read(lambda reader: reader.instance(old.id))
    ).state is InstanceState.STOPPED
    await assert_only(led, await led.store.read(lambda reader: reader.instance(new.id)))


async def test_where_it_sickens_what_was_kept_serves_again(led: World) -> None:
    """And its deploy, which had ended well, has failed."""
    old, new = await cut_short(led)
    led.runtime.say(new.container, "out of luck")
    await sickens(led, new)
    vigil = asyncio.create_task(keep_vigil(led.services))
    await led.until_state(new, lambda one: one.state is InstanceState.FAILED)
    await led.until_gone(new.container)
    vigil.cancel()
    await asyncio.gather(vigil, return_exceptions=True)
    assert led.routes == {HOST: str(port_of(old))}
    failed = await led.deploy(new.deploy_id)
    assert (failed.status, failed.reason) == (
        DeployStatus.FAILED,
        f"it was healthy and live, and then: {REFUSED}",
    )
    assert failed.log == "out of luck"
    taken_back = await led.store.read(lambda reader: reader.taken_back(led.stage.id))
    assert [version.digest for version in taken_back] == [new.digest]


async def test_a_fault_in_it_is_told_and_it_goes_on(
    led: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tagboat.deploy.vigil.VIGIL_RETRY_S", 0.01)
    _, new = await cut_short(led)
    faults = [ZeroDivisionError("a fault of ours")]

    async def answers(_port: int) -> str | None:
        if faults:
            raise faults.pop()
        return None

    led.probe.of_port = answers
    vigil = asyncio.create_task(keep_vigil(led.services))
    await led.until_state(new, lambda one: one.watched)
    vigil.cancel()
    await asyncio.gather(vigil, return_exceptions=True)
    assert not faults
    assert "a fault inside Tagboat" in capsys.readouterr().out + caplog.text


async def test_where_the_newer_one_fails_too_both_go(led: World) -> None:
    old, new = await cut_short(led)
    (waiting,) = [deploy for deploy in await led.deploys() if not deploy.status.final]
    led.probe.says = REFUSED
    third = await led.carry_out(waiting)
    assert third.status is DeployStatus.FAILED
    led.probe.says = None
    await reconcile(led.services)
    assert await led.is_running(old.container), "v2 has yet to be watched to the end"
    await sickens(led, new)
    with pytest.raises(Exception, match=REFUSED):
        await watch_over(led.services, new)
    await reconcile(led.services)
    await assert_only(led, await led.store.read(lambda reader: reader.instance(old.id)))


async def test_one_that_began_anew_with_its_engine_has_time_to_come_up(led: World) -> None:
    _, new = await cut_short(led)
    led.probe.says = REFUSED

    async def come_up() -> None:
        await asyncio.sleep(20)
        led.probe.says = None

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(come_up())
        assert await watch_over(led.services, new, began_anew=True)


async def test_a_server_that_begins_gives_time_to_come_up(led: World) -> None:
    """It may begin together with the machine, and all apps with it."""
    _, new = await cut_short(led)
    led.probe.says = REFUSED
    vigil = asyncio.create_task(keep_vigil(led.services))
    await asyncio.sleep(20)
    led.probe.says = None
    await led.until_state(new, lambda one: one.watched)
    vigil.cancel()
    await asyncio.gather(vigil, return_exceptions=True)


async def test_a_death_in_the_vigil_loses_nothing(led: World) -> None:
    old, new = await cut_short(led)
    vigil = asyncio.create_task(watch_over(led.services, new))
    await asyncio.sleep(0)
    vigil.cancel()
    await asyncio.gather(vigil, return_exceptions=True)
    await reconcile(led.services)
    assert await led.is_running(old.container)
    assert await watch_over(led.services, new)
    await reconcile(led.services)
    assert not await led.is_running(old.container)


async def test_what_it_last_said_is_kept_before_a_sweep_can_remove_it(led: World) -> None:
    _, new = await cut_short(led)
    led.runtime.say(new.container, "out of luck")
    await sickens(led, new)

    async def has_failed() -> bool:
        return (await led.deploy(new.deploy_id)).status is DeployStatus.FAILED

    led.calls.die_when("write", has_failed)
    with pytest.raises(Died):
        await watch_over(led.services, new)
    led.calls.live_on()
    await reconcile(led.services)
    assert (await led.deploy(new.deploy_id)).log == "out of luck"


# The fuse.


async def taken_back_v2(world: World) -> tuple[Instance, Digest]:
    old = await world.ship("v1")
    digest = world.publish("v2")

    async def sicken() -> None:
        (live,) = await world.instances(InstanceState.LIVE)
        await sickens(world, live)

    ended = await while_watched(world, "v2", sicken)
    assert ended.status is DeployStatus.FAILED
    world.probe.of_port = None
    return old, digest


async def test_what_was_taken_back_does_not_come_back_by_a_push(led: World) -> None:
    _, digest = await taken_back_v2(led)
    for again in ("v2", "v2.0.1"):
        led.tags.digests[again] = digest
        ended = await led.carry_out(await led.queue(again))
        assert ended.status is DeployStatus.CANCELLED
        assert "taken back in the stage dev" in (ended.reason or "")
        known = await led.store.read(
            lambda reader, tag=again: reader.known_tag(  # type: ignore[misc]
                led.project.id, tag
            )
        )
        assert known is not None
        assert known.verdict is not None
        assert known.verdict.outcome is Outcome.WAITING


async def test_a_person_lifts_that(led: World) -> None:
    _, digest = await taken_back_v2(led)
    deploy = await led.queue("v2")
    ended = await led.carry_out(await led.change_deploy(deploy, trigger=Trigger.MANUAL))
    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "v2 is live")
    assert await led.store.read(lambda reader: reader.taken_back(led.stage.id)) == []
    assert (await led.instance_of(ended)).digest == digest


async def test_and_so_does_a_release_that_includes_it(led: World) -> None:
    _, digest = await taken_back_v2(led)
    await led.carry_out(await led.queue("v2"))
    orders = StageActions(DeployQueue(led.clock.now), led.clock.now)

    def release(*, including: bool) -> Awaitable[list[Queued]]:
        return led.store.write(lambda tx: orders.release(tx, led.stage.id, including=including))

    assert await release(including=False) == []
    (queued,) = await release(including=True)
    ended = await led.carry_out(await led.deploy(queued.deploy_id))
    assert ended.status is DeployStatus.SUCCEEDED
    assert (await led.instance_of(ended)).digest == digest


async def test_a_failure_before_it_was_live_is_no_reason_to_keep_it_out(led: World) -> None:
    await led.ship("v1")
    led.publish("v2")
    led.probe.says = REFUSED
    assert (await led.carry_out(await led.queue("v2"))).status is DeployStatus.FAILED
    led.probe.says = None
    assert (await led.carry_out(await led.queue("v2"))).status is DeployStatus.SUCCEEDED
