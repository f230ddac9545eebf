"""Tags as the API shows them."""

from collections.abc import Mapping, Sequence

from tagboat.api.schemas import RefOut
from tagboat.api.tag_schemas import KnownTagOut, PolledTagOut, PollReportOut, TagNewsOut
from tagboat.core import catalog
from tagboat.core.catalog import Project, Stage
from tagboat.core.decision import decide, unless_lower, unless_taken_back
from tagboat.core.deploy import TakenBack
from tagboat.core.image import parse_digest
from tagboat.core.polling import PollReport, TagReport
from tagboat.core.push import Outcome, PushVerdict, Source
from tagboat.core.serving import Serving

_BY_POLL = (
    "a poll deploys a known tag only if its digest changes while it is live or a pattern names it"
)


def tag_view(
    tag: catalog.KnownTag,
    project: Project,
    stages: Sequence[Stage],
    serving: Mapping[str, Sequence[Serving]],
    taken_back: Mapping[str, Sequence[TakenBack]],
) -> KnownTagOut:
    """A known tag of a project with these stages, in order; by their ids, what each has and what was taken back there."""
    decision = decide(project, stages, tag.tag)
    if stage := decision.stage:
        decision = unless_lower(decision, tag.tag, Source.WEBHOOK, serving[stage.id])
        digest = parse_digest(tag.digest) if tag.digest else None
        decision = unless_taken_back(decision, digest, taken_back[stage.id], tag.tag)
    reason = decision.reason
    if decision.outcome is Outcome.QUEUED and decision.stage:
        reason = f"{reason}: a push of it is deployed to the stage {decision.stage.name}, while {_BY_POLL}"
    return KnownTagOut(
        tag=tag.tag,
        digest=tag.digest,
        first_seen=tag.first_seen,
        source=tag.source,
        reason=reason,
        last=_news_view(tag.verdict) if tag.verdict else None,
    )


def poll_view(report: PollReport) -> PollReportOut:
    """What came of a poll."""
    return PollReportOut(
        first_poll=report.first_poll,
        new_tags=list(report.new_tags),
        deploys=list(report.deploys),
        tags=[_polled_view(tag) for tag in report.tags],
        error=report.error,
    )


def _polled_view(report: TagReport) -> PolledTagOut:
    stage, verdict = report.stage, report.verdict
    return PolledTagOut(
        tag=report.tag,
        change=report.change,
        stage=RefOut(id=stage.id, name=stage.name) if stage else None,
        outcome=verdict.outcome,
        reason=verdict.reason,
        deploy=verdict.deploy,
    )


def _news_view(verdict: PushVerdict) -> TagNewsOut:
    return TagNewsOut(
        at=verdict.at,
        source=verdict.source,
        outcome=verdict.outcome,
        reason=verdict.reason,
        deploy=verdict.deploy,
    )
