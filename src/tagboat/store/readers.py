"""The threads that read: a few of their own, which nobody waits for at the end of the process.

The interpreter's own pool would be waited for, and a database that has fallen silent may keep a thread for ever.
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
    """Runs work in at most `count` threads, which are begun as they are needed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._begun = 0
        self._open = 0  # jobs that no thread is done with

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises. One that nobody waits for any more when its turn comes is not begun."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._open += 1
        if self._open > self._begun and self._begun < self._count:
            self._begun += 1
            threading.Thread(target=self._run, name="tagboat-reader", daemon=True).start()
        self._jobs.put((work, future))
        return await future

    def close(self) -> None:
        """Let the threads end once they are done with what they are at."""
        for _ in range(self._begun):
            self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, future = job
            outcome = (None, None) if future.done() else outcome_of(work)
            with contextlib.suppress(RuntimeError):  # of a loop that has been closed: nobody waits
                future.get_loop().call_soon_threadsafe(self._settle, future, *outcome)
            del work, future, job, outcome  # a thread at rest must not keep alive what it has read

    def _settle(
        self, future: "asyncio.Future[Any]", result: object, error: BaseException | None
    ) -> None:
        self._open -= 1
        settle(future, result, error)


def outcome_of(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """What `work` returned, or what it raised."""
    try:
        return work(), None
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the work
        return None, error


def settle(future: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    """Answer whoever still waits."""
    if future.done():  # whoever waited was cancelled meanwhile
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):  # which no future takes
        future.set_exception(
            RuntimeError("a fault inside Tagboat: StopIteration in work on the database")
        )
    else:
        future.set_exception(error)
