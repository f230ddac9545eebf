"""The store: reads in threads, in parallel, and writes through the one writer."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError

from tagboat.core.deploy import DeployStatus
from tagboat.core.errors import ConflictError, SettingsError, StoreUnavailableError
from tagboat.core.generics import T
from tagboat.core.ids import go_on_from
from tagboat.core.store_port import Reader, Topic, Tx
from tagboat.store import tables
from tagboat.store.cipher import Cipher, read_key
from tagboat.store.database import (
    DATABASE_FILE,
    HEAD,
    START_LOCKED_FOR_S,
    begin_write,
    current_revision,
    migrate,
    open_database,
    open_reading,
)
from tagboat.store.memory import WriteMemory
from tagboat.store.notifications import CommitNotifications
from tagboat.store.reader import SqlReader
from tagboat.store.readers import ReadThreads
from tagboat.store.rotation import KEY_FILE, KEY_ID_SETTING, fitting_key, key_id_on_record
from tagboat.store.rows import SEALED_SETTINGS, SealedRows, is_sealed_setting
from tagboat.store.unit import UnitOfWork
from tagboat.store.writer import GroupWriter, Work, WorkOutcome

ANSWER_S = 4.5
"""Seconds for which the database is waited for."""
# Senders of webhooks give up after 5 s, and are to be told why before that.
CLOSE_S, CLOSE_SHARED_S = 2.0, 1.0
"""Seconds for which the end waits for a file, and for a database that may never answer."""
READERS = 4
"""Number of threads that read: more would only wait for one another."""

_DATABASE_ID = "SELECT concat_ws('-', {}, oid) FROM pg_database WHERE datname = current_database()"
"""A cluster has a number of its own, and each database in it."""

log = structlog.get_logger("tagboat.store")


class SqlStore:
    """Implements `Store` on SQLite or PostgreSQL."""

    def __init__(self, engine: Engine, reading: Engine, cipher: Cipher) -> None:
        self._engine = engine
        self._rows = SealedRows(cipher, alone=self.exclusive)
        # A read in WAL mode sees one moment of SQLite by nature; PostgreSQL has to be asked for
        # that.
        isolation = {} if self.exclusive else {"isolation_level": "REPEATABLE READ"}
        self._reads = reading.execution_options(tagboat_write=False, **isolation)
        self._listeners: dict[Topic, dict[Callable[[], None], Callable[[], None]]] = {
            topic: {} for topic in Topic
        }
        self._memory = WriteMemory()
        self._on_deploy_end: Callable[[str, DeployStatus], None] | None = None
        self._kept: Connection | None = None
        self._failed_writes = 0
        # A file always answers, and a large transaction is not given up because it takes its time.
        self._limit_s = None if self.exclusive else ANSWER_S
        self._readers = ReadThreads(READERS)
        self._writer = GroupWriter(self._commit)
        self._notifications = (
            None if self.exclusive else CommitNotifications(engine, self._call_listeners)
        )

    @property
    def exclusive(self) -> bool:
        """True where no other server writes to it, as with SQLite, whose directory is locked."""
        return self._engine.dialect.name == "sqlite"

    @property
    def failed_writes(self) -> int:
        """The number of transactions that the database has failed since the start."""
        return self._failed_writes

    async def database_id(self) -> str:
        """Return what tells this database from its copies; empty where it is exclusive.

        Raises StoreUnavailableError.
        """
        if self.exclusive:
            return ""

        def ask(cluster: str) -> str:
            with self._reads.connect() as connection:
                return str(connection.exec_driver_sql(_DATABASE_ID.format(cluster)).scalar_one())

        def ask_as_permitted() -> str:
            try:
                try:
                    return ask("(pg_control_system()).system_identifier")
                except ProgrammingError:
                    # Some providers let nobody ask that: then the number in the cluster must do.
                    return ask("NULL")
            except DBAPIError as error:
                raise translate(error) from error

        return await self._in_time(ask_as_permitted)

    def keyed_hash(self, place: str, content: bytes) -> str:
        """Return the hash of a content under a key that is derived from the encryption key."""
        return self._rows.keyed_hash(place, content)

    async def read(self, work: Callable[[Reader], T]) -> T:
        """Run `work` on a consistent view. Raises StoreUnavailableError where it cannot be read."""
        return await self._in_time(lambda: self._read(work))

    async def _in_time(self, read: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._readers.run(read)
        except TimeoutError:
            raise StoreUnavailableError(
                f"the database did not answer within {ANSWER_S:g} s"
            ) from None

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in a transaction shared with others that wait, and return once it is on disk.

        Raises what `work` raises, ConflictError where it breaks a uniqueness rule, and
        StoreUnavailableError where the database cannot be written. Nothing of `work` stays then,
        unless the database has only not answered in time.
        """
        try:
            async with asyncio.timeout(self._limit_s):
                result: T = await self._writer.submit(work)
        except TimeoutError:
            raise StoreUnavailableError(
                f"the database did not answer within {ANSWER_S:g} s; the change may still be made"
            ) from None
        return result

    def listen(self, topic: Topic, callback: Callable[[], None]) -> None:
        """Call `callback` in the running loop after each commit that announces `topic`."""
        # Once, however often it is added.
        loop = asyncio.get_running_loop()

        def call() -> None:
            # Where the loop has been closed, nobody listens.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(callback)

        self._listeners[topic][callback] = call
        # After that: its first call is for what was committed so far.
        if self._notifications:
            self._notifications.start()

    def on_deploy_end(self, callback: Callable[[str, DeployStatus], None]) -> None:
        """Call `callback` with stage id and status of each deploy that ends, once committed.

        It is called from the writer's thread, and replaces an earlier one.
        """
        self._on_deploy_end = callback

    def close(self) -> None:
        """Finish what is being written, then close the database, within `CLOSE_S` seconds.

        A database that others share gets `CLOSE_SHARED_S`.
        """
        self._readers.close()
        self._writer.close()
        if self._notifications:
            self._notifications.close()
        # In a thread: a database that does not answer must not hold up the end of the process.
        closing = threading.Thread(target=self._disconnect, name="tagboat-closing", daemon=True)
        closing.start()
        closing.join(CLOSE_S if self.exclusive else CLOSE_SHARED_S)
        if closing.is_alive():
            log.warning("the database does not answer: left without closing it", action="stop")

    def _disconnect(self) -> None:
        self._writer.join()
        if self._notifications:
            self._notifications.join()
        if self._kept:
            self._kept.close()
        self._engine.dispose()
        self._reads.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Yield a connection to write through."""
        # Kept from one transaction to the next where nothing can cut it off in between.
        if not self.exclusive:
            with self._engine.connect() as connection:
                yield connection
            return
        kept = self._kept or self._engine.connect()
        self._kept = None
        try:
            yield kept
            self._kept = kept
        finally:
            if self._kept is None:
                kept.close()

    def _read(self, work: Callable[[Reader], T]) -> T:
        try:
            with self._reads.connect() as connection:
                found = work(SqlReader(connection, self._rows))
                # A rollback would make PostgreSQL forget the statements that are prepared.
                connection.commit()
                return found
        except DBAPIError as error:
            raise translate(error) from error

    def _commit(self, works: Sequence[Work]) -> Sequence[WorkOutcome]:
        """Carry out a batch; where one piece spoils the transaction, each again in its own."""
        try:
            return [(result, None) for result in self._transact(works)]
        except OperationalError as error:
            # Not the fault of a piece. Each by itself would wait as long for a lock, one by one.
            self._failed_writes += 1
            self._memory = WriteMemory()
            return [(None, translate(error)) for _ in works]
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller that waits
            self._memory = WriteMemory()
            if len(works) > 1:
                return [outcome for work in works for outcome in self._commit([work])]
            return [(None, translate(error))]

    def _begin(self, connection: Connection) -> None:
        begin_write(connection)

    def _transact(self, works: Sequence[Work]) -> list[Any]:
        if not self.exclusive:
            self._memory = WriteMemory()
        with self._writing() as connection, connection.begin():
            self._begin(connection)
            unit = UnitOfWork(connection, self._rows, self._memory)
            results = [work(unit) for work in works]
            unit.flush()
            if self._notifications and (topics := unit.announced | unit.announced_elsewhere):
                self._notifications.notify(connection, topics)
        self._call_listeners(unit.announced)
        if self._on_deploy_end:
            for stage_id, status in unit.ended:
                self._on_deploy_end(stage_id, status)
        return results

    def _call_listeners(self, topics: Iterable[Topic]) -> None:
        # A callback once, however many of its topics are announced.
        # Copied: this is another thread than that of `listen`.
        calls = dict(pair for topic in topics for pair in tuple(self._listeners[topic].items()))
        for call in calls.values():
            call()


def open_store(
    url: str | None, data_dir: Path, back_up: Callable[[], object] | None = None
) -> SqlStore:
    """Open the database, bring its schema up to date, and return the store on it.

    `url` is `postgresql://…`, or None for SQLite in `data_dir`, which holds the encryption key in
    either case. `back_up` is called before a migration.

    Raises SettingsError where the URL or the key cannot be used, and
    StoreUnavailableError where the database cannot be reached.
    """
    key = data_dir / KEY_FILE
    if had_key := key.exists():
        read_key(key)  # before anything is changed
    engine = open_database(url, data_dir)

    def before_migration() -> None:
        # A backup has the key in it.
        with engine.connect() as connection:
            fitting_key(data_dir, key_id_on_record(connection))
        if back_up is not None:
            back_up()

    try:
        is_new = migrate(engine, before_migration)
        if is_new and had_key:
            # Not refused: this is how one starts anew, too.
            hint = "if the database is lost, stop the server and 'tagboat restore --force BACKUP'"
            said = "the database is new, but the encryption key was there before"
            log.warning(said, action="start", key=str(key), hint=hint)
        cipher = _fitting_cipher(engine, data_dir)
        _seal_settings(engine, cipher)
        with engine.begin() as connection:
            begin_write(connection, START_LOCKED_FOR_S)
            # An older server may have written stages before this start, or next to this one.
            UnitOfWork(connection, SealedRows(cipher), WriteMemory()).put_missing_hosts()
        # New ids follow those on record, even if the clock was set back.
        with engine.connect() as connection:
            for table in (tables.deploys_table, tables.instances_table, tables.deliveries_table):
                if newest := connection.scalar(select(func.max(table.c.id))):
                    go_on_from(newest)
    except DBAPIError as error:
        engine.dispose()
        # SQLITE_NOTADB and SQLITE_CORRUPT, with their extended codes.
        code = getattr(error.orig, "sqlite_errorname", "")
        if url is None and code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            raise SettingsError(
                f"{data_dir / DATABASE_FILE} is not an SQLite database (damaged?): restore it"
                " from a backup"
            ) from None
        hint = "; check TAGBOAT_DATABASE_URL" if url else ""
        raise StoreUnavailableError(f"{translate(error)}{hint}") from error
    except Exception:
        engine.dispose()
        raise
    return SqlStore(engine, open_reading(engine, data_dir), cipher)


def is_prepared(url: str | None, data_dir: Path) -> bool:
    """Return whether `open_store` has nothing to create, to migrate or to seal.

    False also where the database cannot be read. Raises SettingsError for an invalid `url`.
    """
    if url is None and not (data_dir / DATABASE_FILE).exists():
        return False
    engine = open_database(url, data_dir)
    try:
        if current_revision(engine) != HEAD:
            return False
        settings = tables.settings_table
        query = select(settings.c.value).where(settings.c.name.in_(SEALED_SETTINGS))
        with engine.connect() as connection:
            values = connection.execute(query).scalars().all()
        return bool(values) and all(is_sealed_setting(value) for value in values)
    except (DBAPIError, StoreUnavailableError):
        return False
    finally:
        engine.dispose()


def _fitting_cipher(engine: Engine, data_dir: Path) -> Cipher:
    """Return the cipher of the database; refuse a key other than the one it was first used with."""
    with engine.begin() as connection:
        # Locked before a key is made: another server may start, and have made one.
        begin_write(connection, START_LOCKED_FOR_S)
        known = key_id_on_record(connection)
        cipher = Cipher(fitting_key(data_dir, known))
        if known is None:
            unit = UnitOfWork(connection, SealedRows(cipher), WriteMemory())
            unit.put_setting(KEY_ID_SETTING, cipher.key_id.hex())
        elif known != cipher.key_id.hex():
            raise SettingsError(
                "the database was first used with another encryption key; copy encryption.key from"
                " the data directory of the server (or replica) that made it"
            )
    return cipher


def _seal_settings(engine: Engine, cipher: Cipher) -> None:
    """Seal the settings that are secrets, where an earlier release stored them, with their hash."""
    rows = SealedRows(cipher)
    with engine.connect() as connection:
        found = connection.execute(
            select(tables.settings_table).where(tables.settings_table.c.name.in_(SEALED_SETTINGS))
        ).all()
    old = {
        row.name: rows.setting(row.name, row.value)
        for row in found
        if not is_sealed_setting(row.value)
    }
    if not old:
        return
    with engine.begin() as connection:
        begin_write(connection, START_LOCKED_FOR_S)
        if engine.dialect.name == "sqlite":
            # One that was not encrypted must not stay in the free pages of the file either.
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
        unit = UnitOfWork(connection, rows, WriteMemory())
        for name, value in old.items():
            unit.put_setting(name, value)
    if engine.dialect.name == "sqlite":
        # A raw connection begins no transaction, inside which there is no checkpoint.
        with closing(engine.raw_connection()) as raw:
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def translate(error: BaseException) -> BaseException:
    """Return our error for an error of the database; any other is returned as it is."""
    if isinstance(error, IntegrityError):
        return ConflictError("it clashes with something that exists already")
    if isinstance(error, DBAPIError):
        # The lines that PostgreSQL adds are about the statement, which says nothing to an operator.
        return StoreUnavailableError(
            f"the database cannot be used: {str(error.orig).splitlines()[0]}"
        )
    return error
