"""Polls that do not wait for the schedule, over the real store, with an hour of waiting in a
second.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tagboat.core.catalog import KnownTag, Project
from tagboat.core.image import ImageName
from tagboat.core.polling import PollState, RegistryBackoff
from tagboat.core.ports import Topic, Tx
from tagboat.core.push import Source
from tagboat.polling import catch_up
from tagboat.polling.catch_up import CatchUp
from tagboat.store import SqlStore, open_store
from tagboat.store.reader import SqlReader

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 28, tzinfo=UTC)
HOST = "git.example.com"
FASTER = 100


@pytest.fixture(autouse=True)
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("START_AFTER_S", "FIRST_POLL_AFTER_S", "CHECK_EVERY_S", "_FIRST_RETRY_S"):
        monkeypatch.setattr(catch_up, name, getattr(catch_up, name) / FASTER)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = open_store(None, tmp_path)
    yield opened
    opened.close()


def add(name: str, tx: Tx, *, heard_by: Source | None = None, host: str = HOST) -> None:
    tx.add_project(
        Project(id=name, name=name, image=ImageName(host, f"acme/{name}"), created_at=NOW)
    )
    if heard_by:
        tx.record_tag(
            KnownTag(project_id=name, tag="v1", digest=None, first_seen=NOW, source=heard_by)
        )
        tx.announce(Topic.DELIVERIES)


@dataclass
class Polls:
    """Puts on record what it is told to poll.

    `error` is what comes of it, `mine` whether it is this server's turn.
    """

    store: SqlStore
    error: str | None = None
    mine: bool = True
    asked: list[tuple[str, list[str]]] = field(default_factory=list)

    def claim(self, _tx: Tx) -> bool:
        return self.mine

    async def poll(self, host: str, project_ids: Sequence[str], _over_s: float) -> None:
        self.asked.append((host, list(project_ids)))

        def note(tx: Tx) -> None:
            for one in project_ids:
                tx.put_poll_state(
                    PollState(project_id=one, first_done=True, last_at=NOW, error=self.error)
                )

        await self.store.write(note)


@asynccontextmanager
async def catching(polls: Polls) -> AsyncIterator[None]:
    subject = CatchUp(polls.store, lambda: NOW, polls.claim, polls.poll)

    async def run() -> None:
        async with asyncio.TaskGroup() as rounds:
            await subject.run(rounds)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def asked(polls: Polls, count: int) -> list[tuple[str, list[str]]]:
    """What was asked for, once that were so many."""
    async with asyncio.timeout(60):
        while len(polls.asked) < count:  # noqa: ASYNC110 - what is awaited is told by nobody
            await asyncio.sleep(0.01)
    return polls.asked


async def settle() -> None:
    """Wait for as long as anything that is due could take."""
    await asyncio.sleep(
        4 * (catch_up.START_AFTER_S + catch_up.FIRST_POLL_AFTER_S + catch_up.CHECK_EVERY_S)
    )


async def test_after_a_start_what_was_polled_or_heard_of_is_polled_once(store: SqlStore) -> None:
    for name, source in (("by-hand", None), ("heard", Source.WEBHOOK), ("deployed", Source.MANUAL)):
        await store.write(partial(add, name, heard_by=source))
    await store.write(partial(add, "elsewhere", heard_by=Source.POLL, host="other.example.com"))
    await store.write(partial(add, "polled"))
    await store.write(
        lambda tx: tx.put_poll_state(PollState(project_id="polled", first_done=True, last_at=NOW))
    )
    polls = Polls(store)
    async with catching(polls):
        assert sorted(await asked(polls, 2)) == [
            (HOST, ["deployed", "heard", "polled"]),
            ("other.example.com", ["elsewhere"]),
        ]
        await settle()
    assert len(polls.asked) == 2


async def test_an_image_just_heard_of_is_polled_once_and_one_made_by_hand_is_not(
    store: SqlStore,
) -> None:
    polls = Polls(store)
    async with catching(polls):
        await settle()
        assert polls.asked == []
        await store.write(partial(add, "by-hand"))
        await store.write(partial(add, "heard", heard_by=Source.WEBHOOK))
        assert await asked(polls, 1) == [(HOST, ["heard"])]
        await settle()
    assert len(polls.asked) == 1


async def test_an_image_just_heard_of_that_a_person_polls_needs_no_other_first_poll(
    store: SqlStore,
) -> None:
    polls = Polls(store, mine=False)
    async with catching(polls):
        await settle()
        await store.write(partial(add, "heard", heard_by=Source.WEBHOOK))
        await settle()
        await store.write(
            lambda tx: tx.put_poll_state(
                PollState(project_id="heard", first_done=True, last_at=NOW)
            )
        )
        await settle()
        polls.mine = True
        await settle()
    assert polls.asked == []


async def test_what_fails_is_tried_a_few_times_more(store: SqlStore) -> None:
    await store.write(partial(add, "heard", heard_by=Source.WEBHOOK))
    polls = Polls(store, error="down")
    async with catching(polls):
        await asked(polls, 3)
        polls.error = None
        await asked(polls, 4)
        await settle()
    assert polls.asked == [(HOST, ["heard"])] * 4


async def test_what_waits_for_a_registry_that_is_backed_off_is_not_read_until_then(
    store: SqlStore,
) -> None:
    away = RegistryBackoff(host=HOST, failures=3, retry_at=NOW + timedelta(hours=1))
    await store.write(partial(add, "shop", heard_by=Source.WEBHOOK))
    await store.write(lambda tx: tx.put_registry_backoff(away))
    polls = Polls(store, error="it does not answer")
    async with catching(polls):
        await asked(polls, 1)
        await settle()
    assert len(polls.asked) == 1


async def test_without_a_call_the_projects_are_not_looked_through(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    look = SqlReader.unpolled_projects

    def noted(reader: SqlReader, limit: int) -> list[str]:
        looks.append(limit)
        return look(reader, limit)

    monkeypatch.setattr(SqlReader, "unpolled_projects", noted)
    monkeypatch.setattr(catch_up, "_LOOK_ANYWAY", 1_000_000)
    async with catching(Polls(store)):
        await settle()
        assert len(looks) == 1
        await store.write(lambda tx: tx.announce(Topic.DELIVERIES))
        await settle()
        assert len(looks) == 2


async def test_while_it_is_another_servers_turn_nothing_is_polled(store: SqlStore) -> None:
    await store.write(partial(add, "heard", heard_by=Source.WEBHOOK))
    polls = Polls(store, mine=False)
    async with catching(polls):
        await settle()
        assert polls.asked == []
        polls.mine = True
        assert await asked(polls, 1) == [(HOST, ["heard"])]


async def test_a_deleted_project_is_forgotten(store: SqlStore) -> None:
    await store.write(partial(add, "heard", heard_by=Source.WEBHOOK))
    polls = Polls(store, mine=False)
    async with catching(polls):
        await settle()
        await store.write(lambda tx: tx.delete_project("heard"))
        polls.mine = True
        await settle()
    assert polls.asked == []


def test_the_first_poll_is_made_within_15_seconds_and_that_of_a_start_within_a_minute() -> None:
    assert FASTER * (catch_up.FIRST_POLL_AFTER_S + 2 * catch_up.CHECK_EVERY_S) <= 13
    assert FASTER * (catch_up.START_AFTER_S + catch_up.CHECK_EVERY_S) + catch_up.START_OVER_S <= 55
