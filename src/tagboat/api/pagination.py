"""Pagination of lists. A cursor is the key of the last item shown, made opaque."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated
from urllib.parse import quote, unquote
from zlib import crc32

from fastapi import Depends, Query, Request
from msgspec import Struct

from tagboat.api.values import Item
from tagboat.core.errors import FieldError

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_CURSOR = "^(?:[2-6][0-9a-f]|7[0-9a-e])*$"  # the hexadecimal form of printable ASCII
_MARK_LENGTH = 12


class PageRequest(Struct, frozen=True):
    """A request for at most `limit` items beyond the key `after`; empty for the start.

    `of` is the path of the list, to which its cursors belong.
    """

    limit: int
    after: str
    of: str

    @property
    def with_next(self) -> int:
        """The number of items to read: one more shows whether there is a next page."""
        return self.limit + 1

    def cut(
        self, found: Sequence[Item], key: Callable[[Item], str]
    ) -> tuple[Sequence[Item], str | None]:
        """Return the items to show, of up to `with_next` found, and the next page's cursor."""
        shown = found[: self.limit]
        return shown, write_cursor(self.of, key(shown[-1])) if len(found) > self.limit else None


def write_cursor(of: str, key: str) -> str:
    """Return the cursor of the items beyond `key` in the list at the path `of`."""
    # In hexadecimal it needs no escape in a URL, and nobody is tempted to write one by hand.
    return f"{_mark(of)}{quote(key, safe='').encode().hex()}"


def read_cursor(of: str, text: str) -> str:
    """Return the key in a cursor of the list at the path `of`; empty for no cursor.

    Raises FieldError if it is not one of that list.
    """
    if not text:
        return ""
    if not re.fullmatch(_CURSOR, text) or len(text) < _MARK_LENGTH:
        raise FieldError("cursor", "this is not a cursor; take it from `next` of the previous page")
    if not text.startswith(_mark(of)):
        # Its key could be valid here by chance, and skip items without a word.
        raise FieldError(
            "cursor", "this cursor is of another list; take it from `next` of the previous page"
        )
    # No key has a NUL, and PostgreSQL would not take one.
    return unquote(bytes.fromhex(text[_MARK_LENGTH:]).decode("ascii")).replace("\0", "")


def _mark(of: str) -> str:
    # Of digits only, in the same form as the rest.
    return f"{crc32(of.encode('utf-8', 'replace')) % 10**6:06d}".encode().hex()


async def get_page(
    request: Request,
    limit: Annotated[
        int, Query(ge=1, le=MAX_LIMIT, description="How many items at most.")
    ] = DEFAULT_LIMIT,
    cursor: Annotated[
        str,
        Query(description="`next` of the previous page.", json_schema_extra={"pattern": _CURSOR}),
    ] = "",
) -> PageRequest:
    """Return the page that the parameters of a request ask for."""
    path = request.scope["path"]
    return PageRequest(limit, read_cursor(path, cursor), path)


Page = Annotated[PageRequest, Depends(get_page)]
"""The parameters `limit` and `cursor`."""
