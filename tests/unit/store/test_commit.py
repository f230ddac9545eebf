"""What comes of a batch whose transaction the database refuses."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from tagboat.core.errors import StoreUnavailableError
from tagboat.core.ports import Tx
from tagboat.store import SqlStore, open_store
from tagboat.store.writer import Work

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_store(None, tmp_path)
    yield opened
    opened.close()


def put(number: int) -> Work:
    def work(tx: Tx) -> None:
        tx.put_setting(f"setting-{number}", number)

    return work


async def test_the_databases_own_trouble_is_met_once_and_told_to_all(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A locked database keeps each transaction waiting for seconds: a batch must not try it
    piece by piece.
    """
    batches: list[int] = []

    def refuse(works: Sequence[Work]) -> list[Any]:
        batches.append(len(works))
        raise OperationalError("BEGIN", {}, sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr(store, "_transact", refuse)
    outcomes = await asyncio.gather(
        *(store.write(put(number)) for number in range(5)), return_exceptions=True
    )
    assert [(type(outcome), str(outcome)) for outcome in outcomes] == [
        (StoreUnavailableError, "the database cannot be used: database is locked")
    ] * 5
    assert sum(batches) == 5, "some were tried again"
