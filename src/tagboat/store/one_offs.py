"""One-off commands that run."""

from sqlalchemy import select

from tagboat.core.one_off import OneOff
from tagboat.store.part import ReadPart
from tagboat.store.rows import to_row
from tagboat.store.session import WriteSession
from tagboat.store.upkeep_tables import one_offs_table


class OneOffReads(ReadPart):
    """Implements `OneOffReader`."""

    def one_offs(self) -> list[OneOff]:
        """Return all commands on record, oldest first."""
        return self._session.all(OneOff, select(one_offs_table).order_by(one_offs_table.c.id))


class OneOffWrites(OneOffReads):
    """Implements `OneOffWriter`."""

    _session: WriteSession

    def put_one_off(self, one_off: OneOff) -> None:
        """Record a command, or what has changed of it."""
        self._session.upsert(one_offs_table, to_row(one_off))

    def delete_one_off(self, one_off_id: str) -> None:
        """Forget a command whose container is gone."""
        self._session.delete(one_offs_table, one_off_id)
