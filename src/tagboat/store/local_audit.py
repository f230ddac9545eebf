"""Writes of commands that work on the database themselves, without the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tagboat.core.audit import AuditAction, AuditSubject, audit_entry
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.store.audit_table import audit_table
from tagboat.store.bulk import BulkInsert
from tagboat.store.cipher import Cipher
from tagboat.store.database import begin_write, open_database
from tagboat.store.memory import WriteMemory
from tagboat.store.rows import SealedRows
from tagboat.store.unit import UnitOfWork
from tagboat.store.writer import Work

# No server knows the caller: who may write the data directory may do all of this.
_OWNER = Principal(kind=PrincipalKind.LOCAL, name="the server's command line", role=Role.ADMIN)


def send_local_entry(connection: Connection, action: AuditAction, note: str) -> None:
    """Add an entry in the open transaction."""
    entry = audit_entry(_OWNER, datetime.now(UTC), action, AuditSubject(), note=note)
    BulkInsert(audit_table, connection.dialect).send(connection, [entry])


def record_local_action(url: str | None, data_dir: Path, action: AuditAction, note: str) -> None:
    """Add an entry in a transaction of its own; a server may be using the database.

    `url` and `data_dir` are as for `open_store`, the schema that of this release. Raises
    StoreUnavailableError.
    """
    with _writing(url, data_dir) as connection:
        send_local_entry(connection, action, note)


def change_record(url: str | None, data_dir: Path, key: bytes, work: Work) -> None:
    """Do `work` in a transaction; the rest is as in `record_local_action`. No server is told."""
    with _writing(url, data_dir) as connection:
        unit = UnitOfWork(connection, SealedRows(Cipher(key)), WriteMemory())
        work(unit)
        unit.flush()


@contextmanager
def _writing(url: str | None, data_dir: Path) -> Iterator[Connection]:
    engine = open_database(url, data_dir)
    try:
        with engine.begin() as connection:
            begin_write(connection)
            yield connection
    except DBAPIError as error:
        raise StoreUnavailableError(
            f"the database cannot be written: {str(error.orig).splitlines()[0]}"
        ) from error
    finally:
        engine.dispose()
