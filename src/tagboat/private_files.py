"""Files that other users can neither read nor replace."""

import os
import secrets
from pathlib import Path


def write_private(path: Path, text: str, *, durable: bool = True, shared: bool = False) -> None:
    """Write `text`, readable by the owner only; raise OSError.

    A crash leaves either the old content or all of the new. No link is followed. Unless `durable`,
    a power failure may leave the old content. With `shared`, another process may write the same
    file at the same moment.
    """
    draft = path.with_name(
        f"{path.name}.{secrets.token_hex(4)}.new" if shared else f"{path.name}.new"
    )
    # Left by a crash, or put there by an attacker.
    draft.unlink(missing_ok=True)
    # Neither an existing file nor a link is opened.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    draft.replace(path)
    if durable:
        # A rename is durable only when its directory is.
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the entries of a directory durable; raise OSError."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
