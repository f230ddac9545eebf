"""The poll of one project: ask its registry, then record what is new and queue the newest."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol
from weakref import WeakValueDictionary

import structlog
from msgspec import Struct

from tagboat.core.catalog import KnownTag, Project
from tagboat.core.counters import Counters
from tagboat.core.decision import Decision
from tagboat.core.errors import NotFoundError, RegistryError, RegistryUnreachableError
from tagboat.core.heard import found_more
from tagboat.core.image import Digest, ImageRef
from tagboat.core.polling import Change, PollReport, PollState, RegistryBackoff, TagReport
from tagboat.core.ports import Store, TagSource, Tx
from tagboat.core.principal import SERVER, Principal
from tagboat.core.push import Outcome, Push, PushVerdict, Source
from tagboat.core.values import replace
from tagboat.polling.audit import record_poll
from tagboat.polling.backoff import RegistryOutages, next_backoff
from tagboat.polling.findings import MAX_INSPECTED, Findings, find
from tagboat.polling.fingerprints import FingerprintCache, PollFingerprint
from tagboat.polling.tag_changes import (
    TagChanges,
    choose_new_tags,
    find_changes,
    images_to_inspect,
)
from tagboat.polling.target import PollTarget, read_target

MAX_KNOWN_TAGS = 100_000
"""Known tags of a project beyond which a poll records no more: polls with changes read them all."""
MANUAL_POLL_S = 30.0
"""Seconds that a poll that a person has asked for may spend at the registry."""
_MAX_LOGGED_TAGS = 10

log = structlog.get_logger("tagboat.poller")


class PushAdmission(Protocol):
    """Carries out decisions about pushes, in one transaction."""

    def carry_out(self, push: Push, project: Project, decision: Decision) -> PushVerdict:
        """Queue the deploy if one is due, record the tag, and return the outcome."""
        ...


class PollStateUpdate(Struct, frozen=True):
    """A poll state that replaces `before`, unless that is no longer on record.

    `fingerprint` is cached with it, if the cache is still in this `generation`.
    """

    before: PollState
    after: PollState
    fingerprint: PollFingerprint | None = None
    generation: int = 0


class ProjectPolls:
    """Polls projects one by one; two polls of the same project never overlap.

    `admission` makes the admission of pushes for a transaction at a time.
    """

    def __init__(
        self,
        store: Store,
        admission: Callable[[Tx, datetime], PushAdmission],
        cache: FingerprintCache,
        outages: RegistryOutages,
        counters: Counters,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._admission = admission
        self._cache = cache
        self._outages = outages
        self._counted = {
            failed: counters.counter("tagboat_polls_total", outcome=outcome)
            for failed, outcome in ((False, "done"), (True, "failed"))
        }
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def poll_now(
        self, project_id: str, source: TagSource, actor: Principal = SERVER
    ) -> PollReport:
        """Poll one project for `actor`, who waits."""
        # Two polls at a time would both see the same tags as new.
        async with self._locks.setdefault(project_id, asyncio.Lock()):
            try:
                target = await self._store.read(lambda tx: read_target(tx, project_id, source))
                try:
                    # Only the registry is limited: a write that is cut off would leave the outcome
                    # unknown.
                    async with asyncio.timeout(MANUAL_POLL_S):
                        findings = await self._find(target)
                except TimeoutError:
                    findings = RegistryUnreachableError(
                        f"{target.project.image.host} did not finish answering within "
                        f"{MANUAL_POLL_S:g} seconds; polls on schedule wait longer"
                    )
                return await self._record(target, findings, actor)
            except NotFoundError:
                return PollReport(first_poll=False, error="the project was deleted during the poll")

    async def poll_target(self, target: PollTarget) -> PollStateUpdate | None:
        """Poll a project on schedule. Returns None unless all there is to write is the poll state.

        Most polls find nothing: the caller writes their states many at a time.
        """
        async with self._locks.setdefault(target.project.id, asyncio.Lock()):
            try:
                findings = await self._find(target)
                host = target.project.image.host
                had_outage = self._outages.backoff(host).failures > 0
                if isinstance(findings, RegistryError) or findings.has_changes or had_outage:
                    await self._record(target, findings)
                    return None
            except NotFoundError:  # the project was deleted during the poll
                return None
            self._counted[False]()
            self._outages.end(host)
            log_complaint(target, findings)
            return PollStateUpdate(
                target.state,
                state_after(target.state, findings, self._clock()),
                target.new_fingerprint(findings.tags, findings.digests),
                target.generation,
            )

    async def _find(self, target: PollTarget) -> Findings | RegistryError:
        """Ask the registry. Raises NotFoundError if the project was deleted."""
        try:
            return await find(target, self._store, self._clock())
        except RegistryError as error:
            return error

    async def _record(
        self,
        target: PollTarget,
        findings: Findings | RegistryError,
        actor: Principal | None = None,
    ) -> PollReport:
        """Write everything in one transaction, for `actor`, None on schedule.

        Raises NotFoundError if the project was deleted.
        """
        # Before the write: a failure in it must not leave a fingerprint of what was not recorded.
        self._cache.forget(target.project.id)
        if isinstance(findings, RegistryError):
            project, error, now = target.project, findings, self._clock()
            is_outage = self._outages.is_outage(project, error)
            log.warning("poll failed", action="poll", project=project.name, reason=str(error))

            def fail(tx: Tx) -> tuple[PollReport, RegistryBackoff | None]:
                failed = record_failure(tx, project, error, now, is_outage=is_outage)
                record_poll(tx, project, failed[0], actor, now)
                return failed

            report, backoff = await self._store.write(fail)
            if backoff is not None:
                self._outages.set_backoff(backoff)
        else:
            log_complaint(target, findings)
            found = findings

            def admit(tx: Tx) -> PollReport | None:
                now = self._clock()
                admitted = record_findings(tx, target, found, self._admission, now)
                if admitted is not None:
                    record_poll(tx, target.project, admitted, actor, now)
                return admitted

            admitted = await self._store.write(admit)
            if admitted is None:
                # A push came during the poll, and must be compared with what was found.
                current = await target.reread(self._store)
                return await self._record(current, await self._find(current), actor)
            report = admitted
            if report.error in {None, findings.complaint}:
                self._outages.end(target.project.image.host)
        self._counted[report.error is not None]()
        log_report(target.project, report)
        return report


def record_findings(
    tx: Tx,
    polled: PollTarget,
    findings: Findings,
    admission: Callable[[Tx, datetime], PushAdmission],
    now: datetime,
) -> PollReport | None:
    """Record the findings and queue the newest tags, compared with the record as it is now.

    Returns None, and does nothing, if images must be inspected for that first.
    """
    # Read again: a webhook may have brought some of it during the poll.
    target = read_target(tx, polled.project.id, polled.source)
    first = not target.state.first_done and findings.complete
    # The first poll of the other image is still to come.
    if target.project.image != polled.project.image:
        return PollReport(
            first_poll=first,
            error="the image of the project was changed during the poll; poll again",
        )
    if len(target.known) > MAX_KNOWN_TAGS:
        return record_too_many(tx, target, now)
    # A tag that is no longer watched, since another went live, may change as it likes.
    digests = {tag: findings.digests[tag] for tag in target.watched if tag in findings.digests}
    changes = find_changes(findings.tags, digests, target.known, target.live)
    inspected = findings.inspected
    if not first and len(inspected.seen) < MAX_INSPECTED:
        wanted = images_to_inspect(
            target.project, target.stages, changes, inspected, target.serving, now
        )
        if wanted.needed_to_choose:
            return None
    tags = record_tags(admission(tx, now), tx, target, changes, digests, findings, now, first=first)
    pushed = [tag for tag in tags if tag.verdict.outcome is not Outcome.REFUSED]
    # The first poll finds what was there before: nobody failed to report it.
    if pushed and not first:
        host = target.project.image.host
        (before,) = tx.poll_finds(host) or (None,)
        tx.put_poll_finds(found_more(before, host, tx.last_call_of(host), len(pushed), now))
    tx.put_poll_state(state_after(target.state, findings, now))
    tx.put_registry_backoff(RegistryBackoff(host=target.project.image.host))
    return PollReport(
        first_poll=first,
        new_tags=tuple(tag for tag in changes.new if tag not in inspected.refused),
        deploys=tuple(tag.verdict.deploy for tag in tags if tag.verdict.deploy),
        tags=tags,
        error=None if tags else findings.complaint,
    )


def record_failure(
    tx: Tx, project: Project, error: RegistryError, now: datetime, *, is_outage: bool
) -> tuple[PollReport, RegistryBackoff | None]:
    """Put the error on the project, and back off if the registry as a whole fails.

    Raises NotFoundError if the project was deleted.
    """
    state = tx.poll_state(project.id)
    # Raises NotFoundError: a state without project would stay for ever.
    tx.project(project.id)
    tx.put_poll_state(replace(state, last_at=now, error=str(error)))
    backoff = None
    if is_outage:
        backoff = next_backoff(tx.registry_backoff(project.image.host), error, now)
        tx.put_registry_backoff(backoff)
    return PollReport(first_poll=not state.first_done, error=str(error)), backoff


def record_tags(
    admission: PushAdmission,
    tx: Tx,
    target: PollTarget,
    changes: TagChanges,
    digests: Mapping[str, Digest],
    findings: Findings,
    now: datetime,
    *,
    first: bool,
) -> tuple[TagReport, ...]:
    """Carry out the decision about each changed tag, and record the digests of the others.

    `first` is whether this is the first poll of the image.
    """
    project = target.project
    # Seen for the first time, or unchanged: nothing to decide.
    for tag in digests.keys() - set(changes.tags):
        tx.record_tag(
            KnownTag(
                project_id=project.id,
                tag=tag,
                digest=digests[tag],
                first_seen=now,
                source=Source.POLL,
            )
        )
    reports: list[TagReport] = []
    for one in choose_new_tags(
        project,
        target.stages,
        target.live,
        changes,
        findings.inspected,
        target.serving,
        now,
        first=first,
    ):
        # The first poll leaves a changed digest unrecorded, so that the next one acts on it.
        digest = None if first and one.change is Change.CHANGED else digests.get(one.tag)
        push = Push(ImageRef(project.image, one.tag, digest), Source.POLL)
        verdict = admission.carry_out(push, project, one.decision)
        reports.append(
            TagReport(tag=one.tag, change=one.change, stage=one.decision.stage, verdict=verdict)
        )
    return tuple(reports)


def record_too_many(tx: Tx, target: PollTarget, now: datetime) -> PollReport:
    """Put on the project that its registry has listed more tags than are recorded."""
    error = (
        f"{target.project.image} has had more than {MAX_KNOWN_TAGS} different tags over time, and "
        "no more are recorded: new tags are seen only by webhook until the project is deleted and "
        "created again"
    )
    tx.put_poll_state(replace(target.state, last_at=now, error=error))
    return PollReport(first_poll=not target.state.first_done, error=error)


def state_after(before: PollState, findings: Findings, now: datetime) -> PollState:
    """Return the poll state after a poll that the registry answered."""
    return replace(
        before,
        first_done=before.first_done or findings.complete,
        last_at=now,
        error=findings.complaint,
    )


def log_complaint(target: PollTarget, findings: Findings) -> None:
    """Log what the registry refuses, once for as long as it stays the same."""
    if findings.complaint and findings.complaint != target.state.error:
        log.warning(
            "poll incomplete",
            action="poll",
            project=target.project.name,
            reason=findings.complaint,
        )


def log_report(project: Project, report: PollReport) -> None:
    """Log the last few of the tags that were news."""
    if report.tags:
        log.info(
            "polled",
            action="poll",
            project=project.name,
            news=len(report.tags),
            tags=[
                f"{one.tag} {one.verdict.outcome}: {one.verdict.reason}"
                for one in report.tags[-_MAX_LOGGED_TAGS:]
            ],
        )
