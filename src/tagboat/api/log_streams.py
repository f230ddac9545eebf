"""Logs that are followed: as text, or as server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated

import msgspec
from fastapi import Depends, Header, Query
from fastapi.responses import StreamingResponse

from tagboat.api.answers import Responses
from tagboat.api.services import Ops, Services
from tagboat.core.errors import TagboatError
from tagboat.core.moments import written_at
from tagboat.core.workload import LogLine
from tagboat.http.event_hub import HEARTBEAT, HEARTBEAT_S, RECONNECT_AFTER_S
from tagboat.http.stream_response import ClosingStreamResponse
from tagboat.item_streams import items_until
from tagboat.operations.live_logs import LogPart
from tagboat.operations.queries.logs import MAX_TAIL, USUAL_TAIL, LogWindow

_EVENT_STREAM = "text/event-stream"
LOG_STREAM: Responses = {
    200: {
        "description": (
            "With `follow`, a stream instead of JSON: `text/plain` with a line for each line of the"
            " log, or server-sent events for a caller that accepts `text/event-stream`: `line` with"
            " `instance`, `at` and `text`; `note` with a sentence about the log as `text`, and"
            " `broken` if the log broke off and can be asked for again; `end` once there is nothing"
            " to come. `id` is the time of a line: with it as `Last-Event-ID`"
            " the stream goes on after that line."
        ),
        "content": {"text/plain": {"schema": {"type": "string"}}, _EVENT_STREAM: {}},
    }
}


class LogRequest(msgspec.Struct, frozen=True):
    """The log that a caller asks for, and its form."""

    window: LogWindow
    follow: bool
    timestamps: bool
    as_events: bool

    def texts(self, lines: Sequence[LogLine]) -> list[str]:
        """Return lines as text, each with its time in front where that is asked for."""
        return [self._text(line) for line in lines]

    def response(
        self, parts: AsyncGenerator[LogPart, None], stopping: asyncio.Event
    ) -> StreamingResponse:
        """Return the answer that goes on as long as `parts` come, and until the server stops."""
        if self.as_events:
            media_type, content = _EVENT_STREAM, self._events(parts, stopping)
        else:
            media_type, content = "text/plain; charset=utf-8", self._plain(parts, stopping)
        # nginx would hold lines back until its buffer is full.
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return ClosingStreamResponse(content, media_type=media_type, headers=headers)

    async def _events(
        self, parts: AsyncGenerator[LogPart, None], stopping: asyncio.Event
    ) -> AsyncGenerator[bytes, None]:
        yield b"retry: %d\n\n" % (RECONNECT_AFTER_S * 1000)
        try:
            async with aclosing(items_until(stopping.wait, parts, HEARTBEAT_S)) as items:
                async for part in items:
                    yield self._event(part) if part else HEARTBEAT
        except TagboatError as error:
            # No `end`: the client connects again, and goes on.
            data = {"text": _broken(error), "broken": True}
            yield b"event: note\ndata: %b\n\n" % msgspec.json.encode(data)
            return
        # At a stop without `end`: the client is to connect again, to the next server.
        if not stopping.is_set():
            yield b"event: end\ndata: {}\n\n"

    async def _plain(
        self, parts: AsyncGenerator[LogPart, None], stopping: asyncio.Event
    ) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(items_until(stopping.wait, parts)) as items:
                async for part in items:
                    if part:
                        yield self._line(part)
        except TagboatError as error:
            yield self._line(LogPart(_broken(error)))

    def _event(self, part: LogPart) -> bytes:
        text = self._text(part)
        if part.instance is None:
            return b"event: note\ndata: %b\n\n" % msgspec.json.encode({"text": text})
        data = msgspec.json.encode({"instance": part.instance, "at": part.at, "text": text})
        # A line without a time has no id: with one, the client could not go on after it.
        mark = b"id: %b\n" % written_at(part.at).encode() if part.at else b""
        return b"%bevent: line\ndata: %b\n\n" % (mark, data)

    def _line(self, part: LogPart) -> bytes:
        text = self._text(part) if part.instance else f"--- {part.text} ---"
        return f"{text}\n".encode()

    def _text(self, line: LogLine | LogPart) -> str:
        return f"{written_at(line.at)} {line.text}" if self.timestamps and line.at else line.text


async def get_log_request(
    operations: Ops,
    tail: Annotated[
        int | None,
        Query(
            ge=1,
            le=MAX_TAIL,
            description=f"How many lines at most: {USUAL_TAIL}, or with `since` {MAX_TAIL}.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        Query(
            max_length=100,
            description="Only lines since then: a time such as `2026-01-31T12:00:00Z`, or a"
            " duration before now such as `90s`, `10m` or `1h30m`.",
        ),
    ] = None,
    *,
    timestamps: Annotated[
        bool, Query(description="Put the time in front of each line, as far as it is known.")
    ] = False,
    follow: Annotated[
        bool, Query(description="Go on with what is written from now on, as a stream.")
    ] = False,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    last_event_id: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> LogRequest:
    """Return the log that the parameters of a request ask for."""
    window = operations.logs.window(tail, since, last_event_id if follow else None)
    return LogRequest(window, follow, timestamps, _EVENT_STREAM in accept.lower())


AskedLog = Annotated[LogRequest, Depends(get_log_request)]
"""The parameters of a log."""


async def get_stopping(services: Services) -> asyncio.Event:
    """Return the event that is set when the server stops."""
    return services.stopping


Stopping = Annotated[asyncio.Event, Depends(get_stopping)]
"""The event that ends streams."""


def _broken(error: TagboatError) -> str:
    return f"the log broke off: {error}"
