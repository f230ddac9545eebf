"""Inserting many values with few statements, prepared once: for the webhook path, where building them costs the most."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.engine import Dialect

_CHUNKS = (64, 16, 4, 1)
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
        """Insert `values`, in their order."""
        place = 0
        while place < len(values):
            size = next(size for size in _CHUNKS if size <= len(values) - place)
            rows = [part for value in values[place : place + size] for part in self._row(value)]
            connection.exec_driver_sql(self._statements[size], tuple(rows))
            place += size

    def _row(self, value: Any) -> list[Any]:  # noqa: ANN401 - any of the core's values
        row = list(self._attributes(value))
        for place, encode in self._encoders:
            row[place] = encode(row[place])
        return row
