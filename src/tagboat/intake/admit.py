"""Push → decide → (make a project) → queue: what happens inside the transaction. No I/O but through `Tx`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from tagboat.core.catalog import HeldPush, KnownTag, Project, RegistryKind, Stage, judged_tag
from tagboat.core.decision import (
    Decision,
    decide,
    goes_by_version,
    merged_reason,
    normal_tag,
    unless_lower,
    unless_taken_back,
)
from tagboat.core.deploy import Trigger
from tagboat.core.image import ImageInfo, ImageName, ImageRef
from tagboat.core.ports import DeployTriggerer, Queued, Reader, Tx
from tagboat.core.push import Outcome, Push, PushVerdict, Source
from tagboat.core.serving import serving_in
from tagboat.intake.autocreate import make_project
from tagboat.intake.receipt import Named, PushResult


@dataclass(frozen=True, slots=True)
class Admission:
    """Admits pushes in one transaction.

    `refused` says of unknown images why they become no projects, `no_images` of what was pushed that it is no image;
    `inspected` is what those say of themselves that become projects, as far as somebody could tell.
    """

    tx: Tx
    deployer: DeployTriggerer
    now: datetime
    refused: Mapping[ImageName, str] = field(default_factory=dict)
    no_images: Mapping[ImageRef, str] = field(default_factory=dict)
    inspected: Mapping[ImageName, ImageInfo] = field(default_factory=dict)

    def admit(self, push: Push) -> PushResult:
        """Carry one push through, its tag as the registry stores it: made known, and its deploy queued where one is due."""
        image = push.image.name
        if reason := self.refused.get(image):
            return refusal(push, reason)
        if self.no_images and (reason := self.no_images.get(replace(push.image, digest=None))):
            return refusal(push, reason)
        project = self.tx.project_by_image(image)
        created = project is None
        if project is None:
            project = make_project(self.tx, image, self.inspected.get(image), self.now)
        decision = decide(project, self.tx.stages(project.id), push.image.tag)
        if decision.stage and goes_by_version(decision, push.source):
            decision = unless_lower(
                decision, push.image.tag, push.source, serving_in(self.tx, decision.stage.id)
            )
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

    def carry_out(self, push: Push, project: Project, decision: Decision) -> PushVerdict:
        """Do what was decided for the push, unless its digest was taken back, and make its tag known with that."""
        if push.image.digest is not None:
            decision = unless_fused(self.tx, decision, project, push)
        outcome, reason, deploy = decision.outcome, decision.reason, None
        if outcome is Outcome.QUEUED and decision.stage:
            queued = self._queue(push, decision.stage)
            outcome, deploy = queued.outcome, queued.deploy_id
            reason = merged_reason(reason) if outcome is Outcome.MERGED else reason
        elif (
            outcome is Outcome.WAITING
            and decision.stage
            and (decision.stage.held or decision.stage.auto_deploy)
        ):
            self._offer(push, decision.stage)
        verdict = PushVerdict(
            at=self.now, source=push.source, outcome=outcome, reason=reason, deploy=deploy
        )
        self.tx.record_tag(judged_tag(project.id, push.image.tag, push.image.digest, verdict))
        return verdict

    def _offer(self, push: Push, stage: Stage) -> None:
        image = push.image
        self.tx.add_held_push(
            HeldPush(
                stage_id=stage.id,
                tag=image.tag,
                digest=image.digest,
                source=push.source,
                seen_at=self.now,
            )
        )

    def _queue(self, push: Push, stage: Stage) -> Queued:
        return self.deployer.trigger_deploy(
            stage.project_id,
            stage.id,
            push.image.tag,
            tx=self.tx,
            trigger=Trigger(push.source),
            digest=push.image.digest,
        )


def refusal(push: Push, reason: str) -> PushResult:
    """What came of a push that is refused."""
    image = push.image
    return PushResult(
        image=str(image.name),
        tag=image.tag,
        digest=image.digest,
        outcome=Outcome.REFUSED,
        reason=reason,
    )


def unless_fused(reader: Reader, decision: Decision, project: Project, push: Push) -> Decision:
    """The same decision, but `waiting` where the push is of a digest that was taken back in its stage.

    What a caller names is believed only where it is known to be the tag's: else one could name what was taken back with every
    tag to come, and none would be deployed. The deploy looks the tag up, and finds out.
    """
    digest, tag = push.image.digest, push.image.tag
    if decision.outcome is not Outcome.QUEUED or decision.stage is None or digest is None:
        return decision
    waiting = unless_taken_back(decision, digest, reader.taken_back(decision.stage.id), tag)
    if waiting is decision or push.source is Source.POLL:
        return waiting
    known = reader.known_tag(project.id, tag)
    return waiting if known is not None and known.digest == digest else decision


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
    verdict = PushVerdict(
        at=now, source=Source.MANUAL, outcome=queued.outcome, reason=reason, deploy=queued.deploy_id
    )
    return judged_tag(stage.project_id, tag, None, verdict)


def kind_at(reader: Reader, image: ImageName) -> RegistryKind | None:
    """The same of any image, whether a project has it or not."""
    project = reader.project_by_image(image)
    registry = reader.registry_of(project) if project else reader.registry_for_host(image.host)
    return registry.kind if registry else None
