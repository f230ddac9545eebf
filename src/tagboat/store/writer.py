"""The one writer: a thread that gathers the work at hand into one transaction (group commit).

While one commit waits for the disk, the next batch gathers; so the cost of a durable commit is shared by all who
wait for it, and the database never sees two of our transactions fight. The thread helps itself to whatever waits the
moment it is done, and wakes the loop once for each batch: being handed one would cost it a wait for the loop.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

MAX_BATCH = 256

Work = Callable[[Any], Any]
Outcome = tuple[Any, BaseException | None]
"""What a piece of work returned, or what it raised."""
Job = tuple[Work, "asyncio.Future[Any]"]


class GroupWriter:
    """Runs work in batches, for one event loop. `commit` carries a batch out in one transaction and says what came of each."""

    def __init__(self, commit: Callable[[Sequence[Work]], Sequence[Outcome]]) -> None:
        self._commit = commit
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tagboat-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work) -> "asyncio.Future[Any]":
        """Queue `work`; the future is answered after the commit."""
        future = asyncio.get_running_loop().create_future()
        self._jobs.put((work, future))
        return future

    def close(self) -> None:
        """Finish what was submitted, then end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        closed = False
        while not closed:
            taken = [self._jobs.get()]
            taken += [self._jobs.get() for _ in range(min(self._jobs.qsize(), MAX_BATCH - 1))]
            batch = [job for job in taken if job is not None]
            closed = len(batch) < len(taken)
            if batch:
                outcomes = self._commit([work for work, _ in batch])
                loop = batch[0][1].get_loop()
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_answer, batch, outcomes)


def _answer(batch: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
    for (_, future), (result, error) in zip(batch, outcomes, strict=True):
        if future.done():  # whoever waited was cancelled meanwhile; the commit stands
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
