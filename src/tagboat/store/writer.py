"""The one writer: a thread that gathers the work at hand into one transaction (group commit).

While one commit waits for the disk, the next batch gathers; so the cost of a durable commit is shared by all who
wait for it, and the database never sees two of our transactions fight. The loop hands over whole batches and is woken
once for each, since handing over between threads costs more than the work itself.
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
        self._waiting: list[Job] = []
        self._busy = False
        self._batches: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, list[Job]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tagboat-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work) -> "asyncio.Future[Any]":
        """Queue `work`; the future is answered after the commit."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((work, future))
        if not self._busy:
            self._busy = True
            # Not now but after what else is ready in this turn of the loop, so that it shares the transaction.
            loop.call_soon(self._hand_over, loop)
        return future

    def close(self) -> None:
        """Finish the batch in hand, then end the thread."""
        self._batches.put(None)
        self._thread.join()

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._waiting[:MAX_BATCH]
        del self._waiting[:MAX_BATCH]
        self._batches.put((loop, batch))

    def _run(self) -> None:
        while (handed := self._batches.get()) is not None:
            loop, batch = handed
            outcomes = self._commit([work for work, _ in batch])
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._answer, loop, batch, outcomes)

    def _answer(self, loop: asyncio.AbstractEventLoop, batch: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        for (_, future), (result, error) in zip(batch, outcomes, strict=True):
            if future.done():  # whoever waited was cancelled meanwhile; the commit stands
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        if self._waiting:
            self._hand_over(loop)
        else:
            self._busy = False
