"""Counters for `GET /metrics`."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock

Labels = tuple[tuple[str, str], ...]


class Counters:
    """Counts since the start.

    Label values never come from a sender: each one makes a series that stays.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, Labels]] = Counter()
        self._lock = Lock()

    def count(self, name: str, **labels: str) -> None:
        """Add one to the counter `name` with these labels; from any thread.

        Names follow Prometheus and end in `_total`.
        """
        self._add((name, tuple(sorted(labels.items()))))

    def counter(self, name: str, **labels: str) -> Callable[[], None]:
        """Return a function that counts, prepared for frequent use."""
        # Labels are sorted once, not at each count.
        return partial(self._add, (name, tuple(sorted(labels.items()))))

    def read(self) -> Mapping[tuple[str, Labels], int]:
        """Return all counts now, by name and sorted labels."""
        with self._lock:
            return dict(self._counts)

    def _add(self, key: tuple[str, Labels]) -> None:
        with self._lock:
            self._counts[key] += 1
