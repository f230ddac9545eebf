"""Push → decide → (make a project) → queue: what happens inside the transaction. No I/O but through `Tx`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from tagboat.core.catalog import KnownTag, Offer, Project, RegistryKind, Stage, judged_tag
from tagboat.core.config import read_auto_create
from tagboat.core.decision import (
    Decision,
    decide,
    goes_by_version,
    merged_reason,
    normal_tag,
    refuses,
    unless_lower,
    unless_taken_back,
)
from tagboat.core.deploy import Trigger
from tagboat.core.errors import NotAnImageError
from tagboat.core.image import ImageInfo, ImageName
from tagboat.core.ports import DeployTriggerer, Queued, Reader, Tx
from tagboat.core.push import Outcome, Push, Source, Verdict
from tagboat.core.serving import serving_in
from tagboat.intake.autocreate import make_project
from tagboat.intake.receipt import Named, PushResult

Inspected = ImageInfo | NotAnImageError | None
"""What an image said of itself, or that it is none and no project is to be made of it; None where nobody could tell."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Admits pushes in one transaction. `inspected` says what is known of unknown images."""

    tx: Tx
    deployer: DeployTriggerer
    inspected: Mapping[ImageName, Inspected]
    now: datetime

    def admit(self, push: Push) -> PushResult:
        """Carry one push through: its tag made known, its deploy queued where one is due."""
        image = push.image.name
        project = self.tx.project_by_image(image)
        created = project is None
        if project is None:
            info = self.inspected.get(image)
            if reason := refuses(read_auto_create(self.tx), image) or _why_no_image(info):
                tag = normal_tag(push.image.tag, kind_at(self.tx, image))
                return PushResult(image=str(image), tag=tag, digest=push.image.digest, outcome=Outcome.REFUSED, reason=reason)
            project = make_project(self.tx, image, info if isinstance(info, ImageInfo) else None, self.now)
        push = as_stored(push, registry_kind(self.tx, project))
        decision = decide(project, self.tx.stages(project.id), push.image.tag)
        if decision.stage and goes_by_version(decision):
            decision = unless_lower(decision, push.image.tag, serving_in(self.tx, decision.stage.id))
        verdict = self.carry_out(push, project, decision)
        stage = decision.stage
        return PushResult(
            image=str(image),
            tag=push.image.tag,
            digest=push.image.digest,
            project=Named(project.id, project.name),
            stage=Named(stage.id, stage.name) if stage else None,
            project_created=created,
            outcome=verdict.outcome,
            reason=verdict.reason,
            deploy=verdict.deploy,
        )

    def carry_out(self, push: Push, project: Project, decision: Decision) -> Verdict:
        """Do what was decided for the push, unless its digest was taken back, and make its tag known with that."""
        if decision.outcome is Outcome.QUEUED and decision.stage and push.image.digest:
            taken_back = self.tx.taken_back(decision.stage.id)
            decision = unless_taken_back(decision, push.image.digest, taken_back, push.image.tag)
        outcome, reason, deploy = decision.outcome, decision.reason, None
        if outcome is Outcome.QUEUED and decision.stage:
            queued = self._queue(push, decision.stage)
            outcome, deploy = queued.outcome, queued.deploy_id
            reason = merged_reason(reason) if outcome is Outcome.MERGED else reason
        elif outcome is Outcome.WAITING and decision.stage and (decision.stage.held or decision.stage.auto_deploy):
            self._offer(push, decision.stage)
        verdict = Verdict(at=self.now, source=push.source, outcome=outcome, reason=reason, deploy=deploy)
        self.tx.record_tag(judged_tag(project.id, push.image.tag, push.image.digest, verdict))
        return verdict

    def _offer(self, push: Push, stage: Stage) -> None:
        image = push.image
        self.tx.add_offer(Offer(stage_id=stage.id, tag=image.tag, digest=image.digest, source=push.source, seen_at=self.now))

    def _queue(self, push: Push, stage: Stage) -> Queued:
        return self.deployer.trigger_deploy(
            stage.project_id, stage.id, push.image.tag, tx=self.tx, trigger=Trigger(push.source), digest=push.image.digest
        )


def _why_no_image(info: Inspected) -> str | None:
    return f"{info}; no project is made of it" if isinstance(info, NotAnImageError) else None


def as_stored(push: Push, kind: RegistryKind | None) -> Push:
    """The push with its tag as the registry stores it."""
    tag = normal_tag(push.image.tag, kind)
    return push if tag == push.image.tag else replace(push, image=replace(push.image, tag=tag))


def registry_kind(reader: Reader, project: Project) -> RegistryKind | None:
    """The kind of the registry where the project's image lives, None when nobody configured it."""
    registry = reader.registry_of(project)
    return registry.kind if registry else None


def by_hand(stage: Stage, tag: str, queued: Queued, now: datetime) -> KnownTag:
    """What is known of a tag that a person has had deployed to a stage."""
    reason = f"deployed by hand to the stage {stage.name}, whatever its pattern says"
    if queued.outcome is Outcome.MERGED:
        reason = merged_reason(reason)
    verdict = Verdict(at=now, source=Source.MANUAL, outcome=queued.outcome, reason=reason, deploy=queued.deploy_id)
    return judged_tag(stage.project_id, tag, None, verdict)


def kind_at(reader: Reader, image: ImageName) -> RegistryKind | None:
    """The same of any image, whether a project has it or not."""
    project = reader.project_by_image(image)
    registry = reader.registry_of(project) if project else reader.registry_for_host(image.host)
    return registry.kind if registry else None
