"""Files that nobody else may read, or have a hand in."""

import os
from pathlib import Path


def write_private(path: Path, text: str, *, durable: bool = True) -> None:
    """Write `text`, readable by the owner alone, so that a crash leaves either what was there or the whole of it.

    No link is followed, whatever is in the directory. Unless `durable`, a power cut may leave what was there before. Raises
    OSError.
    """
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)  # what a crash has left, or somebody's trap
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    draft.replace(path)
    if durable:
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make durable which files are in a directory. Raises OSError."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
