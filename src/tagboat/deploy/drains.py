"""Retiring draining instances in the background: a request may take an hour to end."""

import asyncio
from functools import partial

import structlog

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.errors import TagboatError
from tagboat.core.ports import Reader
from tagboat.core.values import replace
from tagboat.deploy.context import read_context
from tagboat.deploy.fence import ClaimLostError
from tagboat.deploy.log_words import words_about
from tagboat.deploy.retirement import end_container, note_stopped
from tagboat.deploy.services import DeployServices
from tagboat.deploy.storage import keep_storage, with_storage

log = structlog.get_logger("tagboat.reconcile")


class Drains:
    """Drains instances that no deploy looks after, each in its own task, and then retires them."""

    def __init__(self, services: DeployServices) -> None:
        self._services = services
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, instance: Instance, limit_s: float) -> None:
        """Drain it for at most `limit_s` seconds, then retire it; do nothing if that goes on."""
        services, container = self._services, instance.container

        def is_left(reader: Reader) -> bool:
            # A deploy that came by then may have it serve again, or retires it itself.
            drains = reader.instance(instance.id).state is InstanceState.DRAINING
            deploys = reader.open_deploys(instance.stage_id)
            return drains and not any(deploy.begun for deploy in deploys)

        async def drain() -> None:
            words = await words_about(services.store, instance)
            structlog.contextvars.bind_contextvars(**words)  # of this task only
            try:
                await services.traffic.drained([instance], limit_s)
                if await services.store.read(is_left):
                    await keep_unasked_volumes(services, instance)
                    await end_container(services, instance)
                    await services.store.write(partial(note_stopped, services, instance.id))
                    log.info("retired", action="retire", container=container)
            except ClaimLostError:
                log.info("another server retires it", action="retire", container=container)
            except TagboatError as error:
                # It drains on record, so the next reconcile begins again.
                log.warning("not retired", action="retire", container=container, reason=str(error))
                raise
            except Exception:
                log.exception("a fault inside Tagboat", action="retire", container=container)

        def forget(task: asyncio.Task[None]) -> None:
            self._tasks.pop(instance.id, None)
            if not task.cancelled():
                task.exception()  # logged by the task itself; nobody may have waited for it

        # Reconcile comes by each minute, and a drain may take an hour.
        if instance.id not in self._tasks:
            task = asyncio.create_task(drain())
            self._tasks[instance.id] = task
            task.add_done_callback(forget)

    async def finished(self) -> None:
        """Wait for all that are under way. Raises the TagboatError of one that failed."""
        await asyncio.gather(*self._tasks.values())

    async def close(self) -> None:
        """Break off; the next start goes on with all that are not retired by then."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def keep_unasked_volumes(services: DeployServices, instance: Instance) -> None:
    """Let a stopped stage take over the volumes that the engine has made for its container."""
    status = await services.runtime.status(instance.handle)
    # Without its container, the start would not find what the app has written there.
    if status is None or not status.unasked_volumes:
        return
    context = await services.store.read(lambda reader: read_context(reader, instance.deploy_id))
    # A preview whose time is over leaves its data to nobody.
    if not context.stage.stopped:
        return
    deploy = replace(context.deploy, image=instance.image, digest=instance.digest)
    _, storage = await with_storage(services.runtime, replace(context, deploy=deploy), status)
    if storage.adopted:
        await services.store.write(partial(keep_storage, instance.stage_id, storage))
