"""Delete what is kept for a time only: deliveries, answers to orders, sessions, events."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from tagboat.core.accounts import SESSION_IDLE, SESSION_LIFETIME
from tagboat.core.config import read_config
from tagboat.core.errors import TagboatError
from tagboat.core.events import EVENTS_KEPT, MOST_EVENTS
from tagboat.core.idempotency import ANSWERS_KEPT
from tagboat.core.ports import Store, Topic, Tx

PRUNE_EVERY_S = 3600.0
_PRUNED_AT_ONCE = 1000
_LOOK_S = 2.0
"""Seconds between two looks at the number of deliveries while they come in."""
_PRUNE_PAUSE_S = 0.05
"""Seconds between two transactions: others that wait to write go first."""

log = structlog.get_logger("tagboat.intake")


async def keep_pruning(store: Store, clock: Callable[[], datetime]) -> None:
    """Delete what is too old or too much, until cancelled.

    At once, each hour, when a setting was changed, and when there are twice as many as there
    should be.
    """
    changed, more = asyncio.Event(), asyncio.Event()
    store.listen(Topic.SETTINGS, changed.set)
    store.listen(Topic.DELIVERIES, more.set)
    # Not a `PeriodicTask`: of its two events, one counts only after a look at how many there are.
    while True:
        changed.clear()
        try:
            gone = 0
            while some := await store.write(lambda tx: prune(tx, clock())):
                gone += some
                await asyncio.sleep(_PRUNE_PAUSE_S)
            if gone:
                log.info("old records are deleted", action="prune", records=gone)
        except TagboatError as error:
            log.warning("old records are not deleted for now", action="prune", reason=str(error))
        with contextlib.suppress(TimeoutError, TagboatError):
            async with asyncio.timeout(PRUNE_EVERY_S):
                await _something_to_do(store, changed, more)


async def _something_to_do(store: Store, changed: asyncio.Event, more: asyncio.Event) -> None:
    """Return once a setting was changed, or once there are far too many deliveries.

    Raises StoreUnavailableError.
    """
    while not changed.is_set():
        waits = [asyncio.create_task(event.wait()) for event in (changed, more)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if more.is_set() and not changed.is_set():
            # A burst of deliveries costs one look at their number, not one for each.
            await asyncio.sleep(_LOOK_S)
            more.clear()
            if await store.read(
                lambda reader: reader.has_more_deliveries(2 * read_config(reader).deliveries_keep)
            ):
                return


def prune(tx: Tx, now: datetime) -> int:
    """Delete some of what is too old at `now`, or too much; return how many records that were."""
    config = read_config(tx)
    oldest = now - timedelta(days=config.deliveries_keep_days)
    deliveries = tx.prune_deliveries(oldest, config.deliveries_keep, _PRUNED_AT_ONCE)
    answers = tx.prune_answers(now - ANSWERS_KEPT, _PRUNED_AT_ONCE)
    sessions = tx.prune_sessions(now - SESSION_LIFETIME, now - SESSION_IDLE, _PRUNED_AT_ONCE)
    events = tx.prune_events(now - EVENTS_KEPT, MOST_EVENTS, _PRUNED_AT_ONCE)
    return deliveries + answers + sessions + events
