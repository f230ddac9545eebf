"""Identifiers that sort by creation time, even if the clock is set back."""

import random
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

_MADE_HERE = re.compile("[0-9a-f]{24}")


class IdSequence:
    """Opaque ids: 16 ascending hex digits (nanoseconds if possible), then 8 random ones."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> str:
        """Return a new id, greater than all before."""
        with self._lock:
            self._last = number = max(self._clock_ns(), self._last + 1)
        # Ids need to differ, not to be secret: the system's random bytes would cost a system call
        # on the hottest path.
        return f"{number:016x}{random.getrandbits(32):08x}"

    def go_on_from(self, known: str) -> None:
        """Make all future ids greater than `known`, which a fast clock may have made.

        An id of another shape is ignored.
        """
        if not _MADE_HERE.fullmatch(known):
            return
        with self._lock:
            self._last = max(self._last, int(known[:16], 16))


# One for the process, like the clock.
_ids = IdSequence(time.time_ns)
new_id = _ids.next
go_on_from = _ids.go_on_from


def made_at(full: str) -> datetime | None:
    """Return when an id was made, None for one of another shape.

    After the clock was set back it is later than that.
    """
    if not _MADE_HERE.fullmatch(full):
        return None
    return datetime.fromtimestamp(int(full[:16], 16) // 10**9, UTC)


def short_id(full: str) -> str:
    """Return the random part of an id, as the end of a name."""
    return full[-8:]
