"""The time of the next scheduled poll, on record: a restart neither repeats nor forgets one."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from tagboat.core.config import read_config
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.ports import Store, Topic, Tx
from tagboat.core.schedule import parse_schedule
from tagboat.loops import wait_at_most

SETTING = "poll_next"
OVERDUE_S = 60.0
"""Seconds after the start at which a missed `@every` interval is made up for.

Images that were polled or pushed before do not wait for that (see `catch_up`).
"""
_MAX_SLEEP_S = 60.0
_TURN_RETRY_S = 5.0
_SETTLED_WITHIN_S = 2.0


class Timetable:
    """Waits for scheduled polls. A change of the setting `poll_schedule` counts from its commit.

    `claim` takes the turn for this server, or returns False while another has it. Of several
    servers that share the timetable only the one that polls moves it on, so that no poll is lost.
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
        """Return when a poll is due and this server's turn; the poll after it is on record then."""
        if not self._listening:
            self._store.listen(Topic.SETTINGS, self.look_again)
            self._listening = True
        # Not a `PeriodicTask`: this returns when a poll is due, and the caller polls.
        while True:
            self._changed.clear()
            try:
                self.next_at, left_s = await self._store.write(self._advance)
            except StoreUnavailableError:
                left_s = _TURN_RETRY_S
            if not self._changed.is_set():
                self._settled.set()
            if not left_s:
                return
            # Never for long, or it would not notice a clock that is set.
            await wait_at_most(self._changed, min(left_s, _MAX_SLEEP_S))

    async def settle(self) -> None:
        """Return once `next_at` follows the settings committed before; after 2 s in any case."""
        await wait_at_most(self._settled, _SETTLED_WITHIN_S)

    def look_again(self) -> None:
        """Have `wait` read the schedule again: a setting was changed."""
        self._settled.clear()
        self._changed.set()

    def _advance(self, tx: Tx) -> tuple[datetime, float]:
        """Return when the next poll is due, and the seconds until the next look; 0: poll now."""
        schedule = parse_schedule(read_config(tx).poll_schedule)
        now = self._clock()
        after_now = schedule.next_after(now)
        plan = tx.setting(SETTING)
        recorded = None
        if isinstance(plan, dict) and plan.get("schedule") == schedule.text:
            recorded = datetime.fromisoformat(str(plan["at"]))
        # A changed schedule counts from now, whatever was planned for the old one.
        due = recorded or after_now
        if self.next_at is None and due <= now:
            # The server was stopped when it was due.
            due = now + timedelta(seconds=OVERDUE_S) if schedule.interval else after_now
        # The recorded time is later only if the clock was set back since.
        due = min(due, after_now)
        is_due = due <= now
        left_s = (due - now).total_seconds()
        if is_due:
            left_s = _TURN_RETRY_S
            # In the same transaction, so that no other server polls as well.
            if self._claim(tx):
                due, left_s = after_now, 0.0
        if due != recorded:
            tx.put_setting(SETTING, {"schedule": schedule.text, "at": due.isoformat()})
        return due, left_s
