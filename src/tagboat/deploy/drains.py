"""Retiring what drains, beside everything else: a request may take an hour to end, and other containers need looking after."""

import asyncio
from datetime import datetime
from functools import partial

import structlog

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.errors import TagboatError
from tagboat.core.ports import Reader, Tx
from tagboat.deploy.instances import ended
from tagboat.deploy.names import drop_names
from tagboat.deploy.services import DeployServices

log = structlog.get_logger("tagboat.reconcile")


class Drains:
    """Drains instances that no deploy looks after, each in a task of its own, and retires them then."""

    def __init__(self, services: DeployServices) -> None:
        self._services = services
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, instance: Instance, limit_s: float) -> None:
        """Drain it for at most `limit_s` seconds, then retire it; does nothing where that is under way."""
        if instance.id not in self._tasks:
            task = asyncio.create_task(self._drain(instance, limit_s))
            self._tasks[instance.id] = task
            task.add_done_callback(partial(self._forget, instance.id))

    async def finished(self) -> None:
        """Wait for all that are under way. What went wrong with one is raised: an error of the tree."""
        await asyncio.gather(*self._tasks.values())

    async def close(self) -> None:
        """Leave off; what is not retired by then is taken up by the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, instance_id: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(instance_id, None)
        if not task.cancelled():
            task.exception()  # told by the task itself; nobody need have waited for it

    async def _drain(self, instance: Instance, limit_s: float) -> None:
        try:
            await self._services.traffic.drained([instance], limit_s)
            await self._retire(instance)
        except TagboatError as error:
            # It drains on record, so the next sweep begins again.
            log.warning(
                "not retired", action="retire", container=instance.container, reason=str(error)
            )
            raise
        except Exception:
            log.exception("a fault inside Tagboat", action="retire", container=instance.container)

    async def _retire(self, instance: Instance) -> None:
        """Stop and remove it, unless a deploy that came meanwhile has it serve again, or retires it itself."""
        if not await self._services.store.read(lambda reader: _is_left(reader, instance)):
            return
        await drop_names(self._services, instance)
        await self._services.runtime.stop(instance.handle)
        await self._services.runtime.remove(instance.handle)
        await self._services.store.write(
            lambda tx: _note_stopped(tx, instance.id, self._services.clock())
        )
        log.info("retired", action="retire", container=instance.container)


def _is_left(reader: Reader, instance: Instance) -> bool:
    drains = reader.instance(instance.id).state is InstanceState.DRAINING
    return drains and not any(deploy.begun for deploy in reader.open_deploys(instance.stage_id))


def _note_stopped(tx: Tx, instance_id: str, now: datetime) -> None:
    instance = tx.instance(instance_id)
    # One that serves again since a moment ago is not made to seem stopped: it is live, and will be made again as such.
    if instance.state is InstanceState.DRAINING:
        tx.put_instance(ended(tx, instance, InstanceState.STOPPED, now))
