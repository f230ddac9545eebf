"""The store: reads side by side in threads, writes through the one writer."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from tagboat.core.errors import ConflictError, SettingsError, StoreUnavailableError
from tagboat.core.ports import Reader, Topic, Tx
from tagboat.store.cipher import Cipher, load_or_make_key
from tagboat.store.database import begin_write, migrate, open_database
from tagboat.store.reader import SqlReader
from tagboat.store.rows import SealedRows
from tagboat.store.unit import Memory, UnitOfWork
from tagboat.store.writer import GroupWriter, Outcome, Work

T = TypeVar("T")
KEY_ID_SETTING = "encryption_key_id"


class SqlStore:
    """Implements `Store` on SQLite or PostgreSQL."""

    def __init__(self, engine: Engine, cipher: Cipher) -> None:
        self._engine = engine
        self._rows = SealedRows(cipher)
        # A read in WAL mode sees one moment of SQLite by nature; PostgreSQL is told to show one.
        isolation = {} if self.exclusive else {"isolation_level": "REPEATABLE READ"}
        self._reads = engine.execution_options(tagboat_write=False, **isolation)
        self._listeners: dict[Topic, dict[Callable[[], None], Callable[[], None]]] = {topic: {} for topic in Topic}
        self._memory = Memory()
        self._kept: Connection | None = None
        self._writer = GroupWriter(self._commit)

    @property
    def exclusive(self) -> bool:
        """Whether no other server writes to it: the data directory's lock keeps SQLite to one."""
        return self._engine.dialect.name == "sqlite"

    async def read(self, work: Callable[[Reader], T]) -> T:
        """Run `work` on a consistent view; raise StoreUnavailableError when the database cannot be read."""
        return await asyncio.to_thread(self._read, work)

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in a transaction shared with others at hand, and return once it is on disk.

        Raises what `work` raises, ConflictError when it breaks a uniqueness rule, StoreUnavailableError when the
        database cannot be written; in each case nothing of `work` stays.
        """
        result: T = await self._writer.submit(work)
        return result

    def listen(self, topic: Topic, callback: Callable[[], None]) -> None:
        """Call `callback` in the listener's loop after each commit that announces `topic`; once, however often it is named."""
        loop = asyncio.get_running_loop()
        self._listeners[topic][callback] = lambda: None if loop.is_closed() else _call(loop, callback)

    def close(self) -> None:
        """Finish what is being written, then let go of the database."""
        self._writer.close()
        if self._kept:
            self._kept.close()
        self._engine.dispose()

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
    cipher = Cipher(load_or_make_key(data_dir / "encryption.key"))
    engine = open_database(url, data_dir)
    try:
        migrate(engine)
        _check_key(engine, cipher)
    except Exception as error:
        engine.dispose()
        if isinstance(error, DBAPIError):
            hint = "; check TAGBOAT_DATABASE_URL" if url else ""
            raise StoreUnavailableError(f"{_translate(error)}{hint}") from error
        raise
    return SqlStore(engine, cipher)


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


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(callback)


def _translate(error: BaseException) -> BaseException:
    """What the caller is told of an error of the database; errors of ours pass as they are."""
    if isinstance(error, IntegrityError):
        return ConflictError("it clashes with something that exists already")
    if isinstance(error, DBAPIError):
        return StoreUnavailableError(f"the database cannot be used: {str(error.orig).splitlines()[0]}")
    return error
