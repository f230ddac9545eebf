"""Environments as people type them: a line `NAME=VALUE` for each variable."""

from collections.abc import Iterable

from tagboat.core.errors import InvalidValueError
from tagboat.core.run_changes import MAX_ENV

_MAX_NAME, _MAX_VALUE = 255, 32 * 1024


def parse_env_lines(text: str) -> dict[str, str]:
    """Return the variables of a text; empty lines, and those with a #, count for nothing.

    Raises InvalidValueError for a line without a name, and for a name that is there twice.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or not name:
            raise InvalidValueError(f"line {number} is not NAME=VALUE")
        if len(name) > _MAX_NAME:
            raise InvalidValueError(f"the name in line {number} is over {_MAX_NAME} characters")
        if name in found:
            raise InvalidValueError(f"{name} is there twice, in line {number} again")
        if len(value) > _MAX_VALUE:
            raise InvalidValueError(f"the value of {name} is over {_MAX_VALUE} characters")
        found[name] = value
    if len(found) > MAX_ENV:
        raise InvalidValueError(f"at most {MAX_ENV} variables are allowed")
    return found


def env_names(pairs: Iterable[str]) -> tuple[str, ...]:
    """Return the names of an image's ENVs but those that every image has."""
    names = (pair.partition("=")[0] for pair in pairs)
    return tuple(name for name in names if name and name not in {"PATH", "HOME", "HOSTNAME"})
