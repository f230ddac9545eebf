"""The ingress's files on disk, written completely or not at all."""

import contextlib
import re
import time
from collections.abc import Mapping
from pathlib import Path

from tagboat.core.errors import IngressUnavailableError
from tagboat.private_files import write_private

# As `write_private` names them; any other file is somebody else's.
_DRAFT = re.compile(r"[a-z0-9.-]+\.[0-9a-f]{8}\.new", re.ASCII)
_DRAFT_AGE_S = 60.0
"""A draft becomes its file within a moment: one of this age was left by a process that ended."""


def make_directory(directory: Path) -> None:
    """Make the directory, for our user alone. Raises IngressUnavailableError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise IngressUnavailableError(f"{directory} cannot be made ({error.strerror})") from None


def remove_drafts(directory: Path) -> None:
    """Remove the drafts that processes have left which were killed while they wrote a file."""
    # Another server, or `tagboat ingress run`, may be writing at this moment.
    before = time.time() - _DRAFT_AGE_S
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            if _DRAFT.fullmatch(path.name) and path.lstat().st_mtime < before:
                path.unlink(missing_ok=True)


def write_files(directory: Path, files: Mapping[str, str]) -> None:
    """Write the files that differ, and make them durable. Raises IngressUnavailableError."""
    for name, text in files.items():
        write_file(directory, name, text, durable=True)


def write_file(directory: Path, name: str, text: str, *, durable: bool) -> None:
    """Write a file if it differs from the present one. Raises IngressUnavailableError.

    If it is not made durable it is complete all the same, but a power cut may bring back the old
    one.
    """
    try:
        # An unchanged file is left alone: each write would cost a sync of the disk.
        path = directory / name
        if not path.exists() or path.read_bytes() != text.encode():
            write_private(path, text, durable=durable, shared=True)
    except OSError as error:
        raise IngressUnavailableError(
            f"{directory / name} cannot be written ({error.strerror}); "
            "the present routes stay in force"
        ) from None
