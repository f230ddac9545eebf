"""Forgetting old deliveries, in a real store."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tagboat.core.audit import AuditEntry, AuditFilter
from tagboat.core.config import AUDIT_KEEP_DAYS, DELIVERIES_KEEP, DELIVERIES_KEEP_DAYS
from tagboat.core.delivery import Delivery, Receipt
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.idempotency import ANSWERS_KEPT, RememberedAnswer
from tagboat.core.ports import Topic, Tx
from tagboat.intake import prune
from tagboat.store import SqlStore, open_store

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = open_store(None, tmp_path)
    yield store
    store.close()


def clock() -> datetime:
    return NOW


async def keep(store: SqlStore, *ages: timedelta) -> None:
    """Deliveries, the oldest first."""
    for number, age in enumerate(ages):
        delivery = Delivery(
            id=f"{number:024}",
            sender="native",
            status=202,
            receipt=Receipt(f"{number:024}", ()),
            received_at=NOW - age,
        )
        await store.write(partial(_add, delivery))


def _add(delivery: Delivery, tx: Tx) -> None:
    tx.add_delivery(delivery)


def _keep_one(tx: Tx) -> None:
    tx.put_setting(DELIVERIES_KEEP, 1)
    tx.announce(Topic.SETTINGS)


async def left(store: SqlStore) -> list[timedelta]:
    return [
        NOW - delivery.received_at
        for delivery in await store.read(lambda reader: reader.deliveries())
    ]


async def test_after_30_days_a_delivery_is_forgotten(store: SqlStore) -> None:
    await keep(store, timedelta(days=30, seconds=1), timedelta(days=30), timedelta(0))

    assert await store.write(lambda tx: prune.prune(tx, NOW)) == 1
    assert await left(store) == [timedelta(0), timedelta(days=30)]


async def test_the_settings_say_how_long_and_how_many(store: SqlStore) -> None:
    await store.write(lambda tx: tx.put_setting(DELIVERIES_KEEP_DAYS, 2))
    await store.write(lambda tx: tx.put_setting(DELIVERIES_KEEP, 3))
    await keep(store, *(timedelta(hours=hours) for hours in (49, 47, 3, 2, 1)))

    assert await store.write(lambda tx: prune.prune(tx, NOW)) == 2
    assert await left(store) == [timedelta(hours=1), timedelta(hours=2), timedelta(hours=3)]


async def test_it_begins_at_once_and_outlives_a_store_out_of_reach(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(store, timedelta(days=31), timedelta(0))
    write, failed, pruned = store.write, asyncio.Event(), asyncio.Event()

    async def fails_once(work):  # type: ignore[no-untyped-def] # noqa: ANN001 - any work
        if not failed.is_set():
            failed.set()
            raise StoreUnavailableError("the disk is full")
        found = await write(work)
        pruned.set()
        return found

    monkeypatch.setattr(store, "write", fails_once)
    monkeypatch.setattr(prune, "PRUNE_EVERY_S", 0)
    task = asyncio.create_task(prune.keep_pruning(store, clock))
    try:
        async with asyncio.timeout(60):
            await pruned.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert failed.is_set()
    assert await left(store) == [timedelta(0)]


async def test_a_setting_that_was_changed_counts_at_once(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(store, *(timedelta(hours=hours) for hours in (3, 2, 1)))
    write, done = store.write, asyncio.Queue[object]()

    async def told(work):  # type: ignore[no-untyped-def] # noqa: ANN001 - any work
        done.put_nowait(found := await write(work))
        return found

    monkeypatch.setattr(store, "write", told)
    task = asyncio.create_task(prune.keep_pruning(store, clock))
    try:
        async with asyncio.timeout(60):
            assert await done.get() == 0
            await write(_keep_one)
            assert await done.get() == 2
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert await left(store) == [timedelta(hours=1)]


async def test_an_answer_is_forgotten_a_day_after_it_was_given(store: SqlStore) -> None:
    def remember(tx: Tx) -> None:
        for key, age in (("old", ANSWERS_KEPT + timedelta(seconds=1)), ("new", ANSWERS_KEPT)):
            tx.remember_answer(
                RememberedAnswer(
                    key=key, route="POST /x", fingerprint="", status=202, body="", at=NOW - age
                )
            )

    await store.write(remember)
    assert await store.write(lambda tx: prune.prune(tx, NOW)) == 1
    assert await store.read(lambda reader: reader.remembered_answer("new", "POST /x"))


async def test_the_audit_goes_when_it_is_older_than_it_is_kept(store: SqlStore) -> None:
    def record(tx: Tx) -> None:
        for days in (366, 364, 29, 31):
            tx.record_audit(
                AuditEntry(
                    at=NOW - timedelta(days=days),
                    actor_kind="account",
                    actor_name="ada",
                    action="stage.hold",
                    note=str(days),
                )
            )

    async def kept() -> list[str]:
        found = await store.read(lambda reader: reader.audit_entries(AuditFilter(), None, 9))
        return [one.note for one in found]

    await store.write(record)
    assert await store.write(lambda tx: prune.prune(tx, NOW)) == 1
    assert await kept() == ["29", "31", "364"]
    await store.write(lambda tx: tx.put_setting(AUDIT_KEEP_DAYS, 30))
    assert await store.write(lambda tx: prune.prune(tx, NOW)) == 2
    assert await kept() == ["29"]
