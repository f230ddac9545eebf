"""Long lists come in pages; a cursor is the key of the last item shown, made opaque."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar
from urllib.parse import quote, unquote

from fastapi import Depends, Query

from tagboat.api.values import Parsed
from tagboat.core.errors import InvalidValueError

T = TypeVar("T")
DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_CURSOR = "^(?:[2-6][0-9a-f]|7[0-9a-e])*$"  # the hexadecimal form of printable ASCII


@dataclass(frozen=True, slots=True)
class PageRequest:
    """At most `limit` items from the first beyond the key `after`; empty for the start."""

    limit: int
    after: str

    @property
    def with_next(self) -> int:
        """How many to read, so that it is seen whether there are more."""
        return self.limit + 1

    def cut(self, found: Sequence[T], key: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
        """The items to show out of `with_next` or fewer found, and the cursor of what follows."""
        shown = found[: self.limit]
        return shown, write_cursor(key(shown[-1])) if len(found) > self.limit else None


def write_cursor(key: str) -> str:
    """The cursor for what lies beyond `key`."""
    return quote(key, safe="").encode().hex()


def read_cursor(text: str) -> str:
    """The key in a cursor; raise InvalidValueError when it is none of ours."""
    if not re.fullmatch(_CURSOR, text):
        raise InvalidValueError("this is not a cursor; take it from `next` of the page before")
    # No key has a NUL, and PostgreSQL would not take one.
    return unquote(bytes.fromhex(text).decode("ascii")).replace("\0", "")


async def _page(
    limit: Annotated[
        int, Query(ge=1, le=MAX_LIMIT, description="How many items at most.")
    ] = DEFAULT_LIMIT,
    cursor: Annotated[
        str,
        Parsed(read_cursor, {"pattern": _CURSOR}),
        Query(description="`next` of the page before."),
    ] = "",
) -> PageRequest:
    return PageRequest(limit, cursor)


Page = Annotated[PageRequest, Depends(_page)]
"""The parameters `limit` and `cursor`."""
