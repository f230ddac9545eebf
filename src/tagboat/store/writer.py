"""The one writer: a thread that carries out the work at hand in one transaction (group commit).

The cost of a durable commit is shared by all who wait for it, and the database never sees two of our transactions fight.
One batch is under way at a time. The next is begun once those just answered have come again, or after a moment: so under
load a batch holds what all callers want, and loop and thread work by turns instead of fighting for the interpreter's lock.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

from tagboat.store.readers import settle

MAX_BATCH = 256
PATIENCE_S = 0.002
"""Seconds for which those just answered are waited for, at most. Whoever calls alone waits for nobody."""

Work = Callable[[Any], Any]
Outcome = tuple[Any, BaseException | None]
"""What a piece of work returned, or what it raised."""
Job = tuple[Work, "asyncio.Future[Any]"]


class _Order(Enum):
    """What the thread is told: to carry out the next batch, or to finish what waits and end."""

    BATCH = auto()
    END = auto()


class GroupWriter:
    """Runs work in batches, for one event loop. `commit` carries a batch out in one transaction and says what came of each."""

    def __init__(self, commit: Callable[[Sequence[Work]], Sequence[Outcome]]) -> None:
        self._commit = commit
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._busy = False
        self._expected = 1
        self._timer: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._run, name="tagboat-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work) -> "asyncio.Future[Any]":
        """Queue `work`; the future is answered after the commit."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._jobs.put((work, future))
        if not self._busy:
            self._consider(loop)
        return future

    def close(self) -> None:
        """Have what was submitted finished, then the thread end; `join` waits for that."""
        self._orders.put(_Order.END)

    def join(self) -> None:
        """Return once the thread has ended."""
        self._thread.join()

    def _consider(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin a batch when as many wait as can be expected; else see to it that one is begun in a moment."""
        if self._jobs.qsize() >= self._expected:
            self._begin(loop)
        elif self._timer is None:
            self._timer = loop.call_later(PATIENCE_S, self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._busy = True
        loop.call_soon(
            self._orders.put, _Order.BATCH
        )  # what else comes in this turn of the loop is taken along

    def _run(self) -> None:
        while self._orders.get() is _Order.BATCH:
            self._carry_out()
        while not self._jobs.empty():
            self._carry_out()

    def _carry_out(self) -> None:
        taken = [self._jobs.get() for _ in range(min(self._jobs.qsize(), MAX_BATCH))]
        batch = [
            job for job in taken if not job[1].done()
        ]  # who has given up meanwhile wants nothing done
        loop = taken[0][1].get_loop()
        outcomes = self._outcomes([work for work, _ in batch])
        with contextlib.suppress(RuntimeError):  # of a loop that has been closed: nobody waits
            loop.call_soon_threadsafe(self._answer, loop, batch, outcomes)

    def _outcomes(self, works: Sequence[Work]) -> Sequence[Outcome]:
        try:
            return self._commit(works) if works else ()
        except BaseException as error:  # noqa: BLE001 - it belongs to those who wait, and the thread must live on
            return [(None, error)] * len(works)

    def _answer(
        self, loop: asyncio.AbstractEventLoop, batch: Sequence[Job], outcomes: Sequence[Outcome]
    ) -> None:
        for (_, future), (result, error) in zip(batch, outcomes, strict=True):
            settle(future, result, error)
        self._busy = False
        waiting = self._jobs.qsize()
        self._expected = min(len(batch) + waiting, MAX_BATCH)
        if waiting:
            self._consider(loop)
