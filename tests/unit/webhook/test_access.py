"""Secrets with a shared database: what each opens, and how often the database is read."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from tagboat.core.catalog import Project
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.image import parse_image_ref
from tagboat.core.ports import Reader, Topic
from tagboat.core.project_webhook import ProjectWebhook, hash_secret
from tagboat.core.values import replace
from tagboat.intake.intake import is_certain
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


async def confirmed(store: SqlStore, access: AccessCheck, secret: str) -> bool:
    """Whether a secret opens what it opened, as a transaction finds."""
    opened = await access.find(secret)
    return opened is not None and await store.write(access.confirmation(secret, opened))


async def test_what_another_server_has_made_anew_counts_from_the_next_call_on(
    store: SqlStore,
) -> None:
    old = await regenerate_webhook_secret(store)
    access = AccessCheck(Shared(store))  # type: ignore[arg-type]  # as above
    assert await confirmed(store, access, old)
    new = await regenerate_webhook_secret(store)
    assert not await confirmed(store, access, old)
    assert await access.find_anew(old, Access(None, None)) is None
    # From then on it is known.
    assert await access.find(old) is None
    assert await confirmed(store, access, new)


async def test_calls_that_find_it_out_late_do_not_forget_what_is_known_since(
    store: SqlStore,
) -> None:
    old = await regenerate_webhook_secret(store)
    shared = Shared(store)
    access = AccessCheck(shared)  # type: ignore[arg-type]  # as above
    opened = await access.find(old)
    assert opened is not None
    new = await regenerate_webhook_secret(store)
    assert await access.find_anew(old, opened) is None
    assert await access.find(new) is not None
    assert await access.find_anew(old, opened) is None
    shared.reads = 0
    assert await access.find(new) is not None
    assert shared.reads == 0


async def test_who_calls_while_nothing_is_known_shares_a_read(store: SqlStore) -> None:
    await regenerate_webhook_secret(store)
    shared = Shared(store)
    access = AccessCheck(shared)  # type: ignore[arg-type]  # as above
    await asyncio.gather(*(access.find(f"wrong {number}") for number in range(200)))
    assert shared.reads <= 2


async def test_a_secret_that_is_known_is_not_read_for(store: SqlStore) -> None:
    secret = await regenerate_webhook_secret(store)
    shared = Shared(store)
    access = AccessCheck(shared)  # type: ignore[arg-type]  # as above
    assert await access.find(secret) is not None
    shared.reads = 0
    found = await asyncio.gather(*(access.find(secret) for _ in range(500)))
    assert (found, shared.reads) == ([Access(None, None)] * 500, 0)


async def test_who_looks_anew_at_the_same_time_shares_a_read(store: SqlStore) -> None:
    secret = await regenerate_webhook_secret(store)
    shared = Shared(store)
    access = AccessCheck(shared)  # type: ignore[arg-type]  # as above
    opened = Access(None, None)
    found = await asyncio.gather(*(access.find_anew(secret, opened) for _ in range(500)))
    assert found == [opened] * 500
    assert shared.reads <= 2


async def test_what_no_other_server_can_change_needs_no_confirmation(store: SqlStore) -> None:
    secret = await regenerate_webhook_secret(store)
    access = AccessCheck(store)
    opened = await access.find(secret)
    assert opened is not None
    assert access.confirmation(secret, opened) is is_certain
    assert await access.find_anew(secret, opened) is opened


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
    opened = Access(hook, None)
    with monkeypatch.context() as patched:
        patched.delattr(SettingReads, "hooks")
        assert await confirmed(store, access, secret)
        assert await access.find("own") == opened
        assert await confirmed(store, access, "own")
        await store.write(lambda tx: tx.put_hook(replace(hook, secret_hash=hash_secret("anew"))))
        assert not await confirmed(store, access, "own")
        await store.write(lambda tx: tx.delete_hook(hook.id))
        assert not await confirmed(store, access, "own")
        assert await access.find_anew("own", opened) is None


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
