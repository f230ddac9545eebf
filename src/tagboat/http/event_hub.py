"""Events for any number of open streams: each event is read and encoded once for all of them."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection

import msgspec
import structlog

from tagboat.core.errors import TagboatError
from tagboat.core.events import Event, EventTopic
from tagboat.core.ports import Reader, Store, Topic
from tagboat.loops import wait_at_most

HEARTBEAT_S = 15.0
RECONNECT_AFTER_S = 2.0
"""Seconds after which a client connects again, and after which the database is asked again."""
MOST_WAITING = 1000
"""Events that wait for a reader; one that is slower is cut off, and resumes with its last id."""
_EVENTS_AT_ONCE = 500
_EVENTS_INTERVAL_S = 0.02
# A line that begins with a colon is a comment, which readers ignore (WHATWG HTML, section 9.2.6).
HEARTBEAT = b": heartbeat\n\n"

log = structlog.get_logger("tagboat.events")


class EventFilter(msgspec.Struct, frozen=True):
    """The events that a stream wants, by ids; None and an empty collection mean any."""

    topics: Collection[EventTopic] = ()
    project: str | None = None
    stage: str | None = None
    deploy: str | None = None

    def matches(self, event: Event) -> bool:
        """Return True where the stream wants the event."""
        return (
            (not self.topics or event.topic in self.topics)
            and (self.project is None or self.project == event.project_id)
            and (self.stage is None or self.stage == event.stage_id)
            and (self.deploy is None or self.deploy == event.deploy_id)
        )


class _EventStream(msgspec.Struct, eq=False):
    wanted: EventFilter
    after: int
    """Id of the event after which it is pushed what it wants."""
    waiting: deque[bytes] = msgspec.field(default_factory=deque)
    news: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    ended: bool = False

    def push(self, text: bytes) -> None:
        if len(self.waiting) >= MOST_WAITING:
            self.end()
        elif not self.ended:
            self.waiting.append(text)
            self.news.set()

    def end(self) -> None:
        self.ended = True
        self.waiting.clear()
        self.news.set()


class EventHub:
    """Follows the store while there are streams, and does nothing while there are none."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._streams: set[_EventStream] = set()
        self._last = 0
        self._news = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._joining = asyncio.Lock()
        self._closed = False

    def close(self) -> None:
        """End all streams, so that they do not hold up the stop of the server."""
        self._closed = True
        if self._follower is not None:
            self._follower.cancel()
        self._end_all()

    def _end_all(self, follower: "asyncio.Task[None] | None" = None) -> None:
        for stream in self._streams:
            stream.end()
        if follower is not None and not follower.cancelled():
            # A fault: clients connect again, and the next one begins to follow again.
            log.error("events are not followed", action="follow", exc_info=follower.exception())

    async def follow(self, wanted: EventFilter, after: int) -> AsyncGenerator[bytes, None]:
        """Yield the text of a stream from the event after the id `after` on.

        Ends when the reader is too slow or the server stops. Raises StoreUnavailableError.
        """
        first, last = await self._store.read(
            lambda reader: (reader.first_event_id(), reader.last_event_id())
        )
        kept = after <= last and (after == 0 or after >= first - 1)
        start = after if kept else last
        stream = _EventStream(wanted, start)
        joined_at = await self._join(stream)
        try:
            # In milliseconds (WHATWG HTML, section 9.2.6). The id comes at once, so that a stream
            # which ends before its first event resumes where it began.
            yield b"retry: %d\nid: %d\n\n" % (RECONNECT_AFTER_S * 1000, after)
            if not kept:
                reset = msgspec.json.encode({"id": start, "topic": "reset", "subject": ""})
                yield b"id: %d\nevent: reset\ndata: %b\n\n" % (start, reset)
            async for text in self._missed(wanted, start, joined_at):
                yield text
            while not stream.ended:
                if not await wait_at_most(stream.news, HEARTBEAT_S):
                    yield HEARTBEAT
                    continue
                stream.news.clear()
                text = b"".join(stream.waiting)
                stream.waiting.clear()
                if text:
                    yield text
        finally:
            self._streams.discard(stream)

    async def _join(self, stream: _EventStream) -> int:
        """Add a stream; return the id of the event after which it gets all."""
        # One at a time: a last id read for a second stream could be older than what the first
        # stream has had already, and events would come twice.
        async with self._joining:
            if not self._closed and (self._follower is None or self._follower.done()):
                self._store.listen(Topic.EVENTS, self._news.set)
                self._follower = asyncio.create_task(self._run())
                self._follower.add_done_callback(self._end_all)
            if not self._streams:
                # Nobody has followed since the last stream ended: what came since is not for this
                # one, or it asks for it by its id.
                self._last = await self._store.read(lambda reader: reader.last_event_id())
            # It may have begun after events that are still to be read for the others.
            stream.after = max(stream.after, self._last)
            self._streams.add(stream)
            if self._closed:
                stream.end()
            return self._last

    async def _missed(self, wanted: EventFilter, after: int, until: int) -> AsyncIterator[bytes]:
        """Yield the events after an id up to another."""
        while after < until:
            page = await self._store.read(_page_after(after))
            text = [_encode_event(one) for one in page if one.id <= until and wanted.matches(one)]
            if text:
                yield b"".join(text)
            if not page:
                return
            after = page[-1].id

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            # Thousands of commits a second must not be thousands of looks.
            await asyncio.sleep(_EVENTS_INTERVAL_S)
            self._news.clear()
            try:
                while self._streams and (page := await self._store.read(_page_after(self._last))):
                    self._last = page[-1].id
                    for event in page:
                        text = b""
                        for stream in self._streams:
                            if event.id > stream.after and stream.wanted.matches(event):
                                # Encoded for the first stream that wants it, and for no other.
                                text = text or _encode_event(event)
                                stream.push(text)
            except TagboatError as error:
                log.warning("events cannot be read", action="follow", reason=str(error))
                await asyncio.sleep(RECONNECT_AFTER_S)
                self._news.set()


def _page_after(after: int) -> Callable[[Reader], list[Event]]:
    return lambda reader: reader.events(after, _EVENTS_AT_ONCE)


def _encode_event(event: Event) -> bytes:
    data = msgspec.json.encode(
        {
            "id": event.id,
            "topic": event.topic,
            "subject": event.subject,
            "at": event.at,
            "project": event.project_id,
            "stage": event.stage_id,
            "deploy": event.deploy_id,
            **event.state,
        }
    )
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.id, event.topic.encode(), data)
