"""Values of secrets, read where the command runs: from variables, files and commands."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tagboat.core.errors import TagboatError
from tagboat.core.secret_refs import RefKind, SecretRef

COMMAND_LIMIT_S = 60.0
_MAX_VALUE = 512 * 1024


def read_secret(
    ref: SecretRef, environ: Mapping[str, str], folder: Path, *, is_file: bool
) -> str | None:
    """Return the value of a reference, None where it is to stay. Raises TagboatError.

    Paths are relative to `folder`, and commands run in it. Line feeds at the end are not part of a
    value, unless it is that of a file.
    """
    match ref.kind:
        case None:
            return None
        case RefKind.ENV:
            value = environ.get(ref.target)
            if value is None and ref.or_keep:
                return None
            if value is None:
                raise TagboatError(f"the variable {ref.target} is not set")
            return value
        case RefKind.FILE:
            path = folder / Path(ref.target).expanduser()
            try:
                with path.open("rb") as stream:
                    content = stream.read(4 * _MAX_VALUE + 1)
            except OSError as error:
                raise TagboatError(f"{path} cannot be read ({error.strerror})") from None
        case RefKind.EXEC:
            content = _run(ref.target, folder)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise TagboatError("the value is not UTF-8 text") from None
    if len(text) > _MAX_VALUE:
        raise TagboatError(f"the value is longer than {_MAX_VALUE} characters")
    return text if is_file else text.rstrip("\r\n")


def _run(command: str, folder: Path) -> bytes:
    try:
        # By the shell, as people write it there. Its errors go to the terminal.
        done = subprocess.run(  # noqa: S603 - the file's writer runs the command
            ["/bin/sh", "-c", command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TagboatError(f"the command did not end within {COMMAND_LIMIT_S:.0f} s") from None
    except (OSError, ValueError) as error:
        raise TagboatError(f"the command cannot be run ({error})") from None
    if done.returncode:
        raise TagboatError(f"the command failed with exit code {done.returncode}")
    # A password manager that finds nothing may end well: the stored value must not go for it.
    if not done.stdout.strip(b"\r\n"):
        raise TagboatError(
            "the command printed nothing; for an empty secret use env:NAME with an empty variable"
        )
    return done.stdout
