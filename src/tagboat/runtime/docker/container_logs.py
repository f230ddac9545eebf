"""Logs of containers: their last lines, and what is written from then on."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime

from aiodocker import DockerError

from tagboat.core.errors import EngineNotFoundError
from tagboat.core.workload import LogLine
from tagboat.runtime.docker import wire
from tagboat.runtime.docker.connection import ASK_S, CHANGE_S, DockerConnection, StreamRequest
from tagboat.runtime.docker.holdings import unless_gone
from tagboat.runtime.docker.loglines import (
    LineReader,
    LogTail,
    StampedLine,
    engine_time,
    nanoseconds,
)

LOOK_S = 1.0
"""Seconds between looks at whether a container that ended runs again."""
_PAUSE_S = 0.1
_LOG_PIECES = 256
"""The engine stores a line of over 16 KiB in pieces and counts each as a line.

So many more are asked for than are kept.
"""
LOG_OVERLAP = 256
"""Lines that two reads of one log have in common.

Output and errors are stored by two threads, not always in the order of their times: a read from the
time of the last line on could miss one.
"""


class ContainerLogs:
    """Reads and follows the logs of containers."""

    def __init__(self, connection: DockerConnection) -> None:
        self._connection = connection

    async def read(self, container: str, tail: int, since: datetime | None) -> Sequence[LogLine]:
        """Return the last lines, fit to be shown. Raises EngineNotFoundError when it is gone."""
        multiplexed = not await self._has_terminal(container)
        lines = await self._last(container, tail, _start(since), multiplexed=multiplexed)
        return [line.as_log_line() for line in lines]

    async def follow(
        self, container: str, tail: int, since: datetime | None
    ) -> AsyncGenerator[LogLine, None]:
        """Yield the last lines, and what is written from then on until it is removed."""
        start = _start(since)
        multiplexed = not await self._has_terminal(container)
        lines = await self._last(container, max(tail, LOG_OVERLAP), start, multiplexed=multiplexed)
        for line in lines[max(0, len(lines) - tail) :]:
            yield line.as_log_line()
        shown = ShownLines(lines, start)
        while await self._runs_or_waits(container):
            new = self._new_lines(container, shown, multiplexed=multiplexed)
            # Its stream is left at once when the reader goes.
            async with aclosing(new) as more:
                async for line in more:
                    yield line.as_log_line()
            # An engine whose log ends at once must not be asked without a pause.
            await asyncio.sleep(_PAUSE_S)

    async def _last(
        self, container: str, tail: int, start: int | None, *, multiplexed: bool
    ) -> list[StampedLine]:
        kept, reader = LogTail(tail), LineReader(multiplexed=multiplexed)
        params = {"tail": str(tail + _LOG_PIECES)}
        request = _log_request(container, start, params, idle_s=ASK_S, limit_s=CHANGE_S)
        async with self._connection.stream(request) as chunks:
            async for chunk in chunks:
                kept.add(reader.feed(chunk))
        kept.add(reader.rest())
        return kept.lines()

    async def _new_lines(
        self, container: str, shown: "ShownLines", *, multiplexed: bool
    ) -> AsyncGenerator[StampedLine, None]:
        """Yield what is written until the container ends."""
        reader = LineReader(multiplexed=multiplexed)
        # No limit: an app may be silent for days.
        params = {"follow": "1"}
        request = _log_request(container, shown.start, params, idle_s=None, limit_s=None)
        try:
            async with self._connection.stream(request) as chunks:
                known = shown.again()
                async for chunk in chunks:
                    for line in reader.feed(chunk):
                        if known[line] > 0:
                            known[line] -= 1
                            continue
                        shown.add(line)
                        yield line
        except EngineNotFoundError:
            return
        for line in reader.rest():
            shown.add(line)
            yield line

    async def _runs_or_waits(self, container: str) -> bool:
        """Return True once the container runs, False when it is gone."""
        while True:
            doing = f"inspect the container {container}"
            async with self._connection.use(doing, ASK_S) as docker:
                try:
                    answer = await docker.containers.container(container).show()
                except DockerError as error:
                    unless_gone(error)
                    return False
            if wire.container_status(answer).running:
                return True
            await asyncio.sleep(LOOK_S)

    async def _has_terminal(self, container: str) -> bool:
        async with self._connection.use(f"read the log of {container}", ASK_S) as docker:
            return wire.has_terminal(await docker.containers.container(container).show())


class ShownLines:
    """The last lines of a log that were read, and the time from which it is read again."""

    def __init__(self, lines: list[StampedLine], start: int | None) -> None:
        self._lines = deque(lines, LOG_OVERLAP)
        self._start = start

    @property
    def start(self) -> int | None:
        """The time of the first of these lines, in nanoseconds since 1970; None for any time."""
        return next((line.at for line in self._lines if line.at is not None), self._start)

    def add(self, line: StampedLine) -> None:
        """Take the next line that was shown."""
        self._lines.append(line)

    def again(self) -> Counter[StampedLine]:
        """Return the lines that come once more, with how often."""
        return Counter(self._lines)


def _start(since: datetime | None) -> int | None:
    return None if since is None else nanoseconds(since)


def _log_request(
    container: str,
    start: int | None,
    params: Mapping[str, str],
    *,
    idle_s: float | None,
    limit_s: float | None,
) -> StreamRequest:
    since = {} if start is None else {"since": engine_time(start)}
    return StreamRequest(
        path=f"containers/{container}/logs",
        params={"stdout": "1", "stderr": "1", "timestamps": "1", **since, **params},
        doing=f"read the log of {container}",
        idle_s=idle_s,
        limit_s=limit_s,
    )
