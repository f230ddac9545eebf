"""Forgetting deploys that ended long ago, with their logs, configurations and secrets."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog

from tagboat.core.config import Config, read_config
from tagboat.core.ports import Reader, Store, Topic, Tx
from tagboat.loops import PeriodicTask

FORGET_EVERY_S = 3600.0
NEWEST = 20
"""Deploys of each stage that are kept, however old."""
_FORGOTTEN_AT_ONCE = 200
_BETWEEN_S = 0.05
"""Seconds between two transactions, for others that wait to write."""

log = structlog.get_logger("tagboat.history")


async def keep_forgetting(store: Store, clock: Callable[[], datetime]) -> None:
    """Forget old deploys at once, each hour, and when a setting was changed; until cancelled."""

    async def forget_logged() -> float:
        if gone := await forget(store, clock()):
            log.info("old deploys are forgotten", action="forget", deploys=gone)
        return FORGET_EVERY_S

    warn = partial(log.warning, "old deploys stay for now", action="forget")
    task = PeriodicTask(forget_logged, retry_s=FORGET_EVERY_S, warn=warn)
    store.listen(Topic.SETTINGS, task.wake)
    await task.run()


async def forget(store: Store, now: datetime) -> int:
    """Forget the deploys that the settings make too old at `now`; return how many.

    Raises StoreUnavailableError.
    """

    def find_old(reader: Reader) -> tuple[datetime, int, list[str]]:
        config: Config = read_config(reader)
        before, keep = now - timedelta(days=config.history_keep_days), config.images_keep
        return before, keep, reader.old_deploys(before, NEWEST, keep, _FORGOTTEN_AT_ONCE)

    gone = 0
    while True:
        # The search looks at many rows, so it is a read: writers need not wait for it.
        before, keep, ids = await store.read(find_old)
        if not ids:
            return gone
        some = await store.write(partial(forget_unneeded, ids, before, keep))
        # They are needed again by now; the next round is soon enough for others.
        if not some:
            return gone
        gone += some
        await asyncio.sleep(_BETWEEN_S)


def forget_unneeded(ids: Sequence[str], before: datetime, keep: int, tx: Tx) -> int:
    """Forget those of the deploys that are still too old; return how many."""
    return tx.forget_deploys(ids, before, NEWEST, keep)
