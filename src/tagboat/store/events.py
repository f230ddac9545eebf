"""Events: recorded by the other parts as they write, read in order, deleted when they are old."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import delete, func, select

from tagboat.core.events import Event
from tagboat.store import tables
from tagboat.store.part import ReadPart
from tagboat.store.session import WriteSession

_LAST_ID = select(func.max(tables.events_table.c.id))


class EventReads(ReadPart):
    """Implements `EventReader`."""

    def events(self, after: int, limit: int) -> list[Event]:
        """Return up to `limit` events after the id `after`, oldest first."""
        table = tables.events_table
        query = select(table).where(table.c.id > after).order_by(table.c.id)
        return self._session.all(Event, query.limit(limit))

    def first_event_id(self) -> int:
        """Return the id of the oldest event that is kept, 0 where there is none."""
        return self._session.scalar(select(func.min(tables.events_table.c.id))) or 0

    def last_event_id(self) -> int:
        """Return the id of the newest event, 0 where there is none."""
        return self._session.scalar(_LAST_ID) or 0


class EventWrites(EventReads):
    """Implements `EventWriter`."""

    _session: WriteSession

    @contextmanager
    def without_events(self) -> Iterator[None]:
        """Record no events of what is written within: the transaction replaces it again."""
        self._session.records_events = False
        try:
            yield
        finally:
            self._session.records_events = True

    def prune_events(self, before: datetime, keep: int, at_most: int) -> int:
        """Delete up to `at_most` events from before `before` or beyond the newest `keep`.

        Return how many went. The newest event stays, so that no id is given out twice.
        """
        table = tables.events_table
        # Sends what waits, too: the newest event may be one of this transaction.
        newest, first = self.last_event_id(), self.first_event_id()
        # Ids rise with time, so that a range of the oldest is all that is looked at.
        some = select(table.c.id).where(table.c.id < min(first + at_most, newest))
        old = some.where((table.c.at < before) | (table.c.id <= newest - keep))
        return self._session.execute(delete(table).where(table.c.id.in_(old))).rowcount
