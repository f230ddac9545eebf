"""Identifiers that sort by the time they were made, also where the clock is set back."""

import random
import re
import threading
import time
from collections.abc import Callable

_MADE_HERE = re.compile("[0-9a-f]{24}")


class IdSequence:
    """Opaque ids: 16 hex digits that rise from one to the next, nanoseconds where `clock_ns` allows, then 8 random ones."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> str:
        """Return a new id, greater than all before."""
        with self._lock:
            self._last = number = max(self._clock_ns(), self._last + 1)
        # Ids need to differ, not to be secret; asking the system for random bytes is a switch of threads on the hottest path.
        return f"{number:016x}{random.getrandbits(32):08x}"

    def go_on_from(self, known: str) -> None:
        """Let every id from now on be greater than `known`, which was made before, maybe by a clock that was ahead.

        One that was not made here, to judge by its shape, is passed over.
        """
        if not _MADE_HERE.fullmatch(known):
            return
        with self._lock:
            self._last = max(self._last, int(known[:16], 16))


_ids = IdSequence(time.time_ns)  # one for the process, as is the clock
new_id = _ids.next
go_on_from = _ids.go_on_from


def short_id(full: str) -> str:
    """Return the random part of an id, to end a name with."""
    return full[-8:]
