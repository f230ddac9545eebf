"""When the next scheduled poll is due, over the real store and a clock that stands until it is
moved.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from tagboat.core.config import AUTO_CREATE, POLL_SCHEDULE
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.ports import Reader, Store, Topic, Tx
from tagboat.polling.timetable import OVERDUE_S, Timetable
from tagboat.store import SqlStore, open_store
from tests.support.clock import FakeClock

pytestmark = pytest.mark.anyio

T = TypeVar("T")
MINUTE = 60.0
HOUR = 3600.0


@dataclass
class Flaky:
    """A store whose first `failures` writes fail; counts those that did not."""

    inner: Store
    failures: int = 0
    failed: int = 0
    written: int = 0
    callbacks: list[Callable[[], None]] = field(default_factory=list)

    @property
    def exclusive(self) -> bool:
        return self.inner.exclusive

    @property
    def failed_writes(self) -> int:
        return self.inner.failed_writes

    async def read(self, work: Callable[[Reader], T]) -> T:
        return await self.inner.read(work)

    async def write(self, work: Callable[[Tx], T]) -> T:
        if self.failed < self.failures:
            self.failed += 1
            raise StoreUnavailableError("the database is out of reach")
        result = await self.inner.write(work)
        self.written += 1
        return result

    def listen(self, topic: Topic, callback: Callable[[], None]) -> None:
        self.inner.listen(topic, callback)
        self.callbacks.append(callback)


@dataclass
class Server:
    """A server from its start to its stop. `turn` is whether it may poll, `polls` when it did."""

    store: Flaky
    clock: FakeClock
    turn: bool = True
    claims: int = 0
    polls: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.timetable = Timetable(self.store, self.clock, self._claim)

    async def run(self) -> None:
        while True:
            await self.timetable.wait()
            self.polls.append(self.clock())

    async def looks(self) -> datetime:
        """Have it look at the timetable now, as a change of some setting does.

        When the next poll is due then.
        """
        before = self.store.written
        for callback in self.store.callbacks:
            callback()
        await until(lambda: self.store.written > before)
        # After a poll it looks once more, for the next one.
        await until(
            lambda: (
                self.timetable.next_at is not None
                and (self.timetable.next_at > self.clock() or not self.turn)
            )
        )
        assert self.timetable.next_at is not None
        return self.timetable.next_at

    def _claim(self, _tx: Tx) -> bool:
        self.claims += 1
        return self.turn


@asynccontextmanager
async def running(
    store: Store, clock: FakeClock, *, turn: bool = True, failures: int = 0
) -> AsyncIterator[Server]:
    """Start a server on `store` and let it look once; stop it after the block."""
    server = Server(Flaky(store, failures), clock, turn)
    task = asyncio.create_task(server.run())
    try:
        await until(lambda: server.store.written > 0 or server.store.failed > 0)
        yield server
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is awaited is told by nobody
            await asyncio.sleep(0.001)


async def put_schedule(store: Store, text: str) -> None:
    """Change the schedule as the API does."""

    def work(tx: Tx) -> None:
        tx.put_setting(POLL_SCHEDULE, text)
        tx.announce(Topic.SETTINGS)

    await store.write(work)


def at(clock: str) -> datetime:
    """That time of the day on which the clock of the tests stands, which begins at 12:00."""
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return datetime(2026, 11, 24, hours, minutes, seconds, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = open_store(None, tmp_path)
    yield opened
    opened.close()


async def test_the_first_start_does_not_poll(store: SqlStore, clock: FakeClock) -> None:
    async with running(store, clock) as server:
        assert await server.looks() == at("12:05:00")
        clock.advance(5 * MINUTE - 0.001)
        assert await server.looks() == at("12:05:00")
    assert server.polls == []


async def test_an_interval_counts_from_the_poll_before_and_the_calendar_does_not(
    store: SqlStore, clock: FakeClock
) -> None:
    async with running(store, clock) as server:
        await server.looks()
        clock.advance(5 * MINUTE + 7)
        assert await server.looks() == at("12:10:07")
        await put_schedule(store, "*/5 * * * *")
        assert await server.looks() == at("12:10:00")
        clock.advance(5 * MINUTE + 7)
        assert await server.looks() == at("12:15:00")
    assert server.polls == [at("12:05:07"), at("12:10:14")]


@pytest.mark.parametrize("schedule", ["@every 1h", "@hourly", "CRON_TZ=Asia/Kolkata 30 * * * *"])
async def test_a_restart_neither_repeats_nor_postpones(
    store: SqlStore, clock: FakeClock, schedule: str
) -> None:
    await put_schedule(store, schedule)
    async with running(store, clock) as server:
        assert await server.looks() == at("13:00:00")
        clock.advance(HOUR)
        assert await server.looks() == at("14:00:00")
        assert server.polls == [at("13:00:00")]
    for _ in range(3):
        clock.advance(10 * MINUTE)
        async with running(store, clock) as server:
            assert await server.looks() == at("14:00:00")
        assert server.polls == []
    async with running(store, clock) as server:
        clock.advance(30 * MINUTE)
        await server.looks()
        assert server.polls == [at("14:00:00")]


@pytest.mark.parametrize(
    ("schedule", "late"), [("@every 1h", OVERDUE_S), ("@every 61s", OVERDUE_S), ("@every 30s", 30)]
)
async def test_an_interval_that_ran_out_meanwhile_is_made_up_for(
    store: SqlStore, clock: FakeClock, schedule: str, late: float
) -> None:
    await put_schedule(store, schedule)
    async with running(store, clock):
        pass
    clock.advance(5 * HOUR)
    made_up = clock() + timedelta(seconds=late)
    async with running(store, clock) as server:
        assert await server.looks() == made_up
    clock.advance(late / 2)
    async with running(store, clock) as server:  # which a second restart does not put off
        assert await server.looks() == made_up
        assert server.polls == []
        clock.advance(late / 2)
        await server.looks()
    assert server.polls == [made_up]


async def test_a_time_of_the_calendar_that_passed_meanwhile_is_not_made_up_for(
    store: SqlStore, clock: FakeClock
) -> None:
    await put_schedule(store, "0 * * * *")
    async with running(store, clock):
        pass
    clock.advance(2.5 * HOUR)
    async with running(store, clock) as server:
        assert await server.looks() == at("15:00:00")
    assert server.polls == []


async def test_a_server_that_was_kept_from_looking_polls_once(
    store: SqlStore, clock: FakeClock
) -> None:
    async with running(store, clock) as server:
        await server.looks()
        clock.advance(3 * HOUR)
        assert await server.looks() == at("15:05:00")
    assert server.polls == [at("15:00:00")]


async def test_a_change_of_the_schedule_counts_from_the_moment_it_is_made(
    store: SqlStore, clock: FakeClock
) -> None:
    async with running(store, clock) as server:
        await server.looks()
        clock.advance(MINUTE)
        await put_schedule(store, "@every 20m")
        await until(lambda: server.timetable.next_at == at("12:21:00"))
        await put_schedule(store, "0 9,18 * * *")
        await until(lambda: server.timetable.next_at == at("18:00:00"))
        clock.advance(MINUTE)
        await put_schedule(store, "@every 5m")
        await until(lambda: server.timetable.next_at == at("12:07:00"))
        clock.advance(5 * MINUTE)
        await server.looks()
    assert server.polls == [at("12:07:00")]


async def test_a_schedule_changed_by_another_server_counts_from_the_start(
    store: SqlStore, clock: FakeClock
) -> None:
    async with running(store, clock):
        pass
    await put_schedule(store, "@every 20m")
    clock.advance(HOUR)
    async with running(store, clock) as server:
        assert await server.looks() == at("13:20:00")
    assert server.polls == []


async def test_a_change_of_another_setting_changes_nothing(
    store: SqlStore, clock: FakeClock
) -> None:
    def work(tx: Tx) -> None:
        tx.put_setting(AUTO_CREATE, value=False)
        tx.announce(Topic.SETTINGS)

    async with running(store, clock) as server:
        await server.looks()
        clock.advance(MINUTE)
        looked = server.store.written
        await store.write(work)
        await until(lambda: server.store.written > looked)
        assert server.timetable.next_at == at("12:05:00")


async def test_while_it_is_another_servers_turn_the_poll_stays_due(
    store: SqlStore, clock: FakeClock
) -> None:
    async with running(store, clock, turn=False) as server:
        assert await server.looks() == at("12:05:00")
        assert server.claims == 0
        clock.advance(6 * MINUTE)
        assert await server.looks() == at("12:05:00")
        assert (server.claims > 0, server.polls) == (True, [])
        server.turn = True
        assert await server.looks() == at("12:11:00")
    assert server.polls == [at("12:06:00")]


async def test_a_clock_set_back_does_not_put_the_poll_off(
    store: SqlStore, clock: FakeClock
) -> None:
    clock.advance(8 * HOUR)  # it was wrong
    async with running(store, clock) as server:
        assert await server.looks() == at("20:05:00")
        clock.advance(-8 * HOUR)
        assert await server.looks() == at("12:05:00")
    clock.advance(MINUTE)
    async with running(store, clock) as server:
        assert await server.looks() == at("12:05:00")


async def test_a_database_out_of_reach_is_asked_again(store: SqlStore, clock: FakeClock) -> None:
    async with running(store, clock, failures=1) as server:
        assert server.timetable.next_at is None
        assert await server.looks() == at("12:05:00")
        clock.advance(5 * MINUTE)
        server.store.failures = 2
        for callback in server.store.callbacks:
            callback()
        await until(lambda: server.store.failed == 2)
        assert server.polls == []
        await server.looks()
    assert server.polls == [at("12:05:00")]
