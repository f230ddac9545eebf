"""Streams of items that end when something else happens, and say when they are silent."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from tagboat.core.generics import T


async def items_until(
    over: Callable[[], Coroutine[Any, Any, object]],
    items: AsyncGenerator[T, None],
    beat_s: float | None = None,
) -> AsyncGenerator[T | None, None]:
    """Yield `items` until they end or `over` returns; None after each `beat_s` seconds of silence.

    Raises what either raises. `items` are closed at the end, also of a caller that is cancelled.
    """
    ending = asyncio.create_task(over())
    item = asyncio.ensure_future(anext(items, None))
    try:
        while True:
            done, _ = await asyncio.wait(
                {item, ending}, timeout=beat_s, return_when=asyncio.FIRST_COMPLETED
            )
            if item in done:
                if (found := item.result()) is None:
                    return
                yield found
                # Items that are always there must not hide the end.
                if ending.done():
                    ending.result()
                    return
                item = asyncio.ensure_future(anext(items, None))
            elif ending in done:
                ending.result()
                return
            else:
                yield None
    finally:
        ending.cancel()
        item.cancel()
        # Only then has it left its streams; a generator that runs cannot be closed.
        await asyncio.wait({item})
        await items.aclose()
