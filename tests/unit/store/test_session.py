"""Reads in a transaction see what waits to be written, whichever way they ask for it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tagboat.core.polling import PollState
from tagboat.core.ports import Tx
from tagboat.store import SqlStore, open_store
from tests.contract.test_store import (
    a_delivery,
    a_deploy,
    a_project,
    a_stage,
    a_tag,
    add,
    an_offer,
)

pytestmark = pytest.mark.anyio
PROJECT = a_project()
STAGE = a_stage(PROJECT)
DEPLOY = a_deploy(STAGE)
DELIVERY = a_delivery()
TAG = a_tag(PROJECT)
OFFER = an_offer(STAGE, "v1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = open_store(None, tmp_path)
    yield store
    store.close()


@pytest.mark.parametrize(
    ("write", "read", "seen"),
    [
        (lambda tx: tx.add_deploy(DEPLOY), lambda tx: tx.deploy(DEPLOY.id), DEPLOY),
        (lambda tx: tx.add_deploy(DEPLOY), lambda tx: tx.deploys(), [DEPLOY]),
        (lambda tx: tx.add_deploy(DEPLOY), lambda tx: tx.all_open_deploys(), [DEPLOY]),
        (
            lambda tx: tx.add_deploy(DEPLOY),
            lambda tx: tx.claimable_deploys("me", (), 1),
            [DEPLOY],
        ),
        (lambda tx: tx.add_delivery(DELIVERY), lambda tx: tx.delivery(DELIVERY.id), DELIVERY),
        (lambda tx: tx.add_delivery(DELIVERY), lambda tx: len(tx.deliveries()), 1),
        (lambda tx: tx.add_delivery(DELIVERY), lambda tx: tx.has_more_deliveries(0), True),
        (lambda tx: tx.record_tag(TAG), lambda tx: tx.known_tag(PROJECT.id, "v1"), TAG),
        (lambda tx: tx.record_tag(TAG), lambda tx: tx.known_tags(PROJECT.id), [TAG]),
        (lambda tx: tx.record_tag(TAG), lambda tx: tx.unpolled_projects(1), [PROJECT.id]),
        (lambda tx: tx.add_held_push(OFFER), lambda tx: tx.held_pushes(STAGE.id), [OFFER]),
        (
            lambda tx: tx.put_poll_state(PollState(project_id=PROJECT.id, error="x")),
            lambda tx: tx.poll_state(PROJECT.id).error,
            "x",
        ),
        (
            lambda tx: tx.put_poll_state(PollState(project_id=PROJECT.id)),
            lambda tx: tx.events(tx.last_event_id() - 1, 1)[0].subject,
            PROJECT.id,
        ),
    ],
    # Ids of records differ from process to process, and tests must have one name in all of them.
    ids=lambda value: "seen" if not callable(value) else None,
)
async def test_a_read_sees_what_was_written_before_it(
    store: SqlStore, write: Callable[[Tx], None], read: Callable[[Tx], object], seen: object
) -> None:
    await add(store, PROJECT, STAGE)

    def work(tx: Tx) -> object:
        write(tx)
        return read(tx)

    assert await store.write(work) == seen


async def test_a_read_of_another_table_sends_nothing(store: SqlStore) -> None:
    await add(store, PROJECT, STAGE)

    def work(tx: Tx) -> tuple[bool, bool]:
        tx.add_delivery(DELIVERY)
        tx.setting("auto_create")
        waits = _waits(tx)
        tx.deliveries()
        return waits, _waits(tx)

    assert await store.write(work) == (True, False)


def _waits(tx: Tx) -> bool:
    return bool(tx._session._waiting)  # type: ignore[attr-defined]
