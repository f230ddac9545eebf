"""Configuration as a file: reading it whole, and making it what a file wants."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from tagboat.core.catalog import Project
from tagboat.core.config import POLL_SCHEDULE, read_config
from tagboat.core.config_file import FILE_NAMES, Configured, config_document
from tagboat.core.config_plan import (
    PlannedAction,
    PlannedChange,
    PlannedKind,
    WantedConfig,
    plan_config,
)
from tagboat.core.errors import ConflictError, FieldError, TagboatError
from tagboat.core.ports import Reader, Tx
from tagboat.core.values import replace
from tagboat.operations.making_room import Room, make_room
from tagboat.operations.nesting import new_nesting
from tagboat.operations.projects import ProjectOperations, add_project, edit_project
from tagboat.operations.registries import RegistryOperations, add_registry, edit_registry
from tagboat.operations.services import OperationServices
from tagboat.operations.settings import put_settings
from tagboat.operations.stages import StageOperations, add_stage, edit_stage
from tagboat.operations.webhooks import add_webhook, drop_webhook

# Their containers and records go after the transaction, by the same way as one by one.
_REMOVED_AFTERWARDS = frozenset({PlannedKind.REGISTRY, PlannedKind.PROJECT, PlannedKind.STAGE})

# Of what `--prune` would delete; a plan with it shows all.
_MOST_PRUNED_NAMED = 10


class NotDeleted(Struct, frozen=True):
    """A thing that should have been deleted and is still there, with the reason in words."""

    change: PlannedChange
    reason: str


class AppliedConfig(Struct, frozen=True):
    """The changes that were made; `volumes` of what was deleted are still on the engine."""

    changes: Sequence[PlannedChange]
    failures: Sequence[NotDeleted] = ()
    volumes: Sequence[str] = ()


class ConfigFileOperations(Struct, frozen=True):
    """The configuration as one document. Secrets never leave the server by it."""

    services: OperationServices

    async def export(self) -> dict[str, Any]:
        """Return all configuration, as `config_document` describes it."""
        return config_document(await self.services.store.read(_read_configured))

    async def plan(self, wanted: WantedConfig, *, prune: bool) -> Sequence[PlannedChange]:
        """Return what an apply would change, and change nothing.

        Raises ConflictError and FieldError where the apply would.
        """
        try:
            return await self._try(wanted, prune=prune)
        except _ClashError as error:
            raise await self._with_hint(error, wanted, prune=prune) from None

    async def apply(self, wanted: WantedConfig, *, prune: bool) -> AppliedConfig:
        """Make the configuration what is `wanted`, in one transaction, and delete the rest after.

        Deletions stop containers first, so each is by itself. Raises ConflictError and FieldError;
        then nothing is changed.
        """
        try:
            changes = await self.services.store.write(
                lambda tx: self._change(tx, wanted, prune=prune)
            )
        except _ClashError as error:
            raise await self._with_hint(error, wanted, prune=prune) from None
        if any(POLL_SCHEDULE in change.fields for change in changes):
            await self.services.polls.settle()
        failures: list[NotDeleted] = []
        volumes: list[str] = []
        for change in changes:
            if change.action is PlannedAction.DELETE and change.kind in _REMOVED_AFTERWARDS:
                try:
                    volumes += await self._delete(change)
                except TagboatError as error:
                    failures.append(NotDeleted(change, str(error)))
        return AppliedConfig(changes, failures, volumes)

    async def _try(self, wanted: WantedConfig, *, prune: bool) -> Sequence[PlannedChange]:
        def work(tx: Tx) -> None:
            raise _UndoTrial(self._change(tx, wanted, prune=prune))

        # The rules of each change need those before it: it is tried, and undone.
        try:
            await self.services.store.write(work)
        except _UndoTrial as trial:
            return trial.changes
        return ()

    async def _with_hint(
        self, clash: "_ClashError", wanted: WantedConfig, *, prune: bool
    ) -> FieldError:
        """Return the error with a word of `--prune` where that would be the answer."""
        if prune:
            return clash
        try:
            changes = await self._try(wanted, prune=True)
        except (ConflictError, FieldError):
            return clash
        gone = [
            " ".join((change.kind, *change.names))
            for change in changes
            if change.action is PlannedAction.DELETE
        ]
        if not gone:
            return clash
        named = ", ".join(gone[:_MOST_PRUNED_NAMED]) + (
            " and more" if gone[_MOST_PRUNED_NAMED:] else ""
        )
        return FieldError(
            clash.field,
            f"{clash}. With --prune it would go: that deletes what the file does not name: {named}",
        )

    def _change(self, tx: Tx, wanted: WantedConfig, *, prune: bool) -> Sequence[PlannedChange]:
        now = _read_configured(tx)
        changes = plan_config(now, wanted, prune=prune)
        room = make_room(tx, self.services, now, changes)
        # One after another, a path would seem to be below one that a later change gives up.
        execution = _Execution(tx, replace(self.services, compares_paths=False), now)
        for change in changes:
            with _named_by_place(change, room):
                execution.carry_out(change)
        room.restore(tx)
        self._check_nesting(tx, now, changes, {stage.id for stage in room.leaving})
        return changes

    def _check_nesting(
        self, tx: Tx, now: Configured, changes: Sequence[PlannedChange], leaving: Collection[str]
    ) -> None:
        """Raise FieldError where paths of the changes, all of them made, are nested."""
        changed = [
            change.names
            for change in changes
            if change.kind in {PlannedKind.PROJECT, PlannedKind.STAGE}
            and change.action is not PlannedAction.DELETE
        ]
        found = [tx.project_by_name(name) for name in sorted({names[0] for names in changed})]
        projects = [project for project in found if project is not None]
        ids = {project.id for project in projects}
        before = [(one, now.stages.get(one.id, ())) for one in now.projects if one.id in ids]
        after = [
            (one, [stage for stage in tx.stages(one.id) if stage.id not in leaving])
            for one in projects
        ]
        nested = new_nesting(tx, self.services.host_path, before, after, leaving)
        if nested is not None:
            new = nested.new
            lane = f".stages.{new.stage}" if (new.project, new.stage) in changed else ""
            raise _ClashError(f"projects.{new.project}{lane}.{new.field}", nested.words)

    async def _delete(self, change: PlannedChange) -> Sequence[str]:
        """Delete a registry, project or stage; return the names of the volumes that stay."""
        services, target = self.services, str(change.target)
        if change.kind is PlannedKind.REGISTRY:
            await RegistryOperations(services).delete(target)
            return ()
        if change.kind is PlannedKind.PROJECT:
            left = await ProjectOperations(services).delete(target, volumes=False)
        else:
            left = await StageOperations(services).delete(target, volumes=False)
        return left.kept


class _ClashError(FieldError):
    """A value of the file that clashes with what is on the server."""


class _UndoTrial(Exception):  # noqa: N818 - no error: it undoes what was only tried
    """Undoes the transaction of a plan, and has the changes that were tried."""

    def __init__(self, changes: Sequence[PlannedChange]) -> None:
        super().__init__()
        self.changes = changes


class _Execution:
    """Carries out planned changes by the rules that hold for each of them alone."""

    def __init__(self, tx: Tx, services: OperationServices, now: Configured) -> None:
        self._tx = tx
        self._services = services
        self._registries = {one.id: one for one in now.registries}
        self._projects = {one.id: one for one in now.projects}
        self._stages = {one.id: one for stages in now.stages.values() for one in stages}
        self._ids = {one.name: one.id for one in now.registries}

    def carry_out(self, change: PlannedChange) -> None:
        """Make one change. Raises ConflictError and FieldError."""
        tx, services, fields = self._tx, self._services, change.fields
        if change.action is PlannedAction.DELETE:
            if change.kind is PlannedKind.WEBHOOK:
                drop_webhook(tx, services, tx.hook(str(change.target)))
        elif change.kind is PlannedKind.SETTINGS:
            put_settings(tx, services, fields)
        elif change.target:
            self.edit(change, change.target)
        else:
            self.add(change)

    def edit(self, change: PlannedChange, target: str) -> None:
        """Change the thing of the id `target`."""
        tx, services, fields = self._tx, self._services, change.fields
        if change.kind is PlannedKind.REGISTRY:
            edit_registry(tx, services, self._registries[target], fields)
            self._ids[change.names[0]] = target
        elif change.kind is PlannedKind.PROJECT:
            edit_project(tx, services, self._projects[target], self._with_registry(fields))
        else:
            edit_stage(tx, services, self._stages[target], fields)

    def add(self, change: PlannedChange) -> None:
        """Make a new thing."""
        tx, services, fields = self._tx, self._services, change.fields
        if change.kind is PlannedKind.REGISTRY:
            made = add_registry(tx, services, fields)
            self._ids[made.name] = made.id
        elif change.kind is PlannedKind.PROJECT:
            add_project(tx, services, self._with_registry(fields))
        elif change.kind is PlannedKind.STAGE:
            add_stage(tx, services, self._project(change).id, fields)
        else:
            add_webhook(tx, services, self._project(change), change.names[1])

    def _project(self, change: PlannedChange) -> Project:
        project = self._tx.project_by_name(change.names[0])
        if project is None:
            raise ConflictError(f"there is no project named {change.names[0]}")
        return project

    def _with_registry(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a project with the id of the registry that they name."""
        name = fields.get("registry_id")
        if name is not None and name not in self._ids:
            raise FieldError("registry", f"there is no registry named {name}")
        return {**fields, "registry_id": None if name is None else self._ids[name]}


def _read_configured(reader: Reader) -> Configured:
    projects = reader.projects()
    webhooks: dict[str, list[Any]] = {}
    for webhook in reader.hooks():
        webhooks.setdefault(webhook.project_id, []).append(webhook)
    return Configured(
        registries=reader.registries(),
        projects=projects,
        stages=reader.stages_by_project([project.id for project in projects]),
        webhooks=webhooks,
        config=read_config(reader),
    )


@contextmanager
def _named_by_place(change: PlannedChange, room: Room) -> Iterator[None]:
    """Name the place in the file in errors of a change."""
    place = ".".join(change.place)
    try:
        yield
    except FieldError as error:
        field = FILE_NAMES.get(error.field, error.field)
        raise FieldError(f"{place}.{field}", str(error)) from None
    except ConflictError as error:
        raise _ClashError(place, room.explain(error, place)) from None
