"""The polls of one registry host: spread over time, a few at a time, few database transactions."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from msgspec import Struct

from tagboat.core.errors import NotFoundError
from tagboat.core.polling import PollState
from tagboat.core.ports import Store, TagSource, Tx
from tagboat.core.values import replace
from tagboat.polling.backoff import RegistryOutages
from tagboat.polling.fingerprints import FingerprintCache
from tagboat.polling.project_poll import PollStateUpdate, ProjectPolls
from tagboat.polling.target import PollTarget, TargetReader

MAX_CONCURRENT = 24
"""Repositories of one host polled at a time. Two connections to it are left to people."""
BATCH = 64
"""Projects whose target is read, or whose poll without news is recorded, in one transaction."""
SPACING_S = 0.05
SPREAD = 0.5
"""The part of the time until the next cycle over which the polls of a cycle may be spread."""


class _ScheduledTarget(Struct, frozen=True):
    """A target to be polled no earlier than `at`, in seconds of the loop's clock."""

    target: PollTarget
    at: float


_TargetQueue = asyncio.Queue[_ScheduledTarget | None]


def spacing(count: int, next_cycle_in_s: float) -> float:
    """Return the seconds between the starts of two of `count` polls.

    A few are started almost at once; thousands are spread, over SPREAD of the time at most.
    """
    return min(SPACING_S, SPREAD * max(next_cycle_in_s, 0) / max(count, 1))


class HostPoll:
    """Polls projects whose images are on one registry `host`; for one run.

    `keep_lease` is called before each poll, so that no other server starts a cycle while this one,
    however long, goes on.
    """

    def __init__(
        self,
        host: str,
        store: Store,
        source: TagSource,
        projects: ProjectPolls,
        cache: FingerprintCache,
        outages: RegistryOutages,
        keep_lease: Callable[[], Awaitable[None]],
        clock: Callable[[], datetime],
    ) -> None:
        self._host = host
        self._store = store
        self._projects = projects
        self._cache = cache
        self._outages = outages
        self._keep_lease = keep_lease
        self._clock = clock
        self._targets = TargetReader(host, store, source, cache, clock)
        self._updates: list[PollStateUpdate] = []
        self._skipped: list[str] = []

    async def run(self, project_ids: Sequence[str], spacing_s: float) -> frozenset[str]:
        """Poll the projects in their order, one every `spacing_s` seconds if the registry keeps up.

        Returns the ids of those that were skipped because the registry was backed off. Raises
        StoreUnavailableError, alone or in a group.
        """
        # Bounded: targets are read when their turn is near, and are current then.
        queue = _TargetQueue(BATCH)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_targets(project_ids, spacing_s, queue))
            for _ in range(MAX_CONCURRENT):
                tasks.create_task(self._poll_targets(queue))
        await self._write_updates()
        return frozenset(self._skipped)

    async def _read_targets(
        self, project_ids: Sequence[str], spacing_s: float, queue: _TargetQueue
    ) -> None:
        """Fill the queue, each batch read shortly before its turn; then end all consumers."""
        start = asyncio.get_running_loop().time()
        count = 0
        while count < len(project_ids):
            await sleep_until(start + count * spacing_s)
            batch = await self._targets.read(project_ids[count : count + BATCH])
            self._outages.set_backoff(batch.backoff)
            for place, target in enumerate(batch.targets, count):
                await queue.put(_ScheduledTarget(target, start + place * spacing_s))
            count += batch.taken
        for _ in range(MAX_CONCURRENT):
            await queue.put(None)

    async def _poll_targets(self, queue: _TargetQueue) -> None:
        while (scheduled := await queue.get()) is not None:
            await sleep_until(scheduled.at)
            await self._keep_lease()
            target, backoff = scheduled.target, self._outages.backoff(self._host)
            update: PollStateUpdate | None
            if backoff.retry_at and backoff.retry_at > self._clock():
                self._skipped.append(target.project.id)
                # The project shows why it is not polled; `last_at` stays.
                update = PollStateUpdate(target.state, replace(target.state, error=backoff.error))
            else:
                update = await self._projects.poll_target(target)
            if update is not None and update.after != update.before:
                self._updates.append(update)
            if len(self._updates) >= BATCH:
                await self._write_updates()

    async def _write_updates(self) -> None:
        # Taken before the first await: other consumers go on adding.
        updates, self._updates = self._updates, []
        if not updates:
            return
        written = await self._store.write(lambda tx: write_updates(tx, updates))
        for update in updates:
            project_id = update.after.project_id
            fingerprint = update.fingerprint if project_id in written else None
            self._cache.put(project_id, fingerprint, update.generation)


def write_updates(tx: Tx, updates: Sequence[PollStateUpdate]) -> set[str]:
    """Write each update whose `before` is still on record, and return those projects' ids.

    Projects that were polled, deleted or given another image since are left as they are.
    """
    states = tx.poll_states([update.before.project_id for update in updates])

    def is_current(update: PollStateUpdate) -> bool:
        before = update.before
        if states[before.project_id] != before:
            return False
        if before == PollState(project_id=before.project_id):
            # There is no row: the project may be deleted as well as never polled.
            try:
                tx.project(before.project_id)
            except NotFoundError:
                return False
        return True

    # All reads come first: one between two writes would cost a statement each.
    current = [update for update in updates if is_current(update)]
    for update in current:
        tx.put_poll_state(update.after)
    return {update.after.project_id for update in current}


async def sleep_until(at: float) -> None:
    """Sleep until `at`, in seconds of the loop's clock; return at once if that is over."""
    left = at - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.sleep(left)
