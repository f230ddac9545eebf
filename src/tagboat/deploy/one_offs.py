"""The containers of one-off commands: making them, reading their output, and removing them."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime

import structlog

from tagboat.core.errors import (
    EngineError,
    EngineNotFoundError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.one_off import KEPT_FOR, OneOff
from tagboat.core.ports import Store
from tagboat.core.runtime import Runtime
from tagboat.core.values import replace
from tagboat.core.workload import LogLine, WorkloadSpec, WorkloadStatus
from tagboat.deploy.ownership import RUN
from tagboat.item_streams import items_until

STOP_S = 3
"""Seconds from SIGTERM to SIGKILL for a command that is ended: a server that stops has ten."""
KEEP_EVERY_S = 5.0
_FIRST_STATUS_S = 0.02
_LONGEST_STATUS_S = 0.5
_SILENCE_S = 0.2
_LEFT_LINES = 100_000
"""The most lines that are read at its end, because nobody had taken them by then."""
_KNOWN_AGAIN = 20
"""The last lines taken, by which that place in the log is found."""

log = structlog.get_logger("tagboat.run")


class OneOffRun:
    """A command in its container, which runs at most `limit_s` seconds.

    `exit_code` is None before its end, `timed_out` is True once it was ended for its time.
    """

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        clock: Callable[[], datetime],
        one_off: OneOff,
        limit_s: float,
    ) -> None:
        self.one_off = one_off
        self.exit_code: int | None = None
        self.timed_out = False
        self._store = store
        self._runtime = runtime
        self._clock = clock
        self._limit_s = limit_s
        self._taken = 0
        self._waited_for = True

    async def start(self, spec: WorkloadSpec) -> None:
        """Make and start its container. Raises EngineError and StoreUnavailableError."""
        container = await self._runtime.create(spec)
        self.one_off = replace(self.one_off, container_id=container)
        # The record first: from now on no other container of this name is taken for it.
        await self._store.write(lambda tx: tx.put_one_off(self.one_off))
        # By its name, which says whose it is: people read it in error messages.
        await self._runtime.start(spec.name)

    async def lines(self) -> AsyncGenerator[LogLine, None]:
        """Yield what it writes, until it has ended. Raises EngineError."""
        container, last = self.one_off.container_id, deque[LogLine](maxlen=_KNOWN_AGAIN)
        keeping = asyncio.create_task(self._keep())
        try:
            written = self._runtime.follow_logs(container, _LEFT_LINES)
            async with aclosing(items_until(self._over, written)) as items:
                async for line in items:
                    if line is not None:
                        self._taken += 1
                        last.append(line)
                        self._waited_for = False
                        yield line
                        self._waited_for = True
            # Whoever follows learns of the end before the last lines: they are read once more.
            whole = await self._runtime.logs(container, _LEFT_LINES)
            for line in lines_after(whole, last):
                yield line
        finally:
            keeping.cancel()

    async def remove(self) -> None:
        """End it if it still runs, and remove its container and its record.

        Raises no error of the tree: what cannot be done is left to reconcile.
        """
        container = self.one_off.container_id
        try:
            if not container:
                # The call that made it may have been broken off. Others may have the name, too.
                status = await self._runtime.status(self.one_off.container)
                is_own = status is not None and status.labels.get(RUN) == self.one_off.id
                container = status.id if status is not None and is_own else ""
            if container:
                await self._runtime.stop(container, STOP_S)
                await self._runtime.remove(container)
            await self._store.write(lambda tx: tx.delete_one_off(self.one_off.id))
        except TagboatError as error:
            words = {"container": self.one_off.container, "reason": str(error)}
            log.warning("command left to the next reconcile", action="run", **words)

    async def _over(self) -> None:
        """Return once it has ended, and no more lines of it are taken."""
        await self._until_ended()
        # By a count, and only while somebody waits for a line: a reader may be slow.
        while True:
            taken, waited = self._taken, self._waited_for
            await asyncio.sleep(_SILENCE_S)
            if waited and self._waited_for and taken == self._taken:
                return

    async def _until_ended(self) -> None:
        began, pause = self._clock(), _FIRST_STATUS_S
        while True:
            status = await self._runtime.status(self.one_off.container_id)
            if status is None:
                raise EngineNotFoundError(
                    f"the container {self.one_off.container} was removed by somebody else: it is"
                    " not known how the command ended"
                )
            # It runs once: the engine does not start it again.
            if status.ended:
                if not status.began:
                    raise EngineError(f"the command could not be started: {status.said}")
                self.exit_code = status.exit_code
                return
            # Not by a time-out around all of this: its last lines are to be read afterwards.
            if (self._clock() - began).total_seconds() > self._limit_s:
                self.timed_out = True
                await self._runtime.stop(self.one_off.container_id, STOP_S)
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_STATUS_S)

    async def _keep(self) -> None:
        """Renew its record for as long as this server looks after it; until cancelled."""
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            self.one_off = replace(self.one_off, kept_until=self._clock() + KEPT_FOR)
            # A database that is away for a while must not end the command.
            try:
                await self._store.write(lambda tx: tx.put_one_off(self.one_off))
            except StoreUnavailableError as error:
                log.warning("command not renewed", action="run", reason=str(error))


def lines_after(lines: Sequence[LogLine], last: Iterable[LogLine]) -> Sequence[LogLine]:
    """Return those of `lines` that follow the lines `last`; all where these are not among them."""
    # Colours depend on the lines before, which two reads need not have in common.
    known = [(one.at, one.text) for one in last]
    whole = [(one.at, one.text) for one in lines]
    # From the end: the same lines may have been written before.
    for end in range(len(whole), len(known) - 1, -1):
        if whole[end - len(known) : end] == known:
            return lines[end:] if known else lines
    return lines


def is_made_for(one_off: OneOff, container: WorkloadStatus) -> bool:
    """Return whether it is the container of the command, by its id, or until then by its name."""
    # Its id is not on record where the server died right after it was made.
    is_named = container.name == one_off.container and container.labels.get(RUN) == one_off.id
    return container.id == one_off.container_id or (not one_off.container_id and is_named)


async def remove_left(
    store: Store, runtime: Runtime, one_off: OneOff, workloads: Iterable[WorkloadStatus]
) -> None:
    """Remove the container of a command whose server or stage is gone, and its record."""
    for one in workloads:
        if is_made_for(one_off, one):
            await runtime.stop(one.id, STOP_S)
            await runtime.remove(one.id)
            log.info("command ended", action="remove", container=one.name)
    await store.write(lambda tx: tx.delete_one_off(one_off.id))
