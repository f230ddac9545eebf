"""The group writer: what shares a transaction, who is told what, and when."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from tagboat.store import writer as writer_module
from tagboat.store.writer import MAX_BATCH, GroupWriter, Work, WorkOutcome

pytestmark = pytest.mark.anyio


class Disk:
    """Commits batches when it is let; `batches` are their sizes."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.committing = threading.Event()
        self.may_commit = threading.Event()
        self.may_commit.set()

    def commit(self, works: Sequence[Work]) -> list[WorkOutcome]:
        self.batches.append(len(works))
        outcomes = [self._outcome(work) for work in works]
        self.committing.set()
        assert self.may_commit.wait(60)
        return outcomes

    @staticmethod
    def _outcome(work: Work) -> WorkOutcome:
        try:
            return work(None), None
        except LookupError as error:
            return None, error


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def writer(disk: Disk) -> AsyncIterator[GroupWriter]:
    made = GroupWriter(disk.commit)
    yield made
    disk.may_commit.set()
    await asyncio.to_thread(ended, made)


def answer(number: int, _tx: object) -> int:
    return number


def note(done: list[int], number: int, _tx: object) -> None:
    done.append(number)


def spoil(_tx: object) -> None:
    raise LookupError("spoilt")


async def test_each_gets_the_result_of_its_own_work(writer: GroupWriter) -> None:
    results = await asyncio.gather(
        *(writer.submit(partial(answer, number)) for number in range(1000))
    )
    assert results == list(range(1000))


async def test_what_is_at_hand_shares_a_transaction(writer: GroupWriter, disk: Disk) -> None:
    await asyncio.gather(*(writer.submit(lambda _: None) for _ in range(10)))
    assert disk.batches == [10]


async def test_what_comes_during_a_commit_shares_the_next(writer: GroupWriter, disk: Disk) -> None:
    disk.may_commit.clear()
    first = writer.submit(lambda _: 0)
    await asyncio.to_thread(disk.committing.wait, 60)
    rest = [writer.submit(lambda _: 1) for _ in range(7)]
    disk.may_commit.set()
    await asyncio.gather(first, *rest)
    assert disk.batches == [1, 7]


async def test_who_was_just_answered_is_waited_for(
    writer: GroupWriter, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "DELAY_S", 1.0)
    monkeypatch.setattr(writer_module, "MOST_DELAY_S", 1.0)

    async def calls_again() -> None:
        await writer.submit(lambda _: None)
        await asyncio.sleep(
            0
        )  # a turn of the loop, as between an answer and the caller's next call
        await writer.submit(lambda _: None)

    disk.may_commit.clear()
    first = asyncio.create_task(calls_again())
    await asyncio.to_thread(disk.committing.wait, 60)
    rest = [asyncio.create_task(calls_again()) for _ in range(3)]
    await asyncio.sleep(0)
    disk.may_commit.set()
    await asyncio.gather(first, *rest)
    assert disk.batches == [1, 4, 3]


async def test_after_a_long_commit_they_are_waited_for_as_long(
    writer: GroupWriter, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MOST_DELAY_S", 60.0)

    async def calls_later() -> None:
        await writer.submit(lambda _: None)
        await asyncio.sleep(0.05)
        await writer.submit(lambda _: None)

    disk.may_commit.clear()
    first = asyncio.create_task(calls_later())
    await asyncio.to_thread(disk.committing.wait, 60)
    rest = [writer.submit(lambda _: None) for _ in range(3)]
    await asyncio.sleep(2)
    disk.may_commit.set()
    await asyncio.gather(first, *rest)
    assert disk.batches == [1, 4]


async def test_who_does_not_come_again_is_not_waited_for_long(
    writer: GroupWriter, disk: Disk
) -> None:
    await asyncio.gather(*(writer.submit(lambda _: None) for _ in range(5)))
    async with asyncio.timeout(60):
        assert await writer.submit(lambda _: "alone") == "alone"
        assert await writer.submit(lambda _: "again") == "again"
    assert disk.batches == [5, 1, 1]


async def test_a_batch_has_a_largest_size(writer: GroupWriter, disk: Disk) -> None:
    await asyncio.gather(*(writer.submit(lambda _: None) for _ in range(MAX_BATCH + 1)))
    assert disk.batches == [MAX_BATCH, 1]


async def test_nobody_is_answered_before_the_commit(writer: GroupWriter, disk: Disk) -> None:
    disk.may_commit.clear()
    future = writer.submit(lambda _: "done")
    await asyncio.to_thread(disk.committing.wait, 60)
    _, waiting = await asyncio.wait([future], timeout=0.05)
    assert waiting == {future}
    disk.may_commit.set()
    assert await future == "done"


async def test_one_that_fails_is_told_alone(writer: GroupWriter) -> None:
    works: tuple[Work, ...] = (partial(answer, 1), spoil, partial(answer, 2))
    one, failed, two = await asyncio.gather(
        *(writer.submit(work) for work in works), return_exceptions=True
    )
    assert (one, two) == (1, 2)
    assert isinstance(failed, LookupError)


async def test_a_waiter_who_was_cancelled_disturbs_nobody_and_the_work_stands(
    writer: GroupWriter, disk: Disk
) -> None:
    done: list[str] = []
    disk.may_commit.clear()
    gone = writer.submit(lambda _: done.append("gone"))
    stays = writer.submit(lambda _: done.append("stays"))
    await asyncio.to_thread(disk.committing.wait, 60)
    gone.cancel()
    disk.may_commit.set()
    await stays
    assert gone.cancelled()
    assert done == ["gone", "stays"]
    assert await writer.submit(lambda _: "still at work") == "still at work"


async def test_work_follows_in_the_order_submitted(writer: GroupWriter) -> None:
    done: list[int] = []
    await asyncio.gather(*(writer.submit(partial(note, done, number)) for number in range(600)))
    assert done == list(range(600))


async def test_closing_finishes_the_batch_in_hand(disk: Disk) -> None:
    writer = GroupWriter(disk.commit)
    future = writer.submit(lambda _: "written")
    await asyncio.to_thread(disk.committing.wait, 60)
    await asyncio.to_thread(writer.close)
    assert await future == "written"


async def test_closing_finishes_what_was_not_begun_yet(disk: Disk) -> None:
    writer = GroupWriter(disk.commit)
    disk.may_commit.clear()
    futures = [writer.submit(lambda _: "first")]
    await asyncio.to_thread(disk.committing.wait, 60)
    futures += [writer.submit(lambda _: "later") for _ in range(MAX_BATCH + 1)]
    closing = asyncio.create_task(asyncio.to_thread(writer.close))
    disk.may_commit.set()
    await closing
    assert await asyncio.gather(*futures) == ["first"] + ["later"] * (MAX_BATCH + 1)


def stop(_tx: object) -> None:
    raise StopIteration


async def test_work_that_raises_what_no_future_takes_holds_nobody_up(disk: Disk) -> None:
    def commit(works: Sequence[Work]) -> list[WorkOutcome]:
        return [(None, StopIteration()) if work is stop else disk._outcome(work) for work in works]

    other = GroupWriter(commit)
    outcomes = await asyncio.gather(
        *(other.submit(work) for work in (stop, partial(answer, 1), stop)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [RuntimeError, int, RuntimeError]
    assert await other.submit(partial(answer, 2)) == 2
    await asyncio.to_thread(ended, other)


async def test_a_commit_that_breaks_down_is_told_to_all_and_the_next_goes_on() -> None:
    broken = [SystemExit("no")]

    def commit(works: Sequence[Work]) -> list[WorkOutcome]:
        if broken:
            raise broken.pop()
        return [(work(None), None) for work in works]

    writer = GroupWriter(commit)
    outcomes = await asyncio.gather(
        *(writer.submit(partial(answer, 1)) for _ in range(2)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [SystemExit, SystemExit]
    assert await writer.submit(partial(answer, 2)) == 2
    await asyncio.to_thread(ended, writer)


async def test_what_nobody_waits_for_any_more_when_its_turn_comes_is_not_done(
    writer: GroupWriter, disk: Disk
) -> None:
    done: list[int] = []
    disk.may_commit.clear()
    first = writer.submit(partial(note, done, 1))
    await asyncio.to_thread(disk.committing.wait)
    second, third = (writer.submit(partial(note, done, number)) for number in (2, 3))
    second.cancel()
    disk.may_commit.set()
    await asyncio.gather(first, third)
    assert done == [1, 3]


def ended(writer: GroupWriter) -> None:
    writer.close()
    writer.join()
