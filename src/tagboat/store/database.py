"""Opening the database: SQLite in the data directory, or PostgreSQL."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from tagboat import __version__
from tagboat.core.errors import SettingsError, StoreUnavailableError
from tagboat.store.schema import is_mismatch, mislabelled, require_columns, require_unused
from tagboat.store.tables import metadata

_MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = max(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))
"""The newest migration."""
# By the names of the files: only a database that is older makes the server load Alembic.

DATABASE_FILE = "tagboat.db"
"""In the data directory, with SQLite."""

CACHED_STATEMENTS = 96
"""Statements that the connection that writes to SQLite keeps prepared."""
# Enough for the bulk inserts of every size into a few tables, and for all others.

PAGES_KB = 400
"""Kilobytes of the file that it keeps in memory."""

READ_STATEMENTS, READ_PAGES_KB = 24, 100
"""Limits for each connection that only reads, as above."""
# There are several: with as much they would take 10 MB, and the system caches what is in use.

LOCKED_FOR_S = 2.0
"""Seconds for which a transaction waits to be the one that writes."""
# A webhook call may have to wait for a batch that waits, and then itself, and must be answered
# before its sender gives up, which Gitea does after 5 s.

START_LOCKED_FOR_S = 20.0
"""Seconds for which a start waits for other servers' writes: one that fell silent has its 5 s."""

MIGRATION_LOCKED_FOR_S = 60.0
"""Seconds for which a migration waits for that of another server, or for a table in use."""

_NOT_SILENT: dict[str, Any] = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5000,
}
"""Defaults by which PostgreSQL's library notices that the server is gone; the URL may override."""

_LIMITS = (
    "SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '30s'; "
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; "
    "SET tcp_user_timeout = '10s'"
)
"""Statement by which PostgreSQL notices that we are gone, and ends what takes too long."""
# A statement and no option of the connection: some poolers take none.

_WRITING = "SET LOCAL idle_in_transaction_session_timeout = '5s'"
# A server that lost its power while it wrote holds the lock of all writers, for two hours by
# PostgreSQL's own defaults.

WRITE_LOCK = 7_461_626_174
"""PostgreSQL advisory lock that makes the writers of all replicas take turns."""


def open_database(url: str | None, data_dir: Path) -> Engine:
    """Return the engine for `url` (`postgresql://…`), if None for the SQLite file in `data_dir`.

    Raises SettingsError where the URL cannot be used.
    """
    if url is None:
        return _open_sqlite(data_dir / DATABASE_FILE, CACHED_STATEMENTS, PAGES_KB)
    try:
        parsed = make_url(url).set(drivername="postgresql+psycopg")
    except ArgumentError:
        raise SettingsError(
            "TAGBOAT_DATABASE_URL is not a URL of the form"
            " postgresql://USER:PASSWORD@HOST:PORT/NAME"
        ) from None
    _make_indexes_partial("postgresql")
    asked = {name: value for name, value in _NOT_SILENT.items() if name not in parsed.query}
    engine = create_engine(
        parsed,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=5,
        max_overflow=10,
        connect_args=asked,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:  # noqa: ANN401
        connection.execute(_LIMITS)
        connection.commit()

    return engine


def open_reading(engine: Engine, data_dir: Path) -> Engine:
    """Return the engine to read with: for SQLite another one, whose connections keep less."""
    if engine.dialect.name != "sqlite":
        return engine
    return _open_sqlite(data_dir / DATABASE_FILE, READ_STATEMENTS, READ_PAGES_KB)


def begin_write(connection: Connection, within_s: float = LOCKED_FOR_S) -> None:
    """Make the open transaction the only one that writes, until it ends.

    Raises OperationalError if others do not let it begin within `within_s` seconds (0: no limit).
    On SQLite they were waited for when the transaction was opened.
    """
    if connection.dialect.name == "postgresql":
        limit = f"SET LOCAL lock_timeout = {int(within_s * 1000)}"
        lock = f"SELECT pg_advisory_xact_lock({WRITE_LOCK})"
        connection.exec_driver_sql(f"{limit}; {_WRITING}; {lock}")


def migrate(engine: Engine, back_up: Callable[[], object] | None = None) -> bool:
    """Bring the schema to `HEAD`: at once in an empty database, by the migrations in an older one.

    Return whether the database was empty.
    `back_up` is called before an older one is changed, and what it raises leaves that as it is.
    Raises SettingsError where a newer Tagboat or another program has made it, or its tables are
    not those of its revision; OperationalError where others lock it for too long. Then nothing is
    changed.
    """
    with engine.connect() as connection:
        revision = _revision(connection)
        if revision == HEAD:
            require_columns(connection, HEAD)
            return False
    if revision is not None and back_up is not None:
        refuse_newer(revision)
        # Before the lock: other servers go on writing, however long it takes.
        back_up()
    with engine.begin() as connection:
        # Another server that starts may be migrating.
        begin_write(connection, within_s=MIGRATION_LOCKED_FOR_S)
        take_time(connection)
        revision = _revision(connection)
        if revision is not None:
            refuse_newer(revision)
        if revision is None:
            require_unused(connection)
            metadata.create_all(connection)
            _make_partial_indexes_last(connection)
            connection.execute(
                text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
            )
            connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})
        elif revision != HEAD:
            try:
                upgrade(connection)
            except DBAPIError as error:
                if not is_mismatch(error):
                    raise
                why = str(error.orig).splitlines()[0]
                raise mislabelled(revision, f"it cannot be migrated from there ({why})") from error
            require_columns(connection, revision)
    return revision is None


def refuse_newer(revision: str) -> None:
    """Raise SettingsError for a schema that only a newer Tagboat knows."""
    scripts = (path.name for path in (_MIGRATIONS / "versions").iterdir())
    if not any(name.startswith(f"{revision}_") for name in scripts):
        raise SettingsError(
            f"the database was written by a newer Tagboat (schema {revision[:40]}; this is"
            f" {__version__}, schema {HEAD}): start that version, or restore the backup made"
            " before the upgrade"
        )


def take_time(connection: Connection) -> None:
    """Let the statements of the open transaction take as long as they need."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "SET LOCAL statement_timeout = 0;"
            " SET LOCAL idle_in_transaction_session_timeout = '10min'"
        )


def _make_partial_indexes_last(connection: Connection) -> None:
    # Of two indexes that fit equally well, SQLite takes the newer one; a set has no order.
    if connection.dialect.name != "sqlite":
        return
    for table in metadata.sorted_tables:
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            if index.dialect_options["sqlite"]["where"] is not None:
                index.drop(connection)
                index.create(connection)


def upgrade(connection: Connection) -> None:
    """Run the migrations that the database has not seen."""
    # Loaded only if there is something to migrate: it is large, and rarely needed.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def current_revision(engine: Engine) -> str | None:
    """Return the revision of the schema, None where there is none yet.

    Raises SettingsError where another program has made its table.
    """
    with engine.connect() as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    # Alembic's own ids, which other programs use, are twelve digits and letters.
    if revision is not None and re.fullmatch("[0-9]{4}", revision) is None:
        raise SettingsError(
            f"the table alembic_version is another program's (version {revision[:40]}). Nothing was"
            " changed. Tagboat needs a database of its own (createdb tagboat), or a schema that is"
            " alone on the search path: name it in TAGBOAT_DATABASE_URL"
        )
    return revision


def _open_sqlite(path: Path, statements: int, pages_kb: int) -> Engine:
    kept = {"cached_statements": statements}
    # Made here and nowhere else: were a file that is removed later replaced by an empty one, the
    # next start would take that for the database.
    path.touch()
    url = f"sqlite:///file:{quote(str(path))}?mode=rw&uri=true"
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=8,
        max_overflow=8,
        pool_use_lifo=True,
        connect_args=kept,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, record: Any) -> None:  # noqa: ANN401
        # The driver must not begin transactions by itself: `begin` below does, with the lock taken
        # first.
        connection.isolation_level = None
        for pragma in (
            # Reads do not wait for the writer.
            "journal_mode=WAL",
            # What is accepted must outlive a loss of power.
            "synchronous=FULL",
            # Off by default: deleting a project must delete its deploys.
            "foreign_keys=ON",
            f"busy_timeout={int(LOCKED_FOR_S * 1000)}",
            f"cache_size=-{pages_kb}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        record.info["file"] = _file_id(path)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # SQLite goes on with a file that was deleted or replaced, and all that it takes in would be
        # lost at its end.
        if connection.info["file"] != _file_id(path):
            raise StoreUnavailableError(
                f"the database cannot be used: {path} was removed; put it back, or restart Tagboat"
            )
        mode = (
            "IMMEDIATE"
            if connection.get_execution_options().get("tagboat_write", True)
            else "DEFERRED"
        )
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _file_id(path: Path) -> tuple[int, int] | None:
    """Return what identifies the file at `path`, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _make_indexes_partial(dialect: str) -> None:
    """Make the indexes over a part of a table partial in `dialect` too."""
    # Named at the tables, PostgreSQL's dialect would be loaded everywhere: 1.5 MB.
    for table in metadata.tables.values():
        for index in table.indexes:
            if (where := index.dialect_options["sqlite"]["where"]) is not None:
                index.dialect_options[dialect]["where"] = where
