"""The threads that read."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from tagboat.store.readers import ReadThreads

pytestmark = pytest.mark.anyio


@pytest.fixture
def readers() -> Iterator[ReadThreads]:
    made = ReadThreads(2)
    yield made
    made.close()


async def test_work_is_done_side_by_side_in_as_many_threads_as_are_allowed(
    readers: ReadThreads,
) -> None:
    together = threading.Barrier(2)
    names = set(
        await asyncio.gather(
            *(readers.run(lambda: (together.wait(60), threading.get_ident())[1]) for _ in range(6))
        )
    )
    assert len(names) == 2


async def test_one_after_the_other_needs_one_thread(readers: ReadThreads) -> None:
    assert len({await readers.run(threading.get_ident) for _ in range(5)}) == 1


@pytest.mark.parametrize(
    ("raised", "told"), [(LookupError, LookupError), (StopIteration, RuntimeError)]
)
async def test_what_work_raises_is_told(
    readers: ReadThreads, raised: type[Exception], told: type[Exception]
) -> None:
    def work() -> None:
        raise raised

    for _ in range(5):
        with pytest.raises(told):
            await readers.run(work)
    assert await readers.run(lambda: 1) == 1


async def test_one_that_hangs_keeps_no_other_from_being_done(readers: ReadThreads) -> None:
    let_go = threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await readers.run(lambda: let_go.wait(60))
    assert await readers.run(lambda: 1) == 1
    let_go.set()


async def test_what_nobody_waits_for_any_more_when_its_turn_comes_is_not_begun() -> None:
    readers, let_go, begun = ReadThreads(1), threading.Event(), []
    first = asyncio.create_task(readers.run(lambda: let_go.wait(60)))
    await asyncio.sleep(0)
    second = asyncio.create_task(readers.run(lambda: begun.append(2)))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    let_go.set()
    await first
    assert await readers.run(lambda: 3) == 3
    assert begun == []
    readers.close()
