"""Somebody who looks at a page all the time and counts whose answers came, and which were lost."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPException
from types import TracebackType
from typing import Self

from demo.server import page

_EVERY_S = 0.02


@dataclass(slots=True)
class Seen:
    """The results: `answers` counts requests by page, `losses` by fault."""

    answers: Counter[str] = field(default_factory=Counter)
    losses: Counter[str] = field(default_factory=Counter)

    @property
    def lost(self) -> int:
        """How many requests had no answer."""
        return self.losses.total()

    @property
    def asked(self) -> int:
        """How many requests were sent."""
        return self.answers.total() + self.lost


class Witness:
    """Requests the page at `url`, on a new connection each time, inside the block."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._seen = Seen()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def seen(self) -> Seen:
        """Return the results since the last call."""
        with self._lock:
            seen, self._seen = self._seen, Seen()
            return seen

    @property
    def asked(self) -> int:
        """How many requests were sent since the last call of `seen`."""
        with self._lock:
            return self._seen.asked

    def _watch(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                said, why = page(self._url), ""
            except (OSError, HTTPException) as error:
                said, why = "", str(error)
            with self._lock:
                if why:
                    self._seen.losses[why] += 1
                else:
                    self._seen.answers[said] += 1
            self._stop.wait(max(0.0, _EVERY_S - (time.monotonic() - began)))
