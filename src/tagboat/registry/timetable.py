"""When the next scheduled poll is due: kept on record, so that a restart neither repeats nor forgets one."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from tagboat.core.config import read_config
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.ports import Store, Topic, Tx
from tagboat.core.schedule import Schedule, parse_schedule

SETTING = "poll_next"
OVERDUE_S = 60.0
"""Seconds after the start at which an interval that ran out meanwhile is made up for, since a start itself does not poll."""
_LONGEST_SLEEP_S = 60.0
_RETRY_S = 5.0


class Timetable:
    """Says when to poll. A change of the setting `poll_schedule` counts from the moment it is made."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._changed = asyncio.Event()
        self._listening = False
        self.next_at: datetime | None = None

    async def wait(self) -> None:
        """Return when a poll is due; the one after it is on record then."""
        if not self._listening:
            self._store.listen(Topic.SETTINGS, self._changed.set)
            self._listening = True
        while True:
            self._changed.clear()
            try:
                self.next_at = await self._store.write(self._plan)
                left = (self.next_at - self._clock()).total_seconds()
                if left <= 0:
                    self.next_at = await self._store.write(self._move_on)
                    return
            except StoreUnavailableError:
                left = _RETRY_S
            await self._pause(min(left, _LONGEST_SLEEP_S))

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not beyond a change of the settings, nor so long that a clock set anew goes unnoticed."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _plan(self, tx: Tx) -> datetime:
        """What is on record for the schedule in force, else a new plan; after a stop that a poll fell into, one made late."""
        schedule = parse_schedule(read_config(tx).poll_schedule)
        now = self._clock()
        due = _recorded(tx, schedule)
        if due is None or (self.next_at is None and due <= now):
            late = due is not None and schedule.interval is not None
            due = min(now + timedelta(seconds=OVERDUE_S), schedule.next_after(now)) if late else schedule.next_after(now)
            _record(tx, schedule, due)
        return due

    def _move_on(self, tx: Tx) -> datetime:
        schedule = parse_schedule(read_config(tx).poll_schedule)
        due = schedule.next_after(self._clock())
        _record(tx, schedule, due)
        return due


def _recorded(tx: Tx, schedule: Schedule) -> datetime | None:
    plan = tx.setting(SETTING)
    if isinstance(plan, dict) and plan.get("schedule") == schedule.text:
        return datetime.fromisoformat(str(plan["at"]))
    return None


def _record(tx: Tx, schedule: Schedule, due: datetime) -> None:
    tx.put_setting(SETTING, {"schedule": schedule.text, "at": due.isoformat()})
