"""Logs as they are written: of an instance until it is gone, of a stage through its deploys."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from msgspec import Struct

from tagboat.core.colours import TextMark
from tagboat.core.deploy import ACTIVE_STATES, Instance, InstanceState
from tagboat.core.errors import EngineNotFoundError, NotFoundError, StoreUnavailableError
from tagboat.core.ports import Reader, Topic
from tagboat.item_streams import items_until
from tagboat.loops import wait_at_most
from tagboat.operations.queries.logs import (
    MAX_TAIL,
    LogWindow,
    log_is_gone,
    masking_of,
    serving_first,
    stage_in_words,
)
from tagboat.operations.services import OperationServices

LOOK_AGAIN_S = 1.0
"""Seconds until a container that is on record, and cannot be found, is looked for again."""
_NEWS_INTERVAL_S = 0.2
_TOLD = {
    InstanceState.LIVE: "is live",
    InstanceState.STARTING: "is starting",
    InstanceState.DRAINING: "is draining",
}


class LogPart(Struct, frozen=True):
    """A line of an instance's log; without an `instance`, a sentence of Tagboat about the log.

    `marks` are the colours of parts of it.
    """

    text: str
    at: datetime | None = None
    instance: str | None = None
    marks: tuple[TextMark, ...] = ()


class LiveLogs:
    """Follows logs. The generators end once there is nothing to come, and raise EngineError."""

    def __init__(self, services: OperationServices) -> None:
        self._services = services
        self._news: set[asyncio.Event] = set()

    async def instance(self, instance_id: str, window: LogWindow) -> AsyncGenerator[LogPart, None]:
        """Return the lines of an instance until its container is gone.

        Raises NotFoundError where it is gone by now, and EngineError.
        """
        instance = await self._services.store.read(lambda reader: reader.instance(instance_id))
        if await self._services.engine.status(instance.handle) is None:
            raise log_is_gone(instance)
        return self._lines(instance, window)

    async def stage(self, stage_id: str, window: LogWindow) -> AsyncGenerator[LogPart, None]:
        """Return the lines of the instance that serves, then of the one that is live after it.

        A sentence between says so. They end when the stage is deleted. Raises NotFoundError.
        """
        where = await self._services.store.read(lambda reader: stage_in_words(reader, stage_id))
        return self._stage_lines(stage_id, where, window)

    async def _stage_lines(
        self, stage_id: str, where: str, window: LogWindow
    ) -> AsyncGenerator[LogPart, None]:
        # The times of the last lines shown, by instance: a rollback returns to an earlier one.
        shown: dict[str, datetime] = {}
        followed: str | None = None
        waits = False
        # Before the first look: a change between look and wait must not be missed.
        news = asyncio.Event()
        self._news.add(news)
        self._services.store.listen(Topic.EVENTS, self._wake)
        choose = partial(self._services.store.read, partial(_serving, stage_id))
        try:
            while True:
                news.clear()
                instance = await choose()
                if instance is None:
                    if not waits:
                        waits = True
                        yield LogPart(
                            f"nothing runs in {where}: its log follows once something does"
                        )
                    await news.wait()
                    continue
                if followed not in {instance.id, None} or waits:
                    yield LogPart(f"{instance.tag} {_TOLD[instance.state]}: its log follows")
                if followed is not None or waits:
                    after = shown.get(instance.id)
                    since = after and after + timedelta(microseconds=1)
                    window = LogWindow(MAX_TAIL, since)
                followed, waits = instance.id, False
                over = partial(_replaced_line, choose, instance.id, news)
                with suppress(EngineNotFoundError):
                    lines = items_until(
                        over, self._lines(instance, window), belongs=_was_written_before
                    )
                    async with aclosing(lines):
                        async for part in lines:
                            if part and part.at:
                                shown[instance.id] = part.at
                            if part:
                                yield part
                # The end of a deletion or of a deploy: its last events are not here yet.
                await asyncio.sleep(_NEWS_INTERVAL_S)
                # Its container is made in a moment, or was removed by hand and comes back.
                await wait_at_most(news, LOOK_AGAIN_S)
        except NotFoundError:
            return
        finally:
            self._news.discard(news)

    async def _lines(self, instance: Instance, window: LogWindow) -> AsyncGenerator[LogPart, None]:
        mask = await masking_of(self._services, instance)
        lines = self._services.engine.follow_logs(instance.handle, window.tail, window.since)
        async with aclosing(lines):
            async for line in lines:
                shown = line.masked(mask)
                yield LogPart(shown.text, shown.at, instance.id, shown.marks)

    def _wake(self) -> None:
        for news in self._news:
            news.set()


def _serving(stage_id: str, reader: Reader) -> Instance | None:
    """Return the instance whose log matters, None for none. Raises NotFoundError for no stage."""
    reader.stage(stage_id)
    active = serving_first(reader.instances(stage_id=stage_id, states=ACTIVE_STATES))
    return active[0] if active else None


async def _replaced_line(
    choose: Callable[[], Awaitable[Instance | None]], instance_id: str, news: asyncio.Event
) -> datetime:
    """Return once another instance than that is the one whose log matters, with the time."""
    while True:
        await news.wait()
        # A deploy at work brings several events at once.
        await asyncio.sleep(_NEWS_INTERVAL_S)
        news.clear()
        try:
            instance = await choose()
        except StoreUnavailableError:
            # The next event comes when the database is back.
            continue
        except NotFoundError:
            return datetime.now(UTC)
        if instance is not None and instance.id != instance_id:
            return datetime.now(UTC)


def _was_written_before(replaced_at: datetime, part: LogPart) -> bool:
    return part.at is None or part.at <= replaced_at
