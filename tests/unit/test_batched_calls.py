"""Questions that are answered together."""

import asyncio
from collections.abc import Sequence

import pytest

from tagboat.batched_calls import BatchedCalls
from tagboat.core.errors import EngineError

pytestmark = pytest.mark.anyio


class Work:
    """Answers each number with its double, once it may; notes the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_end = asyncio.Event()
        self.fault: Exception | None = None

    async def __call__(self, asked: Sequence[int]) -> list[int]:
        self.batches.append(list(asked))
        await self.may_end.wait()
        if self.fault:
            raise self.fault
        return [2 * number for number in asked]


async def asked(calls: BatchedCalls[int, int], *numbers: int) -> list["asyncio.Task[int]"]:
    tasks = [asyncio.create_task(calls.ask(number)) for number in numbers]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_those_that_come_meanwhile_wait_for_the_next_one_together() -> None:
    work = Work()
    calls = BatchedCalls(work)
    first = await asked(calls, 1)
    rest = await asked(calls, 2, 3, 4)
    work.may_end.set()
    assert await asyncio.gather(*first, *rest) == [2, 4, 6, 8]
    assert work.batches == [[1], [2, 3, 4]]


async def test_one_that_comes_after_the_end_is_answered_anew() -> None:
    work = Work()
    work.may_end.set()
    calls = BatchedCalls(work)
    assert [await calls.ask(1), await calls.ask(1)] == [2, 2]
    assert work.batches == [[1], [1]]


async def test_each_gets_the_error_and_the_next_is_asked_again() -> None:
    work = Work()
    calls = BatchedCalls(work)
    work.fault = EngineError("away")
    both = await asked(calls, 1, 2)
    work.may_end.set()
    found = await asyncio.gather(*both, return_exceptions=True)
    assert [type(one) for one in found] == [EngineError, EngineError]
    work.fault = None
    assert await calls.ask(3) == 6


async def test_a_caller_that_is_cancelled_takes_nothing_from_the_others() -> None:
    work = Work()
    calls = BatchedCalls(work)
    await asked(calls, 1)
    second, third = await asked(calls, 2, 3)
    second.cancel()
    work.may_end.set()
    assert await third == 6
    assert work.batches == [[1], [3]]
