"""Somebody who looks at a page all the time and counts how often it was there."""

import threading
import time
from types import TracebackType
from typing import Self

from demo.server import page

_EVERY_S = 0.02


class Witness:
    """Asks for the page at `url` from entering the block to leaving it. `seen` and `missed` count the answers."""

    def __init__(self, url: str, expected: str) -> None:
        self.seen = 0
        self.missed = 0
        self._url = url
        self._expected = expected
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                is_there = page(self._url) == self._expected
            except OSError:
                is_there = False
            self.seen, self.missed = self.seen + is_there, self.missed + (not is_there)
            self._stop.wait(max(0.0, _EVERY_S - (time.monotonic() - began)))
