"""Instances on record: how they become live, draining or ended, within a transaction."""

from datetime import datetime, timedelta

from tagboat.core.deploy import (
    ACTIVE_STATES,
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    TakenBack,
    live_again,
    made_draining,
    made_live,
)
from tagboat.core.errors import NotFoundError
from tagboat.core.ports import Reader, Tx
from tagboat.core.values import replace
from tagboat.deploy.context import DeployContext

_ENDED = (InstanceState.STOPPED, InstanceState.FAILED)
_DEPLOYS_LOOKED_AT = 20
_NEXT = timedelta(microseconds=1)


def ended(reader: Reader, instance: Instance, state: InstanceState, now: datetime) -> Instance:
    """Return `instance` as ended at `now` in that final state, and later than all of its stage."""
    # The last live one is found by its end: a clock that was set back must not make another first.
    latest = reader.recent_instances(instance.stage_id, _ENDED, 1)
    earliest = max(
        (one.stopped_at + _NEXT for one in latest if one.stopped_at is not None), default=now
    )
    end = max(now, earliest)
    left = instance.left_at or (end if instance.live_at else None)
    return replace(instance, state=state, stopped_at=end, left_at=left)


def stopped_for_a_deploy(reader: Reader, instance: Instance) -> bool:
    """Return whether a person's container was stopped for a deploy that has not succeeded.

    Its owner may have stopped it again since: nobody knows, and it is started all the same.
    """
    # All of them are newer than the adoption, which has made the stage.
    ended_ones = reader.deploys(stage_id=instance.stage_id, limit=_DEPLOYS_LOOKED_AT)
    return any(
        deploy.made_way and deploy.status.final and deploy.status is not DeployStatus.SUCCEEDED
        for deploy in ended_ones
    )


def taken_back(instance: Instance, reason: str, now: datetime) -> TakenBack:
    """Return the record that an instance was taken back for `reason`."""
    return TakenBack(
        stage_id=instance.stage_id,
        digest=instance.digest,
        fingerprint=instance.fingerprint,
        tag=instance.tag,
        reason=reason,
        at=now,
    )


def switch_instances(
    tx: Tx, deploy: Deploy, max_instances: int, now: datetime, *, watched: bool
) -> Deploy:
    """Make the deploy's instance live, and draining the ones it replaces.

    Those are the instances of its tag, and the oldest beyond `max_instances`. With `watched`, it
    can be relied on without a watch. Raises NotFoundError where it is not on record.
    """
    live = tx.instances(stage_id=deploy.stage_id, states=[InstanceState.LIVE])
    starting = tx.instances(stage_id=deploy.stage_id, states=[InstanceState.STARTING])
    own = next((instance for instance in starting if instance.deploy_id == deploy.id), None)
    if own is None:
        raise NotFoundError("the new instance is no longer on record")
    tx.put_instance(made_live(own, now, watched=watched))
    others = [instance for instance in live if instance.tag != deploy.tag]
    replaced = [instance for instance in live if instance.tag == deploy.tag]
    # Newest first, so that the oldest go.
    replaced += others[max_instances - 1 :]
    for instance in replaced:
        tx.put_instance(made_draining(instance, now, deploy.id))
    return replace(deploy, replaced=(*deploy.replaced, *(instance.id for instance in replaced)))


def revert_instances(tx: Tx, context: DeployContext, now: datetime) -> None:
    """Make the deploy's instance failed, and those it replaced live, unless they were stopped."""
    if context.own is not None:
        tx.put_instance(ended(tx, context.own, InstanceState.FAILED, now), was=ACTIVE_STATES)
    # Those that made way were stopped: they are live again once they have been started.
    if not context.deploy.made_way:
        for instance in context.replaced:
            tx.put_instance(live_again(instance), was=[InstanceState.DRAINING])
