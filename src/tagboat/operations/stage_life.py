"""Restart, stop and start of a stage: each is one decision inside a transaction.

All raise NotFoundError for what does not exist, and ConflictError for what cannot be done as things
are, with what to do instead; nothing is changed then.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from msgspec import Struct

from tagboat.core.catalog import Stage
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, made_draining
from tagboat.core.errors import ConflictError
from tagboat.core.ports import DeployTriggerer, Reader, Topic, Tx
from tagboat.core.principal import SERVER
from tagboat.core.values import replace

_ENDED_LOOKED_AT = 20
"""Ended instances of a stage that are searched for those that served last."""


class StageLife(Struct, frozen=True):
    """Orders up to the record and the queue; workers and reconcile carry them out.

    `by` is who orders them.
    """

    deployer: DeployTriggerer
    clock: Callable[[], datetime]
    by: str = SERVER.name

    def restart(self, tx: Tx, stage_id: str, note: str = "") -> list[str]:
        """Queue a deploy of each live digest, with the configuration as it is saved now.

        Return the ids of the deploys, the newest instance's last. One that waits for its turn is
        not queued twice.
        """
        stage = tx.stage(stage_id)
        where = _in_words(tx, stage)
        live = tx.instances(stage_id=stage.id, states=[InstanceState.LIVE])[: stage.max_instances]
        # Not a start by another name: whoever restarts has just seen it run.
        if not live:
            raise ConflictError(
                f"{where} is stopped; start it with 'tagboat start {where}'"
                if stage.stopped
                else f"nothing is live in {where}; deploy a tag with 'tagboat deploy {where} TAG'"
            )
        digests = {one.digest for one in live}
        for deploy in _at_hand(tx, stage):
            # After another restart the same digest is live, perhaps with older settings.
            if not (deploy.exact and deploy.digest in digests):
                raise ConflictError(
                    f"the deploy of {deploy.tag} is {deploy.status} in {where}, and starts a new"
                    " instance with the saved settings anyway; wait for it, or cancel it first"
                    f" with 'tagboat cancel {where}'"
                )
        return self._bring(tx, stage, live, note)

    def stop(self, tx: Tx, stage_id: str) -> Stage:
        """Take the traffic away, and let all instances drain and end; the stage stays stopped.

        Once stopped, another stop changes nothing: who stopped it first is the one to ask.
        """
        stage = tx.stage(stage_id)
        where = _in_words(tx, stage)
        # Before anything else: a start that is under way would undo the stop unseen.
        for deploy in _at_hand(tx, stage):
            if stage.stopped and (deploy.cancelling or deploy.failed_step is not None):
                continue
            # Pushes that were queued before wait until the stage is started.
            if deploy.status is DeployStatus.RUNNING or not deploy.by_news:
                raise ConflictError(
                    f"the deploy of {deploy.tag} is {deploy.status} in {where}; wait for its end,"
                    f" or cancel it with 'tagboat cancel {where}', and stop the stage then"
                )
        if stage.stopped:
            return stage
        now = self.clock()
        stopped = replace(stage, stopped_at=now, stopped_by=self.by)
        tx.put_stage(stopped)
        # The record comes first: from here on nothing revives them, whatever dies in between.
        for instance in tx.instances(stage_id=stage.id, states=[InstanceState.LIVE]):
            tx.put_instance(made_draining(instance, now))
        tx.announce(Topic.ROUTES)
        tx.announce(Topic.DRAINS)
        return stopped

    def start(self, tx: Tx, stage_id: str, note: str = "") -> list[str]:
        """Queue deploys of what was live last, with the configuration as it is saved now.

        Return their ids, the newest instance's last; none where the stage runs, or where nothing
        ever served in it. It is stopped until one of them is live.
        """
        stage = tx.stage(stage_id)
        where = _in_words(tx, stage)
        if tx.instances(stage_id=stage.id, states=[InstanceState.LIVE]):
            return []
        # One that is taken back starts nothing any more: another is queued behind it.
        under_way = [
            deploy
            for deploy in _at_hand(tx, stage)
            if not deploy.cancelling and deploy.failed_step is None
        ]
        for deploy in under_way:
            if not deploy.exact:
                raise ConflictError(
                    f"the deploy of {deploy.tag} is {deploy.status} in {where}, which starts the"
                    f" stage; wait for it, or cancel it first with 'tagboat cancel {where}'"
                )
        # A second click, or a call repeated after a lost answer.
        if under_way:
            return [deploy.id for deploy in under_way]
        last = served_last(tx, stage)
        if not last and not stage.stopped:
            raise ConflictError(
                f"nothing was ever live in {where}; deploy a tag with 'tagboat deploy {where} TAG'"
            )
        # There is no deploy that could end the stop.
        if not last:
            tx.put_stage(replace(stage, stopped_at=None, stopped_by=None))
            tx.announce(Topic.DEPLOYS)
        return self._bring(tx, stage, last, note)

    def _bring(self, tx: Tx, stage: Stage, wanted: Sequence[Instance], note: str) -> list[str]:
        """Queue a deploy of exactly each of `wanted`, newest first, unless it waits already."""
        queued = {
            (deploy.tag, deploy.digest): deploy.id
            for deploy in tx.open_deploys(stage.id)
            if deploy.exact and deploy.status is DeployStatus.QUEUED
        }
        found = []
        # The oldest first, so that the order of the instances stays.
        for instance in reversed(wanted):
            waiting = queued.get((instance.tag, instance.digest))
            if waiting is None:
                waiting = self.deployer.trigger_deploy(
                    stage.project_id,
                    stage.id,
                    instance.tag,
                    tx=tx,
                    digest=instance.digest,
                    # The digest is live already, and mostly with the same configuration.
                    force=True,
                    exact=True,
                    image=instance.image,
                    ordered_by=self.by,
                    note=note,
                ).deploy_id
            found.append(waiting)
        return found


def served_last(reader: Reader, stage: Stage) -> list[Instance]:
    """Return the instances of a stage that were live together last, newest first.

    Those are the ones that its stop has ended; else those that ceased to be live last.
    """
    ended = reader.recent_instances(
        stage.id, [InstanceState.STOPPED], stage.max_instances + _ENDED_LOOKED_AT
    )
    draining = reader.instances(stage_id=stage.id, states=[InstanceState.DRAINING])
    left = {one.id: one for one in (*ended, *draining) if one.left_at is not None}
    moments = {one.left_at for one in left.values() if one.left_at is not None}
    if not moments:
        return []
    # A stage that was stopped while nothing was live has ended nothing by that.
    moment = stage.stopped_at if stage.stopped_at in moments else max(moments)
    together = [one for one in left.values() if one.left_at == moment]
    return sorted(together, key=lambda one: one.id, reverse=True)[: stage.max_instances]


def _at_hand(reader: Reader, stage: Stage) -> Iterator[Deploy]:
    """Yield the open deploys that are at work or may begin, oldest first."""
    for deploy in reader.open_deploys(stage.id):
        # It begins at the release or the start, perhaps in a week: nobody should wait for it.
        waits = deploy.status is DeployStatus.QUEUED and deploy.by_news and stage.closed_to_news
        if not waits:
            yield deploy


def _in_words(reader: Reader, stage: Stage) -> str:
    """Return project and stage as commands take them."""
    return f"{reader.project(stage.project_id).name} {stage.name}"
