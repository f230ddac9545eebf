"""The file of a backup: a tar archive, compressed by gzip, with the manifest first."""

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tagboat.core.errors import InvalidValueError
from tagboat.installation.manifest import (
    BackupContent,
    BackupManifest,
    decode_manifest,
    encode_manifest,
)

MANIFEST_NAME = "manifest.json"
KEY_NAME, LOCKED_KEY_NAME = "encryption.key", "encryption.key.locked"
DATABASE_NAME = "database"
# Keys and manifests have a few hundred bytes; a larger entry was made to fill the memory.
_MOST_SMALL_BYTES = 1 << 20
_COPIED_AT_ONCE = 1 << 20
# The database shrinks to a fifth; more effort takes much longer and gains little.
_EFFORT = 4
_DAMAGE = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, InvalidValueError)


def content_of(name: str, source: Path | bytes) -> BackupContent:
    """Return the entry of the manifest for a file, or for bytes."""
    if isinstance(source, bytes):
        return BackupContent(name=name, size=len(source), sha256=hashlib.sha256(source).hexdigest())
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return BackupContent(name=name, size=source.stat().st_size, sha256=digest)


def write_archive(
    out: IO[bytes], manifest: BackupManifest, sources: dict[str, Path | bytes]
) -> None:
    """Write the manifest, then the sources by name, in their order."""
    with (
        gzip.GzipFile(fileobj=out, mode="wb", compresslevel=_EFFORT, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        # The manifest first: it says whether the rest, which may be large, is worth reading.
        for name, source in {MANIFEST_NAME: encode_manifest(manifest), **sources}.items():
            entry = tarfile.TarInfo(name)
            # For a person who unpacks it by hand.
            entry.mode = 0o600
            if isinstance(source, bytes):
                entry.size = len(source)
                tar.addfile(entry, io.BytesIO(source))
            else:
                entry.size = source.stat().st_size
                with source.open("rb") as file:
                    tar.addfile(entry, file)


class OpenBackup:
    """A backup that is read from its beginning to its end: the key first, then the database."""

    def __init__(self, packed: gzip.GzipFile, tar: tarfile.TarFile) -> None:
        self._packed, self._tar = packed, tar
        member = self._next()
        if member.name != MANIFEST_NAME:
            raise InvalidValueError("its first entry is not a manifest")
        self.manifest = decode_manifest(self._read_small(member))
        self._expected = list(self.manifest.contents)

    def key_text(self) -> str | None:
        """Return the key as it is written there, None where the backup has none."""
        if not self._expected or self._expected[0].name not in {KEY_NAME, LOCKED_KEY_NAME}:
            return None
        expected = self._expected.pop(0)
        found = self._read_small(self._next())
        if content_of(expected.name, found) != expected:
            raise InvalidValueError(f"{expected.name} is damaged")
        return found.decode("ascii", errors="replace")

    def unpack_database(self, target: Path | None) -> None:
        """Write the database to `target`, None to check it only."""
        if [one.name for one in self._expected] != [DATABASE_NAME]:
            raise InvalidValueError("it has no database")
        (expected,) = self._expected
        source, digest, size = self._tar.extractfile(self._next()), hashlib.sha256(), 0
        with (target or Path("/dev/null")).open("wb") as out:
            while source is not None and (chunk := source.read(_COPIED_AT_ONCE)):
                digest.update(chunk)
                size += len(chunk)
                out.write(chunk)
            if target is not None:
                out.flush()
                os.fsync(out.fileno())
        # To its end, where gzip has its checksum of all that the others do not cover.
        while self._packed.read(_COPIED_AT_ONCE):
            pass
        if (size, digest.hexdigest()) != (expected.size, expected.sha256):
            raise InvalidValueError("the database in it is damaged")

    def _next(self) -> tarfile.TarInfo:
        member = self._tar.next()
        if member is None:
            raise InvalidValueError("it ends too early")
        # By its place and kind alone: no name in it decides where something is written.
        if not member.isreg():
            raise InvalidValueError(f"{member.name[:80]!r} in it is not a file")
        return member

    def _read_small(self, member: tarfile.TarInfo) -> bytes:
        source = self._tar.extractfile(member)
        if source is None or member.size > _MOST_SMALL_BYTES:
            raise InvalidValueError(f"{member.name[:80]!r} in it is too large")
        return source.read()


@contextmanager
def open_backup(stream: IO[bytes], name: str) -> Iterator[OpenBackup]:
    """Open a backup for reading; messages call it `name`.

    Inside the block, damage raises InvalidValueError that names it.
    """
    try:
        # A stream: it may come through a pipe, and is never read twice.
        with (
            gzip.GzipFile(fileobj=stream) as packed,
            tarfile.open(fileobj=packed, mode="r|") as tar,
        ):
            yield OpenBackup(packed, tar)
    except _DAMAGE as error:
        raise InvalidValueError(f"{name} cannot be restored: {error}") from None
