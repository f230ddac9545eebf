"""Pages of lists in the address: `after` is the key of the last item of the page before."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from tagboat.web.visits import Visit

Shown = TypeVar("Shown")
PAGE_LENGTH = 50


class Listing(Struct, Generic[Shown], frozen=True):
    """A page of a list. `next` and `first` are addresses, None where there is no such page."""

    items: Sequence[Shown]
    next: str | None
    first: str | None


def cut_listing(
    visit: Visit, found: Sequence[Shown], key: Callable[[Shown], str], length: int = PAGE_LENGTH
) -> Listing[Shown]:
    """Return the page of up to `length` + 1 items found; one more says that there is a next."""
    # By key, not by number: a row that comes meanwhile moves no page.
    shown = found[:length]
    following = visit.address(after=key(shown[-1])) if len(found) > length else None
    return Listing(shown, following, visit.address(after=None) if visit.query("after") else None)
