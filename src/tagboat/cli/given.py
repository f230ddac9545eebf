"""What people give beside a command's words: a yes, files, and secrets, which others could read among the words."""

import sys
from pathlib import Path

from tagboat.core.errors import TagboatError
from tagboat.core.harmless import harmless

_MOST_BYTES = 64 * 1024


def someone_is_there() -> bool:
    """Whether a person can be asked: standard input is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def confirm(question: str, otherwise: str) -> None:
    """Ask a person to say yes. Raises TagboatError where they do not, or where nobody is there.

    `otherwise` says what would happen.
    """
    if not someone_is_there():
        raise TagboatError(f"{otherwise}; say --yes if that is meant")
    # Not input(), nor typer.confirm(): both write to stdout, which is for the result alone.
    sys.stderr.write(f"{harmless(question)} Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise TagboatError("nothing was changed")


def read_secret(what: str, file: Path | None) -> str:
    """The secret in `file`, else what is piped in, else what a person types unseen; without trailing newlines.

    Raises TagboatError where there is none, OSError where `file` cannot be read.
    """
    if file is None and someone_is_there():
        secret = _typed(what)
    elif file is None:
        secret = _text(sys.stdin.buffer.read(_MOST_BYTES + 1) if sys.stdin else b"", what)
    else:
        secret = read_file(file)
    if secret := secret.rstrip("\r\n"):
        return secret
    where = f"{file} is empty" if file else "nothing came in"
    raise TagboatError(
        f"there is no {what}: {where}; type it when asked, pipe it in, or name a file that it is in"
    )


def read_file(file: Path) -> str:
    """The text in `file`. Raises TagboatError where it is no text or too much of it, OSError where it cannot be read."""
    with file.open("rb") as stream:
        return _text(stream.read(_MOST_BYTES + 1), str(file))


def _typed(what: str) -> str:
    from getpass import getpass

    try:
        return getpass(f"{what[:1].upper()}{what[1:]} (not shown): ")
    except EOFError:
        raise TagboatError("nothing was changed") from None


def _text(content: bytes, where: str) -> str:
    if len(content) > _MOST_BYTES:
        raise TagboatError(f"{where}: longer than {_MOST_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise TagboatError(f"{where}: not UTF-8 text") from None
