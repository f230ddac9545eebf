"""The stream of a log for an open page (server-sent events)."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from starlette.responses import Response

from tagboat.core.errors import NotFoundError, TagboatError
from tagboat.core.moments import written_at
from tagboat.http.event_hub import HEARTBEAT, HEARTBEAT_S, RECONNECT_AFTER_S
from tagboat.http.stream_response import ClosingStreamResponse
from tagboat.item_streams import items_until
from tagboat.operations.live_logs import LogPart
from tagboat.operations.operations import Operations
from tagboat.operations.queries.logs import MAX_TAIL, LogWindow
from tagboat.web.error_pages import sentence_of
from tagboat.web.live import LIVE_AT_MOST_S
from tagboat.web.log_sources import LogSource, read_source
from tagboat.web.log_words import event_data, line_data

_STREAM_END = b"event: end\ndata: {}\n\n"


class LogStream:
    """Follows the log of a source for one open page."""

    def __init__(self, operations: Operations, source: LogSource, stopping: asyncio.Event) -> None:
        self._operations = operations
        self._source = source
        self._stopping = stopping

    def response(self, seen: str | None) -> Response:
        """Return the answer that goes on with what is written, until the server stops.

        `start` has the last lines, unless the page has `seen` those until a time; `line` is one
        more, or a sentence; `end` says that nothing is to come. The `id` of each is the time of its
        last line. Raises FieldError for a `seen` that is no time.
        """
        return ClosingStreamResponse(
            self._events(self._operations.logs.window(MAX_TAIL, None, seen), seen),
            # nginx would hold lines back until its buffer is full.
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            media_type="text/event-stream",
        )

    async def _events(self, window: LogWindow, seen: str | None) -> AsyncGenerator[bytes, None]:
        # The browser connects again, and its session is looked at.
        ends_at = time.monotonic() + LIVE_AT_MOST_S
        yield b"retry: %d\n\n" % (RECONNECT_AFTER_S * 1000)
        try:
            if seen is None:
                # At once: thousands of lines one by one would keep the server busy for seconds.
                found = await read_source(self._operations, self._source, window)
                last = found.lines[-1].at if found.lines else None
                if last is not None:
                    window = self._operations.logs.window(MAX_TAIL, None, written_at(last))
                # What a failed deploy has kept has no times, and the page shows it already.
                if last is not None or not found.lines:
                    mark = b"id: %b\n" % written_at(last).encode() if last else b""
                    yield b"%bevent: start\ndata: %b\n\n" % (
                        mark,
                        msgspec.json.encode([line_data(line) for line in found.lines]),
                    )
            source, live_logs = self._source, self._operations.live_logs
            parts = await (
                live_logs.stage(source.stage_id, window)
                if source.stage_id is not None
                else live_logs.instance(source.instance_id or "", window)
            )
            async with aclosing(items_until(self._stopping.wait, parts, HEARTBEAT_S)) as items:
                async for part in items:
                    yield _event(part) if part else HEARTBEAT
                    if time.monotonic() > ends_at:
                        return
        except NotFoundError as error:
            yield _event(LogPart(sentence_of(str(error)))) + _STREAM_END
            return
        except TagboatError as error:
            # No `end`: the browser connects again, and goes on.
            yield _event(LogPart(f"The log cannot be read just now: {error}"))
            return
        if not self._stopping.is_set():
            yield _STREAM_END


def _event(part: LogPart) -> bytes:
    mark = b"id: %b\n" % written_at(part.at).encode() if part.at else b""
    return b"%bevent: line\ndata: %b\n\n" % (mark, msgspec.json.encode(event_data(part)))
