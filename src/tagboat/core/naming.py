"""Names of projects and stages, and what is made of them."""

import re
from collections.abc import Callable

from tagboat.core.errors import InvalidValueError

MAX_LENGTH = 63
"""Characters; that of a DNS label, since names become host names."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", re.ASCII)


def parse_name(text: str) -> str:
    """Return `text` if it can name a project or stage; else raise InvalidValueError."""
    if len(text) > MAX_LENGTH or not _NAME.fullmatch(text):
        raise InvalidValueError(
            f"{text[:80]!r} cannot be a name: lower-case letters, digits, '.', '_' and '-', beginning and ending with a "
            f"letter or digit, at most {MAX_LENGTH} characters"
        )
    return text


def unique_name(wanted: str, taken: Callable[[str], bool]) -> str:
    """Return `wanted`, cut to length, or the first free one of `wanted-2`, `wanted-3` and so on."""
    base = wanted[:MAX_LENGTH].rstrip("._-")
    if not taken(base):
        return base
    number = 2
    while taken(name := f"{base[: MAX_LENGTH - len(str(number)) - 1]}-{number}"):
        number += 1
    return name


def container_name(project: str, stage: str, short: str) -> str:
    """The name of an instance's container: `PROJECT-STAGE-SHORTID`."""
    return f"{project}-{stage}-{short}"
