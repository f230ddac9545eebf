"""Change of the encryption key: all that is sealed is sealed again, in one transaction.

The new key is written next to the old one before that, and replaces it after that. The database
holds the id of the key that it was sealed with: wherever the change is cut off, one of both fits,
and the next start puts it in its place.
"""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, select, update
from sqlalchemy.exc import DBAPIError

from tagboat.core.audit import AuditAction
from tagboat.core.errors import SettingsError, StoreUnavailableError
from tagboat.private_files import sync_directory, write_private
from tagboat.store import tables
from tagboat.store.cipher import KEY_BYTES, Cipher, load_or_make_key, read_key
from tagboat.store.database import (
    DATABASE_FILE,
    HEAD,
    begin_write,
    current_revision,
    open_database,
    take_time,
)
from tagboat.store.identity_tables import session_origins_table
from tagboat.store.local_audit import send_local_entry
from tagboat.store.rows import (
    SEALED_SETTINGS,
    SIGNATURE_SETTING,
    SealedRows,
    config_place,
    hook_place,
    id_token_place,
    is_sealed_config,
    password_place,
    run_place,
)

KEY_FILE, NEXT_KEY_FILE = "encryption.key", "encryption.key.next"
KEY_ID_SETTING = "encryption_key_id"
_RESEALED_AT_ONCE = 500

Seal = Callable[[bytes, str], bytes]
"""Function that seals with the new key what was sealed for a place with the old one."""


def rotate_encryption_key(url: str | None, data_dir: Path) -> int:
    """Seal everything with a new key, and return how many values.

    `url` and `data_dir` are as for `open_store`. No server may use the database at the same time:
    the caller holds the lock of the data directory. Cut off anywhere, it has changed nothing, or
    is finished by the next start. Raises SettingsError, StoreUnavailableError.
    """
    if not (data_dir / KEY_FILE).exists() or (
        url is None and not (data_dir / DATABASE_FILE).exists()
    ):
        raise SettingsError(
            f"no server has used the data directory {data_dir} yet; set TAGBOAT_DATA_DIR to that of"
            " the server"
        )
    engine = open_database(url, data_dir)
    try:
        if current_revision(engine) != HEAD:
            raise SettingsError(
                "the database is of another release; start this one, stop it, then change the key"
            )
        with engine.begin() as connection:
            # All in one transaction, the key's id too: cut off, everything fits the old key still.
            begin_write(connection)
            take_time(connection)
            known = key_id_on_record(connection)
            old = Cipher(fitting_key(data_dir, known))
            if known != old.key_id.hex():
                raise SettingsError(
                    f"the key in {data_dir} is not that of the database; put the right {KEY_FILE}"
                    " there"
                )
            # On disk before anything is sealed with it, or a power cut could lose all secrets.
            new = Cipher(next_key(data_dir))
            count = reseal(connection, old, new)
            _set(connection, KEY_ID_SETTING, new.key_id.hex())
            note = f"{count} secrets are encrypted with a new key"
            send_local_entry(connection, AuditAction.SERVER_ROTATE_KEY, note)
        # After the commit: until then the old key is the one in force.
        fitting_key(data_dir, new.key_id.hex())
    except DBAPIError as error:
        raise StoreUnavailableError(
            f"the database cannot be used: {str(error.orig).splitlines()[0]}"
        ) from error
    finally:
        engine.dispose()
    return count


def key_id_on_record(connection: Connection) -> str | None:
    """Return the id of the key that the database is sealed with, None before the first."""
    value = connection.scalar(
        select(tables.settings_table.c.value).where(tables.settings_table.c.name == KEY_ID_SETTING)
    )
    return value if isinstance(value, str) else None


def fitting_key(data_dir: Path, known: str | None) -> bytes:
    """Return the key in the data directory: the next one if `known` is its id, put in its place.

    If `known` is None, the database has had no key yet: one is made where there is none. Raises
    SettingsError where none can be read; then nothing is written. The caller checks that it is that
    of the database.
    """
    current, following = data_dir / KEY_FILE, data_dir / NEXT_KEY_FILE
    if following.exists():
        key = read_key(following)
        if Cipher(key).key_id.hex() == known:
            following.replace(current)
            sync_directory(data_dir)
            return key
    key = load_or_make_key(current) if known is None else read_key(current)
    # The change was cut off before anything was sealed with it.
    following.unlink(missing_ok=True)
    return key


def next_key(data_dir: Path) -> bytes:
    """Return a new key, which is on disk next to the one in force."""
    write_private(data_dir / NEXT_KEY_FILE, f"{secrets.token_hex(KEY_BYTES)}\n")
    return read_key(data_dir / NEXT_KEY_FILE)


def reseal(connection: Connection, old: Cipher, new: Cipher) -> int:
    """Seal everything again, in the open transaction, and return how many values.

    Raises SettingsError where `old` did not seal one.
    """

    def seal(sealed: bytes, place: str) -> bytes:
        return new.seal(old.open(sealed, place), place)

    count = 0
    for table, key, column, place in _PLACES:
        for row_key, sealed in _sealed(connection, table, key, column):
            if table is tables.deploy_configs_table and not is_sealed_config(sealed):
                continue
            changed = (
                update(table)
                .where(table.c[key] == row_key)
                .values({column: seal(sealed, place(row_key))})
            )
            connection.execute(changed)
            count += 1
    return count + _reseal_settings(connection, old, new)


_PLACES: tuple[tuple[Table, str, str, Callable[[str], str]], ...] = (
    (tables.projects_table, "id", "run", lambda key: run_place("project", key)),
    (tables.stages_table, "id", "run", lambda key: run_place("stage", key)),
    (tables.registries_table, "id", "password", password_place),
    (tables.hooks_table, "id", "signature", hook_place),
    (tables.deploy_configs_table, "deploy_id", "config", config_place),
    (session_origins_table, "session_id", "id_token", id_token_place),
)


def _sealed(
    connection: Connection, table: Table, key: str, column: str
) -> Iterator[tuple[str, bytes]]:
    """Yield keys and sealed values, in order."""
    # Some at a time: there may be a million deploys.
    after = ""
    while True:
        query = select(table.c[key], table.c[column]).where(
            table.c[key] > after, table.c[column].is_not(None)
        )
        rows = connection.execute(query.order_by(table.c[key]).limit(_RESEALED_AT_ONCE)).all()
        if not rows:
            return
        yield from ((row[0], row[1]) for row in rows)
        after = rows[-1][0]


def _reseal_settings(connection: Connection, old: Cipher, new: Cipher) -> int:
    settings = tables.settings_table
    found = {row.name: row.value for row in connection.execute(select(settings))}
    changed: dict[str, Any] = {}
    if isinstance(signature := found.get(SIGNATURE_SETTING), str):
        changed[SIGNATURE_SETTING] = SealedRows(new).of_signature(
            SealedRows(old).signature(signature)
        )
    for name in SEALED_SETTINGS:
        if isinstance(value := found.get(name), dict):
            opened = SealedRows(old).setting(name, value)
            changed[name] = SealedRows(new).of_setting(name, opened)
    for name, value in changed.items():
        _set(connection, name, value)
    return len(changed)


def _set(connection: Connection, name: str, value: object) -> None:
    connection.execute(
        update(tables.settings_table)
        .where(tables.settings_table.c.name == name)
        .values(value=value)
    )
