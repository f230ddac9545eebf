"""The manifest of a backup, and the backups that this release can restore."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from tagboat.core.errors import InvalidValueError
from tagboat.store.snapshot import DatabaseKind

BACKUP_FORMAT = 1
"""The format of the backups that this release writes and reads."""


class KeyInBackup(StrEnum):
    """The form in which a backup has the encryption key."""

    PLAIN = "plain"
    PASSPHRASE = "passphrase"  # noqa: S105 - the name of a form
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupContent:
    """A file in a backup. `size` is bytes, `sha256` hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupManifest:
    """The description of a backup, in the backup.

    `tagboat` is the version that wrote it, `schema` the revision of the database's schema,
    `made_at` an RFC 3339 time in UTC. `before_migration` means that the database still has the
    schema of an earlier version.
    """

    format: int
    tagboat: str
    schema: str
    made_at: str
    database: DatabaseKind
    installation: str
    key: KeyInBackup
    key_id: str
    before_migration: bool = False
    contents: tuple[BackupContent, ...] = ()


@dataclass(frozen=True, slots=True)
class _Envelope:
    """The fields that every format has."""

    format: int
    tagboat: str


def encode_manifest(manifest: BackupManifest) -> bytes:
    """Return a manifest as a JSON document."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2)


def decode_manifest(document: bytes) -> BackupManifest:
    """Read a manifest. Raises InvalidValueError for another format, or something else."""
    try:
        envelope = msgspec.json.decode(document, type=_Envelope)
        if envelope.format != BACKUP_FORMAT:
            raise InvalidValueError(
                f"the backup has format {envelope.format}, and this version reads format"
                f" {BACKUP_FORMAT}: restore it with Tagboat {envelope.tagboat[:40]}"
            )
        return msgspec.json.decode(document, type=BackupManifest)
    except msgspec.MsgspecError:
        raise InvalidValueError("its manifest cannot be read") from None


def why_not_restorable(
    manifest: BackupManifest, *, version: str, schema: str, database: DatabaseKind
) -> str | None:
    """Return why the program with that `version` and `schema` must not restore it, None if it may.

    `database` is the kind that the installation would use.
    """
    # No range of schemas: a restore that succeeds must not be followed by a migration that fails.
    if manifest.schema != schema:
        found = f"schema {manifest.schema}; this is {version}, schema {schema}"
        # Its writer was the newer version already, and is not the one that can restore it.
        if manifest.before_migration:
            return (
                f"the backup was made just before the upgrade to Tagboat {manifest.tagboat} "
                f"({found}): restore it with the version that ran before that upgrade"
            )
        if manifest.schema > schema:
            return (
                f"the backup was made by a newer Tagboat ({manifest.tagboat}, {found}): restore it"
                " with that version"
            )
        return (
            f"the backup was made by an older Tagboat ({manifest.tagboat}, {found}): restore it"
            " with that version, and upgrade after that: the first start migrates the database"
        )
    if manifest.database is database:
        return None
    if manifest.database is DatabaseKind.SQLITE:
        return (
            "the backup has an SQLite database, and TAGBOAT_DATABASE_URL is set: restore it"
            " without that variable"
        )
    return (
        "the backup has a PostgreSQL database: set TAGBOAT_DATABASE_URL to an empty one to"
        " restore it into"
    )
