"""Work that continues as long as the server runs, in spite of faults."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

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
