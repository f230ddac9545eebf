"""Calls whose outcome all callers share that ask for the same at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic

from tagboat.core.generics import T


class SharedCalls(Generic[T]):
    """The calls under way, by key; nothing is remembered of one that has ended."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[T]] = {}

    async def call(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the outcome of the call under way for `key`; without one, begin it with `work`.

        Raises what the call raises, in each caller.
        """
        if key not in self._running:
            task = self._running[key] = asyncio.create_task(work())
            task.add_done_callback(lambda ended: self._forget(key, ended))
        # Shielded: a caller that is cancelled, or waits no longer, takes nothing from the others.
        return await asyncio.shield(self._running[key])

    def _forget(self, key: Hashable, ended: asyncio.Task[T]) -> None:
        del self._running[key]
        # Without this look at it, asyncio reports an error that nobody waits for any more.
        if not ended.cancelled():
            ended.exception()
