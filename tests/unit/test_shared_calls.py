"""Calls that callers at the same time share."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tagboat.core.errors import EngineError
from tagboat.shared_calls import SharedCalls

pytestmark = pytest.mark.anyio


class Work:
    """Counts its runs; each ends when it is told to."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.runs = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.runs += 1
        run = self.runs
        await self.may_end.wait()
        if self.fault:
            raise self.fault
        return run


async def begun(work: Callable[[], Awaitable[int]]) -> "asyncio.Task[int]":
    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_callers_at_the_same_time_share_a_call() -> None:
    calls, work = SharedCalls[int](), Work()
    both = [await begun(lambda: calls.call("a", work)) for _ in range(2)]
    work.may_end.set()
    assert await asyncio.gather(*both) == [1, 1]


async def test_nothing_is_remembered_of_a_call_that_has_ended() -> None:
    calls, work = SharedCalls[int](), Work()
    work.may_end.set()
    assert [await calls.call("a", work), await calls.call("a", work)] == [1, 2]


async def test_each_key_has_its_own_call() -> None:
    calls, work = SharedCalls[int](), Work()
    both = [await begun(lambda key=key: calls.call(key, work)) for key in "ab"]  # type: ignore[misc]
    work.may_end.set()
    assert await asyncio.gather(*both) == [1, 2]


async def test_a_caller_that_is_cancelled_takes_nothing_from_the_others() -> None:
    calls, work = SharedCalls[int](), Work()
    first = await begun(lambda: calls.call("a", work))
    second = await begun(lambda: calls.call("a", work))
    first.cancel()
    await asyncio.sleep(0)
    work.may_end.set()
    assert await second == 1


async def test_each_caller_gets_the_error_and_the_next_begins_again() -> None:
    calls, work = SharedCalls[int](), Work(EngineError("away"))
    both = [await begun(lambda: calls.call("a", work)) for _ in range(2)]
    work.may_end.set()
    found = await asyncio.gather(*both, return_exceptions=True)
    assert [type(one) for one in found] == [EngineError, EngineError]
    work.fault = None
    assert await calls.call("a", work) == 2


async def test_an_error_that_nobody_waits_for_is_no_fault() -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    calls, work = SharedCalls[int](), Work(EngineError("away"))
    only = await begun(lambda: calls.call("a", work))
    only.cancel()
    work.may_end.set()
    await asyncio.gather(only, return_exceptions=True)
    await asyncio.sleep(0)
    assert faults == []
