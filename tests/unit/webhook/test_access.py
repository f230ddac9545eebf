"""Which secrets open what, where several servers share a database: how often it is read for them."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tagboat.core.errors import StoreUnavailableError
from tagboat.core.ports import Reader, Topic
from tagboat.store import SqlStore, open_store
from tagboat.webhook import ensure_webhook_secret, regenerate_webhook_secret
from tagboat.webhook.access import UNKNOWN, AccessCheck

pytestmark = pytest.mark.anyio
T = TypeVar("T")


class Shared:
    """A store that others write to as well; `reads` counts, `out` is whether it is out of reach."""

    exclusive = False

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.reads = 0
        self.out = False

    def listen(self, topic: Topic, callback: Callable[[], None]) -> None:
        self._store.listen(topic, callback)

    async def read(self, work: Callable[[Reader], T]) -> T:
        self.reads += 1
        if self.out:
            raise StoreUnavailableError("it is out of reach")
        return await self._store.read(work)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = open_store(None, tmp_path)
    yield store
    store.close()


async def test_a_crowd_of_wrong_secrets_is_hardly_read_for(store: SqlStore) -> None:
    secret = await ensure_webhook_secret(store)
    shared = Shared(store)
    access = AccessCheck(shared)  # type: ignore[arg-type]  # all of a store that it needs
    assert await access.find(secret) is not None
    shared.reads = 0
    found = await asyncio.gather(*(access.find(f"wrong {number}") for number in range(1000)))
    assert found == [None] * 1000
    assert shared.reads <= UNKNOWN.burst + UNKNOWN.per_s
    assert await access.find(secret) is not None


async def test_what_another_server_has_made_anew_counts_from_the_next_call_on(store: SqlStore) -> None:
    old = await ensure_webhook_secret(store)
    access = AccessCheck(Shared(store))  # type: ignore[arg-type]  # as above
    assert await access.find(old) is not None
    new = await regenerate_webhook_secret(store)
    assert await access.find(old) is None
    assert await access.find(new) is not None


async def test_nor_after_a_crowd_is_what_was_made_anew_here_taken_for_wrong(store: SqlStore) -> None:
    await ensure_webhook_secret(store)
    access = AccessCheck(Shared(store))  # type: ignore[arg-type]  # as above
    await asyncio.gather(*(access.find(f"wrong {number}") for number in range(200)))
    assert await access.find(await regenerate_webhook_secret(store)) is not None


async def test_a_database_out_of_reach_is_told_to_each_and_asked_again(store: SqlStore) -> None:
    secret = await ensure_webhook_secret(store)
    shared = Shared(store)
    access = AccessCheck(shared)  # type: ignore[arg-type]  # as above
    shared.out = True
    found = await asyncio.gather(access.find(secret), access.find("wrong"), return_exceptions=True)
    assert [type(error) for error in found] == [StoreUnavailableError] * 2
    shared.out = False
    assert await access.find(secret) is not None
