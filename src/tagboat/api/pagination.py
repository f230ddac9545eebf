"""Pagination of lists. A cursor is the key of the last item shown, made opaque."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import Depends, Query

from tagboat.api.values import Item, Parsed
from tagboat.core.errors import InvalidValueError

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_CURSOR = "^(?:[2-6][0-9a-f]|7[0-9a-e])*$"  # the hexadecimal form of printable ASCII


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for at most `limit` items beyond the key `after`; empty for the start."""

    limit: int
    after: str

    @property
    def with_next(self) -> int:
        """The number of items to read: one more shows whether there is a next page."""
        return self.limit + 1

    def cut(
        self, found: Sequence[Item], key: Callable[[Item], str]
    ) -> tuple[Sequence[Item], str | None]:
        """Return the items to show, of up to `with_next` found, and the next page's cursor."""
        shown = found[: self.limit]
        return shown, write_cursor(key(shown[-1])) if len(found) > self.limit else None


def write_cursor(key: str) -> str:
    """Return the cursor of the items beyond `key`."""
    # In hexadecimal it needs no escape in a URL, and nobody is tempted to write one by hand.
    return quote(key, safe="").encode().hex()


def read_cursor(text: str) -> str:
    """Return the key in a cursor; raise InvalidValueError if Tagboat did not write it."""
    if not re.fullmatch(_CURSOR, text):
        raise InvalidValueError("this is not a cursor; take it from `next` of the previous page")
    # No key has a NUL, and PostgreSQL would not take one.
    return unquote(bytes.fromhex(text).decode("ascii")).replace("\0", "")


async def get_page(
    limit: Annotated[
        int, Query(ge=1, le=MAX_LIMIT, description="How many items at most.")
    ] = DEFAULT_LIMIT,
    cursor: Annotated[
        str,
        Parsed(read_cursor, {"pattern": _CURSOR}),
        Query(description="`next` of the previous page."),
    ] = "",
) -> PageRequest:
    """Return the page that the parameters of a request ask for."""
    return PageRequest(limit, cursor)


Page = Annotated[PageRequest, Depends(get_page)]
"""The parameters `limit` and `cursor`."""
