"""Looking after live instances for as long as they live: what the engine says of them is kept, and trouble told of once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.health import Trouble, Vitals
from tagboat.core.masking import mask_values
from tagboat.core.ports import Reader, Tx
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.services import DeployServices
from tagboat.deploy.wellbeing import observed

log = structlog.get_logger("tagboat.vitals")


async def look_after(
    services: DeployServices, live: Sequence[Instance], containers: Collection[WorkloadStatus]
) -> None:
    """Write down what has changed of these instances since the last look; `containers` is what the engine has just listed.

    What did not run then has been started since, and is looked at once more. Raises EngineError, StoreUnavailableError.
    """
    listed = {
        key: one
        for one in containers
        if one.running or one.restarting
        for key in (one.id, one.name)
    }
    statuses = {one.id: listed.get(one.handle) or await _status_now(services, one) for one in live}
    changes = await services.store.read(
        lambda reader: _changes(reader, live, statuses, services.clock())
    )
    if changes:
        await services.store.write(lambda tx: _keep(tx, [change.after for change in changes]))
    for change in changes:
        _tell(change)


async def _status_now(services: DeployServices, instance: Instance) -> WorkloadStatus | None:
    """What the engine says of it by now: its container may have been made again, and have another id."""
    current = await services.store.read(lambda reader: reader.instance(instance.id))
    return await services.runtime.status(current.handle)


@dataclass(frozen=True, slots=True)
class _Change:
    instance: Instance
    before: Vitals | None
    after: Vitals


def _changes(
    reader: Reader,
    live: Sequence[Instance],
    statuses: Mapping[str, WorkloadStatus | None],
    now: datetime,
) -> list[_Change]:
    known = reader.vitals([one.id for one in live])
    changes = []
    for instance in live:
        before = known.get(instance.id)
        after = _masked(reader, instance, observed(before, instance, statuses[instance.id], now))
        if after != before:
            changes.append(_Change(instance, before, after))
    return changes


def _keep(tx: Tx, found: Sequence[Vitals]) -> None:
    """Write it down, but for instances that are no longer on record."""
    there = {one.id for one in tx.instances(states=[InstanceState.LIVE])}
    for vitals in found:
        if vitals.instance_id in there:
            tx.put_vitals(vitals)


def _masked(reader: Reader, instance: Instance, vitals: Vitals) -> Vitals:
    """What a HEALTHCHECK writes may repeat a secret of the app's."""
    config = (
        reader.deploy_config(instance.deploy_id) if vitals.trouble is Trouble.UNHEALTHY else None
    )
    return (
        replace(vitals, detail=mask_values(vitals.detail, config.secret_values))
        if config
        else vitals
    )


def _tell(change: _Change) -> None:
    instance, vitals = change.instance, change.after
    was = change.before.trouble if change.before is not None else Trouble.NONE
    words = {"container": instance.container, "tag": instance.tag, "stage_id": instance.stage_id}
    if vitals.trouble is was:
        return
    if vitals.trouble is Trouble.NONE:
        log.info("a live instance is well again", action="look_after", was=was.value, **words)
    else:
        log.warning(
            "a live instance needs a person", action="look_after", reason=vitals.detail, **words
        )
