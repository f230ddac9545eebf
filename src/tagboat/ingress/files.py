"""The ingress's files on disk, written completely or not at all."""

from collections.abc import Mapping
from pathlib import Path

from tagboat.core.errors import IngressUnavailableError
from tagboat.private_files import write_private


def make_directory(directory: Path) -> None:
    """Make the directory, for our user alone. Raises IngressUnavailableError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise IngressUnavailableError(f"{directory} cannot be made ({error.strerror})") from None


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
