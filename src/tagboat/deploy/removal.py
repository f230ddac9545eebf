"""Deleting projects and stages: first what runs, then what is on record."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from tagboat.core.deploy import ACTIVE_STATES, DeployStatus, Instance, InstanceState
from tagboat.core.errors import ConflictError, EngineError
from tagboat.core.ports import Engine, Reader, Store, Topic, Tx

_ROUNDS = 5

log = structlog.get_logger("tagboat.removal")


@dataclass(frozen=True, slots=True)
class Removal:
    """Removes containers before their records, so that none is ever left running without one.

    `abandon` makes the worker let go of the deploys of the stages given.
    """

    store: Store
    engine: Engine
    abandon: Callable[[Iterable[str]], Awaitable[None]]
    clock: Callable[[], datetime]

    async def remove_project(self, project_id: str) -> None:
        """Delete a project with its stages, deploys and containers.

        Raises NotFoundError, and EngineError when a container cannot be removed: then nothing is deleted.
        """
        await self._remove(
            lambda reader: [stage.id for stage in reader.stages(reader.project(project_id).id)],
            lambda tx: tx.delete_project(project_id),
        )

    async def remove_stage(self, stage_id: str) -> None:
        """Delete a stage with its deploys and containers.

        Raises as `remove_project` does, and ConflictError while a deploy is at work in it: nothing is changed then.
        """
        await self.store.read(lambda reader: _refuse_at_work(reader, stage_id))
        await self._remove(lambda reader: [reader.stage(stage_id).id], lambda tx: tx.delete_stage(stage_id))

    async def _remove(self, stages: Callable[[Reader], list[str]], delete: Callable[[Tx], None]) -> None:
        for _ in range(_ROUNDS):
            stage_ids = await self.store.write(lambda tx: self._withdraw(tx, stages(tx)))
            await self.abandon(stage_ids)
            # Read only now: what a deploy cut off a moment ago has made is on record.
            running = await self.store.read(lambda reader: _active(reader, stages(reader)))
            outcomes = await asyncio.gather(*map(self._remove_container, running), return_exceptions=True)
            if failures := [outcome for outcome in outcomes if isinstance(outcome, BaseException)]:
                raise failures[0]
            if await self.store.write(lambda tx: _delete_if_clear(tx, stages(tx), delete)):
                return
        raise ConflictError("new deploys keep coming in while this is being deleted; try again once they have stopped")

    def _withdraw(self, tx: Tx, stage_ids: list[str]) -> list[str]:
        """Cancel what is queued or running, so that no worker takes it up again."""
        for stage_id in stage_ids:
            for deploy in tx.open_deploys(stage_id):
                tx.put_deploy(
                    replace(
                        deploy,
                        status=DeployStatus.CANCELLED,
                        reason="its stage was deleted",
                        claimed_by=None,
                        claimed_until=None,
                        finished_at=self.clock(),
                    )
                )
        tx.announce(Topic.DEPLOYS)
        return stage_ids

    async def _remove_container(self, instance: Instance) -> None:
        # On record first: else the sweep, woken by its end, would start it again.
        await self._put(replace(instance, state=InstanceState.DRAINING))
        try:
            await self.engine.stop(instance.handle)
            await self.engine.remove(instance.handle)
        except EngineError:
            await self._put(instance)
            raise
        await self._put(replace(instance, state=InstanceState.STOPPED, stopped_at=self.clock()))
        log.info("container removed", action="remove", container=instance.container)

    async def _put(self, instance: Instance) -> None:
        await self.store.write(lambda tx: tx.put_instance(instance))


def _refuse_at_work(reader: Reader, stage_id: str) -> None:
    name = reader.stage(stage_id).name
    for deploy in reader.open_deploys(stage_id):
        if deploy.status is DeployStatus.RUNNING:
            raise ConflictError(
                f"the deploy of {deploy.tag} is at work in the stage {name}; cancel it or wait for its end first"
            )


def _active(reader: Reader, stage_ids: list[str]) -> list[Instance]:
    return [instance for stage_id in stage_ids for instance in reader.instances(stage_id=stage_id, states=ACTIVE_STATES)]


def _delete_if_clear(tx: Tx, stage_ids: list[str], delete: Callable[[Tx], None]) -> bool:
    """Delete, unless another instance came up meanwhile; whether it was done."""
    if _active(tx, stage_ids):
        return False
    delete(tx)
    return True
