"""What every format reads, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.core.excerpt import excerpt
from tagboat.core.image import ImageRef


@dataclass(frozen=True, slots=True)
class Call:
    """One authentic call: header names in lower case, and the decoded JSON body."""

    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class News:
    """The images a call announces. `reason` says why there are none, where it announces something else."""

    images: tuple[ImageRef, ...]
    reason: str | None = None


def text_at(body: Any, *path: str) -> str:  # noqa: ANN401 - decoded JSON
    """The non-empty text at `path` in a JSON object; raise InvalidValueError naming the path when it is not there."""
    value = body
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str) or not value:
        raise InvalidValueError(f"{'.'.join(path)} must be a text, and is missing or something else")
    return value


def shown(value: object) -> str:
    """A value for a sentence: a text in quotes, cut short; of anything else only what it is, since it may be nested deeply."""
    return excerpt(value) if isinstance(value, str) else "nothing" if value is None else "no text"


def host_of(url: str) -> str:
    """HOST[:PORT] of a URL, without any user name in front."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]
