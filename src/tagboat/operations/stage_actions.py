"""Actions on stages: roll back, promote, cancel, hold, release.

Each is one decision inside a transaction. All raise NotFoundError for what does not exist, and
ConflictError for what cannot be done as things are, with what to do instead; nothing is changed
then.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct

from tagboat.core.catalog import HeldPush, Stage, judged_tag, with_hold
from tagboat.core.decision import decide, goes_by_version, unless_lower, unless_taken_back
from tagboat.core.deploy import (
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
    StepStatus,
    TakenBack,
    Trigger,
    made_draining,
    push_of,
)
from tagboat.core.errors import ConflictError
from tagboat.core.image import parse_digest
from tagboat.core.newest import Candidate, Order
from tagboat.core.ports import DeployTriggerer, Queued, Reader, Topic, Tx
from tagboat.core.principal import SERVER
from tagboat.core.push import Outcome, PushVerdict, Source
from tagboat.core.serving import serving_in
from tagboat.core.values import replace
from tagboat.operations.way_back import WayBack, find_way_back, live_in, under_way


class StageActions(Struct, frozen=True):
    """Actions up to the queue; workers carry out what is queued. `by` is who orders them."""

    deployer: DeployTriggerer
    clock: Callable[[], datetime]
    by: str = SERVER.name

    def rollback(self, tx: Tx, stage_id: str, to: str | None = None, note: str = "") -> Queued:
        """Queue what the deploy `to` brought, or what served before, and hold the stage.

        It comes with its image and configuration. A deploy at work that can still be taken back is
        cancelled. Asked again while the rollback is under way, the answer is the same deploy.
        """
        stage = tx.stage(stage_id)
        # A second click, or a call repeated after a lost answer, must not go back twice as far.
        if again := under_way(tx, stage, to):
            return Queued(Outcome.MERGED, again.id)
        way = find_way_back(tx, stage, to)
        target = way.target
        tx.put_stage(self._held(stage))
        # A person who names a version wants it, even if it was taken back before.
        if to is not None:
            tx.delete_taken_back(stage.id, target.digest)
        self._flee(tx, stage, way)
        queued = self.deployer.trigger_deploy(
            stage.project_id,
            stage.id,
            target.tag,
            tx=tx,
            trigger=Trigger.ROLLBACK,
            digest=target.digest,
            image=target.image,
            ordered_by=self.by,
            note=note,
        )
        # As it was then, not as the stage is set now: the change may be what broke the app.
        tx.put_deploy_config(queued.deploy_id, way.config)
        return queued

    def _flee(self, tx: Tx, stage: Stage, way: WayBack) -> None:
        """Cancel the deploy at work, and remember the version: pushes do not bring it again."""
        for other in tx.open_deploys(stage.id):
            # An earlier rollback that has not begun: this one says where to go now.
            if other.trigger is Trigger.ROLLBACK and other.status is DeployStatus.QUEUED:
                self.cancel(tx, other.id)
        if way.cancels is not None and way.cancels.failed_step is None:
            tx.put_deploy(replace(way.cancels, cancelling=True))
            tx.announce(Topic.DEPLOYS)
        if way.drops is not None:
            tx.put_instance(made_draining(way.drops, self.clock()))
            tx.announce(Topic.ROUTES)
        if way.away_from is not None and way.away_from != way.target.version:
            digest, fingerprint = way.away_from
            reason = f"a person rolled back from it to {way.target.tag}"
            tx.put_taken_back(
                TakenBack(
                    stage_id=stage.id,
                    digest=digest,
                    fingerprint=fingerprint,
                    tag=way.away_from_tag,
                    reason=reason,
                    at=self.clock(),
                )
            )

    def promote(self, tx: Tx, stage_id: str, from_stage_id: str, note: str = "") -> Queued:
        """Queue in one stage the digest that is live in another of the same project."""
        stage = tx.stage(stage_id)
        live = promotable(tx, stage, tx.stage(from_stage_id))
        return self.deployer.trigger_deploy(
            stage.project_id,
            stage.id,
            live.tag,
            tx=tx,
            trigger=Trigger.PROMOTE,
            digest=live.digest,
            image=live.image,
            ordered_by=self.by,
            note=note,
        )

    def cancel(self, tx: Tx, deploy_id: str) -> Deploy:
        """End a queued deploy; ask the worker of a running one to take it back."""
        deploy = tx.deploy(deploy_id)
        if deploy.status.final:
            raise ConflictError(f"the deploy has ended already: {deploy.status}")
        if deploy.status is DeployStatus.QUEUED:
            deploy = replace(
                deploy, status=DeployStatus.CANCELLED, reason="cancelled", finished_at=self.clock()
            )
        # From then on there may be nothing left to go back to within this deploy.
        elif deploy.step(StepName.RETIRE).status is not StepStatus.PENDING:
            raise ConflictError(
                f"{deploy.tag} is live and the old instance is being stopped; roll back instead"
            )
        elif _serves_alone(tx, deploy):
            raise ConflictError(
                f"{deploy.tag} is live and nothing else could go on serving;"
                " deploy another tag instead, or hold the stage"
            )
        else:
            deploy = replace(deploy, cancelling=True)
        tx.put_deploy(deploy)
        tx.announce(Topic.DEPLOYS)
        return deploy

    def cancel_all(self, tx: Tx, stage_id: str) -> list[Deploy]:
        """Cancel every queued and running deploy of the stage that can be cancelled.

        Raises ConflictError where there is none.
        """
        stage = tx.stage(stage_id)
        # Queued ones first, so that none begins as another ends.
        waiting = sorted(tx.open_deploys(stage.id), key=lambda one: one.status)
        cancelled: list[Deploy] = []
        refused: ConflictError | None = None
        for deploy in waiting:
            try:
                cancelled.append(self.cancel(tx, deploy.id))
            except ConflictError as error:
                refused = error
        if not cancelled:
            name = tx.project(stage.project_id).name
            raise refused or ConflictError(f"nothing is queued or running in {name} {stage.name}")
        return cancelled

    def hold(self, tx: Tx, stage_id: str) -> Stage:
        """Let pushes and polls deploy nothing in the stage; pushes are kept for the release."""
        stage = self._held(tx.stage(stage_id))
        tx.put_stage(stage)
        return stage

    def _held(self, stage: Stage) -> Stage:
        return with_hold(stage, replace(stage, held=True), self.by, self.clock())

    def release(self, tx: Tx, stage_id: str, *, including: bool = False) -> list[Queued]:
        """Let pushes and polls deploy again, beginning with the newest that came while it was held.

        Where the stage may have several instances, these are the newest few. Pushes are decided on
        as if they came now. Versions that were taken back stay waiting, and so do lower versions
        where the stage accepts none; those of polls are only recorded. With `including` they are
        tried again. In a stopped stage everything goes on waiting.

        Returns what may begin now, oldest first: what it has queued, and what pushes had before.
        """
        held = tx.stage(stage_id)
        stage = replace(held, held=False, held_at=None, held_by=None)
        tx.put_stage(stage)
        if stage.stopped:
            return []
        offers = tx.held_pushes(stage.id)
        tx.delete_held_pushes(stage.id)
        tx.announce(Topic.DEPLOYS)  # what pushes have queued before the hold may begin now
        waiting = [
            one
            for one in tx.open_deploys(stage.id)
            if one.by_news and one.status is DeployStatus.QUEUED
        ]
        begins = [Queued(Outcome.QUEUED, one.id) for one in waiting if held.held]
        # What was kept is dropped all the same: a stage without it takes nothing by itself.
        if not stage.auto_deploy:
            return begins
        due = [offer for offer in offers if self._is_due(tx, stage, offer, including=including)]
        # Deploys that pushes have queued before the hold count too: an older push must not follow.
        candidates = [*due, *map(push_of, waiting)]
        chosen = _newest_offers(stage, candidates, self.clock())
        for offer in due:
            if offer not in chosen:
                self._tell_why(tx, stage, offer, Outcome.RECORDED)
        for offer in chosen:
            if offer in due:
                queued = self.deployer.trigger_deploy(
                    stage.project_id,
                    stage.id,
                    offer.tag,
                    tx=tx,
                    trigger=Trigger(Source(offer.source)),
                )
                self._tell_why(tx, stage, offer, queued.outcome, queued.deploy_id)
                begins = [one for one in begins if one.deploy_id != queued.deploy_id]
                begins.append(queued)
        return [one for one in begins if not tx.deploy(one.deploy_id).status.final]

    def _is_due(self, tx: Tx, stage: Stage, offer: HeldPush, *, including: bool) -> bool:
        """Return whether the stage accepts the push by the rules of now.

        A push that it does not accept unasked goes on waiting, except one of a poll that is older
        than what is there by now.
        """
        project, source = tx.project(stage.project_id), Source(offer.source)
        decision = decide(project, tx.stages(project.id), offer.tag)
        elsewhere = decision.stage is None or decision.stage.id != stage.id
        if not elsewhere and goes_by_version(decision, source):
            decision = unless_lower(decision, offer.tag, source, serving_in(tx, stage.id))
        goes_back = source is Source.POLL and decision.outcome is Outcome.WAITING
        if elsewhere or (goes_back and not including):
            verdict = PushVerdict(
                at=self.clock(), source=source, outcome=Outcome.RECORDED, reason=decision.reason
            )
            tx.record_tag(judged_tag(project.id, offer.tag, None, verdict))
            return False
        digest = parse_digest(offer.digest) if offer.digest else None
        if (
            unless_taken_back(decision, digest, tx.taken_back(stage.id), offer.tag).outcome
            is Outcome.QUEUED
        ):
            return True
        if not including:
            tx.add_held_push(offer)
        elif digest is not None:
            tx.delete_taken_back(stage.id, digest)
        return including

    def _tell_why(
        self, tx: Tx, stage: Stage, offer: HeldPush, outcome: Outcome, deploy: str | None = None
    ) -> None:
        """Record on the tag what the release of its stage did."""
        takes = "the newest" if stage.max_instances == 1 else f"the {stage.max_instances} newest"
        reason = (
            f"the stage {stage.name} was released, and takes {takes} of what came while it was held"
        )
        verdict = PushVerdict(
            at=self.clock(),
            source=Source(offer.source),
            outcome=outcome,
            reason=reason,
            deploy=deploy,
        )
        tx.record_tag(judged_tag(stage.project_id, offer.tag, None, verdict))


def words_for_released(reader: Reader, queued: Sequence[Queued]) -> str:
    """Return words for what a release has queued, empty for nothing."""
    return ", ".join(f"{reader.deploy(one.deploy_id).tag} is {one.outcome}" for one in queued)


def promotable(reader: Reader, stage: Stage, source: Stage) -> Instance:
    """Return the instance of `source` that can be promoted to `stage`; raise ConflictError."""
    if source.project_id != stage.project_id:
        raise ConflictError(
            f"the stage {source.name} belongs to another project, whose image is not this one's"
        )
    if source.id == stage.id:
        raise ConflictError(
            f"the stage {stage.name} cannot be promoted to itself; name the stage to take from"
        )
    live = live_in(reader, source)
    if live is None:
        raise ConflictError(f"nothing is live in the stage {source.name} that could be promoted")
    return live


def _serves_alone(reader: Reader, deploy: Deploy) -> bool:
    """Return whether the deploy's instance is the only one that could go on serving."""
    active = reader.instances(
        stage_id=deploy.stage_id, states=[InstanceState.LIVE, InstanceState.DRAINING]
    )
    own = [one for one in active if one.deploy_id == deploy.id and one.state is InstanceState.LIVE]
    left = [
        one
        for one in active
        if one not in own and (one.state is InstanceState.LIVE or one.id in deploy.replaced)
    ]
    return bool(own) and not left


def _newest_offers(stage: Stage, offers: Sequence[HeldPush], now: datetime) -> list[HeldPush]:
    """Return the newest `offers`, as many as the stage accepts, oldest first, one for each tag."""
    by_tag = {offer.tag: offer for offer in sorted(offers, key=lambda offer: offer.seen_at)}
    candidates = [Candidate(tag, found=offer.seen_at.timestamp()) for tag, offer in by_tag.items()]
    # By the stage's own idea of newest: a version for semver, else the time of the push.
    order = Order(stage.pattern, candidates, now)
    newest = order.only(order.contenders(stage.max_instances)).first(stage.max_instances)
    return [by_tag[best.tag] for best in newest][::-1]
