"""Loops: those that go on after a fault, and work done at intervals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tagboat import loops
from tagboat.core.errors import EngineError, StoreUnavailableError
from tagboat.loops import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    PeriodicTask,
    keep_going,
    next_to,
    wait_at_most,
)

pytestmark = pytest.mark.anyio
_sleep = asyncio.sleep


class Work:
    """Fails as often as it is told, then goes on."""

    def __init__(self, *faults: BaseException | None) -> None:
        self.faults = list(faults)
        self.goes_on = asyncio.Event()

    async def __call__(self) -> None:
        if not self.faults:
            self.goes_on.set()
            await asyncio.Event().wait()
        if fault := self.faults.pop(0):
            raise fault


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses made, none of which takes any time."""
    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)
        await _sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return made


async def goes_on(work: Work) -> None:
    task = asyncio.create_task(keep_going("work", work))
    async with asyncio.timeout(60):
        await work.goes_on.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_whatever_is_raised_it_is_begun_anew(pauses: list[float]) -> None:
    await goes_on(
        Work(
            OSError(24, "Too many open files"),
            KeyError("x"),
            ExceptionGroup("several", [ValueError()]),
            None,
        )
    )
    assert pauses == [FIRST_PAUSE_S, 2, 4, 8]


async def test_the_pauses_have_a_limit(pauses: list[float]) -> None:
    await goes_on(Work(*(RuntimeError() for _ in range(9))))
    assert pauses[-2:] == [LONGEST_PAUSE_S, LONGEST_PAUSE_S]


async def test_after_a_long_time_without_a_fault_the_pause_is_short_again(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "LONGEST_PAUSE_S", 0)  # each run is long
    await goes_on(Work(RuntimeError(), RuntimeError(), RuntimeError()))
    assert pauses == [FIRST_PAUSE_S] * 3


async def test_the_end_of_the_process_is_no_fault(pauses: list[float]) -> None:
    with pytest.raises(SystemExit):
        await keep_going("work", Work(SystemExit(1)))
    assert pauses == []


class Runs:
    """Work of a periodic task: each run ends as it is told, the last one never."""

    def __init__(self, *outcomes: float | Exception) -> None:
        self.outcomes = list(outcomes)
        self.begun = asyncio.Event()

    async def __call__(self) -> float:
        if not self.outcomes:
            self.begun.set()
            await asyncio.Event().wait()
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def last_begun(self) -> None:
        async with asyncio.timeout(60):
            await self.begun.wait()


@asynccontextmanager
async def running(task: PeriodicTask) -> AsyncIterator[asyncio.Task[None]]:
    run = asyncio.create_task(task.run())
    try:
        yield run
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


async def test_a_periodic_task_runs_at_once_and_after_each_interval() -> None:
    runs = Runs(0.0, 0.01)
    async with running(PeriodicTask(runs, retry_s=3600, warn=pytest.fail)):
        await runs.last_begun()


async def test_a_periodic_task_is_woken_before_its_interval_has_passed() -> None:
    runs = Runs(3600.0)
    task = PeriodicTask(runs, retry_s=3600, warn=pytest.fail)
    async with running(task):
        await asyncio.sleep(0.01)
        assert runs.outcomes == []
        assert not runs.begun.is_set()
        task.wake()
        await runs.last_begun()


async def test_being_woken_during_a_run_makes_it_run_again() -> None:
    begun: list[None] = []
    second = asyncio.Event()

    async def work() -> float:
        begun.append(None)
        if len(begun) == 1:
            task.wake()
            await asyncio.sleep(0)
        else:
            second.set()
        return 3600.0

    task = PeriodicTask(work, retry_s=3600, warn=pytest.fail)
    async with running(task):
        async with asyncio.timeout(60):
            await second.wait()
        await asyncio.sleep(0.01)
    assert len(begun) == 2


async def test_a_fault_of_the_named_kind_is_reported_and_tried_again() -> None:
    reasons: list[str] = []
    runs = Runs(StoreUnavailableError("the disk is full"))
    task = PeriodicTask(runs, retry_s=0.0, warn=lambda *, reason: reasons.append(reason))
    async with running(task):
        await runs.last_begun()
    assert reasons == ["the disk is full"]


async def test_a_fault_of_another_kind_ends_it() -> None:
    runs = Runs(EngineError("away"))
    task = PeriodicTask(runs, retry_s=0.0, warn=pytest.fail, fault=StoreUnavailableError)
    with pytest.raises(EngineError):
        await task.run()


async def test_nothing_wakes_it_during_the_rest(pauses: list[float]) -> None:
    runs = Runs(0.0, EngineError("away"))
    rests = [5.0, 6.0]
    task = PeriodicTask(
        runs,
        retry_s=0.0,
        warn=lambda **_: None,
        rest_s=lambda took_s: rests.pop(0) + took_s // 60,
    )
    task.wake()
    async with running(task):
        await runs.last_begun()
    assert pauses == [5, 6]


async def test_the_outcome_of_a_wait_is_whether_the_event_is_set() -> None:
    event = asyncio.Event()
    assert not await wait_at_most(event, 0.001)
    event.set()
    assert await wait_at_most(event, 0.001)


async def test_work_next_to_a_block_is_done_when_the_block_is_left() -> None:
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append("work")

    async with next_to(work()):
        done.append("block")
    assert done == ["block", "work"]


async def test_a_block_that_fails_breaks_the_work_off() -> None:
    begun: list[asyncio.Task[None]] = []

    async def fail_next_to_work() -> None:
        async with next_to(asyncio.sleep(3600)) as task:
            begun.append(task)
            await asyncio.sleep(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_next_to_work()
    assert [task.cancelled() for task in begun] == [True]


async def test_what_the_work_raises_the_block_raises() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with next_to(work()):
            pass
