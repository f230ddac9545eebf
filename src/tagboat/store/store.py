"""The store: reads side by side in threads, writes through the one writer."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from tagboat.core.errors import ConflictError, SettingsError, StoreUnavailableError
from tagboat.core.ids import go_on_from
from tagboat.core.ports import Reader, Topic, Tx
from tagboat.store import tables
from tagboat.store.cipher import Cipher, load_or_make_key
from tagboat.store.database import DATABASE_FILE, begin_write, migrate, open_database, open_reading
from tagboat.store.memory import Memory
from tagboat.store.reader import SqlReader
from tagboat.store.readers import ReadThreads
from tagboat.store.rotation import KEY_FILE, KEY_ID_SETTING, fitting_key, key_id_on_record
from tagboat.store.rows import SEALED_SETTINGS, SealedRows
from tagboat.store.unit import UnitOfWork
from tagboat.store.writer import GroupWriter, Outcome, Work

T = TypeVar("T")
ANSWER_S = 4.5
"""Seconds for which the database is waited for: whoever asks must be told in words before its own patience ends, after 5 s."""
CLOSE_S = 2.0
READERS = 4
"""Threads that read: more would only wait for one another."""

log = structlog.get_logger("tagboat.store")


class SqlStore:
    """Implements `Store` on SQLite or PostgreSQL."""

    def __init__(self, engine: Engine, reading: Engine, cipher: Cipher) -> None:
        self._engine = engine
        self._rows = SealedRows(cipher, alone=self.exclusive)
        # A read in WAL mode sees one moment of SQLite by nature; PostgreSQL is told to show one.
        isolation = {} if self.exclusive else {"isolation_level": "REPEATABLE READ"}
        self._reads = reading.execution_options(tagboat_write=False, **isolation)
        self._listeners: dict[Topic, dict[Callable[[], None], Callable[[], None]]] = {
            topic: {} for topic in Topic
        }
        self._memory = Memory()
        self._kept: Connection | None = None
        # A file is never silent, and a large transaction is not to be given up for taking its time.
        self._limit_s = None if self.exclusive else ANSWER_S
        self._readers = ReadThreads(READERS)
        self._writer = GroupWriter(self._commit)

    @property
    def exclusive(self) -> bool:
        """Whether no other server writes to it: the data directory's lock keeps SQLite to one."""
        return self._engine.dialect.name == "sqlite"

    async def read(self, work: Callable[[Reader], T]) -> T:
        """Run `work` on a consistent view; raise StoreUnavailableError when the database cannot be read."""
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._readers.run(lambda: self._read(work))
        except TimeoutError:
            raise StoreUnavailableError(
                f"the database did not answer within {ANSWER_S:g} s"
            ) from None

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in a transaction shared with others at hand, and return once it is on disk.

        Raises what `work` raises, ConflictError when it breaks a uniqueness rule, StoreUnavailableError when the
        database cannot be written; in each case nothing of `work` stays, unless the database has only not answered in time.
        """
        try:
            async with asyncio.timeout(self._limit_s):
                result: T = await self._writer.submit(work)
        except TimeoutError:
            raise StoreUnavailableError(
                f"the database did not answer within {ANSWER_S:g} s; it may yet do it"
            ) from None
        return result

    def listen(self, topic: Topic, callback: Callable[[], None]) -> None:
        """Call `callback` in the listener's loop after each commit that announces `topic`; once, however often it is named."""
        loop = asyncio.get_running_loop()
        self._listeners[topic][callback] = lambda: (
            None if loop.is_closed() else _call(loop, callback)
        )

    def close(self) -> None:
        """Finish what is being written, then let go of the database; of one that does not answer, after `CLOSE_S` seconds."""
        self._readers.close()
        self._writer.close()
        closing = threading.Thread(target=self._let_go, name="tagboat-closing", daemon=True)
        closing.start()
        closing.join(CLOSE_S)
        if closing.is_alive():
            log.warning("the database does not answer; it is left as it is", action="stop")

    def _let_go(self) -> None:
        self._writer.join()
        if self._kept:
            self._kept.close()
        self._engine.dispose()
        self._reads.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A connection to write through: kept from one transaction to the next where nothing can cut it off in between."""
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
                return work(SqlReader(connection, self._rows))
        except DBAPIError as error:
            raise _translate(error) from error

    def _commit(self, works: Sequence[Work]) -> Sequence[Outcome]:
        """Carry out a batch. When one piece spoils the shared transaction, each is done again in its own."""
        try:
            return [(result, None) for result in self._transact(works)]
        except OperationalError as error:
            # The database's trouble, not that of a piece. Each by itself would wait as long for a lock, one after the other.
            self._memory = Memory()
            return [(None, _translate(error)) for _ in works]
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the work
            self._memory = Memory()
            if len(works) > 1:
                return [outcome for work in works for outcome in self._commit([work])]
            return [(None, _translate(error))]

    def _transact(self, works: Sequence[Work]) -> list[Any]:
        if not self.exclusive:
            self._memory = Memory()
        with self._writing() as connection, connection.begin():
            begin_write(connection)
            unit = UnitOfWork(connection, self._rows, self._memory)
            results = [work(unit) for work in works]
            unit.flush()
        for topic in unit.announced:
            for notify in tuple(self._listeners[topic].values()):
                notify()
        return results


def open_store(url: str | None, data_dir: Path) -> SqlStore:
    """Open the database, bring its schema up to date, and return the store on it.

    `url` is `postgresql://…`, or None for SQLite in `data_dir`, where the encryption key lives in either case. Raises
    SettingsError when the URL or the key cannot be used, StoreUnavailableError when the database cannot be reached.
    """
    load_or_make_key(data_dir / KEY_FILE)
    engine = open_database(url, data_dir)
    try:
        migrate(engine)
        with engine.connect() as connection:
            cipher = Cipher(fitting_key(data_dir, key_id_on_record(connection)))
        _check_key(engine, cipher)
        _seal_settings(engine, cipher)
        _fill_hosts(engine, cipher)
        _go_on_from_newest(engine)
    except Exception as error:
        engine.dispose()
        if isinstance(error, DBAPIError):
            if url is None and _is_damaged(error):
                raise SettingsError(
                    f"{data_dir / DATABASE_FILE} is not an SQLite database (damaged?): restore it from a backup"
                ) from None
            hint = "; check TAGBOAT_DATABASE_URL" if url else ""
            raise StoreUnavailableError(f"{_translate(error)}{hint}") from error
        raise
    return SqlStore(engine, open_reading(engine, data_dir), cipher)


def _is_damaged(error: DBAPIError) -> bool:
    """Whether SQLite says that its file is none of its own (SQLITE_NOTADB), or is broken (SQLITE_CORRUPT)."""
    return getattr(error.orig, "sqlite_errorname", "").startswith(
        ("SQLITE_NOTADB", "SQLITE_CORRUPT")
    )


def _check_key(engine: Engine, cipher: Cipher) -> None:
    """Refuse a key other than the one this database was first used with: replicas must share it."""
    with engine.begin() as connection:
        begin_write(connection)
        unit = UnitOfWork(connection, SealedRows(cipher), Memory())
        known = unit.setting(KEY_ID_SETTING)
        if known is None:
            unit.put_setting(KEY_ID_SETTING, cipher.key_id.hex())
        elif known != cipher.key_id.hex():
            raise SettingsError(
                "the database was first used with another encryption key; copy encryption.key from the data directory "
                "of the server (or replica) that made it"
            )


def _seal_settings(engine: Engine, cipher: Cipher) -> None:
    """Seal those settings that are secrets and that an earlier release has left in the clear."""
    with engine.connect() as connection:
        found = connection.execute(
            select(tables.settings).where(tables.settings.c.name.in_(SEALED_SETTINGS))
        ).all()
    clear = {row.name: row.value for row in found if isinstance(row.value, str)}
    if not clear:
        return
    with engine.begin() as connection:
        begin_write(connection)
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(
                "PRAGMA secure_delete=ON"
            )  # nor is it to stay where it stood
        unit = UnitOfWork(connection, SealedRows(cipher), Memory())
        for name, value in clear.items():
            unit.put_setting(name, value)
    if engine.dialect.name == "sqlite":
        with closing(engine.raw_connection()) as raw:  # which begins no transaction
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _fill_hosts(engine: Engine, cipher: Cipher) -> None:
    """Put on record which hosts the stages claim that were written before, or by an older server beside this one."""
    with engine.begin() as connection:
        begin_write(connection)
        unit = UnitOfWork(connection, SealedRows(cipher), Memory())
        unit.put_missing_hosts()


def _go_on_from_newest(engine: Engine) -> None:
    """Have new ids follow those on record, whatever the clock says by now."""
    with engine.connect() as connection:
        for table in (tables.deploys, tables.instances, tables.deliveries):
            if newest := connection.scalar(select(func.max(table.c.id))):
                go_on_from(newest)


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(callback)


def _translate(error: BaseException) -> BaseException:
    """What the caller is told of an error of the database; errors of ours pass as they are."""
    if isinstance(error, IntegrityError):
        return ConflictError("it clashes with something that exists already")
    if isinstance(error, DBAPIError):
        return StoreUnavailableError(
            f"the database cannot be used: {str(error.orig).splitlines()[0]}"
        )
    return error
