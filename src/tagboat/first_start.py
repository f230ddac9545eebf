"""The first start, and the first one of a new release: the database, and what is set once."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial

from tagboat.core.config import INSTALLATION_ID, POLL_SCHEDULE
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.generics import T
from tagboat.core.ids import new_id
from tagboat.core.ports import Store, Tx
from tagboat.settings import Settings
from tagboat.store import SqlStore, is_prepared, open_store
from tagboat.webhook import ensure_webhook_secret

START_PATIENCE_S = 30.0
"""Seconds for which a start tries again what other servers hold up."""
_START_RETRY_S = 0.5


def prepare(settings: Settings) -> None:
    """Make or migrate the database if needed, without keeping the memory that this takes.

    A failure is not reported: the start does again what is not done, and then says why not. The
    process must have no other threads yet. Raises SettingsError for an invalid database URL.
    """
    if not is_prepared(settings.database_url, settings.data_dir):
        # The libraries for migrations and encryption would keep 10 to 20 MB.
        _run_in_fork(partial(_prepare, settings))


async def patiently(store: Store, work: Callable[[], Awaitable[T]]) -> T:
    """Return what `work` does, again while a database that others share does not answer.

    Another server may have fallen silent while it wrote, for which all others wait some seconds:
    no reason to end. Raises StoreUnavailableError after `START_PATIENCE_S` seconds, or at once
    where no other server writes.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + START_PATIENCE_S
    while True:
        try:
            return await work()
        except StoreUnavailableError:
            if store.exclusive or clock() >= end:
                raise
        await asyncio.sleep(_START_RETRY_S)


async def set_up_once(settings: Settings, store: Store) -> str:
    """Set what is not set yet, and return the installation's id."""
    installation = await store.write(partial(_first_launch, settings))
    await ensure_webhook_secret(store)
    return installation


def open_backed_up(settings: Settings) -> SqlStore:
    """Open the store; the database of an earlier release is backed up before it is migrated."""

    def back_up() -> None:
        # Only a migration needs what this loads.
        from tagboat.installation.automatic import back_up_before_migration  # noqa: PLC0415
        from tagboat.store.snapshot import DatabasePlace  # noqa: PLC0415

        back_up_before_migration(DatabasePlace(settings.database_url, settings.data_dir))

    return open_store(settings.database_url, settings.data_dir, back_up)


def _prepare(settings: Settings) -> None:
    store = open_backed_up(settings)
    try:
        asyncio.run(set_up_once(settings, store))
    finally:
        store.close()


def _first_launch(settings: Settings, tx: Tx) -> str:
    if tx.setting(POLL_SCHEDULE) is None:
        tx.put_setting(POLL_SCHEDULE, settings.poll_schedule)
    installation = tx.setting(INSTALLATION_ID)
    if installation is None:
        installation = new_id()
        tx.put_setting(INSTALLATION_ID, installation)
    return str(installation)


def _run_in_fork(work: Callable[[], object]) -> None:
    """Do `work` in a copy of this process, and return once that has ended, however it ended."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        work()
    finally:
        # At once: open files, exit handlers and the traceback belong to the parent.
        os._exit(0)
