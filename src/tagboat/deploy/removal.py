"""Deleting projects and stages: first their containers, then their records."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import datetime

import structlog
from msgspec import Struct

from tagboat.core.audit import (
    AuditAction,
    FieldChange,
    audit_entry,
    changes_between,
    project_subject,
    stage_subject,
)
from tagboat.core.catalog import Project, Stage
from tagboat.core.config import INSTALLATION_ID
from tagboat.core.deploy import ACTIVE_STATES, DeployStatus, Instance, InstanceState, made_draining
from tagboat.core.errors import (
    ConflictError,
    EngineError,
    NotFoundError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.keeping import Deletion, LeftVolumes
from tagboat.core.placement import volumes_on_nodes
from tagboat.core.ports import Reader, Store, Topic, Tx
from tagboat.core.principal import SERVER, Principal
from tagboat.core.runtime import Runtime
from tagboat.core.storage import volume_name
from tagboat.core.values import replace
from tagboat.deploy.instances import ended, stopped_for_a_deploy
from tagboat.deploy.log_words import words_about
from tagboat.deploy.networks import remove_project_network
from tagboat.deploy.one_offs import remove_left
from tagboat.deploy.ownership import RUN

AGAIN_S = 30.0
_ROUNDS = 5

log = structlog.get_logger("tagboat.removal")


class Removal(Struct, frozen=True):
    """Removes containers before their records, so that none is left running without a record.

    `abandon` makes the worker leave the deploys of the given stages.
    """

    store: Store
    runtime: Runtime
    abandon: Callable[[Iterable[str]], Awaitable[None]]
    clock: Callable[[], datetime]

    async def remove_project(
        self,
        project_id: str,
        check: Callable[[Project], None] | None = None,
        *,
        volumes: bool = False,
        actor: Principal = SERVER,
    ) -> LeftVolumes:
        """Delete a project with its stages, deploys and containers, with `volumes` their data too.

        Raises NotFoundError, what `check` raises, and EngineError when a container cannot be
        removed: then nothing is deleted.
        """

        def order(tx: Tx) -> Deletion:
            project = tx.project(project_id)
            if check is not None:
                check(project)
            return Deletion(project_id, volumes=volumes, actor=actor)

        return await self._carry_out(order)

    async def remove_stage(
        self,
        stage_id: str,
        check: Callable[[Stage], None] | None = None,
        *,
        volumes: bool = False,
        actor: Principal = SERVER,
    ) -> LeftVolumes:
        """Delete a stage with its deploys and containers, and with its `volumes` if asked.

        Raises as `remove_project` does, and ConflictError while a deploy is at work in it: then
        nothing is changed.
        """

        def order(tx: Tx) -> Deletion:
            stage = tx.stage(stage_id)
            if check is not None:
                check(stage)
            for deploy in tx.open_deploys(stage_id):
                if deploy.status is DeployStatus.RUNNING:
                    raise ConflictError(
                        f"the deploy of {deploy.tag} is at work in the stage {stage.name};"
                        " cancel it or wait for its end first"
                    )
            return Deletion(stage.project_id, stage_id, volumes, actor)

        return await self._carry_out(order)

    async def go_on(self) -> None:
        """Finish the deletions that a process has left when it died; return once all are done."""
        for deletion in await self.store.read(lambda reader: reader.deletions()):
            while deletion in await self.store.read(lambda reader: reader.deletions()):
                try:
                    await self._carry_out(lambda _, deletion=deletion: deletion)  # type: ignore[misc]
                except NotFoundError:
                    await self._try_to_write(lambda tx, one: tx.end_deletion(one), deletion)
                    break
                except TagboatError as error:
                    words = {"project": deletion.project_id, "reason": str(error)}
                    log.warning("not deleted yet", action="remove", **words)
                    # The person who ordered it was not told of a failure: it stays ordered.
                    await self._try_to_write(lambda tx, one: tx.begin_deletion(one), deletion)
                    await asyncio.sleep(AGAIN_S)

    async def _try_to_write(
        self, change: Callable[[Tx, Deletion], None], deletion: Deletion
    ) -> None:
        with contextlib.suppress(StoreUnavailableError):
            await self.store.write(lambda tx: change(tx, deletion))

    async def _carry_out(self, order: Callable[[Tx], Deletion]) -> LeftVolumes:
        def begin(tx: Tx) -> tuple[Deletion, list[str]]:
            # In one transaction: what was checked is what is deleted.
            deletion = order(tx)
            return deletion, self.withdraw(tx, deletion)

        deletion, stage_ids = await self.store.write(begin)
        try:
            return await self._remove(deletion, stage_ids)
        except Exception:
            # The person who ordered it is told: it must not happen after the next start, unseen.
            await self._try_to_write(lambda tx, one: tx.end_deletion(one), deletion)
            raise

    async def _remove(self, deletion: Deletion, stage_ids: list[str]) -> LeftVolumes:
        for _ in range(_ROUNDS):
            await self.abandon(stage_ids)
            # Read only now: by then, all that an abandoned deploy has made is on record.
            running = await self.store.read(
                lambda reader: _active_instances(reader, _stage_ids(reader, deletion))
            )
            outcomes = await asyncio.gather(
                *map(self._remove_container, running), return_exceptions=True
            )
            if failures := [outcome for outcome in outcomes if isinstance(outcome, BaseException)]:
                raise failures[0]
            # Nothing is live now that would have others.
            for one in await self.store.read(lambda reader: reader.one_offs()):
                if one.stage_id in stage_ids:
                    workloads = await self.runtime.list_workloads({RUN: one.id})
                    await remove_left(self.store, self.runtime, one, workloads)
            left = await self._leave_volumes(deletion, stage_ids)
            if await self.store.write(lambda tx: delete_if_clear(tx, deletion, self.clock())):
                break
            # A push has brought another instance up since the deploys were withdrawn.
            stage_ids = await self.store.write(lambda tx: self.withdraw(tx, deletion))
        else:
            raise ConflictError(
                "new deploys keep coming in while this is being deleted; try again once they have"
                " stopped"
            )
        if not deletion.stage_id:
            project_id = deletion.project_id
            installation = await self.store.read(lambda reader: reader.setting(INSTALLATION_ID))
            try:
                await remove_project_network(self.runtime, str(installation), project_id)
            except EngineError as error:
                # The project is gone all the same: `tidy_networks` removes it later.
                words = {"project": project_id, "reason": str(error)}
                log.warning("network left to be tidied", action="remove", **words)
        return left

    async def _leave_volumes(self, deletion: Deletion, stage_ids: Iterable[str]) -> LeftVolumes:
        """Find the volumes, and remove them where asked.

        One that is in use stays, and so do those on nodes of a swarm.
        """

        def read_named(reader: Reader) -> tuple[list[str], dict[str, str]]:
            stages = [reader.stage(stage_id) for stage_id in stage_ids]
            on_nodes: dict[str, str] = {}
            for stage in stages:
                owner = reader.project(stage.project_id)
                on_nodes |= volumes_on_nodes(owner, stage, is_cluster=self.runtime.is_cluster)
            return [name for one in stages for name in one.adopted_volumes.values()], on_nodes

        try:
            found = [
                name
                for stage_id in stage_ids
                for name in await self.runtime.list_volumes(volume_name(stage_id, ""))
            ]
            adopted, on_nodes = await self.store.read(read_named)
            found += adopted
        except EngineError:
            if deletion.volumes:
                raise
            # Then they were only to be listed, which must not stop the deletion.
            return LeftVolumes()
        removed = [
            name for name in found if deletion.volumes and await self.runtime.remove_volume(name)
        ]
        kept = [name for name in found if name not in removed]
        # A swarm of this one machine has them on its engine.
        kept += [
            f"{name} (on {node or 'a node of the swarm'})"
            for name, node in sorted(on_nodes.items())
            if name not in found
        ]
        return LeftVolumes(tuple(kept), tuple(removed))

    def withdraw(self, tx: Tx, deletion: Deletion) -> list[str]:
        """Cancel the open deploys, so that no worker takes them up again.

        Return the stages' ids.
        """
        stage_ids = _stage_ids(tx, deletion)
        # On record before anything is removed: after a death, `go_on` carries it out.
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
                        # Whoever works on it has lost it.
                        claim=deploy.claim + 1,
                        finished_at=self.clock(),
                    )
                )
        tx.announce(Topic.DEPLOYS)
        return stage_ids

    async def _remove_container(self, instance: Instance) -> None:
        words = await words_about(self.store, instance) | {"container": instance.container}
        if instance.adopted:
            # A container that a person made goes on without Tagboat.
            if await self.store.read(lambda reader: stopped_for_a_deploy(reader, instance)):
                try:
                    await self.runtime.start(instance.handle)
                except EngineError as error:
                    words["reason"] = str(error)
                    log.warning("container not started again", action="remove", **words)
            # In one step: what drains on record is stopped by the next start of the server.
            await self.store.write(
                lambda tx: tx.put_instance(ended(tx, instance, InstanceState.STOPPED, self.clock()))
            )
            return
        draining = replace(instance, state=InstanceState.DRAINING)
        if instance.state is InstanceState.LIVE:
            draining = made_draining(instance, self.clock())
        # On record first: else reconcile, woken by its exit, would start it again.
        await self._put(draining, was=[instance.state])
        try:
            await self.runtime.stop(instance.handle)
            await self.runtime.remove(instance.handle)
        except EngineError:
            # The deletion fails as a whole, so the instance stays on record as it was.
            await self._put(instance, was=[InstanceState.DRAINING])
            raise
        await self.store.write(
            lambda tx: tx.put_instance(
                ended(tx, draining, InstanceState.STOPPED, self.clock()),
                was=[InstanceState.DRAINING],
            )
        )
        log.info("container removed", action="remove", **words)

    async def _put(self, instance: Instance, was: Collection[InstanceState]) -> None:
        await self.store.write(lambda tx: tx.put_instance(instance, was))


def _stage_ids(reader: Reader, deletion: Deletion) -> list[str]:
    """Return the ids of the stages to delete; raise NotFoundError once they are gone."""
    if deletion.stage_id:
        return [reader.stage(deletion.stage_id).id]
    return [stage.id for stage in reader.stages(reader.project(deletion.project_id).id)]


def _active_instances(reader: Reader, stage_ids: list[str]) -> list[Instance]:
    return [
        instance
        for stage_id in stage_ids
        for instance in reader.instances(stage_id=stage_id, states=ACTIVE_STATES)
    ]


def _record(tx: Tx, deletion: Deletion, now: datetime) -> None:
    """Record in the audit who has ordered what is deleted now."""
    project = tx.project(deletion.project_id)
    if deletion.stage_id:
        stage = tx.stage(deletion.stage_id)
        action, subject = AuditAction.STAGE_DELETE, stage_subject(project, stage)
        changes = changes_between(stage, None)
    else:
        action, subject = AuditAction.PROJECT_DELETE, project_subject(project)
        changes = changes_between(project, None)
    if deletion.volumes:
        changes = (*changes, FieldChange("content of volumes", "kept", "deleted"))
    tx.record_audit(audit_entry(deletion.actor, now, action, subject, changes))


def delete_if_clear(tx: Tx, deletion: Deletion, now: datetime) -> bool:
    """Delete the records; return False where another instance has come up."""
    # In the transaction that deletes: nothing can come up in between.
    if _active_instances(tx, _stage_ids(tx, deletion)):
        return False
    _record(tx, deletion, now)
    if deletion.stage_id:
        tx.delete_stage(deletion.stage_id)
    else:
        tx.delete_project(deletion.project_id)
    tx.end_deletion(deletion)
    return True
