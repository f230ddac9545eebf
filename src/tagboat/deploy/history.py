"""Forgetting deploys that ended long ago, with their logs, their configurations and the secrets in those."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog

from tagboat.core.config import Config, read_config
from tagboat.core.errors import TagboatError
from tagboat.core.ports import Reader, Store, Topic, Tx

EVERY_S = 3600.0
NEWEST = 20
"""Of each stage so many deploys are kept, however old."""
_AT_ONCE = 200
_PAUSE_S = 0.05
"""Whoever waits to be written meanwhile goes first."""

log = structlog.get_logger("tagboat.history")


async def keep_forgetting(store: Store, clock: Callable[[], datetime]) -> None:
    """Forget the deploys that the settings say are too old: at once, each hour, and when a setting was changed."""
    changed = asyncio.Event()
    store.listen(Topic.SETTINGS, changed.set)
    while True:
        changed.clear()
        try:
            if gone := await forget(store, clock()):
                log.info("old deploys are forgotten", action="forget", deploys=gone)
        except TagboatError as error:
            log.warning("old deploys stay for now", action="forget", reason=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), EVERY_S)


async def forget(store: Store, now: datetime) -> int:
    """Forget what is too old at `now`, in small transactions; how many deploys that were. Raises StoreUnavailableError.

    What is to be found out by looking at many is found in a read: whoever writes need not wait for it.
    """
    gone = 0
    while True:
        before, keep, ids = await store.read(lambda reader: _too_old(reader, now))
        if not ids:
            return gone
        some = await store.write(partial(_forget, ids, before, keep))
        if not some:  # what was found is needed again: it has all the time until the next round
            return gone
        gone += some
        await asyncio.sleep(_PAUSE_S)


def _forget(ids: Sequence[str], before: datetime, keep: int, tx: Tx) -> int:
    return tx.forget_deploys(ids, before, NEWEST, keep)


def _too_old(reader: Reader, now: datetime) -> tuple[datetime, int, list[str]]:
    config: Config = read_config(reader)
    before = now - timedelta(days=config.history_keep_days)
    return (
        before,
        config.images_keep,
        reader.old_deploys(before, NEWEST, config.images_keep, _AT_ONCE),
    )
