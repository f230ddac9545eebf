"""Input other than the words of a command: confirmations, files, and secrets.

Secrets never come as words of a command, which other users of the machine can read.
"""

import sys
from pathlib import Path

from tagboat.core.errors import TagboatError
from tagboat.core.harmless import harmless

# A secret or a certificate is shorter; a wrong file often is not.
_MAX_INPUT_BYTES = 64 * 1024


def is_interactive() -> bool:
    """Return whether a person can be asked: standard input is a terminal."""
    # Python sets a closed standard input to None.
    return sys.stdin is not None and sys.stdin.isatty()


def confirm(question: str, otherwise: str, *, can_ask: bool = True) -> None:
    """Ask a person to confirm. Raises TagboatError if they do not, or nobody can be asked.

    `otherwise` says what would happen. `can_ask` is False if they have not seen what it is about.
    """
    if not can_ask or not is_interactive():
        raise TagboatError(f"{otherwise}; confirm with --yes")
    # Not input(), nor typer.confirm(): both write to stdout, which is for the result alone.
    sys.stderr.write(f"{harmless(question)} Continue? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise TagboatError("nothing was changed")


def prompt_secret(name: str, file: Path | None) -> str:
    """Return the secret in `file`, else the piped one, else one that is typed unseen.

    Newlines at its end are removed. Raises TagboatError if it is empty, OSError if `file` cannot
    be read.
    """
    if file is not None:
        secret = read_text_file(file)
    elif is_interactive():
        # Imported only here: it loads termios, which few commands need.
        from getpass import getpass

        try:
            secret = getpass(f"{name[:1].upper()}{name[1:]} (not shown): ")
        except EOFError:
            raise TagboatError("nothing was changed") from None
    else:
        secret = read_piped_text(name)
    # echo, and most editors, add a newline that is not part of the secret.
    if secret := secret.rstrip("\r\n"):
        return secret
    why = f"{file} is empty" if file else "standard input is empty"
    raise TagboatError(
        f"the {name} is missing: {why}. Type it when asked, pipe it in, "
        "or name a file that holds it"
    )


def prompt_new_password(file: Path | None) -> str:
    """Return a new password: from `file` or a pipe, or typed twice alike.

    Raises TagboatError if the two differ, and as `prompt_secret`.
    """
    return prompt_new_secret("password", file)


def prompt_new_secret(name: str, file: Path | None) -> str:
    """Return a new secret of that name, as `prompt_new_password` does."""
    secret = prompt_secret(name, file)
    if file is None and is_interactive() and prompt_secret(f"same {name} again", None) != secret:
        raise TagboatError(f"the two {name}s differ; nothing was changed")
    return secret


def prompt_line(name: str) -> str:
    """Ask a person for a line. Raises TagboatError if nobody can be asked, or nothing is given."""
    if is_interactive():
        sys.stderr.write(f"{name}: ")
        sys.stderr.flush()
        if answer := sys.stdin.readline().strip():
            return answer
    raise TagboatError(f"the {name} is missing: nothing was changed")


def read_text_file(file: Path) -> str:
    """Return the text of `file`. Raises TagboatError if it is not UTF-8 or longer than 64 KiB.

    Raises OSError if it cannot be read.
    """
    with file.open("rb") as stream:
        return _decode_text(stream.read(_MAX_INPUT_BYTES + 1), str(file))


def read_piped_text(name: str) -> str:
    """Return the text on standard input, called `name` in errors.

    Raises TagboatError if it is not UTF-8 or longer than 64 KiB.
    """
    piped = sys.stdin.buffer.read(_MAX_INPUT_BYTES + 1) if sys.stdin else b""
    return _decode_text(piped, name)


def _decode_text(content: bytes, source: str) -> str:
    if len(content) > _MAX_INPUT_BYTES:
        raise TagboatError(f"{source}: longer than {_MAX_INPUT_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise TagboatError(f"{source}: not UTF-8 text") from None
