"""The one writer: a thread that gathers the work at hand into one transaction (group commit).

While one commit waits for the disk, the next batch gathers; so the cost of a durable commit is shared by all who
wait for it, and the database never sees two of our transactions fight.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

MAX_BATCH = 256


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work, and the future (of the loop that waits) to answer."""

    work: Callable[[Any], Any]
    future: "asyncio.Future[Any]"


Outcomes = Sequence[tuple[Job, Any, BaseException | None]]
"""Of each job: what it returned, or what it raised."""


class GroupWriter:
    """Runs jobs in batches. `commit` carries out a batch in one transaction and says what came of each job."""

    def __init__(self, commit: Callable[[Sequence[Job]], Outcomes]) -> None:
        self._commit = commit
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tagboat-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Any], Any]) -> "asyncio.Future[Any]":
        """Queue `work`; the future is answered after the commit."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put(Job(work, future))
        return future

    def close(self) -> None:
        """Finish what is queued, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            batch, last = self._gather(job)
            _answer(self._commit(batch))
            if last:
                return

    def _gather(self, first: Job) -> tuple[list[Job], bool]:
        """Everything that is queued now, up to a bound; and whether the end was among it."""
        batch = [first]
        while len(batch) < MAX_BATCH:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False


def _answer(outcomes: Outcomes) -> None:
    """Answer the futures in their own loops, each loop woken once."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[Job, Any, BaseException | None]]] = {}
    for outcome in outcomes:
        loops.setdefault(outcome[0].future.get_loop(), []).append(outcome)
    for loop, mine in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, mine)


def _resolve(outcomes: Outcomes) -> None:
    for job, result, error in outcomes:
        if job.future.done():  # whoever waited was cancelled meanwhile; the commit stands
            continue
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)
