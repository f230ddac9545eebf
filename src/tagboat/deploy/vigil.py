"""The vigil: watching live instances whose watch was cut short by a newer deploy.

The instance that such a one has replaced is kept as long, and serves again if it fails.
"""

import asyncio
from functools import partial

import structlog

from tagboat.core.deploy import (
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
    StepStatus,
    live_again,
)
from tagboat.core.errors import DeployFailedError, EngineError, NotFoundError, TagboatError
from tagboat.core.masking import mask_values
from tagboat.core.ports import Topic, Tx
from tagboat.core.values import replace
from tagboat.deploy.containers import last_words
from tagboat.deploy.context import read_context
from tagboat.deploy.health import Health
from tagboat.deploy.instances import ended, taken_back
from tagboat.deploy.log_words import deploy_words, words_about
from tagboat.deploy.services import DeployServices
from tagboat.loops import PeriodicTask

VIGIL_EVERY_S = 60.0
VIGIL_MIN_INTERVAL_S = 1.0
VIGIL_RETRY_S = 5.0

log = structlog.get_logger("tagboat.vigil")


async def keep_vigil(services: DeployServices) -> None:
    """Watch every instance that needs it, from when its deploy has ended; until cancelled."""
    watching: dict[str, asyncio.Task[None]] = {}
    # A server that begins may follow a machine that was off.
    began_anew = True

    async def begin_watches() -> float:
        nonlocal began_anew
        for instance_id in [key for key, watch in watching.items() if watch.done()]:
            del watching[instance_id]
        for one in await services.store.read(lambda reader: reader.unwatched_instances()):
            if one.id not in watching:
                watch = _watch_retrying(services, one, began_anew=began_anew)
                watching[one.id] = asyncio.create_task(watch)
        began_anew = False
        return VIGIL_EVERY_S

    task = PeriodicTask(
        begin_watches,
        retry_s=VIGIL_EVERY_S,
        warn=partial(log.warning, "cannot read which instances to watch", action="vigil"),
        rest_s=lambda _: VIGIL_MIN_INTERVAL_S,
    )
    services.store.listen(Topic.DEPLOYS, task.wake)
    try:
        await task.run()
    finally:
        for watch in watching.values():
            watch.cancel()


async def watch_over(
    services: DeployServices, instance: Instance, *, began_anew: bool = False
) -> bool:
    """Watch a live instance as long as its stage asks; False where it is not live any more.

    See `Health.watch` for `began_anew`.
    Raises DeployFailedError where it became unhealthy; the instance it had replaced serves again by
    then. Raises other errors of the tree where it cannot be asked, or nothing can be recorded.
    """
    context = await services.store.read(lambda reader: read_context(reader, instance.deploy_id))

    async def is_over() -> bool:
        current = await services.store.read(lambda reader: reader.instance(instance.id))
        return current.state is not InstanceState.LIVE or current.watched

    def note_watched(tx: Tx) -> bool:
        current = tx.instance(instance.id)
        if current.state is not InstanceState.LIVE:
            return False
        tx.put_instance(replace(current, watched=True))
        return True

    try:
        health = Health(services, context, instance, context.config)
        await health.watch(context.stage.watch_s, is_over, began_anew=began_anew)
    except DeployFailedError as error:
        said = "\n".join(await last_words(services.runtime, instance.handle))
        reason, output = (mask_values(text, context.secret_values) for text in (str(error), said))
        if await services.store.write(lambda tx: revert(tx, services, instance, reason, output)):
            words = deploy_words(context) | {"container": instance.container}
            log.warning("taken back", action="vigil", reason=reason, **words)
            # The record, the traffic, then the removal: see docs/decisions/0008.
            await services.traffic.apply_stage_routes(instance.stage_id)
            await services.traffic.drained([instance], context.stage.drain_timeout_s)
            try:
                await services.runtime.remove(instance.handle)
            except EngineError as away:
                log.warning(
                    "container left to the next reconcile",
                    action="vigil",
                    reason=str(away),
                    **words,
                )
        raise
    return await services.store.write(note_watched)


async def _watch_retrying(
    services: DeployServices, instance: Instance, *, began_anew: bool
) -> None:
    words = await words_about(services.store, instance)
    structlog.contextvars.bind_contextvars(**words)  # of this task only
    while True:
        try:
            await watch_over(services, instance, began_anew=began_anew)
        except (DeployFailedError, NotFoundError):
            # Taken back, or deleted: there is nothing left to watch.
            return
        except TagboatError as error:
            began_anew = True
            said = {"container": instance.container, "reason": str(error)}
            log.warning("cannot watch the instance", action="vigil", **said)
        except Exception:
            log.exception("a fault inside Tagboat", action="vigil", container=instance.container)
        else:
            return
        await asyncio.sleep(VIGIL_RETRY_S)


def revert(tx: Tx, services: DeployServices, instance: Instance, reason: str, output: str) -> bool:
    """Let the instances serve again that this one has replaced, and its deploy have failed.

    Returns False where it is not live any more. `output` is recorded here, because from now on
    reconcile may remove the container.
    """
    current = tx.instance(instance.id)
    if current.state is not InstanceState.LIVE:
        return False
    now = services.clock()
    deploy = tx.deploy(instance.deploy_id)
    tx.put_instance(ended(tx, current, InstanceState.FAILED, now))
    for older in tx.instances(stage_id=instance.stage_id, states=[InstanceState.DRAINING]):
        if older.id in deploy.replaced:
            tx.put_instance(live_again(older))
    watch = replace(
        deploy.step(StepName.WATCH), status=StepStatus.FAILED, finished_at=now, detail=reason
    )
    failed = replace(deploy, status=DeployStatus.FAILED, reason=reason, log=output, finished_at=now)
    tx.put_deploy(failed.with_step(watch))
    tx.put_taken_back(taken_back(current, reason, now))
    tx.announce(Topic.DEPLOYS)
    return True
