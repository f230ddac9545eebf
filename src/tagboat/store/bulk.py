"""Many values in few statements, prepared once: building them costs the webhook path the most."""

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, bindparam, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

from tagboat.store.rows import to_row

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

SIZES = (32, 16, 8, 4, 2, 1)
"""Rows of one statement."""
# The driver keeps all of them prepared; of every size there could be they would be megabytes.


def insert_into(table: Table, dialect: str) -> "sqlite.Insert | postgresql.Insert":
    """Return INSERT with ON CONFLICT, which both databases spell alike."""
    # SQLAlchemy keeps it in two places.
    if dialect == "sqlite":
        return sqlite.insert(table)
    # Large, and loaded by now only where it is in use.
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - see above

    return postgresql.insert(table)


class BulkInsert:
    """INSERT of values whose attributes are named after the columns of `table`.

    Or of tuples, in the order of the columns. `clause` follows, such as ON CONFLICT. A key that the
    database numbers by itself is left out.
    """

    def __init__(self, table: Table, dialect: Dialect, clause: str = "") -> None:
        numbered = table.autoincrement_column
        columns = [column for column in table.columns if column is not numbered]
        self._attributes = attrgetter(*(column.name for column in columns))
        self._encoders = [
            (place, encode)
            for place, column in enumerate(columns)
            if (encode := column.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        ]
        # One statement for all rows is one step of the database: at each, the interpreter's lock
        # changes hands several times.
        sign = "?" if dialect.name == "sqlite" else "$"
        names = ", ".join(dialect.identifier_preparer.quote(column.name) for column in columns)
        self._statements = {
            # No injection: of our own tables and columns; the values go by parameter.
            size: f"INSERT INTO {table.name} ({names}) "  # noqa: S608
            f"VALUES {_parameters(sign, size, len(columns))} {clause}"
            for size in SIZES
        }

    def send(self, connection: Connection, values: Sequence[Any]) -> None:
        """Insert `values`, in their order. Raises DBAPIError."""
        driver: Any = connection.connection.driver_connection
        if connection.dialect.name != "sqlite":
            # Large, and loaded by now only where it is in use. Any other cursor of its would look
            # for the parameters in the text of a long statement each time.
            from psycopg import RawCursor  # noqa: PLC0415 - see above

            driver = RawCursor(driver)
        for chunk in chunks(values):
            rows = [part for value in chunk for part in self._row(value)]
            try:
                driver.execute(self._statements[len(chunk)], rows)
            except connection.dialect.loaded_dbapi.Error as error:
                raise DBAPIError.instance(
                    None, None, error, connection.dialect.loaded_dbapi.Error, hide_parameters=True
                ) from error

    def _row(self, value: Any) -> list[Any]:  # noqa: ANN401 - any of the core's values
        row = list(value if isinstance(value, tuple) else self._attributes(value))
        for place, encode in self._encoders:
            row[place] = encode(row[place])
        return row


class BulkUpdate:
    """UPDATE of values by their ids, all columns of each."""

    def __init__(self, table: Table) -> None:
        columns = [column.name for column in table.c if not column.primary_key]
        self._statement = (
            update(table)
            .where(table.c.id == bindparam("key"))
            .values({name: bindparam(name) for name in columns})
        )

    def send(self, connection: Connection, values: Sequence[Any]) -> None:
        """Update the rows of `values`. Raises DBAPIError."""
        connection.execute(self._statement, [{**to_row(one), "key": one.id} for one in values])


def _parameters(sign: str, rows: int, columns: int) -> str:
    """Return the parameters of so many rows: `?` each, or `$` with its number."""
    numbered = [f"{sign}{number}" for number in range(1, rows * columns + 1)]
    places = iter(numbered if sign == "$" else [sign] * len(numbered))
    return ", ".join(f"({', '.join(islice(places, columns))})" for _ in range(rows))


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield `values` in their order, in as few pieces as there are sizes for."""
    place = 0
    while left := len(values) - place:
        size = next(size for size in SIZES if size <= left)
        yield values[place : place + size]
        place += size
