"""The poller: finds new tags on a schedule, or when asked."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from tagboat.core.catalog import KnownTag, Project, Registry, Stage
from tagboat.core.decision import Decision, decide
from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.errors import (
    NotFoundError,
    RegistryError,
    RegistryNotFoundError,
    RegistryProtocolError,
    RegistryRateLimitedError,
    RegistryUnreachableError,
    StoreUnavailableError,
)
from tagboat.core.image import Digest, ImageRef
from tagboat.core.poll import News, find_news, watched, worth_deploying
from tagboat.core.polling import PollReport, PollState, RegistryBackoff
from tagboat.core.ports import DeployTriggerer, Reader, Store, TagSource, Tx
from tagboat.core.push import Outcome, Push, Source
from tagboat.core.tags import Candidate, is_semver
from tagboat.core.tally import Tally
from tagboat.intake.admit import Admission
from tagboat.registry.failures import BudgetSpentError
from tagboat.registry.timetable import Timetable

PER_REGISTRY = 4
"""How many repositories of one registry are asked at a time."""
LEASE = "poller"
LEASE_S = 60.0
_FIRST_BACKOFF_S = 5.0
_LONGEST_BACKOFF_S = 600.0
_MOST_INSPECTED = 50

log = structlog.get_logger("tagboat.poller")


@dataclass(frozen=True, slots=True)
class _Situation:
    project: Project
    registry: Registry | None
    stages: Sequence[Stage]
    live: Sequence[Instance]
    known: Mapping[str, KnownTag]
    state: PollState
    tags: TagSource


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was learnt of new tags: when the images of some were built, and which are no images."""

    created: Mapping[str, datetime] = field(default_factory=dict)
    imageless: frozenset[str] = frozenset()

    def candidates(self, tags: Sequence[str]) -> list[Candidate]:
        """What to choose from: a tag that is no image, such as a build's cache, only where nothing else is new."""
        images = [tag for tag in tags if tag not in self.imageless] or tags
        return [Candidate(tag, self.created.get(tag)) for tag in images]


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
        tally: Tally,
        sparing: TagSource | None = None,
    ) -> None:
        self._store = store
        self._deployer = deployer
        self._tags = tag_source
        self._sparing = sparing or tag_source
        self._clock = clock
        self._holder = holder
        self._tally = tally
        self._timetable = Timetable(store, clock, self._claim)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def next_at(self) -> datetime | None:
        """When the next scheduled poll is due, None before that is known."""
        return self._timetable.next_at

    async def run(self) -> None:
        """Poll every project whenever the schedule says so, until cancelled."""
        while True:
            await self._timetable.wait()
            try:
                await self._cycle()
            except StoreUnavailableError as error:
                log.warning("not polled", action="poll", reason=str(error))

    async def poll_now(self, project_id: str) -> PollReport:
        """Poll one project, whatever the backoff says; not while the registry's `Retry-After` is in force."""
        project = await self._store.read(lambda reader: reader.project(project_id))
        backoff = await self._backoff(project.image.host)
        if backoff.refused_until and backoff.refused_until > self._clock():
            until = backoff.refused_until.isoformat(timespec="seconds").replace("+00:00", "Z")
            error = f"{backoff.host} asks to be left alone until {until}"
            state = await self._store.read(lambda reader: reader.poll_state(project_id))
            return PollReport(first_poll=not state.first_done, error=error)
        return await self._poll(project)

    def _claim(self, tx: Tx) -> bool:
        """Take or keep the lease of those that poll on schedule."""
        now = self._clock()
        return tx.acquire_lease(LEASE, self._holder, now, now + timedelta(seconds=LEASE_S))

    async def _cycle(self) -> None:
        hosts: defaultdict[str, list[Project]] = defaultdict(list)
        for project in await self._store.read(lambda reader: reader.projects()):
            hosts[project.image.host].append(project)
        await asyncio.gather(*(self._poll_host(host, projects) for host, projects in hosts.items()))

    async def _poll_host(self, host: str, projects: Sequence[Project]) -> None:
        places = asyncio.Semaphore(PER_REGISTRY)

        async def poll(project: Project) -> None:
            async with places:
                backoff = await self._backoff(host)
                if backoff.retry_at and backoff.retry_at > self._clock():
                    await self._note_error(project.id, backoff.error)
                else:
                    await self._poll(project, sparing=True)

        await asyncio.gather(*(poll(project) for project in projects))

    async def _backoff(self, host: str) -> RegistryBackoff:
        return await self._store.read(lambda reader: reader.registry_backoff(host))

    async def _poll(self, project: Project, *, sparing: bool = False) -> PollReport:
        tags = self._sparing if sparing else self._tags
        async with self._locks[project.id]:
            try:
                report = await self._ask_or_note(project, tags)
            except NotFoundError:
                return PollReport(first_poll=False, error="the project was deleted meanwhile")
        self._tally.count("tagboat_polls_total", outcome="failed" if report.error else "done")
        return report

    async def _ask_or_note(self, project: Project, tags: TagSource) -> PollReport:
        try:
            return await self._ask(project.id, tags)
        except RegistryError as error:
            return await self._failed(project, error)

    async def _ask(self, project_id: str, tags: TagSource) -> PollReport:
        """One listing, one HEAD for each watched tag, then everything written at once."""
        situation = await self._store.read(lambda reader: _situation(reader, project_id, tags))
        image, registry = situation.project.image, situation.registry
        listed = await tags.list_tags(image, registry)
        digests = await self._digests(situation, watched(situation.stages, situation.live, listed))
        news = find_news(listed, digests, situation.known, situation.live)
        looked = await self._look_at(situation, news) if situation.state.first_done else _Looked()
        return await self._store.write(lambda tx: self._admit(tx, situation.project, listed, digests, looked))

    async def _digests(self, situation: _Situation, tags: Sequence[str]) -> dict[str, Digest]:
        """What `tags` point to, without those that the registry lists but does not have: they say nothing of the others."""
        digests: dict[str, Digest] = {}
        for tag in tags:
            with contextlib.suppress(RegistryNotFoundError):
                digests[tag] = await situation.tags.resolve(situation.project.image, tag, situation.registry)
        return digests

    async def _look_at(self, situation: _Situation, news: News) -> _Looked:
        """Look at the images of new tags, but only where the tags' own order cannot say which is newest."""
        matched: defaultdict[str, list[str]] = defaultdict(list)
        for tag in (*news.fresh, *(tag for tag, _ in news.changed)):
            decision = decide(situation.project, situation.stages, tag)
            if decision.outcome is Outcome.QUEUED and decision.stage is not None:
                matched[decision.stage.id].append(tag)
        unsure = [tags for tags in matched.values() if len(tags) > 1 and not all(is_semver(tag) for tag in tags)]
        created: dict[str, datetime] = {}
        imageless: set[str] = set()
        for tag in [tag for tags in unsure for tag in tags][-_MOST_INSPECTED:]:
            try:
                info = await situation.tags.inspect(ImageRef(situation.project.image, tag), situation.registry)
            except (RegistryNotFoundError, RegistryProtocolError):  # of this tag alone: it must not hide the others
                imageless.add(tag)
                continue
            if info.created is not None:
                created[tag] = info.created
        return _Looked(created, frozenset(imageless))

    def _admit(
        self,
        tx: Tx,
        asked: Project,
        listed: Sequence[str],
        digests: Mapping[str, Digest],
        looked: _Looked,
    ) -> PollReport:
        """Record everything found and queue what is newest, in view of what a webhook may have brought meanwhile."""
        situation = _situation(tx, asked.id, self._tags)
        first = not situation.state.first_done
        if situation.project.image != asked.image:  # whose first poll is still to come
            return PollReport(first_poll=first, error="the project's image was changed meanwhile; poll again")
        news = find_news(listed, digests, situation.known, situation.live)
        admission = Admission(tx, self._deployer, {}, self._clock())
        pushes = _pushes(situation, news, digests, first=first)
        for push in pushes.values():
            admission.record(push, situation.project)
        deploys = [] if first else _queue(admission, situation, news, pushes, looked)
        tx.put_poll_state(PollState(project_id=asked.id, first_done=True, last_at=admission.now))
        tx.put_registry_backoff(RegistryBackoff(host=situation.project.image.host))
        return PollReport(first_poll=first, new_tags=news.fresh, deploys=tuple(deploys))

    async def _failed(self, project: Project, error: RegistryError) -> PollReport:
        """Put the error on the project, and back off where the registry as a whole failed."""
        now = self._clock()

        def work(tx: Tx) -> PollReport:
            state = tx.poll_state(project.id)
            tx.project(project.id)
            tx.put_poll_state(replace(state, last_at=now, error=str(error)))
            outage = isinstance(error, RegistryUnreachableError | RegistryRateLimitedError)
            # A spent budget stops what counts; lists and looks at digests cost nothing, and may go on.
            if outage and not isinstance(error, BudgetSpentError):
                tx.put_registry_backoff(_next_backoff(tx.registry_backoff(project.image.host), error, now))
            return PollReport(first_poll=not state.first_done, error=str(error))

        log.warning("poll failed", action="poll", project=project.name, reason=str(error))
        return await self._store.write(work)

    async def _note_error(self, project_id: str, error: str) -> None:
        def work(tx: Tx) -> None:
            tx.project(project_id)
            tx.put_poll_state(replace(tx.poll_state(project_id), error=error))

        with contextlib.suppress(NotFoundError):  # deleted meanwhile
            await self._store.write(work)


def _situation(reader: Reader, project_id: str, tags: TagSource) -> _Situation:
    project = reader.project(project_id)
    return _Situation(
        project=project,
        registry=reader.registry_of(project),
        stages=reader.stages(project_id),
        live=reader.instances(project_id=project_id, states=[InstanceState.LIVE]),
        known={known.tag: known for known in reader.known_tags(project_id)},
        state=reader.poll_state(project_id),
        tags=tags,
    )


def _pushes(situation: _Situation, news: News, digests: Mapping[str, Digest], *, first: bool) -> dict[str, Push]:
    """What is to be recorded, by tag. The first poll leaves a changed digest unrecorded, so that the next one acts on it."""
    changed = {tag for tag, _ in news.changed}
    tags = dict.fromkeys((*news.fresh, *digests))
    return {
        tag: Push(ImageRef(situation.project.image, tag, digests.get(tag)), Source.POLL)
        for tag in tags
        if not (first and tag in changed)
    }


def _queue(
    admission: Admission,
    situation: _Situation,
    news: News,
    pushes: Mapping[str, Push],
    looked: _Looked,
) -> list[str]:
    """Queue, for each stage, the newest of the tags that are due in it; the ids of the deploys."""
    due: defaultdict[str, list[tuple[str, Decision]]] = defaultdict(list)
    for tag in (*(tag for tag, _ in news.changed), *news.fresh):
        decision = decide(situation.project, situation.stages, tag)
        if decision.outcome is Outcome.QUEUED and decision.stage is not None:
            due[decision.stage.id].append((tag, decision))
    deploys = []
    for stage_due in due.values():
        decisions = dict(stage_due)
        stage = stage_due[0][1].stage
        for chosen in worth_deploying(looked.candidates(list(decisions)), stage.max_instances if stage else 1):
            result = admission.carry_out(pushes[chosen.tag], situation.project, decisions[chosen.tag])
            deploys.extend([result.deploy] if result.deploy else [])
    return deploys


def _next_backoff(backoff: RegistryBackoff, error: RegistryError, now: datetime) -> RegistryBackoff:
    """One outage more: wait twice as long as last time, or as long as the registry asks.

    What fails before that wait is over belongs to the same outage: one cycle asks a registry for many projects.
    """
    if not isinstance(error, RegistryRateLimitedError) and backoff.retry_at and backoff.retry_at > now:
        return replace(backoff, error=str(error))
    failures = backoff.failures + 1
    wait = min(_FIRST_BACKOFF_S * 2 ** min(failures - 1, 10), _LONGEST_BACKOFF_S)
    refused_until = error.retry_at if isinstance(error, RegistryRateLimitedError) else None
    return RegistryBackoff(
        host=backoff.host,
        failures=failures,
        error=str(error),
        retry_at=refused_until or now + timedelta(seconds=wait),
        refused_until=refused_until,
    )
