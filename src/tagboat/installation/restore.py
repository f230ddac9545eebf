"""Restoring a backup into an empty data directory, and an empty database of PostgreSQL.

Everything is unpacked and checked next to what is there, before that is touched. From then on a
folder in the data directory says that a restore is under way: no server starts before it is done,
and the same command again does the rest.
"""

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tagboat import __version__
from tagboat.core.audit import AuditAction
from tagboat.core.deploy import InstanceState
from tagboat.core.errors import ConflictError, InvalidValueError, SettingsError
from tagboat.core.ports import Reader, Tx
from tagboat.core.values import replace as replace_fields
from tagboat.data_dir import RESTORING, open_data_dir
from tagboat.deploy.context import read_context
from tagboat.deploy.undo import requeue
from tagboat.installation.archive import DATABASE_NAME, OpenBackup, content_of
from tagboat.installation.claim import claim_installation
from tagboat.installation.layout import ASIDE_PREFIX, held_entries
from tagboat.installation.manifest import BackupManifest, KeyInBackup, why_not_restorable
from tagboat.private_files import sync_directory, write_private
from tagboat.store.cipher import KEY_BYTES
from tagboat.store.database import DATABASE_FILE, HEAD
from tagboat.store.key_box import unlock_key
from tagboat.store.local_audit import change_record, record_local_action
from tagboat.store.pg_tools import check_dump, load_dump
from tagboat.store.rotation import KEY_FILE
from tagboat.store.snapshot import (
    DatabasePlace,
    check_key_opens,
    id_of_key,
    read_facts,
    read_record,
    require_empty_database,
)

_DUMP_FILE = "database.dump"


@dataclass(frozen=True, slots=True)
class KeySources:
    """The sources of the key for a backup that does not have it in the clear.

    `ask_passphrase` is called for a backup whose key is encrypted; `key_text` is the text of a key
    file, None where there is none.
    """

    ask_passphrase: Callable[[], str]
    key_text: str | None = None


@dataclass(frozen=True, slots=True)
class AdoptedLive:
    """A tag that is live in a container which Tagboat did not make, with the names of its stage."""

    project: str
    stage: str
    tag: str


@dataclass(frozen=True, slots=True)
class Restored:
    """A restore that is done.

    `aside` is the folder with what was there before, or None. `adopted` is what no server starts
    again by itself.
    """

    manifest: BackupManifest
    aside: Path | None
    adopted: tuple[AdoptedLive, ...]


def restore_backup(
    place: DatabasePlace, backup: OpenBackup, keys: KeySources, *, replace: bool
) -> Restored:
    """Restore a backup. With `replace`, what the data directory holds is kept in a folder there.

    Raises TagboatError before anything is touched, if the backup cannot be restored here.
    """
    manifest = backup.manifest
    why = why_not_restorable(manifest, version=__version__, schema=HEAD, database=place.kind)
    if why is not None:
        raise ConflictError(why)
    key = _find_key(backup, keys)
    # A server of the same installation with another data directory must not run either.
    with (
        open_data_dir(place.data_dir, restoring=True),
        closing(claim_installation(manifest.installation)),
    ):
        staging = place.data_dir / RESTORING
        is_loaded = _check_room(place, staging, manifest, replace=replace)
        unpacked = _unpack(place, backup, key)
        aside = _put_aside(place.data_dir, staging, unpacked)
        _put_in_place(place, staging, is_loaded=is_loaded)
        adopted = read_record(place, key, adopted_live)
        change_record(place.url, place.data_dir, key, begin_deploys_again)
        note = f"made at {manifest.made_at} by Tagboat {manifest.tagboat}, into {place.data_dir}"
        record_local_action(place.url, place.data_dir, AuditAction.SERVER_RESTORE, note)
        # Last: this allows the server to start.
        shutil.rmtree(staging)
        sync_directory(place.data_dir)
    return Restored(manifest, aside, adopted)


def adopted_live(reader: Reader) -> tuple[AdoptedLive, ...]:
    """Return what is live in containers that Tagboat did not make, in order of its names."""
    live = [one for one in reader.instances(states=[InstanceState.LIVE]) if one.adopted]
    found = (
        AdoptedLive(reader.project(one.project_id).name, reader.stage(one.stage_id).name, one.tag)
        for one in live
    )
    return tuple(sorted(found, key=astuple))


def begin_deploys_again(tx: Tx) -> None:
    """Let the deploys that were at work when the backup was made begin again.

    Their containers need not be here: what is missing is no fault of the version, which would be
    barred. Those whose instance has stayed healthy go on: they have only to retire the old one.
    """
    for deploy in tx.running_deploys():
        context = read_context(tx, deploy.id)
        own = context.own
        if own is not None and own.state is InstanceState.LIVE and deploy.failed_step is None:
            if own.watched:
                continue
            tx.put_instance(replace_fields(own, state=InstanceState.STARTING, live_at=None))
        requeue(context, lambda _: None, tx)


def _find_key(backup: OpenBackup, keys: KeySources) -> bytes:
    """Return the key of the backup. Raises InvalidValueError where it is missing or wrong."""
    manifest, text = backup.manifest, backup.key_text()
    if keys.key_text is not None:
        key, named = _parse_key(keys.key_text), "the key that was given"
    elif text is None:
        raise InvalidValueError(
            "it has no encryption key, without which its secrets cannot be read: name a copy of "
            f"the server's {KEY_FILE} with --key-file"
        )
    elif manifest.key is KeyInBackup.PASSPHRASE:
        key, named = unlock_key(text, keys.ask_passphrase()), "the key in it"
    else:
        key, named = _parse_key(text), "the key in it"
    # Before anything is unpacked: a mistyped passphrase must not cost minutes.
    if id_of_key(key) != manifest.key_id:
        raise InvalidValueError(f"{named} is not the one that its secrets were encrypted with")
    return key


def _parse_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidValueError(f"the key is not {2 * KEY_BYTES} hexadecimal digits")
    return key


def _check_room(
    place: DatabasePlace, staging: Path, manifest: BackupManifest, *, replace: bool
) -> bool:
    """Return whether PostgreSQL has the whole database already, of this restore when cut off."""
    # One that was cut off may have moved some entries, and is to be finished in any case.
    if not replace and not staging.exists() and (held := held_entries(place.data_dir)):
        names = ", ".join(path.name for path in held[:3]) + (", …" if held[3:] else "")
        raise ConflictError(
            f"the data directory {place.data_dir} is not empty ({names}): set TAGBOAT_DATA_DIR to "
            "an empty one, or use --force, which keeps what is there in a folder in it"
        )
    if place.url is None:
        return False
    dump = staging / _DUMP_FILE
    try:
        # By the dump too: another backup may have been meant then.
        if dump.exists() and content_of(DATABASE_NAME, dump) in manifest.contents:
            facts = read_facts(place)
            found = (facts.revision, facts.installation, facts.key_id)
            if found == (manifest.schema, manifest.installation, manifest.key_id):
                return True
        # Before the dump is unpacked: pg_restore would find out only at its end.
        require_empty_database(place)
    except SettingsError as error:
        if not staging.exists():
            raise
        raise SettingsError(
            f"{error}. If it is what an earlier restore has left, drop it and create it again "
            "(dropdb, createdb)"
        ) from None
    return False


def _unpack(place: DatabasePlace, backup: OpenBackup, key: bytes) -> Path:
    """Unpack the backup into a new folder, check it there, and return the folder."""
    folder = place.data_dir / f"{RESTORING}.partial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        if place.url is None:
            backup.unpack_database(folder / DATABASE_FILE)
            _check_database(folder, backup.manifest, key)
        else:
            backup.unpack_database(folder / _DUMP_FILE)
            check_dump(folder / _DUMP_FILE)
        write_private(folder / KEY_FILE, f"{key.hex()}\n")
    except BaseException:
        # Also on Ctrl-C: nothing was touched so far, and nothing is to stay.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _check_database(folder: Path, manifest: BackupManifest, key: bytes) -> None:
    place = DatabasePlace(None, folder)
    facts = read_facts(place)
    if facts.revision != manifest.schema:
        raise InvalidValueError("its database does not have the schema that its manifest names")
    check_key_opens(key, facts)
    # Read as at the end, when what is there would be replaced already.
    read_record(place, key, adopted_live)


def _put_aside(data_dir: Path, staging: Path, unpacked: Path) -> Path | None:
    """Move what the directory holds into a folder of it, and return that; None for nothing."""
    # From here on no server starts, until the new database is in its place. The folder of a restore
    # that was cut off is emptied and replaced, so that it is there all the time.
    for path in staging.iterdir() if staging.is_dir() else ():
        path.unlink()
    unpacked.replace(staging)
    sync_directory(data_dir)
    held = held_entries(data_dir)
    if not held:
        return None
    aside = data_dir / f"{ASIDE_PREFIX}{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    aside.mkdir(mode=0o700)
    # Within the directory: it may be a mounted disk, or its parent not ours to write to.
    for path in held:
        path.replace(aside / path.name)
    return aside


def _put_in_place(place: DatabasePlace, staging: Path, *, is_loaded: bool) -> None:
    # The key before the database, which is useless without it.
    (staging / KEY_FILE).replace(place.data_dir / KEY_FILE)
    if place.url is None:
        (staging / DATABASE_FILE).replace(place.data_dir / DATABASE_FILE)
    elif not is_loaded:
        load_dump(place.url, staging / _DUMP_FILE)
    sync_directory(place.data_dir)
