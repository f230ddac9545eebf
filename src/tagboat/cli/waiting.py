"""A sign of life while a call of the server takes long."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tagboat.cli import show

FIRST_HINT_AFTER_S = 5.0
_NEXT_HINT_AFTER_S = 30.0


@contextmanager
def hint_while_slow(text: str) -> Iterator[None]:
    """Print `text` once the block takes longer than 5 s, and each 30 s with the time since then."""
    ended, began = Event(), time.monotonic()

    def repeat() -> None:
        # Most calls end before anybody wonders.
        if ended.wait(FIRST_HINT_AFTER_S):
            return
        show.progress(text)
        while not ended.wait(_NEXT_HINT_AFTER_S):
            show.progress(f"{text} ({time.monotonic() - began:.0f} s)")

    # The call itself blocks. A daemon, so that Ctrl-C ends the command at once.
    Thread(target=repeat, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
