"""Push → decision → (new project) → queue: the work inside the transaction, through `Tx` only."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field

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
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.core.ports import DeployTriggerer, Queued, Reader, Tx
from tagboat.core.push import Outcome, Push, PushVerdict, Source
from tagboat.core.serving import serving_in
from tagboat.core.values import replace
from tagboat.intake.autocreate import make_project
from tagboat.intake.receipt import Named, PushResult


class Admission(Struct, frozen=True):
    """Admits pushes in one transaction.

    `refused` gives the reason for unknown images that do not become projects, `no_images` for
    pushes that are not container images. `inspected` has the configuration of images that become
    projects, as far as it could be read; `looked_up` the digests of tags by their registry.
    """

    tx: Tx
    deployer: DeployTriggerer
    now: datetime
    refused: Mapping[ImageName, str] = field(default_factory=dict)
    no_images: Mapping[ImageRef, str] = field(default_factory=dict)
    inspected: Mapping[ImageName, ImageInfo] = field(default_factory=dict)
    looked_up: Mapping[ImageRef, Digest] = field(default_factory=dict)

    def admit(self, push: Push) -> PushResult:
        """Record the tag of one push, as the registry stores it; queue its deploy if one is due."""
        image = push.image.name
        # Images are inspected by tag, without the digest that a call names.
        reason = self.no_images.get(replace(push.image, digest=None)) if self.no_images else None
        project = self.tx.project_by_image(image)
        if reason:
            return self._refuse(push, project, reason)
        if reason := self.refused.get(image):
            return refused_push(push, reason)
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

    def _refuse(self, push: Push, project: Project | None, reason: str) -> PushResult:
        """Return the result for something that is not an image; record its tag if it can be."""
        if project is None:
            return refused_push(push, reason)
        verdict = PushVerdict(
            at=self.now, source=push.source, outcome=Outcome.REFUSED, reason=reason, deploy=None
        )
        self.tx.record_tag(judged_tag(project.id, push.image.tag, None, verdict))
        # Of what waits by this tag, nobody can have the image any more.
        self.tx.delete_held_tag(project.id, push.image.tag)
        return refused_push(push, reason, Named(project.id, project.name))

    def carry_out(self, push: Push, project: Project, decision: Decision) -> PushVerdict:
        """Do what was decided for the push, unless its digest was taken back; record its tag."""
        looked_up = self.looked_up.get(replace(push.image, digest=None)) if self.looked_up else None
        if looked_up or push.image.digest:
            decision = unless_fused(self.tx, decision, project, push, looked_up)
        outcome, reason, deploy = decision.outcome, decision.reason, None
        if outcome is Outcome.QUEUED and decision.stage:
            queued = self.deployer.trigger_deploy(
                decision.stage.project_id,
                decision.stage.id,
                push.image.tag,
                tx=self.tx,
                trigger=Trigger(push.source),
                digest=push.image.digest,
            )
            outcome, deploy = queued.outcome, queued.deploy_id
            reason = merged_reason(reason) if outcome is Outcome.MERGED else reason
        # With auto_deploy off nothing is kept for a release: a person names the tag.
        elif (
            outcome is Outcome.WAITING
            and decision.stage
            and (decision.stage.held or decision.stage.auto_deploy)
        ):
            self.tx.add_held_push(
                HeldPush(
                    stage_id=decision.stage.id,
                    tag=push.image.tag,
                    digest=proven_digest(self.tx, project, push, looked_up),
                    source=push.source,
                    seen_at=self.now,
                )
            )
        verdict = PushVerdict(
            at=self.now, source=push.source, outcome=outcome, reason=reason, deploy=deploy
        )
        # What a call names is not on record as the tag's: the deploy, or else a poll, looks it up.
        found = push.image.digest if push.source is Source.POLL else None
        self.tx.record_tag(judged_tag(project.id, push.image.tag, found, verdict))
        return verdict


def refused_push(push: Push, reason: str, project: Named | None = None) -> PushResult:
    """Return the result of a push that is refused; `project` is that of its image, if any."""
    image = push.image
    return PushResult(
        image=str(image.name),
        tag=image.tag,
        digest=image.digest,
        project=project,
        outcome=Outcome.REFUSED,
        reason=reason,
    )


def unless_fused(
    reader: Reader,
    decision: Decision,
    project: Project,
    push: Push,
    looked_up: Digest | None = None,
) -> Decision:
    """Return `decision`, or `waiting` if the push is of a digest that was taken back there.

    `looked_up` is the digest by the registry, None if it was not asked.
    """
    digest, tag = looked_up or push.image.digest, push.image.tag
    if decision.outcome is not Outcome.QUEUED or decision.stage is None or digest is None:
        return decision
    waiting = unless_taken_back(decision, digest, reader.taken_back(decision.stage.id), tag)
    is_proven = waiting is decision or proven_digest(reader, project, push, looked_up) is not None
    return waiting if is_proven else decision


def proven_digest(
    reader: Reader, project: Project, push: Push, looked_up: Digest | None
) -> Digest | None:
    """Return the digest of a push that is known to be the tag's, None where none is known to be.

    Otherwise a caller could name one that was taken back with each new tag, and nothing would be
    deployed.
    """
    if looked_up is not None:
        return looked_up
    digest = push.image.digest
    if digest is None or push.source is Source.POLL:
        return digest
    known = reader.known_tag(project.id, push.image.tag)
    return digest if known is not None and known.digest == digest else None


def as_stored(push: Push, kind: RegistryKind | None) -> Push:
    """Return the push with its tag as the registry stores it."""
    tag = normal_tag(push.image.tag, kind)
    return push if tag == push.image.tag else replace(push, image=replace(push.image, tag=tag))


def registry_kind(reader: Reader, project: Project) -> RegistryKind | None:
    """Return the kind of the registry of the project's image, None if it is not configured."""
    registry = reader.registry_of(project)
    return registry.kind if registry else None


def by_hand(stage: Stage, tag: str, queued: Queued, now: datetime) -> KnownTag:
    """Return the record of a tag that a person deployed to a stage."""
    reason = f"deployed by hand to the stage {stage.name}, whatever its pattern says"
    if queued.outcome is Outcome.MERGED:
        reason = merged_reason(reason)
    verdict = PushVerdict(
        at=now, source=Source.MANUAL, outcome=queued.outcome, reason=reason, deploy=queued.deploy_id
    )
    return judged_tag(stage.project_id, tag, None, verdict)


def kind_at(reader: Reader, image: ImageName) -> RegistryKind | None:
    """Return the kind of the registry of an image, with or without a project; None if unknown."""
    project = reader.project_by_image(image)
    registry = reader.registry_of(project) if project else reader.registry_for_host(image.host)
    return registry.kind if registry else None
