import asyncio
from collections.abc import AsyncGenerator

import pytest

from tagboat import item_streams
from tagboat.item_streams import items_until

pytestmark = pytest.mark.anyio


class Source:
    """Items that a test gives; `closed` is set when nobody reads them any more."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str | None] = asyncio.Queue()
        self.closed = asyncio.Event()

    async def items(self) -> AsyncGenerator[str, None]:
        try:
            while (item := await self.queue.get()) is not None:
                if item == "fail":
                    raise ValueError(item)
                yield item
        finally:
            self.closed.set()


@pytest.fixture
async def source() -> Source:
    return Source()


async def never() -> None:
    await asyncio.Event().wait()


async def test_items_until_they_end(source: Source) -> None:
    for item in ("a", "b", None):
        source.queue.put_nowait(item)
    assert [item async for item in items_until(never, source.items())] == ["a", "b"]
    assert source.closed.is_set()


async def test_items_until_something_else_happens(source: Source) -> None:
    over = asyncio.Event()
    items = items_until(over.wait, source.items())
    source.queue.put_nowait("a")
    assert await anext(items) == "a"
    over.set()
    assert await anext(items, "ended") == "ended"
    assert source.closed.is_set()


async def test_late_items_that_came_before_the_end_are_read(source: Source) -> None:
    async def over() -> str:
        return "b"

    def belongs(end: str, item: str) -> bool:
        return item <= end

    for item in ("a", "b", "c", "a"):
        source.queue.put_nowait(item)
    items = items_until(over, source.items(), belongs=belongs)
    assert [item async for item in items] == ["a", "b"]
    assert source.closed.is_set()


async def test_late_items_have_an_end_whatever_their_times_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(item_streams, "_LATE_S", 0.05)

    async def over() -> None:
        return

    async def endless() -> AsyncGenerator[str, None]:
        while True:
            await asyncio.sleep(0)
            yield "a"

    async with asyncio.timeout(60):
        async for item in items_until(over, endless(), belongs=lambda _end, _item: True):
            assert item == "a"


async def test_without_late_items_the_end_is_waited_for_no_longer(source: Source) -> None:
    async def over() -> str:
        return "b"

    source.queue.put_nowait("a")
    items = items_until(over, source.items(), belongs=lambda end, item: item <= end)
    assert [item async for item in items] == ["a"]


async def test_silence_is_said(source: Source) -> None:
    items = items_until(never, source.items(), 0.01)
    assert [await anext(items), await anext(items)] == [None, None]
    source.queue.put_nowait("a")
    assert await anext(items) == "a"
    await items.aclose()
    assert source.closed.is_set()


async def test_faults_of_both_come_out(source: Source) -> None:
    async def broken() -> None:
        raise KeyError("over")

    with pytest.raises(KeyError):
        await anext(items_until(broken, source.items()))
    assert source.closed.is_set()
    other = Source()
    other.queue.put_nowait("fail")
    with pytest.raises(ValueError, match="fail"):
        await anext(items_until(never, other.items()))


async def test_a_reader_that_is_cancelled_leaves_the_items(source: Source) -> None:
    async def read() -> None:
        async for _ in items_until(never, source.items()):
            pass

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    source.queue.put_nowait("a")
    await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert source.closed.is_set()


async def test_items_that_are_always_there_do_not_hide_the_end() -> None:
    async def endless() -> AsyncGenerator[str, None]:
        while True:
            yield "a"

    over = asyncio.Event()
    async with asyncio.timeout(60):
        async for item in items_until(over.wait, endless()):
            assert item == "a"
            over.set()
