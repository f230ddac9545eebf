"""Making a backup: one file with the database, the encryption key, and a manifest of both."""

import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from tagboat import __version__
from tagboat.core.catalog import run_config
from tagboat.core.errors import SettingsError, StoreUnavailableError, TagboatError
from tagboat.core.ports import Reader
from tagboat.core.storage import stage_volumes
from tagboat.installation.archive import (
    DATABASE_NAME,
    KEY_NAME,
    LOCKED_KEY_NAME,
    content_of,
    open_backup,
    write_archive,
)
from tagboat.installation.manifest import BACKUP_FORMAT, BackupManifest, KeyInBackup
from tagboat.private_files import sync_directory
from tagboat.store.database import HEAD
from tagboat.store.key_box import lock_key
from tagboat.store.snapshot import (
    DatabasePlace,
    copy_database,
    id_of_key,
    matching_key,
    read_facts,
    read_record,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOrder:
    """How to make a backup: with the key, with it under a passphrase, or without it.

    `passphrase` is None for the plain key. `before_migration`: of whatever schema it is.
    """

    with_key: bool = True
    passphrase: str | None = None
    before_migration: bool = False


@dataclass(frozen=True, slots=True)
class VolumeOutside:
    """A volume of a stage, whose data is not in the backup. `path` is that in the container."""

    project: str
    stage: str
    volume: str
    path: str


@dataclass(frozen=True, slots=True)
class BackupReport:
    """A backup that was made: its manifest, how many projects it has, and what it has not."""

    manifest: BackupManifest
    projects: int = 0
    outside: tuple[VolumeOutside, ...] = ()


def write_backup(
    place: DatabasePlace, target: Path, order: BackupOrder, *, replace: bool = False
) -> BackupReport:
    """Make a backup in the file `target`, readable by its owner only, and check it.

    With `replace`, a file that is there is replaced once the new one is whole and on disk. Raises
    TagboatError and OSError; then nothing is left behind.
    """
    target = target.resolve()
    _check_target(target, replace=replace)
    with _workshop(target.parent, f".{target.name[:100]}.") as path:
        folder = Path(path)
        draft = folder / "backup"
        # Not by the umask alone, which is that of whoever calls.
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            report = stream_backup(place, folder, out, order)
            out.flush()
            os.fsync(out.fileno())
        # From the disk, where what was written may differ from what was meant.
        with draft.open("rb") as written, open_backup(written, str(target)) as backup:
            backup.key_text()
            backup.unpack_database(None)
        # Again: making it may have taken minutes.
        _check_target(target, replace=replace)
        draft.replace(target)
        sync_directory(target.parent)
    return report


def pipe_backup(place: DatabasePlace, out: IO[bytes], order: BackupOrder) -> BackupReport:
    """Write a backup to a pipe. Raises TagboatError and OSError."""
    # Next to the database: where that has room, its copy has.
    with _workshop(place.data_dir, ".backup.") as path:
        return stream_backup(place, Path(path), out, order)


def stream_backup(
    place: DatabasePlace, folder: Path, out: IO[bytes], order: BackupOrder
) -> BackupReport:
    """Write a backup to `out`. The database is first copied into `folder`, and checked there.

    Raises SettingsError where the database is of another release, or the key is not its own.
    """
    facts = read_facts(place)
    if facts.revision != HEAD and not order.before_migration:
        raise SettingsError(
            f"the database has schema {facts.revision}, and this is Tagboat {__version__} with "
            f"schema {HEAD}. Make the backup with the version that the server runs, or restart "
            "the server, which makes one by itself before it migrates"
        )
    copy = copy_database(place, folder)
    # The copy of a file says itself what it has, whatever was written meanwhile.
    own = DatabasePlace(None, folder) if place.url is None else place
    before, facts = facts, read_facts(own)
    if (facts.revision, facts.key_id) != (before.revision, before.key_id):
        raise StoreUnavailableError("the database was changed by another version: try again")
    key = matching_key(place.data_dir, facts)
    report = read_record(own, key, _describe) if facts.revision == HEAD else None
    # In this order in the file: the key can be tried before the database is unpacked.
    sources: dict[str, Path | bytes] = {}
    kind = KeyInBackup.ABSENT
    if order.with_key and order.passphrase is None:
        kind, sources[KEY_NAME] = KeyInBackup.PLAIN, f"{key.hex()}\n".encode()
    elif order.with_key:
        kind = KeyInBackup.PASSPHRASE
        sources[LOCKED_KEY_NAME] = lock_key(key, order.passphrase or "").encode()
    sources[DATABASE_NAME] = copy
    manifest = BackupManifest(
        format=BACKUP_FORMAT,
        tagboat=__version__,
        schema=facts.revision or "",
        made_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        database=place.kind,
        installation=facts.installation,
        key=kind,
        key_id=id_of_key(key),
        before_migration=order.before_migration,
        contents=tuple(content_of(name, source) for name, source in sources.items()),
    )
    write_archive(out, manifest, sources)
    projects, outside = report or (0, ())
    return BackupReport(manifest, projects, outside)


def _check_target(target: Path, *, replace: bool) -> None:
    # A rename over a device such as /dev/null would replace it.
    if not target.parent.is_dir():
        raise TagboatError(f"the directory {target.parent} does not exist: create it")
    if target.exists() and not target.is_file():
        raise TagboatError(f"{target} is not a file: name one, or - for standard output")
    if target.exists() and not replace:
        raise TagboatError(f"{target} exists already: name another file, or replace it by --force")


def _workshop(parent: Path, prefix: str) -> tempfile.TemporaryDirectory[str]:
    """Return a private folder in `parent` that is removed at the end of its block."""
    return tempfile.TemporaryDirectory(prefix=prefix, suffix=".partial", dir=parent)


def _describe(reader: Reader) -> tuple[int, tuple[VolumeOutside, ...]]:
    """Return the number of projects, and the volumes of their stages."""
    projects = reader.projects()
    stages = reader.stages_by_project([project.id for project in projects])
    outside = [
        VolumeOutside(project.name, stage.name, volume, path)
        for project in projects
        for stage in stages.get(project.id, ())
        for volume, path in stage_volumes(stage, run_config(project, stage)).items()
    ]
    return len(projects), tuple(outside)
