"""Restart, stop and start of a stage: the orders, and what deploys and reconcile make of them."""

from collections.abc import Callable

import pytest

from tagboat.core.catalog import HeldPush, Stage, Strategy
from tagboat.core.decision import decide
from tagboat.core.deploy import (
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
    TakenBack,
    Trigger,
)
from tagboat.core.errors import ConflictError
from tagboat.core.ports import Reader, Tx
from tagboat.core.push import Outcome
from tagboat.core.route import RouteState
from tagboat.core.run import RunOptions
from tagboat.core.values import replace
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.reconcile import reconcile
from tagboat.operations.stage_actions import StageActions
from tagboat.operations.stage_life import StageLife, served_last
from tagboat.runtime.memory import MemoryImage
from tagboat.store import SqlStore
from tests.unit.deploy.deploy_harness import HOST, REFUSED, World, assert_only, build_world
from tests.unit.deploy.interceptor import Clock, Died

pytestmark = pytest.mark.anyio


def life_of(world: World) -> StageLife:
    return StageLife(DeployQueue(world.clock.now), world.clock.now, "ada")


async def restart(world: World) -> list[Deploy]:
    ids = await world.store.write(lambda tx: life_of(world).restart(tx, world.stage.id))
    return [await world.deploy(one) for one in ids]


async def stop(world: World) -> Stage:
    world.stage = await world.store.write(lambda tx: life_of(world).stop(tx, world.stage.id))
    return world.stage


async def start(world: World) -> list[Deploy]:
    ids = await world.store.write(lambda tx: life_of(world).start(tx, world.stage.id))
    return [await world.deploy(one) for one in ids]


async def the_stage(world: World) -> Stage:
    return await world.store.read(lambda reader: reader.stage(world.stage.id))


async def refused(world: World, order: Callable[[StageLife, Tx], object], words: str) -> None:
    """Show that an order is refused in these words, and that nothing has changed."""
    before = (await world.deploys(), await world.instances(), await the_stage(world))
    with pytest.raises(ConflictError, match=words):
        await world.store.write(lambda tx: order(life_of(world), tx))
    assert (await world.deploys(), await world.instances(), await the_stage(world)) == before


async def by_hand(world: World, tag: str) -> Deploy:
    queue = DeployQueue(world.clock.now)
    queued = await world.store.write(
        lambda tx: queue.trigger_deploy(world.project.id, world.stage.id, tag, tx=tx)
    )
    return await world.deploy(queued.deploy_id)


async def stopped(world: World, *tags: str) -> list[Instance]:
    """Deploy the tags, stop the stage, and return what was live once it has ended."""
    made = [await world.ship(tag) for tag in tags]
    await stop(world)
    await reconcile(world.services)
    return made


# Restart.


async def test_a_restart_makes_saved_settings_live_without_a_gap(led: World) -> None:
    old = await led.ship("v1")
    led.publish("v1", MemoryImage(log=("the tag has moved on",)))
    await led.change_stage(env={"COLOUR": "green"})

    (deploy,) = await restart(led)
    assert (deploy.trigger, deploy.ordered_by) == (Trigger.MANUAL, "ada")
    led.tags.asked.clear()
    ended = await led.carry_out(deploy)

    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "v1 is live")
    new = await led.instance_of(ended)
    assert (new.digest, new.id != old.id) == (old.digest, True)
    assert dict(led.runtime.spec(new.container).env) == {"COLOUR": "green"}
    assert led.tags.asked == []
    await assert_only(led, new)


async def test_a_restart_runs_no_release_command_and_teaches_nothing_about_the_tag(
    world: World,
) -> None:
    await world.ship("v1")
    moved = world.publish("v1", MemoryImage(log=("the tag has moved on",)))
    await world.carry_out(await world.queue("v1"))
    await world.change_stage(run=RunOptions(release_command=("migrate",)))
    (deploy,) = await restart(world)
    await world.carry_out(deploy)
    assert not [line for line in world.runtime.journal if "-release" in line]
    known = await world.store.read(lambda reader: reader.known_tag(world.project.id, "v1"))
    assert known is not None
    assert known.digest == moved


async def test_a_restart_that_fails_leaves_what_runs(led: World) -> None:
    live = await led.ship("v1")
    led.probe.says = REFUSED
    (deploy,) = await restart(led)
    assert (await led.carry_out(deploy)).status is DeployStatus.FAILED
    await assert_only(led, live)


async def test_restarted_twice_while_one_waits_it_is_one_deploy(world: World) -> None:
    await world.ship("v1")
    assert await restart(world) == await restart(world)


async def test_one_ordered_while_another_runs_follows_it(world: World) -> None:
    await world.ship("v1")
    (first,) = await restart(world)
    await world.change_deploy(first, status=DeployStatus.RUNNING)
    (second,) = await restart(world)
    assert second.id != first.id


async def test_all_side_by_side_are_restarted_each_by_its_tag(world: World) -> None:
    await world.change_stage(max_instances=2)
    old = [await world.ship(tag) for tag in ("pr-1", "pr-2")]
    queued = await restart(world)
    assert [deploy.tag for deploy in queued] == ["pr-1", "pr-2"]
    for deploy in queued:
        assert (await world.carry_out(deploy)).status is DeployStatus.SUCCEEDED
    live = await world.instances(InstanceState.LIVE)
    assert [one.tag for one in live] == ["pr-2", "pr-1"]
    assert not {one.id for one in live} & {one.id for one in old}


async def test_a_restart_is_refused_where_another_version_comes_anyway(world: World) -> None:
    await world.ship("v1")
    world.publish("v2")
    await world.queue("v2")
    await refused(
        world,
        lambda life, tx: life.restart(tx, world.stage.id),
        "the deploy of v2 is queued in app dev.*tagboat cancel app dev",
    )


async def test_a_push_that_waits_in_a_held_stage_neither_stops_a_restart_nor_is_lost(
    world: World,
) -> None:
    await world.ship("v1")
    world.publish("v2")
    waiting = await world.queue("v2")
    await world.change_stage(held=True)
    (deploy,) = await restart(world)
    assert (await world.deploy(waiting.id)).status is DeployStatus.QUEUED
    await world.carry_out(deploy)
    assert (await world.deploy(waiting.id)).status is DeployStatus.QUEUED


async def test_a_push_of_the_tag_does_not_turn_a_restart_into_a_deploy_of_it(world: World) -> None:
    live = await world.ship("v1")
    (deploy,) = await restart(world)
    pushed = await world.queue("v1")
    assert pushed.id != deploy.id
    assert (await world.deploy(deploy.id)).digest == live.digest


async def test_where_nothing_is_live_a_restart_says_what_to_do(world: World) -> None:
    await refused(
        world, lambda life, tx: life.restart(tx, world.stage.id), "tagboat deploy app dev TAG"
    )
    await stopped(world, "v1")
    await refused(world, lambda life, tx: life.restart(tx, world.stage.id), "tagboat start app dev")


# Stop.


async def test_a_stop_takes_the_traffic_away_first_and_removes_the_container(led: World) -> None:
    live = await led.ship("v1")
    after = await stop(led)
    assert (after.stopped_by, after.stopped_at) == ("ada", led.clock.now())
    await reconcile(led.services)
    (ended,) = await led.instances()
    assert (ended.id, ended.state) == (live.id, InstanceState.STOPPED)
    assert await led.containers() == []
    assert led.routes == {HOST: RouteState.STOPPED}
    assert led.cut == []


async def test_running_requests_are_answered_before_it_ends(led: World) -> None:
    live = await led.ship("v1")
    assert led.ingress is not None
    port = await led.ingress.begin(HOST)
    assert port is not None
    await stop(led)

    async def answer() -> None:
        assert await led.is_running(live.container)
        assert led.ingress is not None
        led.ingress.end(port)

    led.calls.before("in_flight", answer)
    await reconcile(led.services)
    assert await led.containers() == []


async def test_nothing_revives_what_was_stopped(led: World) -> None:
    await stopped(led, "v1")
    done = list(led.runtime.journal)
    await reconcile(led.services)
    assert led.runtime.journal == done


async def test_a_second_stop_changes_nothing(world: World) -> None:
    await stopped(world, "v1")
    before = await the_stage(world)
    world.clock.move(60)
    assert await stop(world) == before


async def test_all_instances_of_a_stage_end(world: World) -> None:
    await world.change_stage(max_instances=3)
    await stopped(world, "pr-1", "pr-2")
    assert await world.containers() == []
    assert {one.state for one in await world.instances()} == {InstanceState.STOPPED}


@pytest.mark.parametrize("status", [DeployStatus.QUEUED, DeployStatus.RUNNING])
async def test_while_a_person_deploys_a_stop_is_refused(world: World, status: DeployStatus) -> None:
    await world.ship("v1")
    world.publish("v2")
    deploy = await by_hand(world, "v2")
    await world.change_deploy(deploy, status=status)
    await refused(
        world,
        lambda life, tx: life.stop(tx, world.stage.id),
        f"the deploy of v2 is {status} in app dev.*tagboat cancel app dev",
    )


async def test_a_stop_does_not_get_lost_behind_a_start_under_way(world: World) -> None:
    await stopped(world, "v1")
    (deploy,) = await start(world)
    for status in (DeployStatus.QUEUED, DeployStatus.RUNNING):
        await world.change_deploy(deploy, status=status)
        await refused(world, lambda life, tx: life.stop(tx, world.stage.id), "tagboat cancel app")
    # One that is taken back ends in a stopped stage.
    await world.change_deploy(deploy, status=DeployStatus.RUNNING, cancelling=True)
    assert (await stop(world)).stopped


async def test_a_queued_push_waits_until_the_stage_runs_again(world: World) -> None:
    await world.ship("v1")
    world.publish("v2")
    waiting = await world.queue("v2")
    await stop(world)

    async def claimable() -> list[str]:
        found = await world.store.read(lambda reader: reader.claimable_deploys("me", (), 10))
        return [deploy.tag for deploy in found]

    assert await claimable() == []
    (deploy,) = await start(world)
    assert await claimable() == ["v1"]
    await world.carry_out(deploy)
    assert await claimable() == ["v2"]
    assert (await world.deploy(waiting.id)).status is DeployStatus.QUEUED


async def test_pushes_wait_with_the_reason(world: World) -> None:
    stage = replace(await stop(world), held=True)
    decision = decide(world.project, [stage], "v1")
    assert decision.outcome is Outcome.WAITING
    assert decision.reason == "tag v1 matches *, but the stage dev is stopped"


async def test_a_release_of_a_stopped_stage_keeps_what_waits(world: World) -> None:
    await stopped(world, "v1")
    push = HeldPush(
        stage_id=world.stage.id,
        tag="v2",
        digest=None,
        source="webhook",
        seen_at=world.clock.now(),
    )
    await world.store.write(lambda tx: tx.add_held_push(push))
    orders = StageActions(DeployQueue(world.clock.now), world.clock.now)
    assert await world.store.write(lambda tx: orders.release(tx, world.stage.id)) == []
    assert await world.store.read(lambda reader: reader.held_pushes(world.stage.id)) == [push]


async def test_what_waited_during_a_stop_does_not_come_after_a_newer_push(world: World) -> None:
    await stopped(world, "v1.0")
    bad = world.publish("v1.0.1", MemoryImage(log=("bad",)))
    seen = world.clock.now()
    fuse = TakenBack(
        stage_id=world.stage.id,
        digest=bad,
        fingerprint="",
        tag="v1.0.1",
        reason="no",
        at=seen,
    )

    def offer(tx: Tx) -> None:
        for tag, digest in (("v1.1", None), ("v1.3", None), ("v1.0.1", bad)):
            tx.add_held_push(
                HeldPush(
                    stage_id=world.stage.id, tag=tag, digest=digest, source="webhook", seen_at=seen
                )
            )
        tx.put_taken_back(fuse)

    await world.store.write(offer)
    await world.carry_out((await start(world))[0])
    world.clock.move(60)
    await world.ship("v1.2")
    left = await world.store.read(lambda reader: reader.held_pushes(world.stage.id))
    assert sorted(one.tag for one in left) == ["v1.0.1", "v1.3"]
    known = await world.store.read(lambda reader: reader.known_tag(world.project.id, "v1.1"))
    assert known is not None
    assert known.verdict is not None
    assert "v1.2 was pushed later" in known.verdict.reason


async def test_a_rollback_of_a_stopped_stage_has_to_name_its_target(world: World) -> None:
    first, _ = await stopped(world, "v1", "v2")
    orders = StageActions(DeployQueue(world.clock.now), world.clock.now)
    with pytest.raises(ConflictError, match="dev is stopped: start it, or name the deploy"):
        await world.store.write(lambda tx: orders.rollback(tx, world.stage.id))
    queued = await world.store.write(
        lambda tx: orders.rollback(tx, world.stage.id, first.deploy_id)
    )
    ended = await world.carry_out(await world.deploy(queued.deploy_id))
    assert (ended.status, ended.tag) == (DeployStatus.SUCCEEDED, "v1")
    assert not (await the_stage(world)).stopped


@pytest.mark.parametrize("started_again", [False, True])
async def test_a_death_at_any_moment_of_a_stop(
    new_store: Callable[[], SqlStore], clock: Clock, *, started_again: bool
) -> None:
    """With `started_again`, the stage is started before the next reconcile."""
    changes = 0
    while True:
        world = await build_world(new_store(), clock, ingress=True)
        await world.change_stage(watch_s=0)
        await world.ship("v1")
        await stop(world)
        world.calls.die_after_changes(changes)
        died = False
        try:
            await reconcile(world.services)
        except Died:
            died = True
        world.calls.live_on()
        if started_again:
            (deploy,) = await start(world)
            ended = await world.carry_out(deploy)
            await reconcile(world.services)
            await assert_only(world, await world.instance_of(ended))
        else:
            await reconcile(world.services)
            assert await world.containers() == []
            assert world.routes == {HOST: RouteState.STOPPED}
            assert world.cut == []
        if not died:
            break
        changes += 1
    # Four on a quiet machine. On a busy one, the drain has done a part before the death is armed.
    assert changes >= 1


# Start.


async def test_a_start_brings_what_was_live_again(led: World) -> None:
    _, old = await stopped(led, "v1", "v2")
    led.publish("v2", MemoryImage(log=("the tag has moved on",)))
    await led.change_stage(env={"COLOUR": "green"})

    (deploy,) = await start(led)
    assert (deploy.trigger, deploy.digest, deploy.tag) == (Trigger.MANUAL, old.digest, "v2")
    assert (await the_stage(led)).stopped
    assert led.routes == {HOST: RouteState.STOPPED}
    ended = await led.carry_out(deploy)

    assert ended.status is DeployStatus.SUCCEEDED
    new = await led.instance_of(ended)
    assert dict(led.runtime.spec(new.container).env) == {"COLOUR": "green"}
    after = await the_stage(led)
    assert (after.stopped_at, after.stopped_by) == (None, None)
    await assert_only(led, new)


async def test_all_that_was_live_together_starts_again(world: World) -> None:
    await world.change_stage(max_instances=2)
    await world.ship("pr-0")
    await stopped(world, "pr-1", "pr-2")
    queued = await start(world)
    assert [deploy.tag for deploy in queued] == ["pr-1", "pr-2"]
    for deploy in queued:
        await world.carry_out(deploy)
    assert [one.tag for one in await world.instances(InstanceState.LIVE)] == ["pr-2", "pr-1"]


async def test_a_start_that_fails_leaves_the_stage_stopped_and_can_be_ordered_again(
    led: World,
) -> None:
    await stopped(led, "v1")
    led.probe.says = REFUSED
    (deploy,) = await start(led)
    ended = await led.carry_out(deploy)
    assert (ended.status, ended.step(StepName.CHECK).status) == (DeployStatus.FAILED, "failed")
    assert (await the_stage(led)).stopped
    assert led.routes == {HOST: RouteState.STOPPED}
    assert await led.containers() == []
    led.probe.says = None
    (again,) = await start(led)
    assert (await led.carry_out(again)).status is DeployStatus.SUCCEEDED


async def test_a_start_that_fails_under_watch_can_be_ordered_again(led: World) -> None:
    await led.change_stage(watch_s=1)
    (first,) = await stopped(led, "v1")

    async def answers_until_it_is_led_to(port: int) -> str | None:
        return REFUSED if str(port) in led.routes.values() else None

    led.probe.of_port = answers_until_it_is_led_to
    (deploy,) = await start(led)
    assert (await led.carry_out(deploy)).status is DeployStatus.FAILED
    assert await led.containers() == []
    led.probe.of_port = None
    (again,) = await start(led)
    assert again.digest == first.digest
    assert (await led.carry_out(again)).status is DeployStatus.SUCCEEDED


async def test_started_twice_it_is_one_deploy_and_then_nothing(world: World) -> None:
    await stopped(world, "v1")
    queued = await start(world)
    assert await start(world) == queued
    await world.carry_out(queued[0])
    assert await start(world) == []


async def test_a_start_after_a_cancel_is_a_new_deploy(world: World) -> None:
    await stopped(world, "v1")
    (dying,) = await start(world)
    await world.change_deploy(dying, status=DeployStatus.RUNNING, cancelling=True)
    (second,) = await start(world)
    assert (second.id != dying.id, second.status) == (True, DeployStatus.QUEUED)
    assert await start(world) == [second]


async def test_starting_what_runs_while_a_person_deploys_changes_nothing(world: World) -> None:
    await world.ship("v1")
    world.publish("v2")
    await by_hand(world, "v2")
    assert await start(world) == []


async def test_before_the_old_one_has_ended_a_start_waits_for_nothing(led: World) -> None:
    await led.change_stage(strategy=Strategy.RECREATE)
    await led.ship("v1")
    await stop(led)
    (deploy,) = await start(led)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    await reconcile(led.services)
    await assert_only(led, await led.instance_of(ended))


async def test_an_app_that_cannot_run_twice_does_not_come_back_when_its_start_fails(
    led: World,
) -> None:
    await led.change_stage(strategy=Strategy.RECREATE)
    await led.ship("v1")
    await stop(led)
    led.probe.says = REFUSED
    (deploy,) = await start(led)
    assert (await led.carry_out(deploy)).status is DeployStatus.FAILED
    await reconcile(led.services)
    assert await led.containers() == []
    assert (await the_stage(led)).stopped


async def test_a_deploy_by_hand_starts_a_stopped_stage(led: World) -> None:
    await stopped(led, "v1")
    led.publish("v2")
    deploy = await by_hand(led, "v2")
    await refused(
        led, lambda life, tx: life.start(tx, led.stage.id), "the deploy of v2 is queued in app dev"
    )
    ended = await led.carry_out(deploy)
    assert not (await the_stage(led)).stopped
    await assert_only(led, await led.instance_of(ended))


async def test_what_was_never_live_cannot_start(world: World) -> None:
    await refused(
        world, lambda life, tx: life.start(tx, world.stage.id), "nothing was ever live in app dev"
    )


async def test_a_stage_that_was_stopped_empty_takes_pushes_again(world: World) -> None:
    await stop(world)
    assert await start(world) == []
    assert not (await the_stage(world)).stopped


async def test_where_nothing_is_live_any_more_a_start_brings_what_was_last(world: World) -> None:
    await world.change_stage(ttl_h=1)
    await world.ship("v1")
    last = await world.ship("v2")
    world.clock.move(3700)
    await reconcile(world.services)
    assert await world.containers() == []
    (deploy,) = await start(world)
    assert (deploy.tag, deploy.digest) == ("v2", last.digest)


async def test_what_ended_before_a_stop_is_not_what_was_live(world: World) -> None:
    await world.change_stage(max_instances=2)
    await world.ship("pr-1")
    await world.ship("pr-2")
    world.clock.move(1)
    await world.ship("pr-3")
    stage = await stop(world)

    def tags(reader: Reader) -> list[str]:
        return [one.tag for one in served_last(reader, stage)]

    assert await world.store.read(tags) == ["pr-3", "pr-2"]
    await reconcile(world.services)
    assert await world.store.read(tags) == ["pr-3", "pr-2"]
