"""Fences: a server acts for a deploy only with the last claim on it."""

import asyncio
import inspect
from typing import Any

import pytest

from tagboat.core.deploy import DeployStatus, InstanceState, StepName
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.runtime import Runtime
from tagboat.deploy import fence as fence_module
from tagboat.deploy.fence import (
    CLAIM_S,
    MARGIN_S,
    READS,
    ClaimLostError,
    Fence,
    Lease,
    fenced,
    within,
)
from tagboat.deploy.pipeline import Pipeline
from tagboat.deploy.worker import Worker
from tests.unit.deploy.deploy_harness import World, assert_only

pytestmark = pytest.mark.anyio

CHANGES = {
    *("ensure_image", "remove_image", "create", "launch", "start", "stop", "remove", "set_aside"),
    *(
        "replace_tasks",
        "rejoin",
        "ensure_network",
        "remove_network",
        "remove_volume",
        "sweep",
        "renew_logins",
    ),
}


def test_each_call_of_a_runtime_changes_something_or_not() -> None:
    calls = {name for name, _ in inspect.getmembers(Runtime) if not name.startswith("_")}
    assert calls == READS | CHANGES
    assert set() == READS & CHANGES


async def begun(world: World, tag: str = "v1") -> tuple[str, Fence]:
    """Return a deploy that this server has claimed, and its claim."""
    world.publish(tag)
    deploy = await world.queue(tag)
    until = fence_module.awake_s() + CLAIM_S - MARGIN_S
    claimed = await world.store.write(lambda tx: tx.claim_deploy(deploy, "here", CLAIM_S))
    return deploy.id, Fence(world.store, deploy.id, claimed.claim, until)


async def taken_over(world: World, deploy_id: str) -> None:
    await world.store.write(lambda tx: tx.claim_deploy(tx.deploy(deploy_id), "there", CLAIM_S))


async def test_before_its_deadline_the_database_is_not_asked(world: World) -> None:
    _, fence = await begun(world)
    before = list(world.calls.calls)
    await fence.check()
    assert world.calls.calls == before


async def test_after_it_a_claim_that_nobody_took_is_renewed(world: World) -> None:
    deploy_id, fence = await begun(world)
    world.clock.move(10 * CLAIM_S)
    await fence.check()
    renewed = (await world.deploy(deploy_id)).claimed_until
    assert renewed is not None
    assert (renewed - world.clock.now()).total_seconds() == CLAIM_S
    before = list(world.calls.calls)
    await fence.check()
    assert world.calls.calls == before


async def test_after_it_a_claim_that_was_taken_is_lost(world: World) -> None:
    deploy_id, fence = await begun(world)
    await taken_over(world, deploy_id)
    await fence.check()  # nobody may take it before the deadline: it is not asked for
    world.clock.move(CLAIM_S)
    with pytest.raises(ClaimLostError):
        await fence.check()


async def test_without_the_database_nobody_acts_after_the_deadline(world: World) -> None:
    _, fence = await begun(world)
    world.clock.move(CLAIM_S)

    async def unavailable() -> None:
        raise StoreUnavailableError("the database is away")

    world.calls.before("write", unavailable)
    with pytest.raises(StoreUnavailableError):
        await fence.check()


@pytest.mark.parametrize("call", sorted(CHANGES))
async def test_each_change_of_the_runtime_is_checked(world: World, call: str) -> None:
    class Lost(Fence):
        async def check(self) -> None:
            raise ClaimLostError

    services = fenced(world.services, Lost(world.store, "none"))
    before = list(world.runtime.journal)
    arguments: Any = [None] * 3
    with pytest.raises(ClaimLostError):
        await getattr(services.runtime, call)(*arguments)
    assert world.runtime.journal == before
    with pytest.raises(ClaimLostError):
        await services.traffic.apply_stage_routes("dev")
    assert await services.runtime.list_workloads({}) == []


@pytest.mark.parametrize("call", ["pull", "create", "start", "stop", "remove"])
async def test_a_server_that_slept_before_a_call_does_nothing_more(led: World, call: str) -> None:
    await led.ship("v1")
    deploy_id, fence = await begun(led, "v2")

    async def sleep_too_long() -> None:
        led.clock.move(2 * CLAIM_S)
        await taken_over(led, deploy_id)

    led.calls.before(call, sleep_too_long)
    with pytest.raises(ClaimLostError):
        await Pipeline(led.services, deploy_id, fence).carry_out()
    # The other one goes on.
    await Pipeline(led.services, deploy_id).carry_out()
    ended = await led.deploy(deploy_id)
    assert ended.status is DeployStatus.SUCCEEDED
    await assert_only(led, await led.instance_of(ended))


class LongCall:
    """A call that tries again and again, as one to a cluster without a leader does."""

    def __init__(self) -> None:
        self.begun, self.done = asyncio.Event(), asyncio.Event()
        self.cancelled = False

    async def work(self) -> str:
        self.begun.set()
        try:
            await self.done.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "done"


async def test_a_call_under_way_is_ended_before_another_server_acts(world: World) -> None:
    deploy_id, fence = await begun(world)
    call = LongCall()
    task = asyncio.create_task(within(fence, call.work()))
    await call.begun.wait()
    world.clock.move(2 * CLAIM_S)
    await taken_over(world, deploy_id)
    with pytest.raises(ClaimLostError):
        await task
    assert call.cancelled


async def test_a_call_under_way_is_ended_if_the_claim_cannot_be_confirmed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, fence = await begun(world)
    monkeypatch.setattr(fence_module, "_CONFIRMED_WITHIN_S", 0.01)
    monkeypatch.setattr(fence, "check", asyncio.Event().wait)
    call = LongCall()
    task = asyncio.create_task(within(fence, call.work()))
    await call.begun.wait()
    world.clock.move(2 * CLAIM_S)
    with pytest.raises(StoreUnavailableError, match="did not confirm in time"):
        await task
    assert call.cancelled


async def test_a_call_under_way_goes_on_while_the_claim_is_renewed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, fence = await begun(world)
    call, renewed, check = LongCall(), asyncio.Event(), fence.check

    async def checked() -> None:
        await check()
        renewed.set()

    monkeypatch.setattr(fence, "check", checked)
    task = asyncio.create_task(within(fence, call.work()))
    await call.begun.wait()
    world.clock.move(2 * CLAIM_S)
    await renewed.wait()
    assert not task.done()
    call.done.set()
    assert await task == "done"


async def test_what_a_later_claim_has_made_is_not_made_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_id, fence = await begun(world)
    # A request that is on its way to the engine cannot be ended.
    monkeypatch.setattr(fence_module, "within", lambda _, work: work)

    async def let_another_finish() -> None:
        world.clock.move(2 * CLAIM_S)
        await taken_over(world, deploy_id)
        await Pipeline(world.services, deploy_id).carry_out()

    # Right before the engine makes it, when nothing can be checked any more.
    world.calls.before("create", let_another_finish)
    with pytest.raises(ClaimLostError):
        await Pipeline(world.services, deploy_id, fence).carry_out()
    ended = await world.deploy(deploy_id)
    live = await world.instance_of(ended)
    assert (ended.status, live.state) == (DeployStatus.SUCCEEDED, InstanceState.LIVE)
    status = await world.runtime.status(live.container_id)
    assert status is not None
    assert (status.running, status.labels["tagboat.claim"]) == (True, "2")
    await assert_only(world, live)


async def test_a_container_that_comes_too_late_is_not_started(world: World) -> None:
    deploy_id, fence = await begun(world)

    async def sleep_too_long() -> None:
        world.clock.move(2 * CLAIM_S)
        await taken_over(world, deploy_id)

    world.calls.after("create", sleep_too_long)
    with pytest.raises(ClaimLostError):
        await Pipeline(world.services, deploy_id, fence).carry_out()
    assert not any(line.startswith("start ") for line in world.runtime.journal)
    # The other one makes its own in the place of it.
    await Pipeline(world.services, deploy_id).carry_out()
    ended = await world.deploy(deploy_id)
    assert ended.status is DeployStatus.SUCCEEDED
    await assert_only(world, await world.instance_of(ended))


async def test_a_worker_carries_on_with_its_own_claim_only(world: World) -> None:
    world.publish("v1")
    deploy = await world.queue("v1")
    worker = Worker(world.services, "here")

    async def take_over() -> None:
        await taken_over(world, deploy.id)

    # Between its claim and the first look at the record.
    world.calls.after("write", take_over)
    await worker._look()
    (task,) = worker._tasks.values()
    await task
    left = await world.deploy(deploy.id)
    assert (left.claimed_by, left.claim) == ("there", 2)
    assert left.step(StepName.RESOLVE).started_at is None


async def test_a_lease_is_held_by_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = (Lease(world.store, "reconcile", name) for name in ("here", "there"))
    assert await here.acquire()
    assert await there.acquire()  # nobody else writes here
    monkeypatch.setattr(type(world.store), "exclusive", False)
    assert await here.acquire()
    assert not await there.acquire()
    with pytest.raises(ClaimLostError):
        await there.check()
    before = list(world.calls.calls)
    await here.check()
    assert world.calls.calls == before
    world.clock.move(CLAIM_S)
    await there.check()
    with pytest.raises(ClaimLostError):
        await here.check()
