"""Deploys by hand, and the actions on stages: each is one transaction, and returns views."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from tagboat.core.audit import (
    AuditAction,
    FieldChange,
    changes_between,
    deploy_subject,
    stage_subject,
)
from tagboat.core.catalog import Stage
from tagboat.core.decision import normal_tag
from tagboat.core.deploy import Deploy, Trigger
from tagboat.core.errors import ConflictError
from tagboat.core.image import parse_tag
from tagboat.core.ports import Reader, Tx
from tagboat.intake.admit import by_hand, registry_kind
from tagboat.operations.services import OperationServices
from tagboat.operations.stage_actions import StageActions, promotable, words_for_released
from tagboat.operations.views import DeployView, StageView, Views
from tagboat.operations.way_back import Prospect, WaysBack


class DeployOperations(Struct, frozen=True):
    """Orders of people and programs. A `note` is kept with the deploy, and shown.

    All raise NotFoundError for what does not exist, and ConflictError for what cannot be done as
    things are, with what to do instead; nothing is changed then. ForbiddenError is raised where the
    actor is limited to other projects.
    """

    services: OperationServices

    async def deploy(
        self, stage_id: str, tag: str, *, force: bool = False, note: str = ""
    ) -> DeployView:
        """Queue a deploy of a tag, whatever the stage's pattern is.

        With `force` it is deployed even if it is live. The answer may be a deploy that waits for
        the same already. Raises InvalidImageRefError for what is no tag.
        """
        # Here too, although most faces look before: each new one would have to remember.
        parse_tag(tag)

        def work(tx: Tx) -> Deploy:
            stage = tx.stage(stage_id)
            project = tx.project(stage.project_id)
            self.services.actor.check_project(project.id)
            # As the registry stores it: a Gitea keeps tags in lower case.
            wanted = normal_tag(tag, registry_kind(tx, project))
            queued = self.services.deployer.trigger_deploy(
                project.id,
                stage_id,
                wanted,
                tx=tx,
                trigger=Trigger.MANUAL,
                force=force,
                ordered_by=self.services.actor.name,
                note=note,
            )
            # With the deploy: a poll that comes next must not take the tag for news.
            tx.record_tag(by_hand(stage, wanted, queued, self.services.clock()))
            return tx.deploy(queued.deploy_id)

        changes = (FieldChange("force", before=False, after=True),) if force else ()
        return await self._one(AuditAction.DEPLOY_CREATE, work, changes)

    async def rollback(self, stage_id: str, to: str | None = None, note: str = "") -> DeployView:
        """Queue what the deploy `to` brought, or what served before, and hold the stage.

        Raises ConflictError also where the image does not exist any more.
        """
        await self.services.store.read(lambda reader: self._stage(reader, stage_id))
        # Before the transaction: engine and registry are asked, which may take seconds.
        await self.ways_back.refuse_if_gone(stage_id, to)

        def work(tx: Tx) -> Deploy:
            # Read first: whether it was held before decides if the hold is news.
            before = self._stage(tx, stage_id)
            queued = self._actions.rollback(tx, stage_id, to, note)
            self._record_hold(tx, before)
            return tx.deploy(queued.deploy_id)

        return await self._one(AuditAction.DEPLOY_ROLLBACK, work)

    async def way_back(self, stage_id: str) -> Prospect:
        """Return what a rollback would bring back, and whether its image still exists."""
        return await self.ways_back.prospect(stage_id)

    async def promote(
        self, stage_id: str, from_stage_id: str, note: str = "", digest: str | None = None
    ) -> DeployView:
        """Queue the digest that is live in another stage of the project.

        With `digest`, ConflictError is raised where it is not the one that is live there any more.
        """

        def work(tx: Tx) -> Deploy:
            source = tx.stage(from_stage_id)
            live = promotable(tx, self._stage(tx, stage_id), source)
            # In the transaction of the order: what somebody has looked at is what is deployed.
            if digest is not None and live.digest != digest:
                raise ConflictError(
                    f"another version is live in {source.name} since you looked: {live.tag};"
                    " look at what it changes, and promote again"
                )
            return tx.deploy(self._actions.promote(tx, stage_id, from_stage_id, note).deploy_id)

        return await self._one(
            AuditAction.DEPLOY_PROMOTE,
            work,
            note=lambda reader: f"from the stage {reader.stage(from_stage_id).name}",
        )

    async def cancel(self, deploy_id: str) -> DeployView:
        """Cancel a deploy: a queued one at once; a running one is taken back by its worker."""

        def work(tx: Tx) -> Deploy:
            self.services.actor.check_project(tx.deploy(deploy_id).project_id)
            return self._actions.cancel(tx, deploy_id)

        return await self._one(AuditAction.DEPLOY_CANCEL, work)

    async def cancel_all(self, stage_id: str) -> list[DeployView]:
        """Cancel all queued and running deploys of a stage that can be cancelled."""

        def work(tx: Tx) -> list[Deploy]:
            self._stage(tx, stage_id)
            return self._actions.cancel_all(tx, stage_id)

        return await self._views(AuditAction.DEPLOY_CANCEL, work)

    async def hold(self, stage_id: str) -> StageView:
        """Let pushes and polls deploy nothing in the stage until it is released."""

        def work(tx: Tx) -> StageView:
            before = self._stage(tx, stage_id)
            (held,) = Views(tx, self.services).stages([self._actions.hold(tx, stage_id)])
            self._record_hold(tx, before)
            return held

        return await self.services.store.write(work)

    async def release(self, stage_id: str, *, including: bool) -> tuple[StageView, list[str]]:
        """Let pushes and polls deploy again; return the stage and the ids of the queued deploys.

        With `including`, versions that were taken back in the stage are deployed too.
        """

        def work(tx: Tx) -> tuple[StageView, list[str]]:
            before = self._stage(tx, stage_id)
            queued = self._actions.release(tx, stage_id, including=including)
            (released,) = Views(tx, self.services).stages([tx.stage(stage_id)])
            self.services.record(
                tx,
                AuditAction.STAGE_RELEASE,
                stage_subject(released.project, released.stage),
                changes_between(before, released.stage),
                words_for_released(tx, queued),
            )
            return released, [one.deploy_id for one in queued]

        return await self.services.store.write(work)

    async def redeliver(self, delivery_id: str) -> bytes:
        """Take a call of a webhook in again, as if it came now; return the receipt's JSON.

        Raises ConflictError where its body was cut short.
        """
        return await self.services.redeliver(delivery_id, self.services.actor)

    @property
    def ways_back(self) -> WaysBack:
        """Return what finds out whether the image of a rollback still exists."""
        return WaysBack(self.services.store, self.services.engine, self.services.resolve)

    @property
    def _actions(self) -> StageActions:
        services = self.services
        return StageActions(services.deployer, services.clock, services.actor.name)

    def _stage(self, reader: Reader, stage_id: str) -> Stage:
        """Return a stage. Raises ForbiddenError where the actor may not act on its project."""
        stage = reader.stage(stage_id)
        self.services.actor.check_project(stage.project_id)
        return stage

    def _record_hold(self, tx: Tx, before: Stage) -> None:
        """Record that the stage is held, unless it was so `before`."""
        stage = tx.stage(before.id)
        # A rollback that is under way already holds nothing.
        if stage.held and not before.held:
            subject = stage_subject(tx.project(stage.project_id), stage)
            changes = changes_between(before, stage)
            self.services.record(tx, AuditAction.STAGE_HOLD, subject, changes)

    async def _one(
        self,
        action: AuditAction,
        work: Callable[[Tx], Deploy],
        changes: tuple[FieldChange, ...] = (),
        note: Callable[[Reader], str] = lambda _reader: "",
    ) -> DeployView:
        (view,) = await self._views(action, lambda tx: [work(tx)], changes, note)
        return view

    async def _views(
        self,
        action: AuditAction,
        work: Callable[[Tx], Sequence[Deploy]],
        changes: tuple[FieldChange, ...] = (),
        note: Callable[[Reader], str] = lambda _reader: "",
    ) -> list[DeployView]:
        """Carry out an order, with an entry in the audit for each of its deploys."""

        def recorded(tx: Tx) -> list[DeployView]:
            views = Views(tx, self.services).deploys(work(tx))
            for view in views:
                subject = deploy_subject(view.project, view.stage, view.deploy)
                self.services.record(tx, action, subject, changes, note(tx))
            return views

        return await self.services.store.write(recorded)
