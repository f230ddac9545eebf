"""Watching over what is live and was not watched to the end, because a newer deploy took its turn.

What it has replaced is kept as long, and serves again if it sickens.
"""

import asyncio
from dataclasses import replace

import structlog

from tagboat.core.catalog import Stage
from tagboat.core.deploy import DeployStatus, Instance, InstanceState, StepName, StepStatus
from tagboat.core.errors import DeployFailedError, EngineError, NotFoundError, TagboatError
from tagboat.core.masking import mask_values
from tagboat.core.ports import Reader, Topic, Tx
from tagboat.deploy.containers import last_words
from tagboat.deploy.context import read_context
from tagboat.deploy.health import Health
from tagboat.deploy.instances import ended, taken_back
from tagboat.deploy.services import DeployServices

LOOK_EVERY_S = 60.0
BREATH_S = 1.0
RETRY_S = 5.0

log = structlog.get_logger("tagboat.vigil")


async def keep_vigil(services: DeployServices) -> None:
    """Watch over every instance that needs it, from when its deploy has ended; until cancelled."""
    news = asyncio.Event()
    services.store.listen(Topic.DEPLOYS, news.set)
    watching: dict[str, asyncio.Task[None]] = {}
    try:
        while True:
            news.clear()
            watching = {key: task for key, task in watching.items() if not task.done()}
            try:
                for instance in await services.store.read(_unwatched):
                    if instance.id not in watching:
                        watching[instance.id] = asyncio.create_task(
                            _watch_patiently(services, instance)
                        )
            except TagboatError as error:
                log.warning("cannot look for what to watch over", action="vigil", reason=str(error))
            await asyncio.sleep(BREATH_S)
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await news.wait()
            except TimeoutError:
                pass
    finally:
        for task in watching.values():
            task.cancel()


async def watch_over(services: DeployServices, instance: Instance) -> bool:
    """Return once a live instance has stayed healthy for as long as its stage asks, or is not live any more.

    Which of both, is the answer. Raises DeployFailedError where it sickened; what it had replaced serves again then. Raises
    other errors of the tree where it cannot be asked or the records cannot be written.
    """
    context = await services.store.read(lambda reader: read_context(reader, instance.deploy_id))

    async def is_over() -> bool:
        current = await services.store.read(lambda reader: reader.instance(instance.id))
        return current.state is not InstanceState.LIVE or current.watched

    try:
        await Health(services, context, instance, context.config).watch(
            context.stage.watch_s, is_over
        )
    except DeployFailedError as error:
        said = "\n".join(await last_words(services.runtime, instance.handle))
        reason, log_lines = (
            mask_values(text, context.secret_values) for text in (str(error), said)
        )
        if await services.store.write(
            lambda tx: _revert(tx, services, instance, reason, log_lines)
        ):
            log.warning("taken back", action="vigil", container=instance.container, reason=reason)
            await _take_away(services, instance, context.stage)
        raise
    return await services.store.write(lambda tx: _note_watched(tx, instance.id))


async def _watch_patiently(services: DeployServices, instance: Instance) -> None:
    while True:
        try:
            await watch_over(services, instance)
        except (DeployFailedError, NotFoundError):
            return
        except TagboatError as error:
            log.warning(
                "cannot watch over", action="vigil", container=instance.container, reason=str(error)
            )
        except Exception:
            log.exception("a fault inside Tagboat", action="vigil", container=instance.container)
        else:
            return
        await asyncio.sleep(RETRY_S)


async def _take_away(services: DeployServices, instance: Instance, stage: Stage) -> None:
    """Lead traffic to what serves again, and remove the container once it answers no request any more."""
    await services.traffic.apply_stage_routes(instance.stage_id)
    await services.traffic.drained([instance], stage.drain_timeout_s)
    try:
        await services.runtime.remove(instance.handle)
    except EngineError as error:
        log.warning(
            "container left to the next sweep",
            action="vigil",
            container=instance.container,
            reason=str(error),
        )


def _unwatched(reader: Reader) -> list[Instance]:
    """Those that are live and unwatched, and whose deploy does not watch them itself."""
    return [
        one for one in reader.unwatched_instances() if reader.deploy(one.deploy_id).status.final
    ]


def _note_watched(tx: Tx, instance_id: str) -> bool:
    current = tx.instance(instance_id)
    if current.state is not InstanceState.LIVE:
        return False
    tx.put_instance(replace(current, watched=True))
    return True


def _revert(
    tx: Tx, services: DeployServices, instance: Instance, reason: str, log_lines: str
) -> bool:
    """Let what the instance has replaced serve again, and its deploy have failed; whether it was still live.

    What it last said is kept with that: from now on a sweep may remove its container.
    """
    current = tx.instance(instance.id)
    if current.state is not InstanceState.LIVE:
        return False
    now = services.clock()
    deploy = tx.deploy(instance.deploy_id)
    tx.put_instance(ended(tx, current, InstanceState.FAILED, now))
    for older in tx.instances(stage_id=instance.stage_id, states=[InstanceState.DRAINING]):
        if older.id in deploy.replaced:
            tx.put_instance(replace(older, state=InstanceState.LIVE))
    watch = replace(
        deploy.step(StepName.WATCH), status=StepStatus.FAILED, finished_at=now, detail=reason
    )
    failed = replace(
        deploy, status=DeployStatus.FAILED, reason=reason, log=log_lines, finished_at=now
    )
    tx.put_deploy(failed.with_step(watch))
    tx.put_taken_back(taken_back(current, reason, now))
    tx.announce(Topic.DEPLOYS)
    return True
