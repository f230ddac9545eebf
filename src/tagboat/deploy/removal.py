"""Deleting projects and stages: first what runs, then what is on record."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import structlog

from tagboat.core.config import INSTALLATION_ID
from tagboat.core.deploy import ACTIVE_STATES, DeployStatus, Instance, InstanceState
from tagboat.core.errors import (
    ConflictError,
    EngineError,
    NotFoundError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.keeping import Deletion, LeftVolumes
from tagboat.core.ports import Reader, Store, Topic, Tx
from tagboat.core.runtime import Runtime
from tagboat.core.storage import volume_name
from tagboat.deploy.networks import remove_project_network

AGAIN_S = 30.0
_ROUNDS = 5

log = structlog.get_logger("tagboat.removal")


@dataclass(frozen=True, slots=True)
class Removal:
    """Removes containers before their records, so that none is ever left running without one.

    `abandon` makes the worker let go of the deploys of the stages given.
    """

    store: Store
    runtime: Runtime
    abandon: Callable[[Iterable[str]], Awaitable[None]]
    clock: Callable[[], datetime]

    async def remove_project(self, project_id: str, *, volumes: bool = False) -> LeftVolumes:
        """Delete a project with its stages, deploys and containers; with `volumes` also these, and all that is in them.

        Raises NotFoundError, and EngineError when a container cannot be removed: then nothing is deleted.
        """
        return await self._remove(Deletion(project_id, volumes=volumes))

    async def remove_stage(self, stage_id: str, *, volumes: bool = False) -> LeftVolumes:
        """Delete a stage with its deploys and containers, and perhaps volumes.

        Raises as `remove_project` does, and ConflictError while a deploy is at work in it: nothing is changed then.
        """
        project_id = await self.store.read(lambda reader: _refuse_at_work(reader, stage_id))
        return await self._remove(Deletion(project_id, stage_id, volumes=volumes))

    async def go_on(self) -> None:
        """Finish what a process that died was deleting; returns once nothing of it is left to do."""
        for deletion in await self.store.read(lambda reader: reader.deletions()):
            await self._go_on(deletion)

    async def _go_on(self, deletion: Deletion) -> None:
        while deletion in await self.store.read(lambda reader: reader.deletions()):
            try:
                await self._remove(deletion)
            except NotFoundError:
                return
            except TagboatError as error:
                log.warning(
                    "not deleted yet",
                    action="remove",
                    project=deletion.project_id,
                    reason=str(error),
                )
                # Whoever ordered it has been told nothing: it stays ordered.
                await self._order(deletion)
                await asyncio.sleep(AGAIN_S)

    async def _order(self, deletion: Deletion) -> None:
        with contextlib.suppress(StoreUnavailableError):
            await self.store.write(lambda tx: tx.begin_deletion(deletion))

    async def _remove(self, deletion: Deletion) -> LeftVolumes:
        try:
            return await self._try(deletion)
        except Exception:
            # It was told to whoever ordered it, and is not to happen behind their back after the next start.
            with contextlib.suppress(StoreUnavailableError):
                await self.store.write(lambda tx: tx.end_deletion(deletion))
            raise

    async def _try(self, deletion: Deletion) -> LeftVolumes:
        for _ in range(_ROUNDS):
            stage_ids = await self.store.write(lambda tx: self._withdraw(tx, deletion))
            await self.abandon(stage_ids)
            # Read only now: what a deploy cut off a moment ago has made is on record.
            running = await self.store.read(
                lambda reader: _active(reader, _stages(reader, deletion))
            )
            outcomes = await asyncio.gather(
                *map(self._remove_container, running), return_exceptions=True
            )
            if failures := [outcome for outcome in outcomes if isinstance(outcome, BaseException)]:
                raise failures[0]
            left = await self._leave_volumes(deletion, stage_ids)
            if await self.store.write(lambda tx: _delete_if_clear(tx, deletion)):
                if not deletion.stage_id:
                    await self._remove_network(deletion.project_id)
                return left
        raise ConflictError(
            "new deploys keep coming in while this is being deleted; try again once they have stopped"
        )

    async def _remove_network(self, project_id: str) -> None:
        """Remove the network of a project that is gone; what an engine that is away leaves is tidied later."""
        installation = await self.store.read(lambda reader: reader.setting(INSTALLATION_ID))
        try:
            await remove_project_network(self.runtime, str(installation), project_id)
        except EngineError as error:
            log.warning(
                "network left to be tidied", action="remove", project=project_id, reason=str(error)
            )

    async def _leave_volumes(self, deletion: Deletion, stage_ids: Iterable[str]) -> LeftVolumes:
        """Find the volumes, and remove them where that is wanted; one that something else uses stays."""
        try:
            found = [
                name
                for stage_id in stage_ids
                for name in await self.runtime.list_volumes(volume_name(stage_id, ""))
            ]
            found += await self.store.read(partial(_adopted, stage_ids))
        except EngineError:
            if deletion.volumes:
                raise
            return LeftVolumes()
        removed = [
            name for name in found if deletion.volumes and await self.runtime.remove_volume(name)
        ]
        return LeftVolumes(tuple(name for name in found if name not in removed), tuple(removed))

    def _withdraw(self, tx: Tx, deletion: Deletion) -> list[str]:
        """Cancel what is queued or running, so that no worker takes it up again; the ids of the stages that are to go."""
        stage_ids = _stages(tx, deletion)
        tx.begin_deletion(deletion)
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
            await self.runtime.stop(instance.handle)
            await self.runtime.remove(instance.handle)
        except EngineError:
            await self._put(instance)
            raise
        await self._put(replace(instance, state=InstanceState.STOPPED, stopped_at=self.clock()))
        log.info("container removed", action="remove", container=instance.container)

    async def _put(self, instance: Instance) -> None:
        await self.store.write(lambda tx: tx.put_instance(instance))


def _refuse_at_work(reader: Reader, stage_id: str) -> str:
    """Raise ConflictError while a deploy is at work in the stage; the id of its project."""
    stage = reader.stage(stage_id)
    for deploy in reader.open_deploys(stage_id):
        if deploy.status is DeployStatus.RUNNING:
            raise ConflictError(
                f"the deploy of {deploy.tag} is at work in the stage {stage.name}; cancel it or wait for its end first"
            )
    return stage.project_id


def _stages(reader: Reader, deletion: Deletion) -> list[str]:
    """The ids of the stages that are to go; raises NotFoundError once they, or the project, are gone."""
    if deletion.stage_id:
        return [reader.stage(deletion.stage_id).id]
    return [stage.id for stage in reader.stages(reader.project(deletion.project_id).id)]


def _active(reader: Reader, stage_ids: list[str]) -> list[Instance]:
    return [
        instance
        for stage_id in stage_ids
        for instance in reader.instances(stage_id=stage_id, states=ACTIVE_STATES)
    ]


def _adopted(stage_ids: Iterable[str], reader: Reader) -> list[str]:
    """The engine's names of volumes that containers of an earlier version left to the stages."""
    return [
        name for stage_id in stage_ids for name in reader.stage(stage_id).adopted_volumes.values()
    ]


def _delete_if_clear(tx: Tx, deletion: Deletion) -> bool:
    """Delete, unless another instance came up meanwhile; whether it was done."""
    if _active(tx, _stages(tx, deletion)):
        return False
    if deletion.stage_id:
        tx.delete_stage(deletion.stage_id)
    else:
        tx.delete_project(deletion.project_id)
    tx.end_deletion(deletion)
    return True
