"""The schema as it is in the database, compared with the one that its revision promises.

The revision is a number in a table of its own: nothing ties it to the other tables, which a commit
between releases may have numbered otherwise, or a person changed.
"""

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tagboat.core.errors import SettingsError
from tagboat.store.tables import metadata

_COLUMN_QUERIES = {
    "sqlite": (
        "SELECT one.name, column_of.name FROM sqlite_master AS one"
        " JOIN pragma_table_info(one.name) AS column_of WHERE one.type = 'table'"
    ),
    # Not information_schema: it hides what an edge has no right to, and takes ten times as long.
    "postgresql": (
        "SELECT one.relname, column_of.attname FROM pg_class AS one"
        " JOIN pg_attribute AS column_of ON column_of.attrelid = one.oid"
        " WHERE one.relkind IN ('r', 'p', 'v') AND pg_table_is_visible(one.oid)"
        " AND one.relnamespace <> 'pg_catalog'::regnamespace"
        " AND column_of.attnum > 0 AND NOT column_of.attisdropped"
    ),
}
# Columns and tables that are missing, or there already: SQLSTATE, of class 42.
_MISMATCHES = frozenset({"42701", "42703", "42704", "42710", "42P01", "42P07"})
_WAY_OUT = (
    "Restore a backup with the version that made it, or write the configuration with 'tagboat"
    " export' of the version that last ran, and apply that to a new database"
)


def require_columns(connection: Connection, revision: str) -> None:
    """Raise SettingsError where a column of this release is missing. `revision` is on record."""
    found = columns_in(connection)
    for table in metadata.sorted_tables:
        there = found.get(table.name)
        if there is None:
            raise mislabelled(revision, f"it has no table {table.name}")
        for column in table.columns:
            if column.name not in there:
                raise mislabelled(revision, f"its table {table.name} has no column {column.name}")


def require_unused(connection: Connection) -> None:
    """Raise SettingsError where a database without a revision has tables of Tagboat."""
    found = columns_in(connection).keys() & (metadata.tables.keys() | {"alembic_version"})
    if found:
        names = ", ".join(sorted(found)[:3]) + (", …" if len(found) > 3 else "")  # noqa: PLR2004
        raise SettingsError(
            f"the database has tables of Tagboat ({names}), but its schema version is missing in"
            " the table alembic_version: it is damaged, or another program's. Nothing was changed."
            " Restore it from a backup, or use an empty database"
        )


def columns_in(connection: Connection) -> dict[str, set[str]]:
    """Return the names of the columns of all tables, by table."""
    found: dict[str, set[str]] = {}
    for table, column in connection.exec_driver_sql(_COLUMN_QUERIES[connection.dialect.name]):
        found.setdefault(table, set()).add(column)
    return found


def is_mismatch(error: DBAPIError) -> bool:
    """Return whether a migration failed by tables that are not as its revision says."""
    if (state := getattr(error.orig, "sqlstate", None)) is not None:
        return state in _MISMATCHES
    # The code for statements that do not fit the tables; locks and disks have their own.
    return getattr(error.orig, "sqlite_errorname", "") == "SQLITE_ERROR"


def mislabelled(revision: str, how: str) -> SettingsError:
    """Return the error for a database that is not what its revision says."""
    return SettingsError(
        f"the database says that it has schema {revision[:40]}, but {how}: a version between"
        f" releases made it, or its tables were changed by hand. Nothing was changed. {_WAY_OUT}"
    )
