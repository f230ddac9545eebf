"""The worker: what it claims, how long, and what it lets go."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from tagboat.core.catalog import Stage, Strategy
from tagboat.core.deploy import ACTIVE_STATES, Deploy, DeployStatus, StepName, StepStatus
from tagboat.core.errors import EngineUnavailableError, StoreUnavailableError
from tagboat.core.ports import Topic
from tagboat.core.run import RunOptions
from tagboat.deploy import worker as worker_module
from tagboat.deploy.fence import CLAIM_S
from tagboat.deploy.places import MAX_WORKING
from tagboat.deploy.worker import LOOK_MIN_INTERVAL_S, RENEW_S, Worker
from tagboat.runtime.memory import MemoryImage
from tests.unit.deploy.deploy_harness import REFUSED, World, assert_only

pytestmark = pytest.mark.anyio

HERE, THERE = "here", "there"


@pytest.fixture(autouse=True)
def only_news_wake_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker looks when something is announced, not by the clock.

    What is only found by waiting is not found.
    """
    for name in ("LOOK_EVERY_S", "LOOK_ALONE_EVERY_S"):
        monkeypatch.setattr(worker_module, name, 1e6)


@asynccontextmanager
async def at_work(*workers: Worker) -> AsyncIterator[None]:
    """Workers that work, and then park what they have not finished."""
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for worker in workers:
            await worker.close(0)


async def stages_with_a_deploy(world: World, count: int) -> list[tuple[Stage, Deploy]]:
    world.publish("v1")
    stages = [await world.another_stage(f"stage-{number}") for number in range(count)]
    return [(stage, await world.queue("v1", stage=stage)) for stage in stages]


async def in_progress(world: World, worker: Worker) -> Deploy:
    """Return a deploy that this worker has begun and that waits for its app to answer."""
    world.publish("v1")
    deploy = await world.queue("v1")
    world.probe.keep_waiting()
    await worker._look()
    await world.probe.asked_once_more()
    return await world.deploy(deploy.id)


def times(world: World, call: str) -> int:
    return sum(line.startswith(f"{call} ") for line in world.runtime.journal)


# Claiming.


async def test_what_was_queued_before_it_started_is_carried_out(world: World) -> None:
    world.publish("v1")
    deploy = await world.queue("v1")
    async with at_work(Worker(world.services, HERE)):
        (ended,) = await world.until_all_ended()
    assert (ended.id, ended.status, ended.started_at) == (
        deploy.id,
        DeployStatus.SUCCEEDED,
        world.clock.now(),
    )
    assert (ended.claimed_by, ended.claimed_until) == (None, None)


async def test_news_of_a_deploy_wakes_it(world: World) -> None:
    world.publish("v1")
    async with at_work(Worker(world.services, HERE)):
        await world.until_all_ended()
        await world.queue("v1")
        (ended,) = await world.until_all_ended()
    assert ended.status is DeployStatus.SUCCEEDED


async def test_a_flood_of_news_is_no_flood_of_looks_and_the_last_is_not_missed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(world.services, HERE)
    look, looks = worker._look, 0
    now = asyncio.get_running_loop().time

    async def counted() -> None:
        nonlocal looks
        looks += 1
        await look()

    monkeypatch.setattr(worker, "_look", counted)
    world.publish("v1")
    async with at_work(worker):
        began = now()
        for _ in range(300):
            await world.store.write(lambda tx: tx.announce(Topic.DEPLOYS))
        allowed = (now() - began) / LOOK_MIN_INTERVAL_S
        flood = looks
        await world.queue("v1")
        (ended,) = await world.until_all_ended()

    assert ended.status is DeployStatus.SUCCEEDED
    assert flood <= 2 * allowed + 2  # news that come at the end of a pause may cost a second look


async def test_a_claim_says_who_and_until_when(world: World) -> None:
    worker = Worker(world.services, HERE)
    deploy = await in_progress(world, worker)
    assert (deploy.status, deploy.claimed_by) == (DeployStatus.RUNNING, HERE)
    assert deploy.claimed_until == world.clock.now() + timedelta(seconds=CLAIM_S)
    await worker.close(0)


async def test_a_stage_is_worked_on_by_one_deploy_at_a_time(world: World) -> None:
    await world.change_stage(max_instances=3)
    worker = Worker(world.services, HERE)
    first = await in_progress(world, worker)
    for tag in ("v2", "v3"):
        world.publish(tag)
        await world.queue(tag)
        await worker._look()

    running = await world.deploys()
    assert [deploy.status for deploy in running] == [
        DeployStatus.RUNNING,
        DeployStatus.QUEUED,
        DeployStatus.QUEUED,
    ]
    assert list(worker._tasks) == [first.id]

    world.probe.let_answer()
    async with at_work(worker):
        ended = await world.until_all_ended()
    assert [deploy.status for deploy in ended] == [DeployStatus.SUCCEEDED] * 3
    creates = [line for line in world.runtime.journal if line.startswith("create")]
    assert creates == [f"create {world.container_of(deploy)}" for deploy in ended]


async def test_stages_are_worked_on_side_by_side_but_not_too_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = MAX_WORKING + 3
    await stages_with_a_deploy(world, count)
    at_pull, go_on, pulls = asyncio.Semaphore(0), asyncio.Event(), 0
    pull = world.runtime.pull

    async def slow(*arguments: Any) -> None:  # noqa: ANN401 - the port's
        nonlocal pulls
        pulls += 1
        at_pull.release()
        await go_on.wait()
        await pull(*arguments)

    monkeypatch.setattr(world.runtime, "pull", slow)
    async with at_work(Worker(world.services, HERE)):
        for _ in range(MAX_WORKING):
            await at_pull.acquire()
        await world.store.write(lambda tx: tx.announce(Topic.DEPLOYS))
        assert pulls == MAX_WORKING
        go_on.set()
        ended = await world.until_all_ended()
    assert [deploy.status for deploy in ended] == [DeployStatus.SUCCEEDED] * count
    assert times(world, "create") == count


async def test_those_whose_apps_do_not_answer_keep_nobody_from_beginning(world: World) -> None:
    count = MAX_WORKING + 3
    await stages_with_a_deploy(world, count)
    world.probe.keep_waiting()
    async with at_work(Worker(world.services, HERE)):
        for _ in range(count):
            await world.probe.asked_once_more()
        assert times(world, "create") == count
        world.probe.let_answer()
        ended = await world.until_all_ended()
    assert [deploy.status for deploy in ended] == [DeployStatus.SUCCEEDED] * count


async def test_even_of_those_that_wait_no_more_than_the_memory_allows_are_begun(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "MAX_CLAIMED", 3)
    await stages_with_a_deploy(world, 5)
    world.probe.keep_waiting()
    async with at_work(Worker(world.services, HERE)):
        for _ in range(3):
            await world.probe.asked_once_more()
        await world.store.write(lambda tx: tx.announce(Topic.DEPLOYS))
        assert times(world, "create") == 3
        world.probe.let_answer()
        ended = await world.until_all_ended()
    assert [deploy.status for deploy in ended] == [DeployStatus.SUCCEEDED] * 5


async def test_at_rest_nothing_is_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, writes = Worker(world.services, HERE), 0
    write = world.store.write

    async def counted(work: Any) -> Any:  # noqa: ANN401 - the port's
        nonlocal writes
        writes += 1
        return await write(work)

    monkeypatch.setattr(world.store, "write", counted)
    for _ in range(10):
        world.clock.move(RENEW_S)
        await worker._look()
    assert writes == 0


async def test_of_two_servers_only_one_gets_each_deploy(world: World) -> None:
    count = 12
    await stages_with_a_deploy(world, count)
    async with at_work(Worker(world.services, HERE), Worker(world.services, THERE)):
        ended = await world.until_all_ended()
    assert [deploy.status for deploy in ended] == [DeployStatus.SUCCEEDED] * count
    assert times(world, "create") == count
    assert len(await world.containers()) == count


async def test_claims_made_at_the_very_same_time_do_not_overlap(world: World) -> None:
    await stages_with_a_deploy(world, 12)
    world.probe.keep_waiting()
    workers = [Worker(world.services, HERE), Worker(world.services, THERE)]
    await asyncio.gather(*(worker._look() for worker in workers))

    here, there = (set(worker._tasks) for worker in workers)
    assert not here & there
    assert len(here | there) == 12
    for worker in workers:
        await worker.close(0)


# Renewing, and taking over.


async def test_a_claim_is_renewed_in_time(world: World) -> None:
    worker = Worker(world.services, HERE)
    deploy = await in_progress(world, worker)
    claimed_until = [deploy.claimed_until]
    for seconds in (RENEW_S / 2, RENEW_S / 2 + 1):
        world.clock.move(seconds)
        await worker._look()
        claimed_until.append((await world.deploy(deploy.id)).claimed_until)

    assert claimed_until[1] == claimed_until[0]  # too early
    assert claimed_until[2] == world.clock.now() + timedelta(seconds=CLAIM_S)
    assert RENEW_S * 2 < CLAIM_S  # one renewal may fail
    await worker.close(0)


async def test_a_claim_is_renewed_from_the_look_that_made_it_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "RENEW_S", 0.02)
    worker = Worker(world.services, HERE)
    async with at_work(worker):
        world.publish("v1")
        world.probe.keep_waiting()
        deploy = await world.queue("v1")
        await world.probe.asked_once_more()
        world.clock.move(1)
        renewed = world.clock.now() + timedelta(seconds=CLAIM_S)
        end = time.monotonic() + 60  # real seconds: the loop's own clock is ahead of the database
        while (await world.deploy(deploy.id)).claimed_until != renewed:
            assert time.monotonic() < end, "the claim is not renewed"
            await asyncio.to_thread(time.sleep, 0.01)


async def test_a_renewed_claim_holds_others_off_for_as_long_as_it_takes(world: World) -> None:
    here, there = Worker(world.services, HERE), Worker(world.services, THERE)
    deploy = await in_progress(world, here)
    for _ in range(10):
        world.clock.move(RENEW_S)
        await here._look()
        await there._look()
    assert (await world.deploy(deploy.id)).claimed_by == HERE
    assert there._tasks == {}
    await here.close(0)


@pytest.mark.parametrize(("left_s", "taken_over"), [(1, False), (0, True), (-60, True)])
async def test_the_claim_of_another_server_counts_until_it_has_run_out(
    world: World, left_s: int, taken_over: bool
) -> None:
    world.publish("v1")
    until = world.clock.now() + timedelta(seconds=left_s)
    deploy = await world.change_deploy(
        await world.queue("v1"), status=DeployStatus.RUNNING, claimed_by=THERE, claimed_until=until
    )
    worker = Worker(world.services, HERE)
    await worker._look()

    assert list(worker._tasks) == ([deploy.id] if taken_over else [])
    if taken_over:
        (ended,) = await world.until_all_ended()
        assert ended.status is DeployStatus.SUCCEEDED
    else:
        assert await world.deploy(deploy.id) == deploy


async def test_what_a_server_that_died_had_begun_is_gone_on_with_by_another(world: World) -> None:
    here, there = Worker(world.services, HERE), Worker(world.services, THERE)
    await in_progress(world, there)
    await there.close(0)  # as good as dead: it renews nothing any more
    world.probe.let_answer()
    world.clock.move(CLAIM_S)

    await here._look()
    (ended,) = await world.until_all_ended()

    assert ended.status is DeployStatus.SUCCEEDED
    await assert_only(world, await world.instance_of(ended))


async def test_a_server_that_slept_too_long_lets_go_of_what_another_took_over(world: World) -> None:
    here, there = Worker(world.services, HERE), Worker(world.services, THERE)
    deploy = await in_progress(world, here)
    (task,) = here._tasks.values()
    world.clock.move(CLAIM_S)
    await there._look()

    await here._look()

    assert (await world.deploy(deploy.id)).claimed_by == THERE
    await asyncio.wait([task], timeout=60)
    assert task.cancelled()
    world.probe.let_answer()
    (ended,) = await world.until_all_ended()
    assert ended.status is DeployStatus.SUCCEEDED
    await assert_only(world, await world.instance_of(ended))


# Failures around it.


async def unavailable() -> None:
    raise StoreUnavailableError("the database is locked")


async def test_a_queue_that_cannot_be_read_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LOOK_EVERY_S", 0.01)
    world.publish("v1")
    await world.queue("v1")
    for _ in range(3):
        world.calls.before("write", unavailable)
    async with at_work(Worker(world.services, HERE)):
        (ended,) = await world.until_all_ended()
    assert ended.status is DeployStatus.SUCCEEDED


async def test_a_deploy_that_the_database_stopped_is_taken_up_again(world: World) -> None:
    world.publish("v1")
    await world.queue("v1")

    async def lock_the_database() -> None:
        world.calls.before("write", unavailable)

    world.calls.after("start", lock_the_database)
    async with at_work(Worker(world.services, HERE)):
        (ended,) = await world.until_all_ended()

    assert ended.status is DeployStatus.SUCCEEDED
    assert times(world, "create") == 2  # it was started again
    assert world.clock.slept == [worker_module.LOOK_EVERY_S]  # but not in a frenzy
    await assert_only(world, await world.instance_of(ended))


async def test_a_fault_of_our_own_while_it_is_taken_back_is_no_frenzy(world: World) -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    world.publish("v1", MemoryImage(exit_code=1))
    await world.queue("v1")
    for _ in range(3):
        world.calls.before("logs", broken)
    async with at_work(Worker(world.services, HERE)):
        (ended,) = await world.until_all_ended()

    assert ended.status is DeployStatus.FAILED
    assert "exited with code 1" in (ended.reason or "")
    assert world.clock.slept == [worker_module.LOOK_EVERY_S] * 3
    assert await world.containers() == []


async def test_a_deploy_that_is_deleted_meanwhile_stops_nothing(world: World) -> None:
    world.publish("v1")
    deploy = await world.queue("v1")
    worker = Worker(world.services, HERE)
    world.calls.after("start", world.delete_project)
    await worker._look()
    (task,) = worker._tasks.values()
    await asyncio.wait([task], timeout=60)
    assert task.exception() is None
    assert world.container_of(deploy) not in await world.containers()
    assert worker._tasks == {}


async def test_a_deploy_that_is_withdrawn_meanwhile_stops_nothing(world: World) -> None:
    worker = Worker(world.services, HERE)
    deploy = await in_progress(world, worker)
    (task,) = worker._tasks.values()
    withdrawn = await world.change_deploy(
        deploy, status=DeployStatus.CANCELLED, claimed_by=None, claimed_until=None
    )
    world.probe.let_answer()
    await asyncio.wait([task], timeout=60)
    assert task.exception() is None
    assert await world.deploy(deploy.id) == withdrawn


async def test_one_that_fails_makes_way_for_the_next_of_its_stage(world: World) -> None:
    await world.change_stage(max_instances=2)
    await world.queue("no-such-tag")
    world.publish("v2")
    await world.queue("v2")
    async with at_work(Worker(world.services, HERE)):
        ended = await world.until_all_ended()
    assert [deploy.status for deploy in ended] == [DeployStatus.FAILED, DeployStatus.SUCCEEDED]


# Letting go.


async def test_closing_lets_what_is_in_progress_finish(world: World) -> None:
    worker = Worker(world.services, HERE)
    deploy = await in_progress(world, worker)
    closing = asyncio.create_task(worker.close(1e6))
    world.probe.let_answer()
    await closing
    assert (await world.deploy(deploy.id)).status is DeployStatus.SUCCEEDED


async def test_what_does_not_finish_in_time_is_parked_and_gone_on_with_at_the_next_start(
    world: World,
) -> None:
    worker = Worker(world.services, HERE)
    deploy = await in_progress(world, worker)

    await worker.close(0)

    parked = await world.deploy(deploy.id)
    assert (parked.status, parked.claimed_by, parked.claimed_until) == (
        DeployStatus.RUNNING,
        None,
        None,
    )
    assert parked.step(StepName.PULL).status is StepStatus.DONE
    assert await world.is_running(world.container_of(deploy))
    world.probe.let_answer()
    async with at_work(
        Worker(world.services, HERE)
    ):  # the same server in its next life waits for no claim to run out
        (ended,) = await world.until_all_ended()
    assert ended.status is DeployStatus.SUCCEEDED
    await assert_only(world, await world.instance_of(ended))


async def test_closing_with_nothing_to_do_is_done_at_once(world: World) -> None:
    await Worker(world.services, HERE).close(1e6)


async def test_a_stage_that_is_to_be_deleted_is_let_go_and_no_other(world: World) -> None:
    (gone, first), (_, second) = await stages_with_a_deploy(world, 2)
    worker = Worker(world.services, HERE)
    world.probe.keep_waiting()
    await worker._look()
    for _ in range(2):
        await world.probe.asked_once_more()

    await worker.abandon([gone.id])

    assert list(worker._tasks) == [second.id]
    assert await world.is_running(world.container_of(first, gone))  # for the caller to remove
    assert len(await world.instances(*ACTIVE_STATES)) == 2
    await worker.close(0)


# What only waits.


async def test_nobody_keeps_a_place_while_it_only_waits(
    led: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = led.services
    slept, free = asyncio.sleep, set()

    async def watched(seconds: float) -> None:
        free.add((seconds, parts.places.free))
        await slept(seconds)

    monkeypatch.setattr(asyncio, "sleep", watched)
    await led.change_project(run=RunOptions(release_command=("migrate",)))
    await led.change_stage(strategy=Strategy.RECREATE, watch_s=10)
    led.publish("v0")
    led.publish("v1")
    led.probe.says = REFUSED
    async with at_work(Worker(parts, HERE)):
        await led.queue("v0")
        await led.until_all_ended()  # after a release command that was waited for in vain
        await led.change_project(run=RunOptions())
        await led.queue("v0")
        await led.until_all_ended()  # after a minute in the health gate
        led.probe.says = None
        led.runtime.fail("pull", EngineUnavailableError("gone"))
        for _ in range(2):
            await led.queue("v1", force=True)
            (*_, ended) = await led.until_all_ended()
            assert ended.status is DeployStatus.SUCCEEDED, ended.reason
    pauses = {seconds for seconds, _ in free}
    assert {0.5, 0.05} <= pauses, "it neither watched nor drained"
    assert {left for _, left in free} == {MAX_WORKING}
