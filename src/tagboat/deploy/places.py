"""Places for deploys at work: one that only waits gives its place to another."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

MAX_WORKING = 16


class Places:
    """`count` places. One that rested comes back before another begins, in the order of return.

    `on_free` is called whenever the first place becomes free.
    """

    def __init__(self, count: int = MAX_WORKING) -> None:
        self._left = count
        self._returning: deque[asyncio.Future[None]] = deque()
        self.on_free: Callable[[], None] = lambda: None

    @property
    def free(self) -> int:
        """Number of places that are free now, 0 or more."""
        return 0 if self._returning else max(self._left, 0)

    def take(self) -> None:
        """Begin to work. Taking more places than are free makes others wait longer."""
        self._left -= 1

    def leave(self) -> None:
        """Work no more; the place goes to the first that wants to come back, else it is free."""
        self._left += 1
        while self._returning and self._left > 0:
            waiting = self._returning.popleft()
            # One that was cancelled as it waited takes a place by itself: see `_come_back`.
            if not waiting.done():
                self.take()
                waiting.set_result(None)
        if self.free == 1:
            self.on_free()

    @asynccontextmanager
    async def rest(self) -> AsyncIterator[None]:
        """Leave the place to others while the block lasts; then wait for one, if need be.

        A caller that is cancelled has to stop, and does not wait for a place.
        """
        self.leave()
        try:
            yield
        except asyncio.CancelledError:
            self.take()
            raise
        except BaseException:
            await self._come_back()
            raise
        await self._come_back()

    async def _come_back(self) -> None:
        if self.free:
            self.take()
            return
        waiting = asyncio.get_running_loop().create_future()
        self._returning.append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            # If not, the place came just before: `leave` has taken it in its name.
            if waiting.cancelled():
                self.take()
            raise
