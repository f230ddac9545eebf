"""Loops that go on after a fault."""

import asyncio

import pytest

from tagboat import loops
from tagboat.loops import FIRST_PAUSE_S, LONGEST_PAUSE_S, keep_going

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
    async with asyncio.timeout(10):
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
