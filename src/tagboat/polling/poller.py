"""The poller: polls every project on schedule, and single projects on request."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from tagboat.core.counters import Counters
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.polling import PollReport
from tagboat.core.ports import Store, TagSource, Tx
from tagboat.core.principal import SERVER, Principal
from tagboat.polling.audit import record_poll
from tagboat.polling.backoff import RegistryOutages
from tagboat.polling.catch_up import CatchUp
from tagboat.polling.fingerprints import FingerprintCache
from tagboat.polling.host_poll import SPREAD, HostPoll, spacing
from tagboat.polling.project_poll import ProjectPolls, PushAdmission
from tagboat.polling.target import projects_by_host
from tagboat.polling.timetable import Timetable

LEASE = "poller"
LEASE_S = 60.0

log = structlog.get_logger("tagboat.poller")


class Poller:
    """Implements `Polls`. `holder` names this server among replicas: one at a time has the lease.

    Polls on schedule ask `scheduled_source`, which leaves a part of a registry's rate limit to
    people; without one, `source`. `admission` makes the admission of pushes for a transaction.
    """

    def __init__(
        self,
        store: Store,
        admission: Callable[[Tx, datetime], PushAdmission],
        source: TagSource,
        *,
        clock: Callable[[], datetime],
        holder: str,
        counters: Counters,
        scheduled_source: TagSource | None = None,
    ) -> None:
        self._store = store
        self._source = source
        self._scheduled_source = scheduled_source or source
        self._clock = clock
        self._holder = holder
        self._cache = FingerprintCache(store)
        self._outages = RegistryOutages()
        self._projects = ProjectPolls(store, admission, self._cache, self._outages, counters, clock)
        self._timetable = Timetable(store, clock, self._acquire_lease)
        self._catch_up = CatchUp(store, clock, self._acquire_lease, self._poll_soon)
        self._due: dict[str, tuple[Sequence[str], float]] = {}
        """Projects to be polled next at a host, and the spacing of their polls in seconds."""
        self._busy: set[str] = set()
        self._skipped: dict[str, frozenset[str]] = {}
        self._acquired_at = clock()

    def next_at(self) -> datetime | None:
        """Return when the next poll on schedule is due, None before that is known."""
        return self._timetable.next_at

    async def settle(self) -> None:
        """Return once `next_at` follows the settings that were committed before."""
        await self._timetable.settle()

    async def run(self) -> None:
        """Poll on schedule, and catch up on what cannot wait for it, until cancelled."""
        async with asyncio.TaskGroup() as polls:
            polls.create_task(self._catch_up.run(polls))
            while True:
                await self._timetable.wait()
                try:
                    await self.start_cycle(polls)
                except StoreUnavailableError as error:
                    log.warning("not polled", action="poll", reason=str(error))

    async def poll_now(self, project_id: str, actor: Principal = SERVER) -> PollReport:
        """Poll one project for `actor`, whatever the backoff.

        It is not polled while a `Retry-After` is in force.
        """
        image_host, backoff, state = await self._store.read(
            lambda reader: (
                host := reader.project(project_id).image.host,
                reader.registry_backoff(host),
                reader.poll_state(project_id),
            )
        )
        if backoff.refused_until and backoff.refused_until > self._clock():
            # A registry that names a time blocks clients that come back before it.
            until = backoff.refused_until.isoformat(timespec="seconds").replace("+00:00", "Z")
            error = f"{image_host} is rate limiting us until {until} (Retry-After)"
            report = PollReport(first_poll=not state.first_done, error=error)
            await self._store.write(
                lambda tx: record_poll(tx, tx.project(project_id), report, actor, self._clock())
            )
            return report
        return await self._projects.poll_now(project_id, self._source, actor)

    def _acquire_lease(self, tx: Tx) -> bool:
        """Take or renew the lease of the one server that polls on schedule."""
        return tx.acquire_lease(LEASE, self._holder, LEASE_S)

    async def start_cycle(self, polls: asyncio.TaskGroup) -> None:
        """Start polling at every host.

        A host that is still busy with the last cycle follows when it is done; no other waits for
        it.
        """
        self._cache.listen()
        # The timetable has just taken the lease in its own transaction.
        self._acquired_at = self._clock()
        next_at = self._timetable.next_at
        left_s = (next_at - self._clock()).total_seconds() if next_at else 0
        for host, project_ids in (await self._store.read(projects_by_host)).items():
            if skipped := self._skipped.get(host):
                # They come first, or a registry that fails now and then never gets to them.
                project_ids.sort(key=skipped.__contains__, reverse=True)
            self._outages.set_size(host, len(project_ids))
            self._due[host] = project_ids, spacing(len(project_ids), left_s)
            # A slow registry must not hold up the others.
            if host not in self._busy:
                self._busy.add(host)
                polls.create_task(self._poll_while_due(host))

    async def _poll_while_due(self, host: str) -> None:
        try:
            while (due := self._due.pop(host, None)) is not None:
                self._skipped[host] = await self._poll_host(host, *due)
        finally:
            self._busy.discard(host)

    async def _poll_soon(self, host: str, project_ids: Sequence[str], over_s: float) -> None:
        """Poll projects of a host outside the schedule, spread over `over_s` seconds at most."""
        self._cache.listen()
        self._outages.note_size(host, len(project_ids))
        await self._poll_host(host, project_ids, spacing(len(project_ids), over_s / SPREAD))

    async def _poll_host(
        self, host: str, project_ids: Sequence[str], spacing_s: float
    ) -> frozenset[str]:
        """Poll projects of a host, and return the ids of those that were skipped."""
        host_poll = HostPoll(
            host,
            self._store,
            self._scheduled_source,
            self._projects,
            self._cache,
            self._outages,
            self._renew_lease,
            self._clock,
        )
        skipped: frozenset[str] = frozenset()
        try:
            skipped = await host_poll.run(project_ids, spacing_s)
        # The next cycle tries again; the server goes on.
        except* StoreUnavailableError as errors:
            log.warning("not polled", action="poll", reason=str(errors.exceptions[0]))
        return skipped

    async def _renew_lease(self) -> None:
        now = self._clock()
        # Before each poll: a write for each would be far too many.
        if now - self._acquired_at > timedelta(seconds=LEASE_S / 3):
            self._acquired_at = now
            await self._store.write(self._acquire_lease)
