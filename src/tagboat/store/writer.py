"""The one writer: a thread that carries out the work at hand in one transaction (group commit).

The cost of a durable commit is shared by all callers that wait for it, and two of our transactions
never compete in the database. One batch is under way at a time. The next is begun once the callers
just answered have called again, or after a moment: so under load a batch holds what all callers
want, and loop and thread work in turn instead of competing for the interpreter's lock.
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
DELAY_S, MOST_DELAY_S = 0.002, 0.02
"""Seconds for which the callers just answered are waited for, at most.

As long as the last batch took, but no less than the first value and no more than the second: where
a transaction is dear, more callers share it.
"""

Work = Callable[[Any], Any]
WorkOutcome = tuple[Any, BaseException | None]
"""Result of a piece of work, and the exception that it raised; one of both is None."""
Job = tuple[Work, "asyncio.Future[Any]"]


class _Order(Enum):
    """Orders to the thread: carry out the next batch, or finish what waits and end."""

    BATCH = auto()
    END = auto()


class GroupWriter:
    """Runs work in batches, for one event loop.

    `commit` carries out a batch in one transaction, and returns the outcome of each piece.
    """

    def __init__(self, commit: Callable[[Sequence[Work]], Sequence[WorkOutcome]]) -> None:
        self._commit = commit
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._busy = False
        self._expected = 1
        self._began = self._took_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._run, name="tagboat-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work) -> "asyncio.Future[Any]":
        """Queue `work`, and return the future of its result, which is set after the commit."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._jobs.put((work, future))
        if not self._busy:
            self._consider(loop)
        return future

    def close(self) -> None:
        """Let the thread finish what was submitted, then end; `join` waits for that."""
        self._orders.put(_Order.END)

    def join(self) -> None:
        """Return once the thread has ended."""
        self._thread.join()

    def _consider(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin a batch once as many wait as can be expected, at the latest in a moment."""
        if self._jobs.qsize() >= self._expected:
            self._begin(loop)
        elif self._timer is None:
            delay_s = min(max(self._took_s, DELAY_S), MOST_DELAY_S)
            self._timer = loop.call_later(delay_s, self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._busy, self._began = True, loop.time()
        # Not at once: other calls in this turn of the loop are to be part of the batch.
        loop.call_soon(self._orders.put, _Order.BATCH)

    def _run(self) -> None:
        while self._orders.get() is _Order.BATCH:
            self._carry_out()
        while not self._jobs.empty():
            self._carry_out()

    def _carry_out(self) -> None:
        taken = [self._jobs.get() for _ in range(min(self._jobs.qsize(), MAX_BATCH))]
        # A caller that was cancelled does not want its work done any more.
        batch = [job for job in taken if not job[1].done()]
        loop = taken[0][1].get_loop()
        outcomes: Sequence[WorkOutcome] = ()
        try:
            if batch:
                outcomes = self._commit([work for work, _ in batch])
        except BaseException as error:  # noqa: BLE001 - the callers get it
            outcomes = [(None, error)] * len(batch)
        # Where the loop has been closed, nobody waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._answer, loop, batch, outcomes)

    def _answer(
        self, loop: asyncio.AbstractEventLoop, batch: Sequence[Job], outcomes: Sequence[WorkOutcome]
    ) -> None:
        for (_, future), (result, error) in zip(batch, outcomes, strict=True):
            settle(future, result, error)
        self._busy, self._took_s = False, loop.time() - self._began
        waiting = self._jobs.qsize()
        self._expected = min(len(batch) + waiting, MAX_BATCH)
        if waiting:
            self._consider(loop)
