"""Orders that merge into a deploy that waits, with who has given them and why."""

import pytest

from tagboat.core.deploy import Deploy, DeployStatus, Trigger
from tagboat.deploy.queue import DeployQueue
from tests.unit.deploy.deploy_harness import World

pytestmark = pytest.mark.anyio


async def order(world: World, by: str, note: str) -> Deploy:
    queue, stage = DeployQueue(world.clock.now), world.stage
    queued = await world.store.write(
        lambda tx: queue.trigger_deploy(
            stage.project_id, stage.id, "v1", tx=tx, ordered_by=by, note=note
        )
    )
    return await world.deploy(queued.deploy_id)


async def test_an_order_that_merges_puts_no_words_into_anothers_mouth(world: World) -> None:
    await order(world, "ada", "the hotfix")
    merged = await order(world, "bob", "for the demo")
    assert (merged.ordered_by, merged.note) == ("ada", "the hotfix; for the demo")


async def test_a_push_that_a_person_orders_too_is_that_persons(world: World) -> None:
    pushed = await world.queue("v1")
    merged = await order(world, "ada", "now")
    assert (merged.id, merged.ordered_by, merged.note) == (pushed.id, "ada", "now")
    assert (await world.queue("v1")).ordered_by == "ada"


async def test_a_push_that_a_person_orders_too_waits_for_no_release(world: World) -> None:
    pushed = await world.queue("v1")
    await world.change_stage(held=True)
    merged = await order(world, "ada", "now")
    assert (merged.id, merged.trigger) == (pushed.id, Trigger.MANUAL)
    claimable = await world.store.read(lambda reader: reader.claimable_deploys("here", (), 9))
    assert [one.id for one in claimable] == [pushed.id]


async def test_an_order_goes_past_a_rollback_that_came_after_the_push(world: World) -> None:
    queue, stage = DeployQueue(world.clock.now), world.stage
    pushed = await world.queue("v1")
    back = await world.store.write(
        lambda tx: queue.trigger_deploy(
            stage.project_id, stage.id, "v0", tx=tx, trigger=Trigger.ROLLBACK
        )
    )
    ordered = await order(world, "ada", "after all")
    for passed in (pushed.id, back.deploy_id):
        ended = await world.deploy(passed)
        assert (ended.status, ended.reason) == (
            DeployStatus.SUPERSEDED,
            "v1 was ordered before it began",
        )
    assert ordered.status is DeployStatus.QUEUED


@pytest.mark.parametrize(
    ("trigger", "is_exact", "came"),
    [
        (Trigger.WEBHOOK, False, "pushed"),
        (Trigger.POLL, False, "pushed"),
        (Trigger.MANUAL, False, "ordered"),
        (Trigger.MANUAL, True, "started again"),
        (Trigger.PROMOTE, False, "promoted"),
        (Trigger.ROLLBACK, False, "rolled back to"),
    ],
)
async def test_a_superseded_deploy_says_how_the_newer_one_came(
    world: World, trigger: Trigger, came: str, *, is_exact: bool
) -> None:
    queue, stage = DeployQueue(world.clock.now), world.stage
    older = await order(world, "ada", "")
    await world.store.write(
        lambda tx: queue.trigger_deploy(
            stage.project_id, stage.id, "v2", tx=tx, trigger=trigger, exact=is_exact
        )
    )
    ended = await world.deploy(older.id)
    assert (ended.status, ended.reason) == (
        DeployStatus.SUPERSEDED,
        f"v2 was {came} before it began",
    )
