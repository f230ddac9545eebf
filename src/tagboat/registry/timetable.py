"""When the next scheduled poll is due: kept on record, so that a restart neither repeats nor forgets one."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from tagboat.core.config import read_config
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.ports import Store, Topic, Tx
from tagboat.core.schedule import Schedule, parse_schedule

SETTING = "poll_next"
OVERDUE_S = 60.0
"""Seconds after the start at which an interval that ran out meanwhile is made up for.

What was polled or heard of before does not wait for that (see `catching_up`).
"""
_LONGEST_SLEEP_S = 60.0
_RETRY_S = 5.0
_SETTLED_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look came to: when the next poll is due, and in how many seconds to look again; 0 is to poll now."""

    due: datetime
    left: float


class Timetable:
    """Says when to poll. A change of the setting `poll_schedule` counts from the moment it is made.

    `claim` takes the turn for this server, or answers False while another has it: of several that share the timetable, only
    the one that polls moves on to the next time, so that none is lost to one that may not.
    """

    def __init__(
        self, store: Store, clock: Callable[[], datetime], claim: Callable[[Tx], bool]
    ) -> None:
        self._store = store
        self._clock = clock
        self._claim = claim
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._listening = False
        self.next_at: datetime | None = None

    async def wait(self) -> None:
        """Return when a poll is due and this server's to make; the one after it is on record then."""
        if not self._listening:
            self._store.listen(Topic.SETTINGS, self._unsettle)
            self._listening = True
        while True:
            self._changed.clear()
            try:
                look = await self._store.write(self._look)
                self.next_at, left = look.due, look.left
            except StoreUnavailableError:
                left = _RETRY_S
            if not self._changed.is_set():
                self._settled.set()
            if not left:
                return
            await self._pause(min(left, _LONGEST_SLEEP_S))

    async def settle(self) -> None:
        """Return once `next_at` goes by the settings that were committed before; after a moment in any case."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLED_WITHIN_S):
                await self._settled.wait()

    def _unsettle(self) -> None:
        self._settled.clear()
        self._changed.set()

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not beyond a change of the settings, nor so long that a clock set anew goes unnoticed."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _look(self, tx: Tx) -> _Look:
        schedule = parse_schedule(read_config(tx).poll_schedule)
        now = self._clock()
        due = self._plan(tx, schedule, now)
        if due > now:
            return _Look(due, (due - now).total_seconds())
        if not self._claim(tx):
            return _Look(due, _RETRY_S)
        due = schedule.next_after(now)
        _record(tx, schedule, due)
        return _Look(due, 0)

    def _plan(self, tx: Tx, schedule: Schedule, now: datetime) -> datetime:
        """What is on record for the schedule in force, else a new plan; after a stop that a poll fell into, one made late."""
        ahead = schedule.next_after(now)
        recorded = _recorded(tx, schedule)
        due = recorded or ahead
        if self.next_at is None and due <= now:
            due = now + timedelta(seconds=OVERDUE_S) if schedule.interval else ahead
        due = min(
            due, ahead
        )  # What is on record is further off only where the clock was set back since.
        if due != recorded:
            _record(tx, schedule, due)
        return due


def _recorded(tx: Tx, schedule: Schedule) -> datetime | None:
    plan = tx.setting(SETTING)
    if isinstance(plan, dict) and plan.get("schedule") == schedule.text:
        return datetime.fromisoformat(str(plan["at"]))
    return None


def _record(tx: Tx, schedule: Schedule, due: datetime) -> None:
    tx.put_setting(SETTING, {"schedule": schedule.text, "at": due.isoformat()})
