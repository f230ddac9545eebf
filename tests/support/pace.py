"""Bounds of processor time that hold on a slow machine too: they stretch with its pace."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

_NUMBERS = 200_000
_USUAL_S = 0.025
"""Seconds of processor time that a usual machine takes for `_NUMBERS` numbers."""


def slowness() -> float:
    """Return how many times longer than a usual machine this one takes now, at least 1."""
    began = time.thread_time()
    [str(number) for number in range(_NUMBERS)]
    return max((time.thread_time() - began) / _USUAL_S, 1)


@contextmanager
def at_most_s(seconds: float) -> Iterator[None]:
    """Fail if the block takes more processor time of this thread, on a usual machine."""
    before, began = slowness(), time.thread_time()
    yield
    took_s = time.thread_time() - began
    assert took_s < seconds * max(before, slowness())
