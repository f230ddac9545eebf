"""The backup that a server makes by itself before it migrates its database."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import structlog

from tagboat.core.errors import StoreUnavailableError, TagboatError
from tagboat.installation.archive import DATABASE_NAME, open_backup
from tagboat.installation.backup import BackupOrder, write_backup
from tagboat.installation.layout import BACKUPS_FOLDER
from tagboat.installation.manifest import BackupManifest
from tagboat.store.pg_tools import DumpProgramError
from tagboat.store.snapshot import DatabaseKind, DatabasePlace, read_facts

_ENDING = ".tar.gz"

log = structlog.get_logger("tagboat.backup")


def back_up_before_migration(place: DatabasePlace) -> Path | None:
    """Back up a database of an earlier release; return the file, None where none is made.

    The oldest beyond `backups_keep` are removed. Raises StoreUnavailableError if it fails: then
    nothing must be migrated. Without a fitting `pg_dump` it only warns.
    """
    facts = read_facts(place)
    if facts.backups_keep == 0:
        log.info("no backup before the migration: backups_keep is 0", action="backup")
        return None
    folder = place.data_dir / BACKUPS_FOLDER
    target = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-schema-{facts.revision}{_ENDING}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Left by a server that was killed; this one holds the lock of the directory.
        for unfinished in folder.glob(".*.partial"):
            shutil.rmtree(unfinished, ignore_errors=True)
        newest = next(iter(_backups(folder)[-1:]), None)
        report = write_backup(place, target, BackupOrder(before_migration=True))
    except DumpProgramError as error:
        # An upgrade must not need a program that nothing else needs.
        log.warning("no backup before the migration", action="backup", reason=str(error))
        return None
    except (TagboatError, OSError) as error:
        why = error if isinstance(error, TagboatError) else error.strerror
        raise StoreUnavailableError(
            f"the database is of an older release, and could not be backed up to {folder} before"
            f" its migration ({why}): nothing was changed. Mend that, such as by freeing space,"
            " and start again"
        ) from error
    if newest is not None and _has_same(newest, report.manifest):
        # A start that fails again and again must not push the older ones out.
        newest.unlink()
    log.info("backup made before the migration", action="backup", file=str(target))
    # By name, which begins with the time.
    for old in _backups(folder)[: -facts.backups_keep]:
        old.unlink()
        log.info("old backup removed", action="backup", file=str(old))
    return target


def _backups(folder: Path) -> list[Path]:
    """Return the backups that were made so, oldest first."""
    return sorted(folder.glob(f"*-schema-*{_ENDING}"))


def _has_same(path: Path, manifest: BackupManifest) -> bool:
    """Return whether a backup has the same database, as far as that can be said."""
    try:
        with path.open("rb") as stream, open_backup(stream, str(path)) as backup:
            earlier = backup.manifest
    except (TagboatError, OSError):
        return False
    if manifest.database is DatabaseKind.POSTGRESQL:
        # Two dumps of the same data differ.
        return (earlier.schema, earlier.installation) == (manifest.schema, manifest.installation)
    same = {one for one in earlier.contents if one.name == DATABASE_NAME}
    return bool(same & set(manifest.contents))
