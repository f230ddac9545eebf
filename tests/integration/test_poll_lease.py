"""Several servers on one database.

One of them polls on schedule, and another takes over when it is gone.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from tagboat.core.catalog import Project
from tagboat.core.config import POLL_SCHEDULE
from tagboat.core.counters import Counters
from tagboat.core.image import ImageName
from tagboat.core.polling import PollState
from tagboat.core.ports import Reader, Store, Topic, Tx
from tagboat.deploy.queue import DeployQueue
from tagboat.polling import catch_up
from tagboat.polling.poller import LEASE_S, Poller
from tagboat.store import open_store, session
from tests.support.clock import FakeClock
from tests.support.notifications import at_rest
from tests.support.polling import admission
from tests.support.postgres import Postgres, postgres
from tests.support.tag_source import FakeTagSource

__all__ = ["postgres"]

pytestmark = pytest.mark.anyio

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=20)
"""Shorter than the lease, so that several polls fall into one."""
MANY = 8


@dataclass
class Own:
    """One server's view of the shared store.

    Counts its writes, and can be made to look at the timetable.
    """

    store: Store
    written: int = 0
    nudges: list[Callable[[], None]] = field(default_factory=list)

    @property
    def exclusive(self) -> bool:
        return self.store.exclusive

    @property
    def failed_writes(self) -> int:
        return self.store.failed_writes

    async def read(self, work: Callable[[Reader], T]) -> T:
        return await self.store.read(work)

    async def write(self, work: Callable[[Tx], T]) -> T:
        result = await self.store.write(work)
        self.written += 1
        return result

    def listen(self, topic: Topic, callback: Callable[[], None]) -> None:
        self.store.listen(topic, callback)
        self.nudges.append(callback)


@dataclass
class Replica:
    """A server that polls until it is gone."""

    own: Own
    poller: Poller
    task: "asyncio.Task[None]"

    async def looks(self) -> None:
        """Have it look at the timetable, and wait until it has."""
        before = self.own.written
        for nudge in self.own.nudges:
            nudge()
        await until(lambda: self.own.written > before)

    async def goes(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        # A look that was under way is carried out although nobody waits for it: here, before the
        # clock moves.
        await self.own.store.write(lambda _: None)


@dataclass
class Cluster:
    """Stores on one database, one for each server, as replicas have them."""

    stores: Sequence[Store]
    clock: FakeClock = field(default_factory=lambda: FakeClock(START))
    asked: list[tuple[str, datetime]] = field(default_factory=list)
    takes: timedelta = timedelta(0)
    """How long the registry takes over each answer, by the clock."""

    @asynccontextmanager
    async def replica(self, number: int) -> AsyncIterator[Replica]:
        """Start a server and wait until it knows when to poll."""
        await at_rest(self.stores[number])
        own, holder = Own(self.stores[number]), f"server {number}"

        async def note() -> None:
            self.asked.append((holder, self.clock()))
            self.clock.now += self.takes

        tags = FakeTagSource(["v1"], on_asked=note)
        poller = Poller(
            own,
            admission(DeployQueue(self.clock)),
            tags,
            clock=self.clock,
            holder=holder,
            counters=Counters(),
        )
        replica = Replica(own, poller, asyncio.create_task(poller.run()))
        try:
            await until(lambda: poller.next_at() is not None)
            yield replica
        finally:
            await replica.goes()

    async def noted(self, since: datetime) -> None:
        """Return once every project was polled, and that is on record, after `since`."""
        while True:
            states = await self.stores[0].read(_poll_states)
            if all(state.last_at and state.last_at > since for state in states):
                return

    async def asked_by(self, count: int) -> list[str]:
        """Who has asked so far, once there were `count` of them and the last is done."""
        await until(lambda: len(self.asked) >= count)
        return [holder for holder, _ in self.asked]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is awaited is told by nobody
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def by_schedule_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is polled outside the schedule, which goes by the loop's clock."""
    monkeypatch.setattr(catch_up, "CHECK_EVERY_S", 3600)


@pytest.fixture(params=["sqlite", "postgresql"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sequence[Store]]:
    """SQLite has one server only, whose store both share here; on PostgreSQL each has its own."""
    if request.param == "sqlite":
        store = open_store(None, tmp_path)
        yield [store, store]
        store.close()
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.new_database()
    both = [open_store(url, tmp_path), open_store(url, tmp_path)]
    yield both
    for store in both:
        store.close()


@pytest.fixture
async def cluster(stores: Sequence[Store], monkeypatch: pytest.MonkeyPatch) -> Cluster:
    def work(tx: Tx) -> None:
        tx.put_setting(POLL_SCHEDULE, f"@every {EVERY.seconds}s")
        image = ImageName("git.example.com", "acme/app")
        tx.add_project(Project(id="p", name="app", image=image, created_at=START))

    await stores[0].write(work)
    made = Cluster(stores)
    monkeypatch.setattr(session, "database_time", lambda _: made.clock())
    return made


async def test_each_poll_is_made_by_the_one_server_that_has_the_lease(cluster: Cluster) -> None:
    async with cluster.replica(0) as first, cluster.replica(1) as second:
        cluster.clock.now += EVERY
        await first.looks()
        assert await cluster.asked_by(1) == ["server 0"]
        for polls in range(2, 6):
            cluster.clock.now += EVERY
            await first.looks()
            await second.looks()
            assert await cluster.asked_by(polls) == ["server 0"] * polls


async def test_no_poll_is_lost_to_a_server_that_looks_first_without_the_lease(
    cluster: Cluster,
) -> None:
    async with cluster.replica(0) as first, cluster.replica(1) as second:
        cluster.clock.now += EVERY
        await first.looks()
        assert await cluster.asked_by(1) == ["server 0"]
        for polls in range(2, 6):
            cluster.clock.now += EVERY
            await second.looks()
            await first.looks()
            assert await cluster.asked_by(polls) == ["server 0"] * polls


async def test_when_the_holder_is_gone_another_takes_over_once_the_lease_has_run_out(
    cluster: Cluster,
) -> None:
    async with cluster.replica(0) as first, cluster.replica(1) as second:
        cluster.clock.now += EVERY
        await first.looks()
        assert await cluster.asked_by(1) == ["server 0"]
        await first.goes()
        left_at = cluster.clock.now
        for seconds in range(5, int(LEASE_S) + 1, 5):
            cluster.clock.now = left_at + timedelta(seconds=seconds)
            await second.looks()
        assert await cluster.asked_by(2) == ["server 0", "server 1"]
        assert cluster.asked[1][1] == left_at + timedelta(seconds=LEASE_S)


async def test_who_comes_back_finds_the_lease_taken(cluster: Cluster) -> None:
    async with cluster.replica(1) as second:
        async with cluster.replica(0) as first:
            cluster.clock.now += EVERY
            await first.looks()
            assert await cluster.asked_by(1) == ["server 0"]
        cluster.clock.now += timedelta(seconds=LEASE_S)
        await second.looks()
        assert await cluster.asked_by(2) == ["server 0", "server 1"]
        async with cluster.replica(0) as first:
            cluster.clock.now += EVERY
            await first.looks()
            await second.looks()
            assert await cluster.asked_by(3) == ["server 0", "server 1", "server 1"]


async def test_a_round_longer_than_the_lease_is_left_to_its_server(cluster: Cluster) -> None:
    await cluster.stores[0].write(_many_projects)
    async with cluster.replica(0) as first, cluster.replica(1) as second:
        cluster.clock.now += EVERY
        await first.looks()
        await cluster.noted(since=START)
        cluster.takes, began = timedelta(seconds=10), cluster.clock.now
        cluster.clock.now += EVERY
        await first.looks()
        await cluster.noted(since=began)
        assert cluster.clock.now > began + timedelta(seconds=LEASE_S)
        await second.looks()
        await first.looks()
        assert set(await cluster.asked_by(3 * MANY)) == {"server 0"}


def _poll_states(reader: Reader) -> Sequence[PollState]:
    return list(reader.poll_states([project.id for project in reader.projects()]).values())


def _many_projects(tx: Tx) -> None:
    for number in range(1, MANY):
        image = ImageName("git.example.com", f"acme/app{number}")
        tx.add_project(Project(id=f"p{number}", name=f"app{number}", image=image, created_at=START))
