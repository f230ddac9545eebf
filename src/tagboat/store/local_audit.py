"""Entries of the audit by commands that work on the database themselves, without the server."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tagboat.core.audit import AuditAction, AuditSubject, audit_entry
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.store.audit_table import audit_table
from tagboat.store.bulk import BulkInsert
from tagboat.store.database import begin_write, open_database

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
    engine = open_database(url, data_dir)
    try:
        with engine.begin() as connection:
            begin_write(connection)
            send_local_entry(connection, action, note)
    except DBAPIError as error:
        raise StoreUnavailableError(
            f"the database cannot be written: {str(error.orig).splitlines()[0]}"
        ) from error
    finally:
        engine.dispose()
