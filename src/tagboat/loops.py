"""Work that continues as long as the server runs, in spite of faults."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

import structlog

from tagboat.core.errors import TagboatError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0

log = structlog.get_logger("tagboat.loops")


async def keep_going(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work`, which never ends by itself, and start it again after a fault; until cancelled.

    The pauses between starts grow from `FIRST_PAUSE_S` to `LONGEST_PAUSE_S` seconds, and are short
    again after a run longer than the longest pause. A fault in one part must not stop the others.
    """
    clock = asyncio.get_running_loop().time
    pause = FIRST_PAUSE_S
    while True:
        began = clock()
        try:
            await work()
            log.error("ended without an error; starting again", action=name, pause_s=pause)
        except Exception:
            log.exception("internal error; starting again", action=name, pause_s=pause)
        # A long run means that the fault is rare.
        if clock() - began > LONGEST_PAUSE_S:
            pause = FIRST_PAUSE_S
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


class PeriodicTask:
    """Runs `work` at once, then each time it is woken or the interval has passed.

    `work` returns the interval: the seconds until it runs again if nothing wakes it. After an error
    of the kind `fault`, `warn` is called with its reason and the interval is `retry_s`; any other
    error ends the task. `rest_s` returns the seconds of rest that follow a run of so many seconds,
    in which nothing wakes it.
    """

    def __init__(
        self,
        work: Callable[[], Awaitable[float]],
        *,
        retry_s: float,
        warn: Callable[..., object],
        fault: type[Exception] = TagboatError,
        rest_s: Callable[[float], float] | None = None,
    ) -> None:
        self._work = work
        self._retry_s = retry_s
        self._warn = warn
        self._fault = fault
        self._rest_s = rest_s
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Run the work again soon: at once if it waits, else after this run and its rest."""
        self._woken.set()

    async def run(self) -> None:
        """Do the work again and again; until cancelled."""
        while True:
            # Cleared before the work reads anything: a change while it runs makes it run again.
            self._woken.clear()
            began = time.perf_counter()
            try:
                interval_s = await self._work()
            except self._fault as error:
                self._warn(reason=str(error))
                interval_s = self._retry_s
            if self._rest_s and (rest_s := self._rest_s(time.perf_counter() - began)):
                await asyncio.sleep(rest_s)
            await wait_at_most(self._woken, interval_s)


async def wait_at_most(event: asyncio.Event, limit_s: float) -> bool:
    """Return True once `event` is set, or False after `limit_s` seconds."""
    try:
        async with asyncio.timeout(limit_s):
            return await event.wait()
    except TimeoutError:
        return False


@contextlib.asynccontextmanager
async def next_to(work: Coroutine[None, None, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Do `work` next to the block, and leave that once both are done. Raises what `work` raises.

    If the block fails, the work is broken off.
    """
    task = asyncio.create_task(work)
    try:
        yield task
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
