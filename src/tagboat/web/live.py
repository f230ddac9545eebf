"""The stream after which open pages read themselves again (server-sent events)."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from starlette.responses import Response

from tagboat.core.errors import InvalidValueError, StoreUnavailableError
from tagboat.core.events import Event, EventTopic
from tagboat.http.event_hub import EventFilter
from tagboat.http.stream_response import ClosingStreamResponse
from tagboat.web.routing import PageRouter
from tagboat.web.visits import Visit

LIVE_AT_MOST_S = 300.0
"""Seconds after which a stream ends. The browser connects again, and its session is looked at."""
# A column of the database has 63 bits; a longer number is no id.
_LONGEST_ID = 18

router = PageRouter()


class PageFilter(EventFilter, frozen=True):
    """The events that a page wants: those of its project, and any webhook call if it names them."""

    def matches(self, event: Event) -> bool:
        """Return True where the page wants the event."""
        # The event of a call names no project, and its pushes may wait in a stage of this one.
        is_call = event.topic is EventTopic.DELIVERY and EventTopic.DELIVERY in self.topics
        return is_call or EventFilter.matches(self, event)


@router.page("/live")
async def follow_page(visit: Visit) -> Response:
    """Follow the events that the page names, from the id `after` or Last-Event-ID on."""
    asked = visit.request.query_params
    # The header is what browsers send as they connect again: it is newer than the address.
    after = visit.request.headers.get("last-event-id") or asked.get("after", "")
    try:
        topics = frozenset(EventTopic(topic) for topic in asked.getlist("topic"))
    except ValueError:
        raise InvalidValueError("there is no such topic") from None
    # Ids that do not exist match nothing, which is what a stream about them has.
    wanted = PageFilter(topics, asked.get("project"), asked.get("stage"), asked.get("deploy"))
    # A cookie-like header can be anything: without a number the stream begins now.
    known = after.isdecimal() and after.isascii() and len(after) <= _LONGEST_ID
    start = int(after) if known else await visit.last_event()
    return ClosingStreamResponse(
        _limited(visit.site.events.follow(wanted, start)),
        # nginx would hold events back until its buffer is full.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        media_type="text/event-stream",
    )


async def _limited(stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield the texts of a stream, and end it at the first one after its time."""
    ends_at = time.monotonic() + LIVE_AT_MOST_S
    # Closed at once, so that the hub does not write to it any more. Without the database the stream
    # ends; the browser connects again.
    async with aclosing(stream):
        with suppress(StoreUnavailableError):
            async for text in stream:
                yield text
                if time.monotonic() > ends_at:
                    return
