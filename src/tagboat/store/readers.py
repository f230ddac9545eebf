"""Threads that read from the database.

The end of the process does not wait for them, as it would for the interpreter's own pool: a
database that has stopped answering may keep a thread for ever.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any

from tagboat.core.generics import T

_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class ReadThreads:
    """Runs work in at most `count` threads, which are started as they are needed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._begun = 0
        self._open = 0  # jobs that no thread is done with

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises.

        It is not begun if nobody waits for it any more when its turn comes.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._open += 1
        if self._open > self._begun and self._begun < self._count:
            self._begun += 1
            # A daemon: the end of the process would wait for any other.
            threading.Thread(target=self._run, name="tagboat-reader", daemon=True).start()
        self._jobs.put((work, future))
        return await future

    def close(self) -> None:
        """Let the threads end once they have finished their work."""
        for _ in range(self._begun):
            self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, future = job
            outcome = (None, None) if future.done() else outcome_of(work)
            with contextlib.suppress(RuntimeError):  # of a loop that has been closed: nobody waits
                future.get_loop().call_soon_threadsafe(self._settle, future, *outcome)
            # A thread at rest must not keep alive what it has read.
            del work, future, job, outcome

    def _settle(
        self, future: "asyncio.Future[Any]", result: object, error: BaseException | None
    ) -> None:
        self._open -= 1
        settle(future, result, error)


def outcome_of(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """Return what `work` returned, and what it raised; one of both is None."""
    try:
        return work(), None
    except BaseException as error:  # noqa: BLE001 - it belongs to the caller that waits
        return None, error


def settle(future: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    """Set the result of a future, or its exception, unless it was cancelled."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):
        # No future takes it: it would end a coroutine.
        future.set_exception(
            RuntimeError("a fault inside Tagboat: StopIteration in work on the database")
        )
    else:
        future.set_exception(error)
