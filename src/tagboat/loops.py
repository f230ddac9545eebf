"""Work that goes on for as long as the server runs, whatever goes wrong in it."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0

log = structlog.get_logger("tagboat.loops")


async def keep_going(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work`, which has no end of its own, and begin it anew when a fault ends it; until cancelled.

    The pauses before that grow from `FIRST_PAUSE_S` to `LONGEST_PAUSE_S` seconds, and are short again once it went on for
    longer than the longest. A fault in one part must not take away the others: apps are served, and pushes taken in.
    """
    clock = asyncio.get_running_loop().time
    pause = FIRST_PAUSE_S
    while True:
        began = clock()
        try:
            await work()
            log.error("it ended by itself, and is begun anew", action=name, pause_s=pause)
        except Exception:
            log.exception("a fault inside Tagboat; it is begun anew", action=name, pause_s=pause)
        if clock() - began > LONGEST_PAUSE_S:
            pause = FIRST_PAUSE_S
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)
