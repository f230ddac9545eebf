"""The ingress's files on disk, written completely or not at all."""

from collections.abc import Mapping
from pathlib import Path

from tagboat.core.errors import IngressUnavailableError
from tagboat.private_files import write_private


def make_directory(directory: Path) -> None:
    """Make it, for our eyes only. Raises IngressUnavailableError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise IngressUnavailableError(f"{directory} cannot be made ({error.strerror})") from None


def write_files(directory: Path, files: Mapping[str, str]) -> None:
    """Write the files that differ, and make them durable. Raises IngressUnavailableError."""
    for name, text in files.items():
        write_file(directory, name, text, durable=True)


def write_file(directory: Path, name: str, text: str, *, durable: bool) -> None:
    """Write it if it differs from what is there. Raises IngressUnavailableError.

    One that is not made durable is whole all the same, but after a power cut it may be that of before.
    """
    try:
        if not _holds(directory / name, text):
            write_private(directory / name, text, durable=durable)
    except OSError as error:
        raise IngressUnavailableError(
            f"{directory / name} cannot be written ({error.strerror}); "
            "the present routes stay in force"
        ) from None


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except FileNotFoundError:
        return False
