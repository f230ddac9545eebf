"""Forgetting old deliveries."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from tagboat.core.config import read_config
from tagboat.core.errors import TagboatError
from tagboat.core.ports import Store, Topic, Tx

EVERY_S = 3600.0
_AT_ONCE = 1000
_PAUSE_S = 0.05
"""Whoever waits to be written meanwhile goes first."""

log = structlog.get_logger("tagboat.intake")


async def keep_pruning(store: Store, clock: Callable[[], datetime]) -> None:
    """Forget the deliveries that the settings say are too old or too many, until cancelled.

    At once, each hour, and when a setting was changed.
    """
    changed = asyncio.Event()
    store.listen(Topic.SETTINGS, changed.set)
    while True:
        changed.clear()
        try:
            gone = 0
            while some := await store.write(lambda tx: prune(tx, clock())):
                gone += some
                await asyncio.sleep(_PAUSE_S)
            if gone:
                log.info("old deliveries are forgotten", action="prune", deliveries=gone)
        except TagboatError as error:
            log.warning("old deliveries stay for now", action="prune", reason=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), EVERY_S)


def prune(tx: Tx, now: datetime) -> int:
    """Forget some of what the settings say is too old at `now`, or too much; how many deliveries that were."""
    config = read_config(tx)
    return tx.prune_deliveries(now - timedelta(days=config.deliveries_keep_days), config.deliveries_keep, _AT_ONCE)
