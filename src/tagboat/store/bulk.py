"""Inserting many values with few statements, prepared once: for the webhook path, where building them costs the most."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

_CHUNKS = (32, 16, 8, 4, 2, 1)
"""Rows of one statement. A few fixed numbers, so that the driver's cache of prepared statements holds them all."""


class BulkInsert:
    """INSERT of values whose attributes are named after the columns of `table`; `clause` follows, such as ON CONFLICT."""

    def __init__(self, table: Table, dialect: Dialect, clause: str = "") -> None:
        columns = list(table.columns)
        self._attributes = attrgetter(*(column.name for column in columns))
        self._encoders = [
            (place, encode)
            for place, column in enumerate(columns)
            if (encode := column.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        ]
        # One statement for many rows is one step of the database, where the interpreter's lock changes hands once.
        row = f"({', '.join(['?' if dialect.paramstyle == 'qmark' else '%s'] * len(columns))})"
        names = ", ".join(dialect.identifier_preparer.quote(column.name) for column in columns)
        self._statements = {
            # Of our own tables and columns; the values go by parameter.
            size: f"INSERT INTO {table.name} ({names}) VALUES {', '.join([row] * size)} {clause}"  # noqa: S608 - see above
            for size in _CHUNKS
        }

    def send(self, connection: Connection, values: Sequence[Any]) -> None:
        """Insert `values`, in their order. Raises DBAPIError."""
        driver: Any = connection.connection.driver_connection
        place = 0
        while place < len(values):
            size = next(size for size in _CHUNKS if size <= len(values) - place)
            rows = [part for value in values[place : place + size] for part in self._row(value)]
            try:
                driver.execute(self._statements[size], rows)
            except connection.dialect.loaded_dbapi.Error as error:
                raise DBAPIError.instance(
                    None, None, error, connection.dialect.loaded_dbapi.Error, hide_parameters=True
                ) from error
            place += size

    def _row(self, value: Any) -> list[Any]:  # noqa: ANN401 - any of the core's values
        row = list(self._attributes(value))
        for place, encode in self._encoders:
            row[place] = encode(row[place])
        return row
