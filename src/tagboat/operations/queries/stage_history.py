"""The history of a stage: versions that were live, when, and how each ended."""

from datetime import datetime

from msgspec import Struct

from tagboat.core.deploy import Deploy, Instance, InstanceState
from tagboat.core.ending import Ending, how_it_ended
from tagboat.core.ports import Reader
from tagboat.operations.services import OperationServices
from tagboat.operations.views import StageView, Views
from tagboat.operations.way_back import not_kept


class RollbackOption(Struct, frozen=True):
    """The answer to a rollback to an instance; `reason` says why not, or what to know before."""

    possible: bool
    reason: str = ""


class LivePeriod(Struct, frozen=True, kw_only=True):
    """The time in which an instance of `deploy` was the live one.

    `live_until` is None while it is. `requests_lost` counts requests that failed in the change to
    it, None where that was not counted. `warning` is a sentence about what a rollback to it cannot
    undo, empty for none.
    """

    instance: Instance
    deploy: Deploy
    live_from: datetime
    live_until: datetime | None
    ending: Ending
    requests_lost: int | None
    rollback: RollbackOption
    warning: str


class StageHistory(Struct, frozen=True):
    """A part of what was live in a stage, newest first."""

    stage: StageView
    periods: tuple[LivePeriod, ...]


def read_stage_history(
    reader: Reader, services: OperationServices, stage_id: str, before: str, limit: int
) -> StageHistory:
    """Return what was live in a stage, newest first, from the first older than instance `before`.

    Raises NotFoundError. The number of statements does not depend on `limit`.
    """
    stage = reader.stage(stage_id)
    (view,) = Views(reader, services).stages([stage])
    lived = reader.instances_that_lived(stage_id, before, limit)
    live = reader.instances(stage_id=stage_id, states=[InstanceState.LIVE])
    # Of the whole page at once: a page is as quick as a row.
    ids = {key for one in lived for key in (one.deploy_id, one.left_for) if key}
    deploys = reader.deploys_by_id(ids)
    ledgers = reader.receipt_ledgers([one.deploy_id for one in lived])
    kept = reader.configured_deploys([one.deploy_id for one in lived])
    pulled = reader.pulled_among({one.digest for one in lived})
    release = reader.newest_release(stage_id)
    back = reader.taken_back(stage_id)
    current = {one.version for one in live}
    periods = []
    for place, instance in enumerate(lived):
        own = deploys[instance.deploy_id]
        successor = deploys.get(instance.left_for)
        if instance.left_at is None and instance.state.final and place:
            # On record since before ends were: what came next has replaced it.
            successor = deploys[lived[place - 1].deploy_id]
        image = instance.image or view.project.image
        ledger = ledgers.get(own.id)
        receipt = ledger.receipt if ledger else None
        periods.append(
            LivePeriod(
                instance=instance,
                deploy=own,
                live_from=instance.live_at or instance.started_at,
                live_until=None
                if instance.state is InstanceState.LIVE
                else instance.left_at or instance.stopped_at,
                ending=how_it_ended(instance, own, successor, back),
                requests_lost=receipt.failed if receipt else None,
                rollback=_option(
                    instance,
                    is_current=instance.version in current,
                    is_kept=instance.deploy_id in kept,
                    is_pulled=(image, instance.digest) in pulled,
                ),
                warning=release_warning(instance, release),
            )
        )
    return StageHistory(view, tuple(periods))


def _option(
    instance: Instance, *, is_current: bool, is_kept: bool, is_pulled: bool
) -> RollbackOption:
    """Return whether one can roll back to an instance that was live, by what is on record."""
    if is_current:
        return RollbackOption(possible=False, reason=f"{instance.tag} is live as it was then")
    if instance.state is InstanceState.FAILED:
        return RollbackOption(
            possible=False,
            reason=f"it was taken back; deploy the tag {instance.tag} to try it again",
        )
    if not is_kept:
        return RollbackOption(possible=False, reason=not_kept(instance))
    # Its registry is asked when the rollback is ordered: a page must not wait for that.
    if not is_pulled:
        return RollbackOption(
            possible=True,
            reason="its image was removed from the engine, and is pulled again from its registry",
        )
    return RollbackOption(possible=True)


def release_warning(instance: Instance, release: Deploy | None) -> str:
    """Return what a rollback to an instance cannot undo, empty for nothing."""
    # Ids rise with time: a deploy with a higher one came later.
    if release is None or release.id <= instance.deploy_id:
        return ""
    return (
        f"a release command ran since, with {release.tag} at"
        f" {release.created_at:%Y-%m-%d %H:%M} UTC: a rollback does not undo what it changed"
    )
