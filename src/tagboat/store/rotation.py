"""Changing the encryption key: all that is sealed is sealed again, in one transaction.

The new key lies beside the old one before that, and takes its place after it. Which of the two the database was sealed with
stands in the database, so that whatever comes between leaves one that fits, and the next start puts it in its place.
"""

import base64
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, select, update
from sqlalchemy.exc import DBAPIError

from tagboat.core.errors import SettingsError, StoreUnavailableError
from tagboat.private_files import sync_directory, write_private
from tagboat.store import tables
from tagboat.store.cipher import KEY_BYTES, Cipher, read_key
from tagboat.store.database import (
    DATABASE_FILE,
    HEAD,
    begin_write,
    current_revision,
    open_database,
    take_time,
)
from tagboat.store.rows import (
    SEALED_SETTINGS,
    SIGNATURE_SETTING,
    config_place,
    hook_place,
    is_sealed_config,
    password_place,
    run_place,
    setting_place,
)

KEY_FILE, NEXT_KEY_FILE = "encryption.key", "encryption.key.next"
KEY_ID_SETTING = "encryption_key_id"
_AT_ONCE = 500

Seal = Callable[[bytes, str], bytes]
"""What was sealed for a place with the old key, sealed with the new one."""


def rotate_key(url: str | None, data_dir: Path) -> int:
    """Seal everything with a new key, and return how many values; no server may be at work on the database meanwhile.

    `url` and `data_dir` are as for `open_store`; whoever calls holds the lock of the data directory. Cut off anywhere, it has
    changed nothing, or is finished by the next start. Raises SettingsError, StoreUnavailableError.
    """
    if not (data_dir / KEY_FILE).exists() or (
        url is None and not (data_dir / DATABASE_FILE).exists()
    ):
        raise SettingsError(
            f"no server has run on the data directory {data_dir} yet; set TAGBOAT_DATA_DIR to the server's"
        )
    engine = open_database(url, data_dir)
    try:
        if current_revision(engine) != HEAD:
            raise SettingsError(
                "the database is of another release; start this one once, stop it, and change the key then"
            )
        with engine.begin() as connection:
            begin_write(connection)
            take_time(connection)
            known = key_id_on_record(connection)
            old = Cipher(fitting_key(data_dir, known))
            if known != old.key_id.hex():
                raise SettingsError(
                    f"the key in {data_dir} is not the one of the database; put the right {KEY_FILE} there"
                )
            new = Cipher(next_key(data_dir))
            count = reseal(connection, old, new)
            _set(connection, KEY_ID_SETTING, new.key_id.hex())
        fitting_key(data_dir, new.key_id.hex())
    except DBAPIError as error:
        raise StoreUnavailableError(
            f"the database cannot be used: {str(error.orig).splitlines()[0]}"
        ) from error
    finally:
        engine.dispose()
    return count


def key_id_on_record(connection: Connection) -> str | None:
    """The id of the key that the database is sealed with, None before the first."""
    value = connection.scalar(
        select(tables.settings.c.value).where(tables.settings.c.name == KEY_ID_SETTING)
    )
    return value if isinstance(value, str) else None


def fitting_key(data_dir: Path, known: str | None) -> bytes:
    """The key in the data directory: the next one, put in its place, if the database knows that one's id.

    Raises SettingsError where there is none that can be read; whether it is the database's own is left to the caller.
    """
    following = data_dir / NEXT_KEY_FILE
    if following.exists():
        key = read_key(following)
        if Cipher(key).key_id.hex() == known:
            following.replace(data_dir / KEY_FILE)
            sync_directory(data_dir)
            return key
        following.unlink()  # the change was cut off before anything was sealed with it
    return read_key(data_dir / KEY_FILE)


def next_key(data_dir: Path) -> bytes:
    """A new key, on disk beside the one in force."""
    write_private(data_dir / NEXT_KEY_FILE, f"{secrets.token_hex(KEY_BYTES)}\n")
    return read_key(data_dir / NEXT_KEY_FILE)


def reseal(connection: Connection, old: Cipher, new: Cipher) -> int:
    """Seal everything again, in the open transaction; how many values. Raises SettingsError where `old` did not seal one."""

    def seal(sealed: bytes, place: str) -> bytes:
        return new.seal(old.open(sealed, place), place)

    count = 0
    for table, key, column, place in _PLACES:
        for row_key, sealed in _sealed(connection, table, key, column):
            if table is tables.deploy_configs and not is_sealed_config(sealed):
                continue
            changed = (
                update(table)
                .where(table.c[key] == row_key)
                .values({column: seal(sealed, place(row_key))})
            )
            connection.execute(changed)
            count += 1
    return count + _reseal_settings(connection, seal)


_PLACES: tuple[tuple[Table, str, str, Callable[[str], str]], ...] = (
    (tables.projects, "id", "run", lambda key: run_place("project", key)),
    (tables.stages, "id", "run", lambda key: run_place("stage", key)),
    (tables.registries, "id", "password", password_place),
    (tables.hooks, "id", "signature", hook_place),
    (tables.deploy_configs, "deploy_id", "config", config_place),
)


def _sealed(
    connection: Connection, table: Table, key: str, column: str
) -> Iterator[tuple[str, bytes]]:
    """Keys and what is sealed, in order, some at a time: there may be a million deploys."""
    after = ""
    while True:
        query = select(table.c[key], table.c[column]).where(
            table.c[key] > after, table.c[column].is_not(None)
        )
        rows = connection.execute(query.order_by(table.c[key]).limit(_AT_ONCE)).all()
        if not rows:
            return
        yield from ((row[0], row[1]) for row in rows)
        after = rows[-1][0]


def _reseal_settings(connection: Connection, seal: Seal) -> int:
    settings = tables.settings
    found = {row.name: row.value for row in connection.execute(select(settings))}
    changed: dict[str, Any] = {}
    if isinstance(signature := found.get(SIGNATURE_SETTING), str):
        changed[SIGNATURE_SETTING] = _text(seal(base64.b64decode(signature), SIGNATURE_SETTING))
    for name in SEALED_SETTINGS:
        if isinstance(value := found.get(name), dict):
            changed[name] = {
                "sealed": _text(seal(base64.b64decode(value["sealed"]), setting_place(name)))
            }
    for name, value in changed.items():
        _set(connection, name, value)
    return len(changed)


def _set(connection: Connection, name: str, value: object) -> None:
    connection.execute(
        update(tables.settings).where(tables.settings.c.name == name).values(value=value)
    )


def _text(sealed: bytes) -> str:
    return base64.b64encode(sealed).decode()
