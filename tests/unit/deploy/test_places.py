"""Who has a place among those who work."""

import asyncio
from collections.abc import Awaitable

import pytest

from tagboat.deploy.places import Places

pytestmark = pytest.mark.anyio


async def resting(places: Places, until: asyncio.Event, back: list[str], name: str) -> None:
    async with places.rest():
        await until.wait()
    back.append(name)


async def turn() -> None:
    """Let all do what they can."""
    for _ in range(5):
        await asyncio.sleep(0)


def taken(count: int, of: int) -> Places:
    places = Places(of)
    for _ in range(count):
        places.take()
    return places


async def test_who_rests_leaves_the_place_to_another_and_takes_one_again() -> None:
    back: list[str] = []
    places, go_on = taken(1, of=1), asyncio.Event()
    assert places.free == 0
    task = asyncio.create_task(resting(places, go_on, back, "a"))
    await turn()
    assert places.free == 1
    go_on.set()
    await task
    assert places.free == 0
    assert back == ["a"]


async def test_who_comes_back_goes_before_who_begins_and_in_turn() -> None:
    back: list[str] = []
    places, go_on = taken(2, of=2), [asyncio.Event(), asyncio.Event()]
    tasks = [
        asyncio.create_task(resting(places, each, back, name))
        for each, name in zip(go_on, "ab", strict=True)
    ]
    await turn()
    places.take()
    places.take()
    for each in go_on:
        each.set()
        await turn()
    assert back == []
    places.leave()
    await turn()
    assert (back, places.free) == (["a"], 0)
    places.leave()
    await asyncio.gather(*tasks)
    assert (back, places.free) == (["a", "b"], 0)


async def test_that_somebody_can_begin_is_told_and_not_that_somebody_comes_back() -> None:
    places, go_on, told = taken(1, of=1), asyncio.Event(), []
    places.on_free = lambda: told.append(places.free)
    task = asyncio.create_task(resting(places, go_on, [], "a"))
    await turn()
    assert told == [1]
    places.take()
    go_on.set()
    await turn()
    places.leave()
    await task
    assert told == [1]


@pytest.mark.parametrize("comes_back", [False, True])
async def test_who_is_cancelled_does_not_wait_and_the_count_stays_right(
    *, comes_back: bool
) -> None:
    places, go_on = taken(1, of=1), asyncio.Event()
    task = asyncio.create_task(resting(places, go_on, [], "a"))
    await turn()
    places.take()
    if comes_back:
        go_on.set()
        await turn()
    task.cancel()
    await assert_ends(task)
    assert places.free == 0
    places.leave()
    assert places.free == 0
    places.leave()
    assert places.free == 1


async def test_who_is_cancelled_when_its_place_has_just_come_free_gives_it_on() -> None:
    places, go_on = taken(1, of=1), asyncio.Event()
    task = asyncio.create_task(resting(places, go_on, [], "a"))
    await turn()
    places.take()
    go_on.set()
    await turn()
    places.leave()
    task.cancel()
    await assert_ends(task)
    assert places.free == 0
    places.leave()
    assert places.free == 1


async def test_what_fails_while_it_rests_fails_in_a_place_of_its_own() -> None:
    places = taken(1, of=1)

    async def failing() -> None:
        async with places.rest():
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - our own, two lines above
        await failing()
    assert places.free == 0


async def assert_ends(task: Awaitable[None]) -> None:
    with pytest.raises(asyncio.CancelledError):
        await task
