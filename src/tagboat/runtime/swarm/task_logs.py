"""Logs of services, read from each task by itself.

The log of a whole service never ends where one of its machines is away.
"""

import asyncio
import heapq
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime

from tagboat.core.errors import EngineError, EngineNotFoundError
from tagboat.core.workload import LogLine
from tagboat.runtime.docker.connection import StreamRequest
from tagboat.runtime.docker.container_logs import LOG_OVERLAP, LOOK_S, ShownLines
from tagboat.runtime.docker.loglines import (
    LineReader,
    LogTail,
    StampedLine,
    engine_time,
    nanoseconds,
)
from tagboat.runtime.swarm.managers import SwarmManagers
from tagboat.runtime.swarm.tasks import SwarmTask

_READ_S = 5.0
_PIECES = 256
"""The engine counts each piece of a long line as a line."""

FindTasks = Callable[[str], Awaitable[Sequence[SwarmTask] | None]]
"""Returns the tasks of a workload, the oldest first, None where it is gone."""


class TaskLogs:
    """Reads and follows the logs of workloads."""

    def __init__(self, managers: SwarmManagers, find_tasks: FindTasks) -> None:
        self._managers = managers
        self._find_tasks = find_tasks

    async def read(self, workload: str, tail: int, since: datetime | None) -> Sequence[LogLine]:
        """Return the last lines of all tasks that can be reached, and name those that cannot."""
        start = None if since is None else nanoseconds(since)
        tasks = await self._tasks(workload)
        read = await asyncio.gather(*(self._last(one, tail, start) for one in tasks if tail))
        lines = _in_order(
            [_with_place(one, some, tasks) for one, some in zip(tasks, read, strict=False)]
        )
        shown = [line.as_log_line() for line in lines[max(0, len(lines) - tail) :]]
        return [*map(LogLine, _left_out(tasks)), *shown]

    async def follow(
        self, workload: str, tail: int, since: datetime | None
    ) -> AsyncGenerator[LogLine, None]:
        """Yield the last lines, and those to come, also of later tasks, until it is removed."""
        start = None if since is None else nanoseconds(since)
        shown: dict[str, ShownLines] = {}
        tasks: Sequence[SwarmTask] | None = await self._tasks(workload)
        first, told = True, set[str]()
        while tasks is not None:
            for words in _left_out(tasks):
                if words not in told:
                    told.add(words)
                    yield LogLine(words)
            read = await asyncio.gather(
                *(self._new(one, shown, max(tail, LOG_OVERLAP), start) for one in tasks)
            )
            lines = _in_order(
                [_with_place(one, some, tasks) for one, some in zip(tasks, read, strict=True)]
            )
            for line in lines[max(0, len(lines) - tail) :] if first else lines:
                yield line.as_log_line()
            first = False
            await asyncio.sleep(LOOK_S)
            tasks = await self._find_tasks(workload)

    async def _tasks(self, workload: str) -> Sequence[SwarmTask]:
        tasks = await self._find_tasks(workload)
        if tasks is None:
            raise EngineNotFoundError(
                f"the swarm could not read the log of {workload}: it has no such service"
            )
        return tasks

    async def _new(
        self, task: SwarmTask, shown: dict[str, ShownLines], tail: int, start: int | None
    ) -> list[StampedLine]:
        """Return the lines of a task since the last look, and note them as shown."""
        if task.id not in shown:
            lines = await self._last(task, tail, start)
            if lines:
                shown[task.id] = ShownLines(lines, start)
            return lines
        known = shown[task.id].again()
        new = []
        for line in await self._last(task, None, shown[task.id].start):
            if known[line] > 0:
                known[line] -= 1
            else:
                shown[task.id].add(line)
                new.append(line)
        return new

    async def _last(
        self, task: SwarmTask, tail: int | None, start: int | None
    ) -> list[StampedLine]:
        """Return the last lines of one task, none where it or its machine cannot be reached."""
        if not task.has_container or task.node is None or not task.node.ready:
            return []
        kept, reader = LogTail(_PIECES * 64 if tail is None else tail), LineReader(multiplexed=True)
        params = {"stdout": "1", "stderr": "1", "timestamps": "1"}
        params |= {} if tail is None else {"tail": str(tail + _PIECES)}
        params |= {} if start is None else {"since": engine_time(start)}
        request = StreamRequest(
            path=f"tasks/{task.id}/logs",
            params=params,
            doing=f"read the log of the task {task.id}",
            idle_s=_READ_S,
            limit_s=_READ_S,
        )
        # Its machine may go away just now, or it may be removed: the lines until then count.
        with suppress(EngineError):
            await self._managers.read_stream(request, lambda chunk: kept.add(reader.feed(chunk)))
        kept.add(reader.rest())
        return [line for line in kept.lines() if start is None or (line.at or start) >= start]


def _in_order(read: Sequence[Sequence[StampedLine]]) -> list[StampedLine]:
    """Return the lines of several tasks by their times; those of one task stay in their order."""
    return list(heapq.merge(*read, key=lambda line: line.at or 0))


def _with_place(
    task: SwarmTask, lines: Sequence[StampedLine], tasks: Sequence[SwarmTask]
) -> list[StampedLine]:
    """Return the lines of one task, with its number where there are several."""
    if len({one.slot for one in tasks}) < 2:  # noqa: PLR2004 - several
        return list(lines)
    place = f"{task.slot}@{task.node.name if task.node else '?'} | "
    # Marks of colours are places in the text.
    return [StampedLine(place + line.text, line.at) for line in lines]


def _left_out(tasks: Sequence[SwarmTask]) -> list[str]:
    """Return words for the logs that cannot be read, because their machines do not answer."""
    return [
        f"(the log of task {one.slot} on {one.node.name} is left out: that node does not answer)"
        for one in tasks
        if one.has_container and one.node is not None and not one.node.ready
    ]
