"""Explanation of a push: what it would do, and why, without doing it."""

from datetime import UTC, datetime

from msgspec import Struct

from tagboat.core.auto_create import refuses, too_many_projects
from tagboat.core.config import read_auto_create
from tagboat.core.decision import (
    Considered,
    decide,
    goes_by_version,
    in_stage,
    merged_reason,
    normal_tag,
    unless_lower,
)
from tagboat.core.deploy import merges_into
from tagboat.core.errors import NotAnImageError
from tagboat.core.image import ImageInfo, ImageRef
from tagboat.core.ports import Reader
from tagboat.core.push import Outcome, Push, Source
from tagboat.core.serving import serving_in
from tagboat.core.values import replace
from tagboat.intake.admit import kind_at, unless_fused
from tagboat.intake.autocreate import FIRST_STAGE, first_stage
from tagboat.intake.receipt import Named

_NEVER = datetime.min.replace(tzinfo=UTC)


class Explanation(Struct, frozen=True):
    """The result that a push would have, and each stage tried, up to the match."""

    image: str
    tag: str
    project: Named | None
    stage: Named | None
    outcome: Outcome
    reason: str
    considered: tuple[Considered, ...]


def explain_image(
    reader: Reader, ref: ImageRef, found: ImageInfo | NotAnImageError | None = None
) -> Explanation:
    """Return what a push of `ref` would do now.

    `found` is the configuration of an image, None if it was not read.
    """
    project = reader.project_by_image(ref.name)
    tag = normal_tag(ref.tag, kind_at(reader, ref.name))
    # An unknown image has no stages to try.
    if project is None:
        policy = read_auto_create(reader)
        if refusal := refuses(policy, ref.name) or too_many_projects(
            policy, ref.name, reader.count_projects()
        ):
            outcome, reason = Outcome.REFUSED, refusal
        elif isinstance(found, NotAnImageError):
            outcome, reason = Outcome.REFUSED, str(found)
        else:
            outcome, reason = in_stage(first_stage("", found, _NEVER), tag)
            made = (
                f"no project has the image {ref.name} yet. One would be created, "
                f"with a stage {FIRST_STAGE} that accepts each tag"
            )
            reason = made if outcome is Outcome.QUEUED else f"{made}; {reason}"
        return Explanation(str(ref.name), tag, None, None, outcome, reason, ())
    named = Named(project.id, project.name)
    if isinstance(found, NotAnImageError):
        return Explanation(str(ref.name), tag, named, None, Outcome.REFUSED, str(found), ())
    push = Push(replace(ref, tag=tag), Source.WEBHOOK)
    decision = decide(project, reader.stages(project.id), tag)
    if decision.stage and goes_by_version(decision, push.source):
        decision = unless_lower(decision, tag, push.source, serving_in(reader, decision.stage.id))
    looked_up = found.digest if isinstance(found, ImageInfo) else None
    decision = unless_fused(reader, decision, project, push, looked_up)
    outcome, reason = decision.outcome, decision.reason
    stage = decision.stage
    if stage and outcome is Outcome.QUEUED:
        deploys = reader.open_deploys(stage.id)
        if any(merges_into(deploy, tag, ref.digest, force=False) for deploy in deploys):
            outcome, reason = Outcome.MERGED, merged_reason(reason)
    return Explanation(
        image=str(ref.name),
        tag=tag,
        project=named,
        stage=Named(stage.id, stage.name) if stage else None,
        outcome=outcome,
        reason=reason,
        considered=decision.considered,
    )
