"""What people order beside deploying a tag: back to what was live, the same in another stage, not at all, not now.

Each is one decision inside a transaction. All raise NotFoundError for what does not exist and ConflictError for what cannot
be done as things stand, with what to do instead; nothing is changed then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tagboat.core.catalog import Offer, Stage, judged_tag
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, StepName, StepStatus, Trigger
from tagboat.core.errors import ConflictError
from tagboat.core.image import parse_digest
from tagboat.core.ports import DeployTriggerer, Queued, Reader, Topic, Tx
from tagboat.core.push import Outcome, Source, Verdict
from tagboat.core.tags import Candidate, newest


@dataclass(frozen=True, slots=True)
class Orders:
    """Carries orders out, up to the queue."""

    deployer: DeployTriggerer
    clock: Callable[[], datetime]

    def rollback(self, tx: Tx, stage_id: str, to: str | None = None) -> Queued:
        """Queue what the deploy `to` brought, or what was live before, with the configuration of that time; hold the stage."""
        stage = tx.stage(stage_id)
        target = self._target(tx, stage, to)
        config = tx.deploy_config(target.deploy_id)
        if config is None:
            raise ConflictError(f"the configuration of {target.tag} was not kept; deploy the tag {target.tag} instead")
        tx.put_stage(replace(stage, held=True))
        queued = self.deployer.trigger_deploy(
            stage.project_id, stage.id, target.tag, tx=tx, trigger=Trigger.ROLLBACK, digest=target.digest
        )
        tx.put_deploy_config(queued.deploy_id, config)
        return queued

    def promote(self, tx: Tx, stage_id: str, from_stage_id: str) -> Queued:
        """Queue in one stage the very digest that is live in another of the same project."""
        stage, source = tx.stage(stage_id), tx.stage(from_stage_id)
        if source.project_id != stage.project_id:
            raise ConflictError(f"the stage {source.name} belongs to another project, whose image is not this one's")
        if source.id == stage.id:
            raise ConflictError(f"the stage {stage.name} cannot be promoted to itself; name the stage to take from")
        live = _live(tx, source)
        if live is None:
            raise ConflictError(f"nothing is live in the stage {source.name} that could be promoted")
        return self.deployer.trigger_deploy(
            stage.project_id, stage.id, live.tag, tx=tx, trigger=Trigger.PROMOTE, digest=live.digest
        )

    def cancel(self, tx: Tx, deploy_id: str) -> Deploy:
        """End a queued deploy; ask whoever carries out a running one to take it back."""
        deploy = tx.deploy(deploy_id)
        if deploy.status.final:
            raise ConflictError(f"the deploy has ended already: {deploy.status}")
        if deploy.status is DeployStatus.QUEUED:
            deploy = replace(deploy, status=DeployStatus.CANCELLED, reason="cancelled", finished_at=self.clock())
        elif deploy.step(StepName.RETIRE).status is not StepStatus.PENDING:
            raise ConflictError(f"{deploy.tag} is live and the old instance is being stopped; roll back instead")
        else:
            deploy = replace(deploy, cancelling=True)
        tx.put_deploy(deploy)
        tx.announce(Topic.DEPLOYS)
        return deploy

    def hold(self, tx: Tx, stage_id: str) -> Stage:
        """Let pushes and polls deploy nothing in the stage; what comes is kept."""
        stage = replace(tx.stage(stage_id), held=True)
        tx.put_stage(stage)
        return stage

    def release(self, tx: Tx, stage_id: str) -> list[Queued]:
        """Let pushes and polls deploy again, beginning with the newest that came meanwhile (the newest few of several)."""
        stage = replace(tx.stage(stage_id), held=False)
        tx.put_stage(stage)
        offers = tx.offers(stage.id)
        tx.delete_offers(stage.id)
        if not stage.auto_deploy:
            return []
        chosen = _newest_offers(offers, stage.max_instances)
        for offer in offers:
            if offer not in chosen:
                self._tell_why(tx, stage, offer, Outcome.RECORDED)
        return [self._deploy_offer(tx, stage, offer) for offer in chosen]

    def _deploy_offer(self, tx: Tx, stage: Stage, offer: Offer) -> Queued:
        queued = self.deployer.trigger_deploy(
            stage.project_id,
            stage.id,
            offer.tag,
            tx=tx,
            trigger=Trigger(Source(offer.source)),
            digest=parse_digest(offer.digest) if offer.digest else None,
        )
        self._tell_why(tx, stage, offer, queued.outcome, queued.deploy_id)
        return queued

    def _tell_why(self, tx: Tx, stage: Stage, offer: Offer, outcome: Outcome, deploy: str | None = None) -> None:
        """Put on the tag what the release of its stage came to."""
        takes = "the newest" if stage.max_instances == 1 else f"the {stage.max_instances} newest"
        reason = f"the stage {stage.name} was released, and takes {takes} of what came while it was held"
        verdict = Verdict(at=self.clock(), source=Source(offer.source), outcome=outcome, reason=reason, deploy=deploy)
        tx.record_tag(judged_tag(stage.project_id, offer.tag, None, verdict))

    def _target(self, reader: Reader, stage: Stage, to: str | None) -> Instance:
        """The instance that a rollback brings back in another container."""
        been_live = reader.instances(stage_id=stage.id, states=[InstanceState.LIVE, InstanceState.STOPPED])
        if to is not None:
            deploy = reader.deploy(to)
            found = next((instance for instance in been_live if instance.deploy_id == deploy.id), None)
            if found is None:
                raise ConflictError(f"the deploy {to} brought nothing live in the stage {stage.name}; name one that did")
            return found
        live = _live(reader, stage)
        return _before(been_live, live) or _nothing_before(stage, live)


def _before(been_live: Sequence[Instance], live: Instance | None) -> Instance | None:
    """The one stopped last that was something else than what is live."""
    stopped = [one for one in been_live if one.state is InstanceState.STOPPED and one.stopped_at is not None]
    stopped.sort(key=lambda one: one.stopped_at or one.started_at, reverse=True)
    others = (one for one in stopped if live is None or (one.digest, one.fingerprint) != (live.digest, live.fingerprint))
    return next(others, None)


def _nothing_before(stage: Stage, live: Instance | None) -> Instance:
    what = f"nothing was live before {live.tag}" if live else "nothing was ever live"
    raise ConflictError(f"there is nothing to go back to: {what} in the stage {stage.name}")


def _live(reader: Reader, stage: Stage) -> Instance | None:
    return next(iter(reader.instances(stage_id=stage.id, states=[InstanceState.LIVE])), None)


def _newest_offers(offers: Sequence[Offer], count: int) -> list[Offer]:
    """The newest `count` of `offers`, oldest first."""
    left = list(offers)
    chosen: list[Offer] = []
    while left and len(chosen) < count:
        best = newest([Candidate(offer.tag, offer.seen_at) for offer in left])
        offer = next(offer for offer in left if offer.tag == best.tag)
        left.remove(offer)
        chosen.append(offer)
    return chosen[::-1]
