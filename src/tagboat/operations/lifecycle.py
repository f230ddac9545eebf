"""Restart, stop and start as people and programs order them: each is one transaction."""

from msgspec import Struct

from tagboat.core.audit import AuditAction, FieldChange, stage_subject
from tagboat.core.catalog import Stage
from tagboat.core.ports import Reader, Tx
from tagboat.operations.services import OperationServices
from tagboat.operations.stage_life import StageLife
from tagboat.operations.views import DeployView, StageView, Views


class StartedStage(Struct, frozen=True):
    """A stage that was ordered to start, with the ids of the deploys that start it.

    `reason` says what happens, or why nothing does.
    """

    view: StageView
    deploys: tuple[str, ...]
    reason: str


class LifecycleOperations(Struct, frozen=True):
    """Orders about the whole of a stage.

    All raise NotFoundError, ConflictError and ForbiddenError as `DeployOperations` do.
    """

    services: OperationServices

    async def restart(self, stage_id: str, note: str = "") -> tuple[DeployView, ...]:
        """Deploy what is live again, with the configuration as it is saved now.

        Return a deploy for each live instance, the newest instance's last.
        """

        def work(tx: Tx) -> tuple[DeployView, ...]:
            stage = self._stage(tx, stage_id)
            queued = [tx.deploy(one) for one in self._life.restart(tx, stage_id, note)]
            tags = ", ".join(deploy.tag for deploy in queued)
            self._record(tx, AuditAction.STAGE_RESTART, stage, note=tags)
            return tuple(Views(tx, self.services).deploys(queued))

        return await self.services.store.write(work)

    async def stop(self, stage_id: str) -> StageView:
        """Take the traffic away from a stage, and end its instances once they are drained.

        It stays stopped until it is started, or a person deploys to it.
        """

        def work(tx: Tx) -> StageView:
            before = self._stage(tx, stage_id)
            stopped = self._life.stop(tx, stage_id)
            if not before.stopped:
                change = FieldChange("stopped", before=False, after=True)
                self._record(tx, AuditAction.STAGE_STOP, before, (change,))
            return self._view(tx, stopped)

        return await self.services.store.write(work)

    async def start(self, stage_id: str, note: str = "") -> StartedStage:
        """Deploy what was live last in a stage again, unless it runs."""

        def work(tx: Tx) -> StartedStage:
            before = self._stage(tx, stage_id)
            known = {deploy.id for deploy in tx.open_deploys(stage_id)}
            deploys = tuple(self._life.start(tx, stage_id, note))
            after = tx.stage(stage_id)
            tags = ", ".join(tx.deploy(one).tag for one in deploys)
            # An order that changes nothing is no change.
            if before.stopped != after.stopped or not known.issuperset(deploys):
                change = FieldChange("stopped", before=True, after=False)
                changes = (change,) if before.stopped else ()
                self._record(tx, AuditAction.STAGE_START, before, changes, tags)
            return StartedStage(self._view(tx, after), deploys, start_words(before, after, tags))

        return await self.services.store.write(work)

    @property
    def _life(self) -> StageLife:
        return StageLife(self.services.deployer, self.services.clock, self.services.actor.name)

    def _stage(self, reader: Reader, stage_id: str) -> Stage:
        """Return a stage. Raises ForbiddenError where the actor may not act on its project."""
        stage = reader.stage(stage_id)
        self.services.actor.check_project(stage.project_id)
        return stage

    def _view(self, reader: Reader, stage: Stage) -> StageView:
        (view,) = Views(reader, self.services).stages([stage])
        return view

    def _record(
        self,
        tx: Tx,
        action: AuditAction,
        stage: Stage,
        changes: tuple[FieldChange, ...] = (),
        note: str = "",
    ) -> None:
        subject = stage_subject(tx.project(stage.project_id), stage)
        self.services.record(tx, action, subject, changes, note)


def start_words(before: Stage, after: Stage, tags: str) -> str:
    """Return what an order to start does; `tags` are those that are brought again, or empty."""
    if tags:
        return f"{tags} is started again"
    if before.stopped and not after.stopped:
        return "nothing was live in it before; pushes and polls deploy to it again"
    return "it is running already; nothing was changed"
