"""The store of an edge: on PostgreSQL, without the encryption key, and the schema is as it is."""

import asyncio
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tagboat.core.errors import SettingsError, StoreUnavailableError
from tagboat.core.run import NO_OPTIONS, RunOptions
from tagboat.store.cipher import Cipher
from tagboat.store.database import HEAD, current_revision, open_database, refuse_newer
from tagboat.store.rows import SealedRows
from tagboat.store.schema import require_columns
from tagboat.store.store import ANSWER_S, SqlStore, translate


class EdgeStore(SqlStore):
    """Implements `Store` for a process that reads routes, and writes its row of `edges`.

    `url` is `postgresql://…`. Run options are read as none, and no secret can be read or written.
    Nothing is connected yet. Raises SettingsError where the URL cannot be used.
    """

    def __init__(self, url: str) -> None:
        # The directory is that of SQLite's file.
        engine = open_database(url, Path())
        cipher = _NoCipher()
        super().__init__(engine, engine, cipher)
        self._rows = _RowsWithoutKey(cipher)

    def _begin(self, connection: Connection) -> None:
        # It takes no turn among the writers: its row is its own, and one that falls silent while it
        # writes must not hold up the servers.
        connection.exec_driver_sql(
            "SET LOCAL lock_timeout = '2s'; SET LOCAL idle_in_transaction_session_timeout = '5s'"
        )

    async def require_schema(self) -> None:
        """Return if the database has the schema of this release.

        Raises SettingsError if a newer one has made it, or columns are missing. Raises
        StoreUnavailableError if it cannot be read, or no server of this release has been started
        on it yet.
        """

        def look() -> str | None:
            revision = current_revision(self._engine)
            if revision == HEAD:
                with self._engine.connect() as connection:
                    require_columns(connection, HEAD)
            return revision

        try:
            async with asyncio.timeout(ANSWER_S):
                found = await self._readers.run(look)
        except TimeoutError:
            raise StoreUnavailableError(
                f"the database did not answer within {ANSWER_S:g} s"
            ) from None
        except DBAPIError as error:
            raise translate(error) from error
        if found is None:
            raise StoreUnavailableError(
                "no Tagboat server has used the database yet: start one with 'tagboat serve'"
            )
        if found != HEAD:
            refuse_newer(found)
            raise StoreUnavailableError(
                f"the database is of an older release (schema {found}, this is {HEAD}): update the"
                " servers, whose start migrates it"
            )


class _NoCipher(Cipher):
    """The cipher of a process that has no key. All that needs one raises SettingsError."""

    def __init__(self) -> None:
        super().__init__(b"")

    def hash_key(self, place: str) -> bytes:
        """Raise SettingsError."""
        raise _no_key(place)

    def seal(self, secret: str, place: str) -> bytes:  # noqa: ARG002 - the signature of a cipher's
        """Raise SettingsError."""
        raise _no_key(place)

    def open(self, sealed: bytes, place: str) -> str:  # noqa: ARG002 - the signature of a cipher's
        """Raise SettingsError."""
        raise _no_key(place)


class _RowsWithoutKey(SealedRows):
    """Rows for a reader without secrets: routes depend on no run option."""

    def _open_run(self, sealed: bytes | None, place: str) -> RunOptions:  # noqa: ARG002 - as there
        return NO_OPTIONS

    def _seal_run(self, run: RunOptions, place: str) -> bytes | None:  # noqa: ARG002 - as there
        # Written back, none would replace those on record.
        raise _no_key(place)


def _no_key(place: str) -> SettingsError:
    return SettingsError(f"an edge has no encryption key, so it has no use for {place}")
