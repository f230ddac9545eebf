"""Counters, durations and measured values for `GET /metrics`."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from itertools import accumulate
from threading import Lock

from msgspec import Struct

Labels = tuple[tuple[str, str], ...]
Series = tuple[str, Labels]
"""Name of a metric, and labels sorted by name."""

STEP_DURATION = "tagboat_deploy_step_duration_seconds"
DURATION_BOUNDS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""Upper bounds of the buckets of durations, in seconds: from a look-up to a slow pull."""


class Durations(Struct, frozen=True):
    """Durations seen since the start.

    `at_most` has for each of `DURATION_BOUNDS_S` how many were that long at most. `sum_s` is their
    sum in seconds, `number` how many they were.
    """

    at_most: tuple[int, ...]
    sum_s: float
    number: int


NO_DURATIONS = Durations((0,) * len(DURATION_BOUNDS_S), 0.0, 0)


class Counters:
    """Counts since the start, and values that were measured last.

    Label values never come from a sender: each one makes a series that stays. All methods may be
    called from any thread.
    """

    def __init__(self) -> None:
        self._counts: Counter[Series] = Counter()
        self._durations: dict[Series, list[float]] = {}
        self._values: dict[str, float] = {}
        self._lock = Lock()

    def count(self, name: str, **labels: str) -> None:
        """Add one to the counter `name` with these labels.

        Names follow Prometheus and end in `_total`.
        """
        self._add(1, (name, tuple(sorted(labels.items()))))

    def counter(self, name: str, **labels: str) -> Callable[[], None]:
        """Return a function that counts, prepared for frequent use; its series begins at 0."""
        # Labels are sorted once, not at each count.
        key = (name, tuple(sorted(labels.items())))
        self._add(0, key)
        return partial(self._add, 1, key)

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Add a duration to the histogram `name`, whose name ends in `_seconds`."""
        key = (name, tuple(sorted(labels.items())))
        with self._lock:
            # By bucket, with one for what is longer than all; then the sum.
            found = self._durations.setdefault(key, [0.0] * (len(DURATION_BOUNDS_S) + 2))
            found[sum(seconds > bound for bound in DURATION_BOUNDS_S)] += 1
            found[-1] += seconds

    def set(self, name: str, value: float) -> None:
        """Keep the last measured value of the gauge `name`."""
        with self._lock:
            self._values[name] = value

    def read(self) -> Mapping[Series, int]:
        """Return all counts now."""
        with self._lock:
            return dict(self._counts)

    def durations(self) -> Mapping[Series, Durations]:
        """Return all durations now."""
        with self._lock:
            found = {key: list(values) for key, values in self._durations.items()}
        return {
            key: Durations(
                tuple(int(number) for number in accumulate(values[:-2])),
                values[-1],
                int(sum(values[:-1])),
            )
            for key, values in found.items()
        }

    def value(self, name: str) -> float:
        """Return the last measured value, 0 before there is one."""
        with self._lock:
            return self._values.get(name, 0.0)

    def _add(self, number: int, key: Series) -> None:
        with self._lock:
            self._counts[key] += number
