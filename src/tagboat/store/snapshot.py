"""Copies of the whole database: made while servers use it, and loaded into an empty one."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.exc import DBAPIError

from tagboat.core.config import (
    BACKUPS_KEEP,
    BACKUPS_KEPT,
    INSTALLATION_ID,
    WEBHOOK_SECRET,
    number_or,
)
from tagboat.core.errors import SettingsError, StoreUnavailableError
from tagboat.core.generics import T
from tagboat.core.store_port import Reader
from tagboat.store import tables
from tagboat.store.cipher import Cipher, read_key
from tagboat.store.database import DATABASE_FILE, current_revision, open_database
from tagboat.store.pg_tools import dump_database
from tagboat.store.reader import SqlReader
from tagboat.store.rotation import KEY_FILE, KEY_ID_SETTING, NEXT_KEY_FILE
from tagboat.store.rows import SealedRows
from tagboat.store.schema import require_columns, require_unused


class DatabaseKind(StrEnum):
    """The database that an installation uses."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True)
class DatabasePlace:
    """The place where an installation has its data, as for `open_store`."""

    url: str | None = field(repr=False)
    data_dir: Path

    @property
    def kind(self) -> DatabaseKind:
        """The kind of database."""
        return DatabaseKind.SQLITE if self.url is None else DatabaseKind.POSTGRESQL


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """The state of a database of any release.

    `revision` is that of its schema, None before the first start; `key_id` is that of the key that
    sealed its secrets, None where that is not on record; `sealed` is a sealed setting.
    """

    revision: str | None
    installation: str
    key_id: str | None
    backups_keep: int
    sealed: object = field(repr=False)


def read_facts(place: DatabasePlace) -> DatabaseFacts:
    """Read the state of a database.

    Raises StoreUnavailableError, and SettingsError where it has tables but no revision.
    """
    if place.url is None and not (place.data_dir / DATABASE_FILE).exists():
        raise SettingsError(
            f"no server has used the data directory {place.data_dir} yet; set TAGBOAT_DATA_DIR to"
            " that of the server"
        )
    with _reading(place) as (revision, connection):
        if revision is None:
            require_unused(connection)
        settings = tables.settings_table
        found = (
            {}
            if revision is None
            else {row.name: row.value for row in connection.execute(select(settings))}
        )
        key_id = found.get(KEY_ID_SETTING)
        # Settings alone: their table is the same in all releases.
        return DatabaseFacts(
            revision=revision,
            installation=str(found.get(INSTALLATION_ID) or ""),
            key_id=key_id if isinstance(key_id, str) else None,
            backups_keep=number_or(found.get(BACKUPS_KEEP), BACKUPS_KEPT),
            sealed=found.get(WEBHOOK_SECRET),
        )


def read_record(place: DatabasePlace, key: bytes, work: Callable[[Reader], T]) -> T:
    """Run `work` on one moment of a database with the schema of this release.

    Nothing is written, nor migrated. Raises as `read_facts`, and SettingsError for a wrong key, or
    where columns are missing.
    """
    with _reading(place) as (revision, connection):
        require_columns(connection, revision or "")
        return work(SqlReader(connection, SealedRows(Cipher(key))))


def matching_key(data_dir: Path, facts: DatabaseFacts) -> bytes:
    """Return the key in the data directory that sealed the database. Raises SettingsError."""
    # While the key is being changed there are two, and the database says which one is in force.
    keys = [
        read_key(data_dir / name)
        for name in (KEY_FILE, NEXT_KEY_FILE)
        if name == KEY_FILE or (data_dir / name).exists()
    ]
    for key in keys:
        if facts.key_id in {None, id_of_key(key)}:
            check_key_opens(key, facts)
            return key
    raise SettingsError(
        f"the key in {data_dir} is not that of the database; put the right {KEY_FILE} there"
    )


def id_of_key(key: bytes) -> str:
    """Return the id of a key, which does not reveal it."""
    return Cipher(key).key_id.hex()


def check_key_opens(key: bytes, facts: DatabaseFacts) -> None:
    """Raise SettingsError unless the key opens the secrets of the database."""
    if facts.key_id not in {None, id_of_key(key)}:
        raise SettingsError("the key is not that of the database")
    SealedRows(Cipher(key)).setting(WEBHOOK_SECRET, facts.sealed)


def copy_database(place: DatabasePlace, folder: Path) -> Path:
    """Copy the database as of one moment into `folder`, check the copy, and return its file.

    Servers go on reading and writing. Raises StoreUnavailableError, SettingsError where it is
    damaged, and DumpProgramError.
    """
    if place.url is not None:
        target = folder / "database.dump"
        with _reading(place) as (_, connection):
            server = int(connection.scalar(text("SHOW server_version_num")) or 0)
        # Such as 150004, for 15.4.
        dump_database(place.url, server // 10_000, target)
        return target
    source, target = place.data_dir / DATABASE_FILE, folder / DATABASE_FILE
    try:
        address = f"file:{quote(str(source))}?mode=rw"
        with (
            closing(sqlite3.connect(address, uri=True)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            # In one step: else each write in the meantime would make it begin again.
            original.backup(copy)
            # A file alone, without a write-ahead log next to it.
            copy.execute("PRAGMA journal_mode=DELETE")
            (found,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        raise StoreUnavailableError(f"the database cannot be copied to {folder}: {error}") from None
    if found != "ok":
        raise SettingsError(f"{source} is damaged ({found}): restore it from a backup")
    return target


def require_empty_database(place: DatabasePlace) -> None:
    """Raise SettingsError where the PostgreSQL database has tables."""
    with _reading(place) as (_, connection):
        if inspect(connection).get_table_names():
            raise SettingsError(
                "the database that TAGBOAT_DATABASE_URL names is not empty, and nothing in it is"
                " deleted: create another one (createdb tagboat_restored) and name that"
            )


@contextmanager
def _reading(place: DatabasePlace) -> Iterator[tuple[str | None, Connection]]:
    """Yield the revision, and a connection in a transaction that reads."""
    engine = open_database(place.url, place.data_dir)
    try:
        isolation = {} if place.url is None else {"isolation_level": "REPEATABLE READ"}
        # Without taking the lock for writing, for which the server would have to wait.
        reading = engine.execution_options(tagboat_write=False, **isolation)
        revision = current_revision(reading)
        with reading.connect() as connection:
            yield revision, connection
    except DBAPIError as error:
        raise StoreUnavailableError(
            f"the database cannot be used: {str(error.orig).splitlines()[0]}"
        ) from error
    finally:
        engine.dispose()
