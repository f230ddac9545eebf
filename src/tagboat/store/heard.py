"""Calls that were heard of each registry host, and pushes that only polls found."""

from datetime import datetime

from sqlalchemy import func, select

from tagboat.core.heard import HeardCall, PollFinds
from tagboat.store import upkeep_tables
from tagboat.store.part import ReadPart
from tagboat.store.rows import to_row
from tagboat.store.session import HEARD_CALLS, WriteSession

_calls, _finds = upkeep_tables.heard_calls_table, upkeep_tables.poll_finds_table


class HeardReads(ReadPart):
    """Implements `HeardReader`."""

    def heard_calls(self) -> list[HeardCall]:
        """Return the last call of each sender about each host, the latest first."""
        return self._session.all(HeardCall, select(_calls).order_by(_calls.c.at.desc()))

    def last_call_of(self, host: str) -> datetime | None:
        """Return when a sender last called about images of `host`, None if none did."""
        newest: datetime | None = self._session.scalar(
            select(func.max(_calls.c.at, type_=_calls.c.at.type)).where(_calls.c.host == host)
        )
        return newest

    def poll_finds(self, host: str | None = None) -> list[PollFinds]:
        """Return the pushes that polls found, of all hosts or of one, by host."""
        query = select(_finds).order_by(_finds.c.host)
        return self._session.all(
            PollFinds, query if host is None else query.where(_finds.c.host == host)
        )


class HeardWrites(HeardReads):
    """Implements `HeardWriter`."""

    _session: WriteSession

    def note_call(self, call: HeardCall) -> None:
        """Remember the last call of a sender about a host."""
        self._session.gather(HEARD_CALLS, (call.host, call.sender), call)

    def put_poll_finds(self, finds: PollFinds) -> None:
        """Remember the pushes of a host that polls found."""
        self._session.upsert(_finds, to_row(finds))
