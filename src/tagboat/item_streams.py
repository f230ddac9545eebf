"""Streams of items that end when something else happens, and say when they are silent."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from tagboat.core.generics import T

_End = TypeVar("_End")
_QUIET_S = 0.5
"""Seconds without an item after which those before the end have all been read."""
_LATE_S = 60.0
"""Seconds after the end in which late items are read, whatever their times say."""


async def items_until(
    over: Callable[[], Coroutine[Any, Any, _End]],
    items: AsyncGenerator[T, None],
    beat_s: float | None = None,
    *,
    belongs: Callable[[_End, T], bool] | None = None,
) -> AsyncGenerator[T | None, None]:
    """Yield `items` until they end or `over` returns; None after each `beat_s` seconds of silence.

    Items that are late, and by `belongs` came before what `over` returned, are read all the same.
    Raises what either raises. `items` are closed at the end, also of a caller that is cancelled.
    """
    ending, clock = asyncio.create_task(over()), asyncio.get_running_loop().time
    until = float("inf")
    item = asyncio.ensure_future(anext(items, None))
    try:
        while True:
            done, _ = await asyncio.wait(
                {item, ending}, timeout=beat_s, return_when=asyncio.FIRST_COMPLETED
            )
            if item in done:
                if (found := item.result()) is None:
                    return
                if belongs and ending.done():
                    until = min(until, clock() + _LATE_S)
                    if clock() >= until or not belongs(ending.result(), found):
                        return
                yield found
                # Items that are always there must not hide the end.
                if ending.done() and not belongs:
                    ending.result()
                    return
                item = asyncio.ensure_future(anext(items, None))
            elif ending in done:
                ending.result()
                if belongs is None or not (await asyncio.wait({item}, timeout=_QUIET_S))[0]:
                    return
            else:
                yield None
    finally:
        ending.cancel()
        item.cancel()
        # Only then has it left its streams; a generator that runs cannot be closed.
        await asyncio.wait({item})
        await items.aclose()
