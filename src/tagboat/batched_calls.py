"""Calls that are answered together: those that come while one is under way wait for the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from tagboat.core.generics import T

Q = TypeVar("Q")


class BatchedCalls(Generic[Q, T]):
    """Answers questions by `work`, which takes some at once and returns the answers in their order.

    One `work` is under way at a time, and each begins after its questions were asked. What it
    raises is raised to each that asked.
    """

    def __init__(self, work: Callable[[Sequence[Q]], Awaitable[Sequence[T]]]) -> None:
        self._work = work
        self._waiting: list[tuple[Q, asyncio.Future[T]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> T:
        """Return the answer of a `work` that begins from now on."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._task is None:
            self._task = asyncio.create_task(self._answer())
        return await future

    async def _answer(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                # A caller that was cancelled does not want to know any more.
                asked = [one for one in batch if not one[1].done()]
                try:
                    answers = await self._work([question for question, _ in asked])
                except Exception as error:  # noqa: BLE001 - it belongs to the callers
                    for _, future in asked:
                        if not future.done():
                            future.set_exception(error)
                    continue
                for (_, future), answer in zip(asked, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
        finally:
            self._task = None
            for _, future in self._waiting:
                future.cancel()
