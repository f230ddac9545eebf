"""The statements of one transaction: the only way from the store's parts to the database.

Writes of the webhook path and of polls wait for others of their kind, and are sent together in few
statements. A statement that reads one of their tables, or writes at all, sends them first: nobody
who adds a query has to remember that.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    Connection,
    CursorResult,
    Executable,
    Select,
    Table,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import visitors

from tagboat.core.deploy import Deploy, DeployStatus
from tagboat.core.errors import NotFoundError
from tagboat.core.events import StateChange
from tagboat.core.generics import T
from tagboat.core.project_webhook import WebhookAccess
from tagboat.core.store_port import Topic
from tagboat.store import tables, upkeep_tables
from tagboat.store.audit_table import audit_table
from tagboat.store.bulk import BulkInsert, BulkUpdate, insert_into
from tagboat.store.memory import WriteMemory
from tagboat.store.rows import RowColumns, from_row
from tagboat.store.statements import where

_ROWS_AT_ONCE = 100
Values = Mapping[str, Any] | None
"""The values of a statement's parameters."""


def database_time(connection: Connection) -> datetime:
    """Return the time of the database: the one clock by which claims and leases run out."""
    if connection.dialect.name == "sqlite":
        # It has none but that of the machine.
        return datetime.now(UTC)
    # Not that of the transaction, which may have waited long for its turn.
    found: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return found.astimezone(UTC)


class ReadSession:
    """Statements on a connection, in the transaction that it is in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def now(self) -> datetime:
        """Return the time of the database."""
        return database_time(self._connection)

    def execute(self, statement: Executable, rows: Any = None) -> CursorResult[Any]:  # noqa: ANN401
        """Execute a statement."""
        return self._connection.execute(statement, rows)

    @property
    def dialect(self) -> str:
        """The name of the database's dialect: `sqlite` or `postgresql`."""
        return self._connection.dialect.name

    def scalar(self, statement: Executable, values: Values = None) -> Any:  # noqa: ANN401
        """Return the first column of the first row, None where there is no row."""
        return self.execute(statement, values).scalar()

    def scalars(self, statement: Executable, values: Values = None) -> list[Any]:
        """Return the first column of all rows."""
        return list(self.execute(statement, values).scalars())

    def rows(self, query: Executable, values: Values = None) -> Iterator[dict[str, Any]]:
        """Yield the rows by column name."""
        result = self.execute(query, values)
        names = tuple(result.keys())
        # Some at a time: there may be thousands, and the values made of them are enough to hold.
        return (
            dict(zip(names, row, strict=True))
            for part in result.partitions(_ROWS_AT_ONCE)
            for row in part
        )

    def all(self, kind: type[T], query: Executable, values: Values = None) -> list[T]:
        """Return the rows as values of `kind`, whose fields are named after the columns."""
        return [from_row(kind, row) for row in self.rows(query, values)]

    def made(
        self,
        table: Table,
        query: Select[Any],
        make: Callable[[RowColumns, tuple[Any, ...]], T],
        values: Values = None,
    ) -> list[T]:
        """Return what `make` makes of each row of a query for all columns of `table`.

        It gets the row as the driver has it: a row that it knows need not be read again.
        """
        with closing(self.execute(query, values)) as result:
            rows = result.cursor.fetchall()
        columns = _columns_of(table, self._connection.dialect)
        return [make(columns, row) for row in rows]

    def first(self, kind: type[T], query: Select[Any], values: Values = None) -> T | None:
        """Return the first of few rows as a value of `kind`, None where there is no row."""
        return next(iter(self.all(kind, query, values)), None)

    def one(self, kind: type[T], table: Table, key: str, noun: str) -> T:
        """Return the row with the id `key`. Raises NotFoundError, which names the kind `noun`."""
        return self.first(kind, where(table.c.id), {"id": key}) or missing(noun, key)


@cache
def _columns_of(table: Table, dialect: Dialect) -> RowColumns:
    return RowColumns(
        tuple(column.name for column in table.columns),
        tuple(
            column.type.dialect_impl(dialect).result_processor(dialect, None)
            for column in table.columns
        ),
    )


def missing(noun: str, key: str) -> Any:  # noqa: ANN401 - it never returns
    """Raise NotFoundError for the thing of the kind `noun` and the id `key`."""
    raise NotFoundError(f"there is no {noun} {key[:80]!r}")


class RowBatch(Struct, frozen=True, eq=False):
    """A kind of rows that wait for others, to be inserted with `clause` or replaced in `table`."""

    table: Table
    clause: str = ""
    replaces: bool = False


NEW_DEPLOYS = RowBatch(tables.deploys_table)
CHANGED_DEPLOYS = RowBatch(tables.deploys_table, replaces=True)
DELIVERIES = RowBatch(tables.deliveries_table)
PUSHES = RowBatch(tables.delivery_pushes_table)
SKIPS = RowBatch(tables.delivery_skips_table)
TAGS = RowBatch(
    tables.tags_table,
    "ON CONFLICT (project_id, tag) DO UPDATE SET digest = coalesce(excluded.digest, tags.digest), "
    "verdict = coalesce(excluded.verdict, tags.verdict) "
    "WHERE excluded.digest IS NOT NULL OR excluded.verdict IS NOT NULL",
)
HELD_PUSHES = RowBatch(
    tables.offers_table,
    "ON CONFLICT (stage_id, tag) DO UPDATE "
    "SET digest = excluded.digest, seen_at = excluded.seen_at",
)
POLL_STATES = RowBatch(
    tables.polls_table,
    "ON CONFLICT (project_id) DO UPDATE SET first_done = excluded.first_done, "
    "last_at = excluded.last_at, error = excluded.error",
)
HEARD_CALLS = RowBatch(
    upkeep_tables.heard_calls_table,
    "ON CONFLICT (host, sender) DO UPDATE SET at = excluded.at, delivery_id = excluded.delivery_id",
)
NEW_EVENTS = RowBatch(tables.events_table)
AUDIT_ENTRIES = RowBatch(audit_table)
_ALONE = frozenset({NEW_EVENTS, AUDIT_ENTRIES})
# Rows go before those that refer to them.
_IN_ORDER = (
    NEW_DEPLOYS,
    CHANGED_DEPLOYS,
    DELIVERIES,
    PUSHES,
    SKIPS,
    TAGS,
    HELD_PUSHES,
    POLL_STATES,
    HEARD_CALLS,
    NEW_EVENTS,
    AUDIT_ENTRIES,
)


class WriteSession(ReadSession):
    """Statements of a transaction that writes. `flush` sends what waits; it does not commit."""

    def __init__(self, connection: Connection, memory: WriteMemory) -> None:
        super().__init__(connection)
        self.memory = memory
        self.announced: set[Topic] = set()
        # For other servers only: this one has acted on the change by itself.
        self.announced_elsewhere: set[Topic] = set()
        # As they were read or written last: a change is recorded by what differs.
        self.deploys: dict[str, Deploy] = {}
        # Remembered for the transaction only: callers can name hosts without end.
        self.unknown_hosts: set[str] = set()
        self.webhook_access: WebhookAccess | None = None
        # Stages of the deploys that have come to an end, and how.
        self.ended: list[tuple[str, DeployStatus]] = []
        self.records_events = True
        self._waiting: dict[RowBatch, dict[Hashable, Any]] = {}

    def execute(self, statement: Executable, rows: Any = None) -> CursorResult[Any]:  # noqa: ANN401
        """Execute a statement, after all that waits where it could see or touch any of that."""
        if self._waiting and self._concerns_waiting(statement):
            self.flush()
        return self._connection.execute(statement, rows)

    def _concerns_waiting(self, statement: Executable) -> bool:
        if not isinstance(statement, Select):
            # No other row depends on these: they all go together at the end.
            return not _ALONE.issuperset(self._waiting)
        waiting = {batch.table for batch in self._waiting}
        return any(element in waiting for element in visitors.iterate(statement))

    def gather(self, batch: RowBatch, key: Hashable, value: object) -> None:
        """Let a row wait; one that waits under the same key is replaced."""
        self._waiting.setdefault(batch, {})[key] = value

    def append(self, batch: RowBatch, value: object) -> None:
        """Let a row wait that has no key yet, after those of its kind."""
        rows = self._waiting.setdefault(batch, {})
        rows[len(rows)] = value

    def waiting(self, batch: RowBatch, key: Hashable) -> Any:  # noqa: ANN401
        """Return the value that waits under the key, None where none does."""
        return self._waiting.get(batch, {}).get(key)

    def flush(self) -> None:
        """Send all that waits to the database."""
        # Taken first: what a statement below has to send must not be sent again.
        waiting, self._waiting = self._waiting, {}
        for batch in _IN_ORDER:
            if values := waiting.get(batch):
                sender = _sender(batch, self._connection.dialect)
                sender.send(self._connection, list(values.values()))

    def announce(self, topic: Topic) -> None:
        """Notify those who listen to `topic`, once committed."""
        self.announced.add(topic)

    def record(self, change: StateChange) -> None:
        """Record an event, unless none are recorded now."""
        if not self.records_events:
            return
        self.announced.add(Topic.EVENTS)
        self.append(NEW_EVENTS, change)

    def insert(self, table: Table, row: dict[str, Any]) -> None:
        """Insert a row."""
        self.execute(insert(table), row)

    def upsert(self, table: Table, row: dict[str, Any]) -> None:
        """Insert a row, or replace the one of its key."""
        changed = {name: value for name, value in row.items() if not table.c[name].primary_key}
        self.execute(
            self.insertion(table, row).on_conflict_do_update(
                index_elements=list(table.primary_key), set_=changed
            )
        )

    def replace(self, table: Table, key: str, row: dict[str, Any]) -> None:
        """Replace the row with the id `key`."""
        self.execute(table.update().where(table.c.id == key).values(row))

    def delete(self, table: Table, key: str) -> None:
        """Delete the row with the id `key`, and all that refers to it."""
        self.execute(delete(table).where(table.c.id == key))

    def insertion(self, table: Table, row: dict[str, Any]) -> Any:  # noqa: ANN401
        """Return the INSERT of a row, to which ON CONFLICT can be added."""
        return insert_into(table, self._connection.dialect.name).values(row)


@cache
def _sender(batch: RowBatch, dialect: Any) -> BulkInsert | BulkUpdate:  # noqa: ANN401
    return (
        BulkUpdate(batch.table)
        if batch.replaces
        else BulkInsert(batch.table, dialect, batch.clause)
    )
