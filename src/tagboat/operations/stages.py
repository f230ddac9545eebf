"""Stages: making, changing and deleting them."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from tagboat.core.audit import AuditAction, changes_between, stage_subject
from tagboat.core.catalog import Project, Stage, with_hold
from tagboat.core.errors import ConflictError
from tagboat.core.ids import new_id
from tagboat.core.keeping import LeftVolumes
from tagboat.core.ports import Queued, Reader, Tx
from tagboat.core.run import NO_OPTIONS
from tagboat.core.run_changes import merge_run
from tagboat.core.values import replace
from tagboat.deploy.removal import Removal
from tagboat.operations.host_claims import HostClaims, StageRef
from tagboat.operations.nesting import check_nesting
from tagboat.operations.queries.patterns import PatternPreview, preview_stage
from tagboat.operations.services import OperationServices, accept
from tagboat.operations.stage_actions import StageActions, words_for_released
from tagboat.operations.validation import check_host_paths, check_placement, check_stage
from tagboat.operations.views import StageView, Views


class StageOperations(Struct, frozen=True):
    """Changes of stages. All raise NotFoundError for a stage or project that does not exist."""

    services: OperationServices

    async def create(self, project_id: str, fields: Mapping[str, Any]) -> StageView:
        """Make a stage; tags known by then are not news to it. Raises ConflictError, FieldError."""

        def work(tx: Tx) -> StageView:
            stage = add_stage(tx, self.services, project_id, fields)
            (made,) = Views(tx, self.services).warned_stages([stage])
            return made

        return await self._previewed(await self.services.store.write(work))

    async def change(self, stage_id: str, edit: Callable[[Stage], Mapping[str, Any]]) -> StageView:
        """Change the fields that `edit` returns; instances follow at their next deploy.

        Maps are merged. With another pattern or position, pushes that would have gone elsewhere
        are named. Setting `held` to False is a release. Raises ConflictError and FieldError.
        """

        def work(tx: Tx) -> tuple[StageView, Stage]:
            old = tx.stage(stage_id)
            stage = edit_stage(tx, self.services, old, edit(old))
            (changed,) = Views(tx, self.services).warned_stages([stage])
            return changed, old

        changed, old = await self.services.store.write(work)
        is_tried_as_before = _order_of(old) == _order_of(changed.stage)
        return changed if is_tried_as_before else await self._previewed(changed)

    async def delete(
        self, stage_id: str, check: Callable[[Stage], None] = accept, *, volumes: bool
    ) -> LeftVolumes:
        """Delete a stage unless `check` raises; with `volumes` also the content of those.

        All that belongs to it goes with it. Raises ConflictError and EngineError.
        """
        services = self.services
        remover = Removal(services.store, services.engine, services.abandon, services.clock)
        return await remover.remove_stage(stage_id, check, volumes=volumes, actor=services.actor)

    async def _previewed(self, saved: StageView) -> StageView:
        """Return the stage with a preview if pushes of the past would have gone elsewhere."""
        now = self.services.clock()

        # After the write, which others wait for.
        def work(reader: Reader) -> PatternPreview:
            stages = reader.stages(saved.project.id)
            return preview_stage(reader, saved.project, stages, saved.stage, now)

        preview = await self.services.store.read(work)
        return replace(saved, preview=preview) if preview.elsewhere else saved


def _order_of(stage: Stage) -> tuple[object, ...]:
    return stage.pattern, stage.position, stage.name


def add_stage(
    tx: Tx, services: OperationServices, project_id: str, fields: Mapping[str, Any]
) -> Stage:
    """Add a stage and return it. Raises NotFoundError, ConflictError or FieldError."""
    now, said = services.clock(), merge_run(fields, NO_OPTIONS, {})
    stage = Stage(id=new_id(), project_id=project_id, created_at=now, **said)
    stage = with_hold(None, stage, services.actor.name, now)
    check_host_paths(stage.run, NO_OPTIONS, services.host_path)
    project = _check_saved(tx, services, stage)
    if services.compares_paths:
        check_nesting(tx, services.host_path, [], [(project, [stage])])
    tx.add_stage(stage)
    _record_saved(tx, services, None, stage)
    return stage


def edit_stage(tx: Tx, services: OperationServices, old: Stage, fields: Mapping[str, Any]) -> Stage:
    """Change the fields given and return the stage. Raises ConflictError and FieldError."""
    stage = replace(old, **merge_run(fields, old.run, old.env))
    stage = with_hold(old, stage, services.actor.name, services.clock())
    check_host_paths(stage.run, old.run, services.host_path)
    project = _check_saved(tx, services, stage)
    if services.compares_paths:
        check_nesting(tx, services.host_path, [(project, [old])], [(project, [stage])])
    tx.put_stage(stage)
    queued: list[Queued] = []
    if old.held and not stage.held:
        # Pushes that came while it was held are deployed, as by the action itself.
        queued = StageActions(services.deployer, services.clock).release(tx, stage.id)
    _record_saved(tx, services, old, stage, words_for_released(tx, queued))
    return stage


def _record_saved(
    tx: Tx, services: OperationServices, old: Stage | None, new: Stage, released: str = ""
) -> None:
    """Record that a stage was made or changed, and then its hold or release, as by the action."""
    subject = stage_subject(tx.project(new.project_id), new)
    was_held = old is not None and old.held
    but_held = replace(new, held=was_held)
    action = AuditAction.STAGE_CREATE if old is None else AuditAction.STAGE_CHANGE
    services.record(tx, action, subject, changes_between(old, but_held))
    if new.held != was_held:
        action = AuditAction.STAGE_HOLD if new.held else AuditAction.STAGE_RELEASE
        services.record(tx, action, subject, changes_between(but_held, new), released)


def _check_saved(reader: Reader, services: OperationServices, stage: Stage) -> Project:
    """Return the project. Raises NotFoundError, ConflictError or FieldError if it cannot be."""
    project = reader.project(stage.project_id)
    if any(
        other.name == stage.name and other.id != stage.id for other in reader.stages(project.id)
    ):
        raise ConflictError(f"the project has a stage named {stage.name} already")
    # Last: hosts follow from names that are known to be valid by then.
    check_stage(project, stage)
    check_placement(project, stage, is_cluster=services.engine.is_cluster)
    HostClaims(reader, services.base_domain).check([StageRef(project, stage)])
    return project
