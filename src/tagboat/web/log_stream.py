"""The stream of a log for an open page (server-sent events)."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from starlette.responses import Response

from tagboat.core.errors import TagboatError
from tagboat.http.event_hub import HEARTBEAT, HEARTBEAT_S, RECONNECT_AFTER_S
from tagboat.http.stream_response import ClosingStreamResponse
from tagboat.item_streams import items_until
from tagboat.operations.live_logs import LogPart
from tagboat.web.live import LIVE_AT_MOST_S
from tagboat.web.log_words import event_data, written_at


def log_stream_response(parts: AsyncGenerator[LogPart, None], stopping: asyncio.Event) -> Response:
    """Return the answer that goes on with `parts`, until the server stops.

    `line` is a line or a sentence, as `event_data` has it, `end` that nothing is to come. Its `id`
    is the time of a line, for going on after that one.
    """
    return ClosingStreamResponse(
        _events(parts, stopping),
        # nginx would hold lines back until its buffer is full.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        media_type="text/event-stream",
    )


async def _events(
    parts: AsyncGenerator[LogPart, None], stopping: asyncio.Event
) -> AsyncGenerator[bytes, None]:
    # The browser connects again, and its session is looked at.
    ends_at = time.monotonic() + LIVE_AT_MOST_S
    yield b"retry: %d\n\n" % (RECONNECT_AFTER_S * 1000)
    try:
        async with aclosing(items_until(stopping.wait, parts, HEARTBEAT_S)) as items:
            async for part in items:
                yield _event(part) if part else HEARTBEAT
                if time.monotonic() > ends_at:
                    return
    except TagboatError as error:
        # No `end`: the browser connects again, and goes on.
        yield _event(LogPart(f"The log cannot be read just now: {error}"))
        return
    if not stopping.is_set():
        yield b"event: end\ndata: {}\n\n"


def _event(part: LogPart) -> bytes:
    mark = b"id: %b\n" % written_at(part.at).encode() if part.at else b""
    return b"%bevent: line\ndata: %b\n\n" % (mark, msgspec.json.encode(event_data(part)))
