"""Counting what happens while the server runs, for `GET /metrics`."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock

Labels = tuple[tuple[str, str], ...]


class Counters:
    """Counts since the start. Label values are ours, never what a sender wrote: each one makes a series that stays."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, Labels]] = Counter()
        self._lock = Lock()

    def count(self, name: str, **labels: str) -> None:
        """Add one to the counter `name` (Prometheus naming, ending in `_total`) with these labels; from any thread."""
        self._add((name, tuple(sorted(labels.items()))))

    def counter(self, name: str, **labels: str) -> Callable[[], None]:
        """Return what `count` would do, made ready for where it is done often."""
        return partial(self._add, (name, tuple(sorted(labels.items()))))

    def read(self) -> Mapping[tuple[str, Labels], int]:
        """All counts at this moment, by name and labels in the order of their names."""
        with self._lock:
            return dict(self._counts)

    def _add(self, key: tuple[str, Labels]) -> None:
        with self._lock:
            self._counts[key] += 1
