"""The poller: finds new tags on a schedule, or when asked."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

import structlog

from tagboat.core.catalog import KnownTag, Project
from tagboat.core.counters import Counters
from tagboat.core.errors import (
    NotFoundError,
    RegistryError,
    RegistryRateLimitedError,
    RegistryUnreachableError,
    StoreUnavailableError,
)
from tagboat.core.image import Digest, ImageRef
from tagboat.core.poll import Looked, News, find_news, judge, to_look_at
from tagboat.core.polling import Change, PollReport, PollState, RegistryBackoff, TagReport
from tagboat.core.ports import DeployTriggerer, Reader, Store, TagSource, Tx
from tagboat.core.push import Push, Source
from tagboat.intake.admit import Admission
from tagboat.registry.backoff import next_backoff
from tagboat.registry.catching_up import CatchingUp
from tagboat.registry.failures import BudgetSpentError
from tagboat.registry.found import MOST_LOOKED_AT, Found, find
from tagboat.registry.rest import Rests
from tagboat.registry.rounds import SHARE, Note, Round, spacing
from tagboat.registry.situation import Situation, projects_of_hosts, read_situation
from tagboat.registry.timetable import Timetable

LEASE = "poller"
LEASE_S = 60.0
_SEVERAL = 3
"""Repositories in a row for which a registry fails, before it is left alone. One may be broken by itself."""
_MOST_LOGGED = 10
MOST_KNOWN = 100_000
"""Tags of a project beyond which a poll records no more: each poll that finds news reads them all."""
_PATIENCE_S = 30.0
"""How long a poll that a person has asked for may take to ask."""

log = structlog.get_logger("tagboat.poller")


@dataclass(frozen=True, slots=True)
class _Plan:
    """A round that is due at one registry: over the projects of those ids, which have their images at `host`."""

    host: str
    project_ids: Sequence[str]
    spacing_s: float


class Poller:
    """Implements `Polls`. `holder` names this server among replicas, of which one at a time polls on schedule.

    Polls on schedule ask `sparing`, which leaves a part of what a registry allows to people; without one, `tag_source`.
    """

    def __init__(
        self,
        store: Store,
        deployer: DeployTriggerer,
        tag_source: TagSource,
        *,
        clock: Callable[[], datetime],
        holder: str,
        counters: Counters,
        sparing: TagSource | None = None,
    ) -> None:
        self._store = store
        self._deployer = deployer
        self._tags = tag_source
        self._sparing = sparing or tag_source
        self._clock = clock
        self._holder = holder
        self._tally = counters
        self._timetable = Timetable(store, clock, self._claim)
        self._catching_up = CatchingUp(store, clock, self._claim, self._poll_some)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._backoffs: dict[str, RegistryBackoff] = {}
        self._rests = Rests(store)
        self._due: dict[str, _Plan] = {}
        self._busy: set[str] = set()
        self._sizes: dict[str, int] = {}
        self._failing: defaultdict[str, set[str]] = defaultdict(set)
        self._passed_over: dict[str, frozenset[str]] = {}
        self._claimed_at = clock()

    def next_at(self) -> datetime | None:
        """When the next scheduled poll is due, None before that is known."""
        return self._timetable.next_at

    async def settle(self) -> None:
        """Return once `next_at` goes by the settings that were committed before."""
        await self._timetable.settle()

    async def run(self) -> None:
        """Poll every project whenever the schedule says so, and sooner what is to be caught up with, until cancelled."""
        async with asyncio.TaskGroup() as rounds:
            rounds.create_task(self._catching_up.run(rounds))
            while True:
                await self._timetable.wait()
                try:
                    await self._begin(rounds)
                except StoreUnavailableError as error:
                    log.warning("not polled", action="poll", reason=str(error))

    async def poll_now(self, project_id: str) -> PollReport:
        """Poll one project, whatever the backoff says; not while the registry's `Retry-After` is in force."""
        project, backoff = await self._store.read(lambda reader: _with_backoff(reader, project_id))
        if backoff.refused_until and backoff.refused_until > self._clock():
            until = backoff.refused_until.isoformat(timespec="seconds").replace("+00:00", "Z")
            error = f"{backoff.host} is rate limiting us until {until} (Retry-After)"
            state = await self._store.read(lambda reader: reader.poll_state(project_id))
            return PollReport(first_poll=not state.first_done, error=error)
        return await self._poll(project)

    def _claim(self, tx: Tx) -> bool:
        """Take or keep the lease of those that poll on schedule."""
        now = self._clock()
        return tx.acquire_lease(LEASE, self._holder, now, now + timedelta(seconds=LEASE_S))

    async def _keep_turn(self) -> None:
        """Renew the lease, if a good part of it is over."""
        now = self._clock()
        if now - self._claimed_at > timedelta(seconds=LEASE_S / 3):
            self._claimed_at = now
            await self._store.write(self._claim)

    async def _begin(self, rounds: asyncio.TaskGroup) -> None:
        """Begin a round at every registry; one that is not done with its last begins when it is, and no other waits for it.

        In the order of their ids, which is that of their making, each project keeps its place while others come. Those that
        were passed over last time come first, or a registry that fails now and then would never get to them.
        """
        self._rests.listen()
        self._claimed_at = self._clock()
        room_s = (
            (self._timetable.next_at - self._clock()).total_seconds()
            if self._timetable.next_at
            else 0
        )
        for host, project_ids in (await self._store.read(projects_of_hosts)).items():
            last = self._passed_over.get(host, frozenset())
            ordered = (
                sorted(project_ids, key=lambda project_id: project_id not in last)
                if last
                else project_ids
            )
            self._sizes[host] = len(ordered)
            self._due[host] = _Plan(host, ordered, spacing(len(ordered), room_s))
            if host not in self._busy:
                self._busy.add(host)
                rounds.create_task(self._poll_host(host))

    async def _poll_host(self, host: str) -> None:
        try:
            while (plan := self._due.pop(host, None)) is not None:
                self._passed_over[host] = await self._round(plan)
        finally:
            self._busy.discard(host)

    async def _poll_some(self, host: str, project_ids: Sequence[str], over_s: float) -> None:
        """Poll these projects of a host, beside what the schedule has polled there; spread over so many seconds at most."""
        self._rests.listen()
        self._sizes.setdefault(host, len(project_ids))
        await self._round(_Plan(host, project_ids, spacing(len(project_ids), over_s / SHARE)))

    async def _round(self, plan: _Plan) -> frozenset[str]:
        """Poll them, and return the ids of those that were passed over."""
        subject = Round(
            plan.host,
            self._store,
            self._clock,
            self._sparing,
            self._backoffs,
            self._rests,
            self._poll_due,
            self._keep_turn,
        )
        passed_over: frozenset[str] = frozenset()
        try:
            passed_over = await subject.run(plan.project_ids, plan.spacing_s)
        except* StoreUnavailableError as errors:
            log.warning("not polled", action="poll", reason=str(errors.exceptions[0]))
        return passed_over

    async def _poll(self, project: Project) -> PollReport:
        """Poll a project now."""
        async with self._lock(project.id):
            try:
                situation = await self._store.read(
                    lambda reader: read_situation(reader, project.id, self._tags)
                )
                report = await self._settle(situation, await self._find_soon(situation))
            except NotFoundError:
                return PollReport(first_poll=False, error="the project was deleted meanwhile")
        self._count(failed=report.error is not None)
        return report

    async def _find_soon(self, situation: Situation) -> Found | RegistryError:
        """As `_find`, for a person who waits."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._find(situation)
        except TimeoutError:
            return RegistryUnreachableError(
                f"{situation.project.image.host} did not finish answering within {_PATIENCE_S:g} seconds; polls on schedule "
                "wait longer"
            )

    async def _poll_due(self, situation: Situation) -> Note | None:
        """Poll a project whose turn it is; where there is no news, what is to be noted."""
        async with self._lock(situation.project.id):
            try:
                found = await self._find(situation)
            except NotFoundError:  # deleted meanwhile
                return None
            if isinstance(found, Found) and self._is_quiet(situation, found):
                self._count(failed=False)
                self._failing.pop(situation.project.image.host, None)
                now = _state_after(situation.state, found, self._clock())
                _tell(situation, found)
                rest = situation.at_rest(found.tags, found.digests)
                return Note(situation.state, now, rest, situation.changes)
            with contextlib.suppress(NotFoundError):  # deleted meanwhile
                report = await self._settle(situation, found)
                self._count(failed=report.error is not None)
        return None

    def _lock(self, project_id: str) -> asyncio.Lock:
        return self._locks.setdefault(project_id, asyncio.Lock())

    def _count(self, *, failed: bool) -> None:
        self._tally.count("tagboat_polls_total", outcome="failed" if failed else "done")

    def _is_quiet(self, situation: Situation, found: Found) -> bool:
        """Whether the time of the poll is all there is to write: no news, and no outage that has just ended."""
        backoff = self._backoffs.get(situation.project.image.host)
        return not (found.is_news or (backoff and backoff.failures))

    async def _find(self, situation: Situation) -> Found | RegistryError:
        """Look at the repository. Raises NotFoundError."""
        try:
            return await find(situation, self._read_whole, self._clock())
        except RegistryError as error:
            return error

    async def _read_whole(self, situation: Situation) -> Situation:
        """All that is on record of a repository. Raises NotFoundError."""
        project = situation.project
        return await self._store.read(
            lambda reader: read_situation(reader, project.id, situation.tags)
        )

    async def _settle(self, situation: Situation, found: Found | RegistryError) -> PollReport:
        """Write everything at once. Raises NotFoundError if the project was deleted."""
        self._rests.forget(situation.project.id)
        if isinstance(found, RegistryError):
            return await self._failed(situation.project, found)
        _tell(situation, found)
        report = await self._store.write(lambda tx: self._admit(tx, situation.project, found))
        if report is None:  # a push came meanwhile, with which what was found must be compared
            return await self._settle(
                situation, await self._find(await self._read_whole(situation))
            )
        host = situation.project.image.host
        if report.error in {None, found.complaint}:  # the registry answers
            self._failing.pop(host, None)
            self._backoffs[host] = RegistryBackoff(host=host)
        if report.tags:
            told = [
                f"{one.tag} {one.verdict.outcome}: {one.verdict.reason}"
                for one in report.tags[-_MOST_LOGGED:]
            ]
            log.info(
                "polled",
                action="poll",
                project=situation.project.name,
                news=len(report.tags),
                tags=told,
            )
        return report

    def _admit(self, tx: Tx, asked: Project, found: Found) -> PollReport | None:
        """Record everything found and queue what is newest, in view of what a webhook may have brought meanwhile.

        None, and nothing is done, where more must be looked at for that.
        """
        situation = read_situation(tx, asked.id, self._tags)
        first = not situation.state.first_done and found.whole
        if situation.project.image != asked.image:  # whose first poll is still to come
            return PollReport(
                first_poll=first, error="the project's image was changed meanwhile; poll again"
            )
        if len(situation.known) > MOST_KNOWN:
            return _too_many(tx, situation, self._clock())
        # What is no longer watched, since another tag went live, may change as it likes.
        digests = {tag: found.digests[tag] for tag in situation.watched if tag in found.digests}
        news = find_news(found.tags, digests, situation.known, situation.live)
        admission = Admission(tx, self._deployer, self._clock())
        if not first and _must_look_again(situation, news, found.looked, admission.now):
            return None
        tags = _carry_out(admission, situation, news, digests, found.looked, first=first)
        tx.put_poll_state(_state_after(situation.state, found, admission.now))
        tx.put_registry_backoff(RegistryBackoff(host=situation.project.image.host))
        return PollReport(
            first_poll=first,
            new_tags=tuple(tag for tag in news.fresh if tag not in found.looked.refused),
            deploys=tuple(tag.verdict.deploy for tag in tags if tag.verdict.deploy),
            tags=tags,
            error=None if tags else found.complaint,
        )

    def _is_outage(self, project: Project, error: RegistryError) -> bool:
        """Whether the registry fails as a whole, and not in what it is to say of one repository."""
        # A spent budget stops what counts; lists and looks at digests cost nothing, and may go on.
        if isinstance(error, RegistryRateLimitedError):
            return not isinstance(error, BudgetSpentError)
        if not isinstance(error, RegistryUnreachableError):
            return False
        failing = self._failing[project.image.host]
        failing.add(project.id)
        return len(failing) >= min(_SEVERAL, self._sizes.get(project.image.host, 1))

    async def _failed(self, project: Project, error: RegistryError) -> PollReport:
        """Put the error on the project, and back off where the registry as a whole failed. Raises NotFoundError."""
        now, host = self._clock(), project.image.host
        backs_off = self._is_outage(project, error)

        def work(tx: Tx) -> tuple[PollReport, RegistryBackoff | None]:
            state = tx.poll_state(project.id)
            tx.project(project.id)
            tx.put_poll_state(replace(state, last_at=now, error=str(error)))
            backoff = next_backoff(tx.registry_backoff(host), error, now) if backs_off else None
            if backoff is not None:
                tx.put_registry_backoff(backoff)
            return PollReport(first_poll=not state.first_done, error=str(error)), backoff

        log.warning("poll failed", action="poll", project=project.name, reason=str(error))
        report, backoff = await self._store.write(work)
        if backoff is not None:
            self._backoffs[host] = backoff
        return report


def _must_look_again(situation: Situation, news: News, looked: Looked, now: datetime) -> bool:
    wanted = to_look_at(situation.project, situation.stages, news, looked, situation.serving, now)
    return wanted.to_choose and len(looked.seen) < MOST_LOOKED_AT


def _state_after(before: PollState, found: Found, now: datetime) -> PollState:
    return replace(
        before, first_done=before.first_done or found.whole, last_at=now, error=found.complaint
    )


def _tell(situation: Situation, found: Found) -> None:
    """Log what the registry refuses, once for as long as it is the same."""
    if found.complaint and found.complaint != situation.state.error:
        log.warning(
            "poll incomplete", action="poll", project=situation.project.name, reason=found.complaint
        )


def _with_backoff(reader: Reader, project_id: str) -> tuple[Project, RegistryBackoff]:
    project = reader.project(project_id)
    return project, reader.registry_backoff(project.image.host)


def _carry_out(
    admission: Admission,
    situation: Situation,
    news: News,
    digests: Mapping[str, Digest],
    looked: Looked,
    *,
    first: bool,
) -> tuple[TagReport, ...]:
    """Do what is to be done about each tag that is news, and record the digests of those that are none."""
    project, stages = situation.project, situation.stages
    judged = judge(
        project, stages, situation.live, news, looked, situation.serving, admission.now, first=first
    )
    for tag in digests.keys() - set(news.tags):
        admission.tx.record_tag(
            KnownTag(
                project_id=project.id,
                tag=tag,
                digest=digests[tag],
                first_seen=admission.now,
                source=Source.POLL,
            )
        )
    return tuple(
        TagReport(
            tag=one.tag,
            change=one.change,
            stage=one.decision.stage,
            # The first poll leaves a changed digest unrecorded, so that the next one acts on it.
            verdict=admission.carry_out(
                _push(project, one.tag, {} if first and one.change is Change.CHANGED else digests),
                project,
                one.decision,
            ),
        )
        for one in judged
    )


def _push(project: Project, tag: str, digests: Mapping[str, Digest]) -> Push:
    return Push(ImageRef(project.image, tag, digests.get(tag)), Source.POLL)


def _too_many(tx: Tx, situation: Situation, now: datetime) -> PollReport:
    """Put on the project that its registry has named more tags than are kept."""
    error = (
        f"{situation.project.image} has named more than {MOST_KNOWN} different tags over time, and no more are kept: new ones "
        "are heard of by webhook alone, until the project is made anew"
    )
    tx.put_poll_state(replace(situation.state, last_at=now, error=error))
    return PollReport(first_poll=not situation.state.first_done, error=error)
