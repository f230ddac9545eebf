"""The results of a load while an app was left alone, or changed in one way."""

import asyncio
import math
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.load import Asker, Kind, Load

_ENOUGH = 30
"""So many answers at least, or a percentile says nothing."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a change, from `began` to `ended` in seconds of the epoch."""

    name: str
    began: float
    ended: float


@dataclass(slots=True)
class Phase:
    """Everything of one sort, in one or more parts.

    `changes_s`: how long each change took, `spans` their parts.
    """

    port: int
    host: str
    askers: Sequence[Asker]
    loads: list[Load] = field(default_factory=list)
    changes_s: list[float] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[Load]:
        """Load the host until the block ends."""
        load = Load(self.port, self.host)
        self.loads.append(load)
        load.begin(self.askers)
        try:
            yield load
        finally:
            await load.end()

    async def rest(self, seconds: float) -> None:
        """Load the host, and change nothing."""
        async with self.loaded():
            await asyncio.sleep(seconds)

    async def change(self, work: Callable[[], Sequence[Span]]) -> None:
        """Do `work` beside the load, and note how long it took."""
        began = time.perf_counter()
        self.spans += await asyncio.to_thread(work)
        self.changes_s.append(time.perf_counter() - began)

    def p99_ms(self, kind: Kind) -> float:
        """The 99th percentile of the answers of one kind."""
        return p99_ms([answer.took_s for load in self.loads for answer in load.answers[kind.name]])

    def longest_ms(self, kind: Kind) -> float:
        """The longest that an answer of one kind took."""
        return (
            max(answer.took_s for load in self.loads for answer in load.answers[kind.name]) * 1000
        )

    def say_parts(self, kind: Kind) -> None:
        """Print the 99th percentile of each part of the changes with enough requests."""
        answers = [answer for load in self.loads for answer in load.answers[kind.name]]
        seconds: dict[str, list[float]] = defaultdict(list)
        for span in self.spans:
            seconds[span.name] += (
                answer.took_s for answer in answers if span.began <= answer.due < span.ended
            )
        parts = [
            f"{name} {p99_ms(took):.0f}" for name, took in seconds.items() if len(took) >= _ENOUGH
        ]
        print(f"    p99 of a {kind.name} asked for during: {', '.join(parts)} ms")

    def say_lost(self, what: str, kinds: Sequence[Kind]) -> None:
        """Print how many requests were sent and lost, and why."""
        lost = sum((load.lost for load in self.loads), Counter[str]())
        each = ", ".join(f"{kind.name} {lost[kind.name]}" for kind in kinds)
        sent = sum(load.sent for load in self.loads)
        took = f"{len(self.changes_s)} {what}, {statistics.median(self.changes_s):.2f} s each"
        print(f"  {took}: lost {lost.total()} of {sent} requests ({each})", flush=True)
        for reason, count in sum((load.reasons for load in self.loads), Counter[str]()).most_common(
            4
        ):
            print(f"      {count:5} times: {reason}")


def p99_ms(seconds: Sequence[float]) -> float:
    """The 99th percentile, in milliseconds."""
    return sorted(seconds)[math.ceil(len(seconds) * 0.99) - 1] * 1000
