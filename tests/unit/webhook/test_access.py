"""Secrets with a shared database: what each opens, and how often the database is read."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from tagboat.core.catalog import Project
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.image import parse_image_ref
from tagboat.core.ports import Reader, Topic
from tagboat.core.project_webhook import ProjectWebhook, hash_secret
from tagboat.store import SqlStore, open_store
from tagboat.store.settings import SettingReads
from tagboat.webhook import ensure_webhook_secret, regenerate_webhook_secret
from tagboat.webhook.access import UNKNOWN, Access, AccessCheck

pytestmark = pytest.mark.anyio
T = TypeVar("T")
NOW = datetime(2026, 11, 28, tzinfo=UTC)


class Shared:
    """A store that others write to as well; `reads` counts, `out` is whether it is out of reach.

    Without `hears`, all that is written is written by others: nobody is told of it.
    """

    exclusive = False

    def __init__(self, store: SqlStore, *, hears: bool = False) -> None:
        self._store = store
        self._hears = hears
        self.reads = 0
        self.out = False

    def listen(self, topic: Topic, callback: Callable[[], None]) -> None:
        if self._hears:
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
    secret = await regenerate_webhook_secret(store)
    shared = Shared(store)
    access = AccessCheck(shared)  # type: ignore[arg-type]  # all of a store that it needs
    assert await access.find(secret) is not None
    shared.reads = 0
    found = await asyncio.gather(*(access.find(f"wrong {number}") for number in range(1000)))
    assert found == [None] * 1000
    assert shared.reads <= UNKNOWN.burst + UNKNOWN.per_s
    assert await access.find(secret) is not None


async def test_what_another_server_has_made_anew_counts_from_the_next_call_on(
    store: SqlStore,
) -> None:
    old = await regenerate_webhook_secret(store)
    access = AccessCheck(Shared(store))  # type: ignore[arg-type]  # as above
    assert await access.find(old) is not None
    new = await regenerate_webhook_secret(store)
    assert await access.find(old) is None
    assert await access.find(new) is not None


async def test_calls_at_the_same_time_share_a_read(store: SqlStore) -> None:
    secret = await regenerate_webhook_secret(store)
    shared = Shared(store)
    access = AccessCheck(shared)  # type: ignore[arg-type]  # as above
    assert await access.find(secret) is not None
    shared.reads = 0
    found = await asyncio.gather(*(access.find(secret) for _ in range(500)))
    assert found == [Access(None, None)] * 500
    assert shared.reads <= 2


async def test_one_call_does_not_read_all_hooks(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = await regenerate_webhook_secret(store)
    project = Project(
        id="p", name="app", image=parse_image_ref("git.example.com/acme/app").name, created_at=NOW
    )
    hook = ProjectWebhook(
        id="h", project_id=project.id, name="ci", secret_hash=hash_secret("own"), created_at=NOW
    )
    await store.write(lambda tx: tx.add_project(project))
    await store.write(lambda tx: tx.add_hook(hook))
    access = AccessCheck(Shared(store))  # type: ignore[arg-type]  # as above
    assert await access.find(secret) is not None
    with monkeypatch.context() as patched:
        patched.delattr(SettingReads, "hooks")
        assert await access.find(secret) == Access(None, None)
        assert await access.find("own") == Access(hook, None)
        await store.write(lambda tx: tx.put_hook(replace(hook, secret_hash=hash_secret("anew"))))
        assert await access.find("own") is None
        await store.write(lambda tx: tx.delete_hook(hook.id))
        assert await access.find("own") is None


async def test_nor_after_a_crowd_is_what_was_made_anew_here_taken_for_wrong(
    store: SqlStore,
) -> None:
    await ensure_webhook_secret(store)
    access = AccessCheck(Shared(store, hears=True))  # type: ignore[arg-type]  # as above
    await asyncio.gather(*(access.find(f"wrong {number}") for number in range(200)))
    assert await access.find(await regenerate_webhook_secret(store)) is not None


async def test_a_database_out_of_reach_is_told_to_each_and_asked_again(store: SqlStore) -> None:
    secret = await regenerate_webhook_secret(store)
    shared = Shared(store)
    access = AccessCheck(shared)  # type: ignore[arg-type]  # as above
    shared.out = True
    found = await asyncio.gather(access.find(secret), access.find("wrong"), return_exceptions=True)
    assert [type(error) for error in found] == [StoreUnavailableError] * 2
    shared.out = False
    assert await access.find(secret) is not None
