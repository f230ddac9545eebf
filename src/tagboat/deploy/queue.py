"""Queueing deploys: merge into one that waits, supersede the older ones, or add another."""

from collections.abc import Callable, Mapping
from datetime import datetime

from tagboat.core.catalog import judged_tag
from tagboat.core.deploy import (
    EXACT_TRIGGERS,
    NEWS_TRIGGERS,
    Deploy,
    DeployStatus,
    StepName,
    Trigger,
    both_notes,
    merged,
    merges_into,
)
from tagboat.core.errors import NotFoundError
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageName
from tagboat.core.newest import Names
from tagboat.core.ports import Queued, Reader, Topic, Tx
from tagboat.core.push import Outcome, PushVerdict, Source
from tagboat.core.values import replace

_CAME: Mapping[Trigger, str] = {
    # A poll finds what somebody has pushed.
    Trigger.WEBHOOK: "pushed",
    Trigger.POLL: "pushed",
    Trigger.MANUAL: "ordered",
    Trigger.PROMOTE: "promoted",
    Trigger.ROLLBACK: "rolled back to",
}
"""The words for how the tag of a deploy came to its stage."""
_LOOKED_BACK = 50
"""Deploys of a stage that are searched for one that was superseded."""


class DeployQueue:
    """Implements `DeployTriggerer` on the database."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    def trigger_deploy(
        self,
        project_id: str,
        stage_id: str,
        image_tag: str,
        *,
        tx: Tx,
        trigger: Trigger = Trigger.MANUAL,
        digest: Digest | None = None,
        force: bool = False,
        exact: bool = False,
        image: ImageName | None = None,
        ordered_by: str | None = None,
        note: str = "",
    ) -> Queued:
        """Queue a deploy of `image_tag`, or merge into one that will bring it, with a `note`.

        Raises NotFoundError for an unknown stage.
        """
        is_order = trigger not in NEWS_TRIGGERS
        # One of an exact digest merges with none that looks a tag up: see docs/decisions/0006.
        waiting = [
            deploy
            for deploy in _mergeable(tx, stage_id, is_order=is_order)
            if not (exact or trigger in EXACT_TRIGGERS)
            and merges_into(deploy, image_tag, digest, force=force)
        ]
        if waiting:
            into = merged(waiting[-1], digest)
            tx.put_deploy(
                replace(
                    into,
                    # What a person has ordered waits for no release, whoever queued it before.
                    trigger=trigger if is_order and into.by_news else into.trigger,
                    ordered_by=into.ordered_by or ordered_by,
                    note=both_notes(into.note, note),
                )
            )
            return Queued(Outcome.MERGED, waiting[-1].id)
        deploy = Deploy(
            id=new_id(),
            project_id=project_id,
            stage_id=stage_id,
            tag=image_tag,
            digest=digest,
            trigger=trigger,
            force=force,
            exact=exact,
            image=image,
            ordered_by=ordered_by,
            note=note,
            created_at=self._clock(),
        )
        self._supersede(tx, deploy)
        tx.add_deploy(deploy)
        tx.announce(Topic.DEPLOYS)
        return Queued(Outcome.QUEUED, deploy.id)

    def bring_back(self, tx: Tx, missing: Deploy) -> None:
        """Queue the deploy again that made way for `missing`, whose tag names no image."""
        if older := find_superseded_by(tx, missing):
            self.trigger_deploy(
                older.project_id,
                older.stage_id,
                older.tag,
                tx=tx,
                trigger=older.trigger,
                digest=older.digest,
                force=older.force,
                exact=older.exact,
                image=older.image,
                ordered_by=older.ordered_by,
                note=older.note,
            )

    def _supersede(self, tx: Tx, newer: Deploy) -> None:
        """In a stage of one instance, end the queued deploys that `newer` makes pointless.

        A rollback holds its stage: deploys that pushes have queued wait for its release. A restart
        or a start brings no other version: those that wait for the stage still have their turn.
        """
        stage = next(
            (stage for stage in tx.stages(newer.project_id) if stage.id == newer.stage_id), None
        )
        if stage is None:
            raise NotFoundError(f"there is no stage {newer.stage_id[:80]!r} in that project")
        # There each tag has an instance of its own, and an older one is wanted as well.
        if stage.max_instances > 1:
            return
        came = "started again" if newer.exact else _CAME[newer.trigger]
        for older in tx.open_deploys(stage.id):
            if older.status is DeployStatus.QUEUED and not (
                (newer.exact or newer.trigger is Trigger.ROLLBACK) and older.by_news
            ):
                tx.put_deploy(
                    replace(
                        older,
                        status=DeployStatus.SUPERSEDED,
                        reason=f"{newer.tag} was {came} before it began",
                        finished_at=newer.created_at,
                    )
                )


def _mergeable(reader: Reader, stage_id: str, *, is_order: bool) -> list[Deploy]:
    opened = reader.open_deploys(stage_id)
    orders = [one for one in opened if not one.by_news]
    # A rollback that was ordered after a push and before this order would come after both.
    behind = is_order and any(one.status is DeployStatus.QUEUED for one in orders)
    return orders if behind else opened


def find_superseded_by(reader: Reader, missing: Deploy) -> Deploy | None:
    """Return the newest deploy that made way for a tag without an image, None without one.

    That is the tag of `missing`, or of such a deploy before it. None also where something newer is
    to be deployed anyway.
    """
    if any(one.id != missing.id for one in reader.open_deploys(missing.stage_id)):
        return None
    tags = {missing.tag}
    for older in reader.deploys(stage_id=missing.stage_id, before=missing.id, limit=_LOOKED_BACK):
        if older.status is DeployStatus.SUPERSEDED and not older.begun:
            if older.tag not in tags:
                # A rollback would need its configuration of then, too.
                return None if older.trigger is Trigger.ROLLBACK else older
        elif older.failed_step is not None and (
            older.failed_step.name is StepName.RESOLVE
            # What its tag points to was found not to be an image.
            or (
                (known := reader.known_tag(older.project_id, older.tag)) is not None
                and known.verdict is not None
                and known.verdict.outcome is Outcome.REFUSED
            )
        ):
            tags.add(older.tag)
        else:
            return None
    return None


def drop_older_pushes(tx: Tx, deploy: Deploy) -> None:
    """Forget the pushes that waited before `deploy`, which has brought a newer one, came.

    A release of the stage would go back to them. Those of higher versions stay, and those that were
    taken back, which only a person deploys. In a stage of several instances all are wanted.
    """
    stage = tx.stage(deploy.stage_id)
    if not deploy.by_news or stage.max_instances > 1:
        return
    offers = tx.held_pushes(stage.id)
    names = Names(stage.pattern, [deploy.tag, *(offer.tag for offer in offers)])
    fused = {version.digest for version in tx.taken_back(stage.id)}
    dropped = [
        offer
        for offer in offers
        if offer.seen_at < deploy.created_at
        and offer.digest not in fused
        and (names.compare(offer.tag, deploy.tag) or 0) <= 0
    ]
    if not dropped:
        return
    tx.delete_held_pushes(stage.id)
    for offer in offers:
        if offer not in dropped:
            tx.add_held_push(offer)
            continue
        verdict = PushVerdict(
            at=deploy.created_at,
            source=Source(offer.source),
            outcome=Outcome.RECORDED,
            reason=f"it waited in the stage {stage.name}, and {deploy.tag} was pushed later",
        )
        tx.record_tag(judged_tag(stage.project_id, offer.tag, None, verdict))
