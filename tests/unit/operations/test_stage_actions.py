"""Orders beside deploying a tag: back to what was live, the same in another stage, not this one
after all, not now.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

import pytest

from tagboat.core.catalog import HeldPush, Stage, Strategy
from tagboat.core.deploy import (
    ACTIVE_STATES,
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
    StepStatus,
    Trigger,
)
from tagboat.core.errors import ConflictError, NotFoundError
from tagboat.core.ids import new_id
from tagboat.core.image import ImageName
from tagboat.core.ports import Queued, Tx
from tagboat.core.push import Outcome, Source
from tagboat.core.run import RunOptions
from tagboat.core.values import replace
from tagboat.deploy import worker as worker_module
from tagboat.deploy.ownership import release_container
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.reconcile import reconcile
from tagboat.deploy.worker import Worker
from tagboat.operations.stage_actions import StageActions
from tagboat.runtime.memory import MemoryImage
from tests.support.endpoints import port_of
from tests.unit.deploy.deploy_harness import HOST, REFUSED, World, assert_only
from tests.unit.deploy.interceptor import START

pytestmark = pytest.mark.anyio
T = TypeVar("T")
NOBODY = "0" * 24


def orders_of(world: World) -> StageActions:
    return StageActions(DeployQueue(world.clock.now), world.clock.now)


async def order(world: World, work: Callable[[StageActions, Tx], T]) -> T:
    """Carry out an order."""
    return await world.store.write(lambda tx: work(orders_of(world), tx))


async def refused(world: World, work: Callable[[StageActions, Tx], object], words: str) -> None:
    """Show that an order is refused in these words, and that nothing has changed."""
    before = (await world.deploys(), await world.instances(), await the_stage(world))
    with pytest.raises(ConflictError, match=words):
        await order(world, work)
    assert (await world.deploys(), await world.instances(), await the_stage(world)) == before


async def the_stage(world: World) -> Stage:
    return await world.store.read(lambda reader: reader.stage(world.stage.id))


async def env_of(world: World, instance: Instance) -> dict[str, str]:
    return dict(world.runtime.spec(instance.container).env)


# Back to what was live.


async def two_one_after_the_other(world: World) -> tuple[Instance, Instance]:
    await world.change_stage(
        env={"COLOUR": "blue"}, run=RunOptions(secrets={"PASSWORD": "hunter2"})
    )
    first = await world.ship("v1")
    await world.change_stage(
        env={"COLOUR": "green"}, run=RunOptions(secrets={"PASSWORD": "swordfish"}, memory=1 << 26)
    )
    world.clock.move(1)
    return first, await world.ship("v2")


async def roll_back(world: World, to: str | None = None) -> Deploy:
    queued = await order(world, lambda orders, tx: orders.rollback(tx, world.stage.id, to))
    assert queued.outcome is Outcome.QUEUED
    return await world.deploy(queued.deploy_id)


async def test_it_brings_back_the_digest_and_the_configuration_of_that_day(led: World) -> None:
    first, _ = await two_one_after_the_other(led)
    await led.change_project(port=9090)
    led.publish("v1", MemoryImage(log=("the tag has moved",)))

    deploy = await roll_back(led)
    assert (deploy.trigger, deploy.tag, deploy.digest) == (Trigger.ROLLBACK, "v1", first.digest)
    ended = await led.carry_out(deploy)

    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "v1 is live")
    back = await led.instance_of(ended)
    assert back.digest == first.digest
    assert back.fingerprint == first.fingerprint
    spec = led.runtime.spec(back.container)
    assert dict(spec.env) == {"COLOUR": "blue", "PASSWORD": "hunter2"}
    assert (spec.port, spec.memory) == (8080, 0)
    assert (await the_stage(led)).held
    await assert_only(led, back)


async def test_what_was_pruned_is_pulled_again(led: World) -> None:
    first, _ = await two_one_after_the_other(led)
    image = f"{led.project.image}@{first.digest}"
    led.runtime.prune(image)
    ended = await led.carry_out(await roll_back(led))
    assert ended.step(StepName.PULL).detail == "pulled"
    assert led.runtime.journal.count(f"pull {image}") == 2
    await assert_only(led, await led.instance_of(ended))


async def test_what_came_back_comes_back_as_it_was_when_it_is_killed(led: World) -> None:
    await two_one_after_the_other(led)
    back = await led.instance_of(await led.carry_out(await roll_back(led)))
    was = led.runtime.spec(back.container)
    await led.runtime.remove(back.container)
    led.cut.clear()
    await reconcile(led.services)
    assert led.runtime.spec(back.container) == was
    await assert_only(led, back)


async def test_ordered_anew_it_goes_one_further_and_never_to_what_was_fled_from(led: World) -> None:
    for tag in ("v1", "v2", "v3"):
        await led.ship(tag)
        led.clock.move(1)
    for tag in ("v2", "v1"):
        back = await led.instance_of(await led.carry_out(await roll_back(led)))
        assert back.tag == tag
        led.clock.move(1)
    with pytest.raises(
        ConflictError, match="nothing was live before v1 in the stage dev but what was taken back"
    ):
        await roll_back(led)
    await assert_only(led, back)


async def test_another_configuration_of_the_same_digest_is_something_to_go_back_to(
    led: World,
) -> None:
    await led.change_stage(env={"COLOUR": "blue"})
    first = await led.ship("v1")
    await led.change_stage(env={"COLOUR": "red"})
    await led.carry_out(await led.queue("v1"))
    ended = await led.carry_out(await roll_back(led))
    assert ended.reason == "v1 is live"
    back = await led.instance_of(ended)
    assert (back.digest, await env_of(led, back)) == (first.digest, {"COLOUR": "blue"})


async def test_already_live_is_what_is_live_with_that_configuration(led: World) -> None:
    first, _ = await two_one_after_the_other(led)
    back = await led.instance_of(await led.carry_out(await roll_back(led)))
    ended = await led.carry_out(await roll_back(led, first.deploy_id))
    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "already live")
    await assert_only(led, back)


async def test_the_same_digest_by_its_tag_gets_the_configuration_of_today(led: World) -> None:
    await two_one_after_the_other(led)
    await led.carry_out(await roll_back(led))
    ended = await led.carry_out(await led.queue("v1"))
    assert ended.reason == "v1 is live"
    assert await env_of(led, await led.instance_of(ended)) == {
        "COLOUR": "green",
        "PASSWORD": "swordfish",
    }


async def test_a_deploy_can_be_named(led: World) -> None:
    first, _ = await two_one_after_the_other(led)
    await led.ship("v3")
    ended = await led.carry_out(await roll_back(led, first.deploy_id))
    back = await led.instance_of(ended)
    assert (back.tag, back.digest, back.fingerprint) == ("v1", first.digest, first.fingerprint)


async def test_what_failed_is_nothing_to_go_back_to(led: World) -> None:
    first = await led.ship("v1")
    led.publish("v2", MemoryImage(exit_code=1))
    failed = await led.carry_out(await led.queue("v2"))
    await led.ship("v3")
    deploy = await roll_back(led)
    assert (deploy.tag, deploy.digest) == ("v1", first.digest)
    await refused(
        led,
        lambda orders, tx: orders.rollback(tx, led.stage.id, failed.id),
        "brought nothing live in the stage dev",
    )


async def test_with_nothing_to_go_back_to_nothing_changes(led: World) -> None:
    await refused(
        led,
        lambda orders, tx: orders.rollback(tx, led.stage.id),
        "nothing was ever live in the stage dev",
    )
    await led.ship("v1")
    await refused(
        led,
        lambda orders, tx: orders.rollback(tx, led.stage.id),
        "nothing was live before v1 in the stage dev",
    )
    assert not (await the_stage(led)).held


async def test_the_deploy_of_another_stage_is_nothing_to_go_back_to(led: World) -> None:
    other = await led.another_stage("prod")
    led.publish("v1")
    elsewhere = await led.carry_out(await led.queue("v1", stage=other))
    await refused(
        led,
        lambda orders, tx: orders.rollback(tx, led.stage.id, elsewhere.id),
        "brought nothing live in the stage dev",
    )


async def test_a_rollback_that_fails_leaves_what_is_live(led: World) -> None:
    _, second = await two_one_after_the_other(led)
    led.probe.says = REFUSED
    ended = await led.carry_out(await roll_back(led))
    assert ended.status is DeployStatus.FAILED
    await assert_only(led, second)


@pytest.mark.parametrize("to", [None, NOBODY])
async def test_what_does_not_exist_is_said_so(led: World, to: str | None) -> None:
    with pytest.raises(NotFoundError):
        await order(led, lambda orders, tx: orders.rollback(tx, led.stage.id if to else NOBODY, to))


# The same in another stage.


async def test_promoting_takes_the_very_digest_and_the_configuration_of_the_stage(
    led: World,
) -> None:
    await led.change_stage(env={"STAGE": "dev"})
    source = await led.ship("v1")
    prod = await led.another_stage("prod")
    await led.store.write(lambda tx: tx.put_stage(replace(prod, env={"STAGE": "prod"})))
    led.publish("v1", MemoryImage(log=("the tag has moved",)))

    queued = await order(led, lambda orders, tx: orders.promote(tx, prod.id, led.stage.id))
    ended = await led.carry_out(await led.deploy(queued.deploy_id))

    assert (ended.status, ended.trigger, ended.digest) == (
        DeployStatus.SUCCEEDED,
        Trigger.PROMOTE,
        source.digest,
    )
    made = await led.instance_of(ended)
    assert (made.stage_id, made.digest) == (prod.id, source.digest)
    assert await env_of(led, made) == {"STAGE": "prod"}
    assert await led.is_running(source.container)


async def test_what_cannot_be_promoted(led: World) -> None:
    prod = await led.another_stage("prod")
    await refused(
        led,
        lambda orders, tx: orders.promote(tx, prod.id, led.stage.id),
        "nothing is live in the stage dev",
    )
    await refused(
        led, lambda orders, tx: orders.promote(tx, prod.id, prod.id), "cannot be promoted to itself"
    )
    project = replace(
        led.project, id=new_id(), name="other", image=ImageName("git.example.com", "acme/other")
    )
    stage = replace(prod, id=new_id(), project_id=project.id)
    await led.store.write(lambda tx: tx.add_project(project))
    await led.store.write(lambda tx: tx.add_stage(stage))
    await refused(
        led,
        lambda orders, tx: orders.promote(tx, stage.id, led.stage.id),
        "belongs to another project",
    )


# Not this one after all.


@pytest.fixture
def only_news_wake_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is only found by waiting is not found."""
    monkeypatch.setattr(worker_module, "LOOK_EVERY_S", 1e6)


@asynccontextmanager
async def at_work(world: World) -> AsyncIterator[None]:
    worker = Worker(world.services, "here")
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await worker.close(60)


class Halt:
    """Where a deploy halts until it is broken off; after that it passes."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._passed = False

    async def here(self) -> None:
        """Halt, the first time."""
        if not self._passed:
            self._passed = True
            self._reached.set()
            await asyncio.Event().wait()

    async def reached(self) -> None:
        async with asyncio.timeout(60):
            await self._reached.wait()


AT: dict[StepName, str] = {
    StepName.RESOLVE: "resolve",
    StepName.PULL: "pull",
    StepName.START: "start",
    StepName.SWITCH: "apply_routes",
    StepName.DRAIN: "in_flight",
}
"""During which call a step is halted."""


def halt_in(world: World, step: StepName, old: Instance, call: str = "") -> Halt:
    """Let the next deploy halt in that step, during that call where one is named."""
    halt = Halt()
    if call := call or AT.get(step, ""):

        async def once_it_is_there() -> None:
            (deploy,) = [one for one in await world.deploys() if not one.status.final]
            if deploy.step(step).status is StepStatus.RUNNING:
                await halt.here()
            else:
                world.calls.before(call, once_it_is_there)

        world.calls.before(call, once_it_is_there)
    else:

        async def answers(port: int) -> str | None:
            led_to = str(port) in world.routes.values()
            if port != port_of(old) and led_to == (step is StepName.WATCH):
                await halt.here()
            return None

        world.probe.of_port = answers
    return halt


async def cancel(world: World, deploy: Deploy) -> Deploy:
    return await order(world, lambda orders, tx: orders.cancel(tx, deploy.id))


@pytest.mark.usefixtures("only_news_wake_it")
@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("step", [step for step in StepName if step is not StepName.RETIRE])
async def test_cancelled_at_any_step_it_leaves_the_old_one_serving(
    led: World, step: StepName, strategy: Strategy
) -> None:
    await led.change_stage(strategy=strategy)
    old = await led.ship("v1")
    led.publish("v2")
    deploy = await led.queue("v2")
    halt = halt_in(led, step, old)
    async with at_work(led):
        await halt.reached()
        asked = await cancel(led, deploy)
        assert (asked.status, asked.cancelling) == (DeployStatus.RUNNING, True)
        *_, ended = await led.until_all_ended()

    assert (ended.status, ended.reason) == (DeployStatus.CANCELLED, "cancelled")
    assert (ended.claimed_by, ended.finished_at) == (None, led.clock.now())
    assert ended.failed_step is not None
    assert (ended.failed_step.name, ended.failed_step.detail) == (step, "cancelled")
    assert led.ended(DeployStatus.CANCELLED) == 1
    assert await led.instances(InstanceState.LIVE) == [old]
    await assert_only(led, old)
    began = len(led.runtime.journal)
    await reconcile(led.services)
    assert led.runtime.journal[began:] == []


@pytest.mark.usefixtures("only_news_wake_it")
@pytest.mark.parametrize("call", ["apply_routes", "in_flight", "stop", "create"])
async def test_cancelled_while_it_makes_way_the_old_one_serves_again(led: World, call: str) -> None:
    await led.change_stage(strategy=Strategy.RECREATE)
    old = await led.ship("v1")
    led.publish("v2")
    deploy = await led.queue("v2")
    halt = halt_in(led, StepName.START, old, call)
    async with at_work(led):
        await halt.reached()
        await cancel(led, deploy)
        *_, ended = await led.until_all_ended()
    assert (ended.status, ended.reason) == (DeployStatus.CANCELLED, "cancelled")
    assert await led.instances(InstanceState.LIVE) == [old]
    await assert_only(led, old)


@pytest.mark.usefixtures("only_news_wake_it")
async def test_cancelled_during_the_release_command(led: World) -> None:
    old = await led.ship("v1")
    await led.change_stage(run=RunOptions(release_command=("migrate",)))
    led.publish("v2")
    deploy = await led.queue("v2")
    halt = Halt()

    async def once_it_runs() -> None:
        held = led.runtime._find(release_container(led.container_of(deploy)))
        if held is not None and held.status.running:
            await halt.here()
        else:
            led.calls.before("status", once_it_runs)

    led.calls.before("status", once_it_runs)
    async with at_work(led):
        await halt.reached()
        await cancel(led, deploy)
        *_, ended = await led.until_all_ended()
    assert (ended.status, ended.reason, ended.released) == (
        DeployStatus.CANCELLED,
        "cancelled",
        False,
    )
    await assert_only(led, old)


@pytest.mark.usefixtures("only_news_wake_it")
async def test_too_late_is_said_so_and_changes_nothing(led: World) -> None:
    await led.ship("v1")
    led.publish("v2")
    deploy = await led.queue("v2")

    async def try_to() -> None:
        await refused(
            led,
            lambda orders, tx: orders.cancel(tx, deploy.id),
            "v2 is live and the old instance is being stopped",
        )

    led.calls.before("stop", try_to)
    async with at_work(led):
        *_, ended = await led.until_all_ended()
    assert ended.status is DeployStatus.SUCCEEDED
    await assert_only(led, await led.instance_of(ended))


@pytest.mark.usefixtures("only_news_wake_it")
async def test_what_is_being_taken_back_already_can_be_cancelled_too(led: World) -> None:
    old = await led.ship("v1")
    led.publish("v2")
    deploy = await led.queue("v2")

    async def falls_silent(port: int) -> str | None:
        return REFUSED if port != port_of(old) and str(port) in led.routes.values() else None

    led.probe.of_port = falls_silent
    halt = Halt()
    led.calls.before("in_flight", halt.here)  # while the new one is drained
    async with at_work(led):
        await halt.reached()
        await cancel(led, deploy)
        *_, ended = await led.until_all_ended()
    assert ended.status is DeployStatus.CANCELLED
    assert REFUSED in (ended.reason or "")
    await assert_only(led, old)


async def test_a_queued_one_is_cancelled_at_once(led: World) -> None:
    old = await led.ship("v1")
    led.publish("v2")
    deploy = await led.queue("v2")
    began = len(led.runtime.journal)
    ended = await cancel(led, deploy)
    assert (ended.status, ended.reason, ended.finished_at) == (
        DeployStatus.CANCELLED,
        "cancelled",
        led.clock.now(),
    )
    async with at_work(led):
        await led.until_all_ended()
    assert led.runtime.journal[began:] == []
    await assert_only(led, old)
    await refused(
        led, lambda orders, tx: orders.cancel(tx, deploy.id), "has ended already: cancelled"
    )


@pytest.mark.usefixtures("only_news_wake_it")
async def test_the_next_one_goes_on_after_it(led: World) -> None:
    old = await led.ship("v1")
    led.publish("v2")
    deploy = await led.queue("v2")
    halt = halt_in(led, StepName.CHECK, old)
    async with at_work(led):
        await halt.reached()
        led.publish("v3")
        await led.queue("v3")
        await cancel(led, deploy)
        *_, cancelled, ended = await led.until_all_ended()
    assert (cancelled.status, ended.status) == (DeployStatus.CANCELLED, DeployStatus.SUCCEEDED)
    await assert_only(led, await led.instance_of(ended))


@pytest.mark.usefixtures("only_news_wake_it")
async def test_a_first_one_leaves_nothing(led: World) -> None:
    deploy = await led.queue("v1")
    led.publish("v1")
    halt = Halt()
    led.calls.after("start", halt.here)
    async with at_work(led):
        await halt.reached()
        await cancel(led, deploy)
        await led.until_all_ended()
    assert await led.instances(*ACTIVE_STATES) == []
    assert await led.containers() == []
    assert led.routes == {HOST: "none"}


# Not now.


async def offer(world: World, tag: str, minute: int, source: Source = Source.WEBHOOK) -> None:
    digest = world.publish(tag)
    seen_at = START + timedelta(minutes=minute)
    await world.store.write(
        lambda tx: tx.add_held_push(
            HeldPush(
                stage_id=world.stage.id, tag=tag, digest=str(digest), source=source, seen_at=seen_at
            )
        )
    )


async def release(world: World, *, including: bool = False) -> list[Deploy]:
    queued: list[Queued] = await order(
        world, lambda orders, tx: orders.release(tx, world.stage.id, including=including)
    )
    return [await world.deploy(one.deploy_id) for one in queued]


async def test_a_stage_is_held_and_released(led: World) -> None:
    held = await order(led, lambda orders, tx: orders.hold(tx, led.stage.id))
    assert held.held
    assert await the_stage(led) == held
    assert await release(led) == []
    assert await the_stage(led) == led.stage


@pytest.mark.parametrize(("max_instances", "tags"), [(1, ["v1.10.0"]), (2, ["v1.9.0", "v1.10.0"])])
async def test_the_newest_of_what_came_meanwhile_is_deployed(
    led: World, max_instances: int, tags: list[str]
) -> None:
    await led.change_stage(max_instances=max_instances, held=True)
    for minute, tag in enumerate(("v1.9.0", "v1.10.0", "v1.2.0")):
        await offer(led, tag, minute)
    deploys = await release(led)
    assert [deploy.tag for deploy in deploys] == tags
    assert [deploy.digest for deploy in deploys] == [None] * len(tags), (
        "what they point to now is looked up"
    )
    assert {deploy.trigger for deploy in deploys} == {Trigger.WEBHOOK}
    assert await led.store.read(lambda reader: reader.held_pushes(led.stage.id)) == []
    assert await release(led) == []


@pytest.mark.parametrize(
    ("source", "allow_downgrade", "deployed"),
    [(Source.POLL, False, []), (Source.POLL, True, ["v3"]), (Source.WEBHOOK, False, ["v3"])],
)
async def test_what_a_poll_has_found_does_not_go_back_when_its_stage_is_released(
    led: World, source: Source, allow_downgrade: bool, deployed: list[str]
) -> None:
    await led.change_stage(held=True, allow_downgrade=allow_downgrade)
    await offer(led, "v3", 0, source)
    await led.ship("v5")  # by hand
    assert [deploy.tag for deploy in await release(led)] == deployed
    assert await led.store.read(lambda reader: reader.held_pushes(led.stage.id)) == []
    known = await led.store.read(lambda reader: reader.known_tag(led.project.id, "v3"))
    assert known is not None
    assert known.verdict is not None
    assert known.verdict.outcome == ("queued" if deployed else "recorded")


async def test_what_a_poll_has_found_goes_back_when_it_is_asked_for(led: World) -> None:
    await led.change_stage(held=True)
    await offer(led, "v3", 0, Source.POLL)
    await led.ship("v5")  # by hand
    assert [deploy.tag for deploy in await release(led, including=True)] == ["v3"]


async def test_a_stage_that_deploys_nothing_by_itself_does_not_when_it_is_released(
    led: World,
) -> None:
    await led.change_stage(held=True, auto_deploy=False)
    await offer(led, "v1", 0)
    assert await release(led) == []
