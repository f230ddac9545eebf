"""The vitals of live instances: the last status of each is kept, and trouble is logged once."""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import structlog
from msgspec import Struct

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.errors import NotFoundError
from tagboat.core.health import Trouble, Vitals
from tagboat.core.masking import mask_values
from tagboat.core.ports import Reader, Tx
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.log_words import words_about
from tagboat.deploy.services import DeployServices
from tagboat.deploy.wellbeing import observed

_KEPT_AT_ONCE = 50

log = structlog.get_logger("tagboat.vitals")


class VitalsChange(Struct, frozen=True):
    """A change of an instance's vitals; `before` is None at the first look."""

    instance: Instance
    before: Vitals | None
    after: Vitals


async def look_after(
    services: DeployServices, live: Sequence[Instance], workloads: Collection[WorkloadStatus]
) -> None:
    """Record the changes of live instances since the last look.

    `workloads` were just listed. An instance that did not run then has been started since, and is
    looked at once more. Raises EngineError and StoreUnavailableError.
    """
    running = [one for one in workloads if one.running or one.restarting]
    # By both, since a handle is the name as long as no id is on record.
    listed = {key: one for one in running for key in (one.id, one.name)}

    async def look_again(instance: Instance) -> WorkloadStatus | None:
        # Its container may have been made again, and have another id by now.
        current = await services.store.read(lambda reader: reader.instance(instance.id))
        return await services.runtime.status(current.handle)

    statuses = {one.id: listed.get(one.handle) or await look_again(one) for one in live}

    def keep(some: Sequence[VitalsChange], tx: Tx) -> None:
        for change in some:
            # One that was retired or deleted since the look gets no vitals any more.
            with contextlib.suppress(NotFoundError):
                if tx.instance(change.instance.id).state is InstanceState.LIVE:
                    tx.put_vitals(change.after)

    changes = await services.store.read(
        lambda reader: _find_changes(reader, services, live, statuses)
    )
    # A few at a time: after a start all are new, and other writers are to have their turn.
    for first in range(0, len(changes), _KEPT_AT_ONCE):
        await services.store.write(partial(keep, changes[first : first + _KEPT_AT_ONCE]))
    for change in changes:
        instance, vitals = change.instance, change.after
        was = change.before.trouble if change.before is not None else Trouble.NONE
        if vitals.trouble is was:
            continue
        words = await words_about(services.store, instance) | {"container": instance.container}
        if vitals.trouble is Trouble.NONE:
            log.info("a live instance is well again", action="look_after", was=was.value, **words)
        else:
            reason = {"reason": vitals.detail}
            log.warning("a live instance needs a person", action="look_after", **reason, **words)


def _find_changes(
    reader: Reader,
    services: DeployServices,
    live: Sequence[Instance],
    statuses: Mapping[str, WorkloadStatus | None],
) -> list[VitalsChange]:
    known, now = reader.vitals([one.id for one in live]), services.clock()
    changes = []
    for instance in live:
        before = known.get(instance.id)
        after = observed(before, instance, statuses[instance.id], now)
        if after.trouble in {Trouble.UNHEALTHY, Trouble.CRASH_LOOP}:
            # The output of a HEALTHCHECK, or the engine's words, may repeat a secret of the app.
            config = reader.deploy_config(instance.deploy_id)
            if config:
                after = replace(after, detail=mask_values(after.detail, config.secret_values))
        if after != before:
            changes.append(VitalsChange(instance, before, after))
    return changes
