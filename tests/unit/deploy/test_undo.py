"""What a deploy takes back when it fails, is cancelled or deleted, and what it leaves alone."""

import asyncio

import pytest

from tagboat.core.deploy import Deploy, DeployStatus, InstanceState, StepName, StepStatus
from tagboat.core.errors import (
    EngineError,
    EngineUnavailableError,
    NotFoundError,
    StoreUnavailableError,
)
from tagboat.deploy.fence import ClaimLostError
from tagboat.deploy.reconcile import reconcile
from tagboat.runtime.memory import MemoryImage
from tests.unit.deploy.deploy_harness import World, assert_fails, assert_only

pytestmark = pytest.mark.anyio


async def test_an_engine_that_is_away_leaves_the_failed_container_to_the_sweep(
    world: World,
) -> None:
    live = await world.ship("v1")
    world.publish("v2", MemoryImage(exit_code=1))
    deploy = await world.queue("v2")
    world.runtime.fail("logs", EngineUnavailableError("the engine went away"))
    world.runtime.fail("remove", EngineUnavailableError("the engine went away"))

    ended = await world.carry_out(deploy)

    assert ended.status is DeployStatus.FAILED
    assert "exited with code 1" in (ended.reason or "")
    assert world.container_of(deploy) in await world.containers()
    await reconcile(world.services)
    await assert_only(world, live)


async def test_once_it_is_live_a_failure_takes_nothing_back(world: World) -> None:
    old = await world.ship("v1")
    world.publish("v2")
    deploy = await world.queue("v2")
    world.runtime.fail("stop", EngineError("the container cannot be killed"))

    ended = await world.carry_out(deploy)

    assert ended.status is DeployStatus.FAILED
    assert (
        ended.reason
        == "v2 is live, but the old instance could not be retired: the container cannot be killed"
    )
    assert ended.step(StepName.RETIRE).status is StepStatus.FAILED
    assert ended.log == ""
    new = await world.instance_of(ended)
    assert new.state is InstanceState.LIVE
    assert await world.containers() == sorted([old.container, new.container])
    await reconcile(world.services)
    await assert_only(world, new)


async def test_an_engine_that_is_away_for_a_moment_still_retires_the_old_one(world: World) -> None:
    await world.ship("v1")
    world.runtime.fail("stop", EngineUnavailableError("away"))
    world.runtime.fail("remove", EngineUnavailableError("away"))
    await assert_only(world, await world.ship("v2"))


async def test_a_fault_of_our_own_fails_the_deploy_and_shows_nothing_of_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.ship("v1")
    world.publish("v2")

    async def broken(_port: int) -> str | None:
        raise ZeroDivisionError("a password: hunter2")

    monkeypatch.setattr(world.probe, "tcp", broken)
    ended = await assert_fails(
        world, "v2", StepName.CHECK, "a fault inside Tagboat (ZeroDivisionError)"
    )
    assert "hunter2" not in (ended.reason or "")


async def test_cancelled_it_leaves_everything_to_be_gone_on_with(world: World) -> None:
    old = await world.ship("v1")
    world.publish("v2")
    deploy = await world.queue("v2")
    world.probe.keep_waiting()
    await world.probe.asked_once_more()  # of v1
    carrying = asyncio.create_task(world.carry_out(deploy))
    await world.probe.asked_once_more()
    before = (await world.deploy(deploy.id), await world.instances(), await world.containers())

    carrying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await carrying

    assert (
        await world.deploy(deploy.id),
        await world.instances(),
        await world.containers(),
    ) == before
    assert before[0].step(StepName.CHECK).status is StepStatus.RUNNING
    assert await world.is_running(old.container)
    world.probe.let_answer()
    ended = await world.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    await assert_only(world, await world.instance_of(ended))


async def test_cancelled_in_the_middle_of_a_pull_it_stops_the_pull(world: World) -> None:
    world.publish("v1")
    deploy = await world.queue("v1")
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def pull_for_ever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    world.calls.before("pull", pull_for_ever)
    carrying = asyncio.create_task(world.carry_out(deploy))
    await begun.wait()
    carrying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await carrying
    async with asyncio.timeout(60):
        await stopped.wait()
    assert (await world.deploy(deploy.id)).step(StepName.PULL).status is StepStatus.RUNNING
    assert (await world.carry_out(deploy)).status is DeployStatus.SUCCEEDED


@pytest.mark.parametrize("call", ["resolve", "pull", "create", "start", "status"])
async def test_a_deploy_deleted_meanwhile_leaves_no_container(world: World, call: str) -> None:
    world.publish("v1")
    deploy = await world.queue("v1")
    world.calls.after(call, world.delete_project)

    with pytest.raises(NotFoundError):
        await world.carry_out(deploy)

    assert await world.containers() == []


@pytest.mark.parametrize("call", ["start", "status"])
async def test_a_deploy_deleted_while_it_fails_leaves_no_container(world: World, call: str) -> None:
    world.publish(
        "v1",
        MemoryImage(exit_code=1) if call == "status" else MemoryImage(start_error="no such file"),
    )
    deploy = await world.queue("v1")
    world.calls.before(call, world.delete_project)

    with pytest.raises(NotFoundError):
        await world.carry_out(deploy)

    assert await world.containers() == []


async def test_a_database_out_of_reach_stops_it_and_it_goes_on_later(world: World) -> None:
    world.publish("v1")
    deploy = await world.queue("v1")

    async def unavailable() -> None:
        raise StoreUnavailableError("the database is locked")

    async def lock_the_database() -> None:
        world.calls.before("write", unavailable)

    world.calls.after("start", lock_the_database)
    with pytest.raises(StoreUnavailableError):
        await world.carry_out(deploy)

    assert not (await world.deploy(deploy.id)).status.final
    ended = await world.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    await assert_only(world, await world.instance_of(ended))


@pytest.mark.parametrize("call", ["resolve", "pull", "create", "start", "status"])
async def test_a_deploy_that_another_server_took_over_is_left_to_it(
    world: World, call: str
) -> None:
    world.publish("v1")
    deploy = await world.change_deploy(
        await world.queue("v1"), status=DeployStatus.RUNNING, claimed_by="here"
    )
    there: list[Deploy] = []

    async def take_over() -> None:
        there.append(await world.change_deploy(deploy, claimed_by="there", claim=deploy.claim + 1))

    world.calls.after(call, take_over)
    with pytest.raises(ClaimLostError):
        await world.carry_out(deploy)

    assert [await world.deploy(deploy.id)] == there
    ended = await world.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    await assert_only(world, await world.instance_of(ended))


async def test_a_failure_is_not_written_over_what_another_server_does(world: World) -> None:
    world.publish("v1", MemoryImage(exit_code=1))
    deploy = await world.change_deploy(
        await world.queue("v1"), status=DeployStatus.RUNNING, claimed_by="here"
    )

    async def take_over() -> None:
        await world.change_deploy(deploy, claimed_by="there", claim=deploy.claim + 1)

    world.calls.before("status", take_over)
    with pytest.raises(ClaimLostError):
        await world.carry_out(deploy)

    assert (await world.deploy(deploy.id)).status is DeployStatus.RUNNING
    assert world.container_of(deploy) in await world.containers()


async def test_a_deploy_that_was_withdrawn_stays_withdrawn(world: World) -> None:
    live = await world.ship("v1")
    world.publish("v2")
    deploy = await world.change_deploy(
        await world.queue("v2"), status=DeployStatus.RUNNING, claimed_by="here"
    )

    async def withdraw() -> None:
        await world.change_deploy(deploy, status=DeployStatus.CANCELLED, claimed_by=None, claim=1)

    world.calls.after("start", withdraw)
    with pytest.raises(ClaimLostError):
        await world.carry_out(deploy)

    assert (await world.deploy(deploy.id)).status is DeployStatus.CANCELLED
    await reconcile(world.services)
    await assert_only(world, live)
