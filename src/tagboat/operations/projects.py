"""Projects: making, changing and deleting them, and polls on request."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tagboat.core.audit import AuditAction, changes_between, project_subject
from tagboat.core.catalog import Project
from tagboat.core.errors import (
    ConflictError,
    FieldError,
    NotFoundError,
    TagboatError,
    TakenError,
)
from tagboat.core.ids import new_id
from tagboat.core.keeping import LeftVolumes
from tagboat.core.polling import PollReport
from tagboat.core.ports import Reader, Tx
from tagboat.core.run import NO_OPTIONS
from tagboat.core.run_changes import merge_run
from tagboat.core.values import replace
from tagboat.deploy.removal import Removal
from tagboat.operations.host_claims import HostClaims, StageRef
from tagboat.operations.nesting import check_nesting
from tagboat.operations.services import OperationServices, accept
from tagboat.operations.stages import add_stage
from tagboat.operations.validation import check_host_paths, check_placement, check_project
from tagboat.operations.views import ProjectView, StageView, Views

Fields = Mapping[str, Any]
"""Values by the names of fields of `Project` or `Stage`."""


POLLS_AT_ONCE = 8


class ProjectPoll(Struct, frozen=True):
    """The outcome of a poll of one project."""

    project: Project
    report: PollReport


class ProjectOperations(Struct, frozen=True):
    """Changes of projects. All raise NotFoundError for a project that does not exist."""

    services: OperationServices

    async def create(
        self, fields: Fields, stages: Sequence[Fields] = ()
    ) -> tuple[ProjectView, list[StageView]]:
        """Make a project with `stages`, all or nothing. Raises ConflictError and FieldError."""

        def work(tx: Tx) -> tuple[ProjectView, list[StageView]]:
            project = add_project(tx, self.services, fields)
            added = [add_stage(tx, self.services, project.id, stage) for stage in stages]
            views = Views(tx, self.services)
            (made,) = views.projects([project])
            return made, views.warned_stages(added) if added else []

        return await self.services.store.write(work)

    async def change(self, project_id: str, edit: Callable[[Project], Fields]) -> ProjectView:
        """Change the fields that `edit` returns; instances follow at their next deploy.

        Maps are merged. Another image makes the tags unknown again. Raises ConflictError and
        FieldError.
        """

        def work(tx: Tx) -> ProjectView:
            old = tx.project(project_id)
            project = edit_project(tx, self.services, old, edit(old))
            (changed,) = Views(tx, self.services).projects([project])
            return changed

        return await self.services.store.write(work)

    async def delete(
        self, project_id: str, check: Callable[[Project], None] = accept, *, volumes: bool
    ) -> LeftVolumes:
        """Delete a project unless `check` raises; with `volumes` also the content of those.

        All that belongs to it goes with it. Raises ConflictError and EngineError.
        """
        services = self.services
        remover = Removal(services.store, services.engine, services.abandon, services.clock)
        return await remover.remove_project(
            project_id, check, volumes=volumes, actor=services.actor
        )

    async def poll(self, project_id: str) -> PollReport:
        """Ask the registry for new tags now. Raises ForbiddenError for another's project."""
        await self.services.store.read(lambda reader: reader.project(project_id))
        self.services.actor.check_project(project_id)
        return await self.services.polls.poll_now(project_id, self.services.actor)

    async def poll_all(self) -> list[ProjectPoll]:
        """Ask the registries for new tags of all projects of the actor now, in order of name.

        One that cannot be polled has an error in its report, and keeps no other from it.
        """
        places, actor = asyncio.Semaphore(POLLS_AT_ONCE), self.services.actor

        async def poll(project: Project) -> ProjectPoll:
            async with places:
                try:
                    report = await self.services.polls.poll_now(project.id, actor)
                except TagboatError as error:
                    report = PollReport(first_poll=False, error=str(error))
            return ProjectPoll(project, report)

        projects = await self.services.store.read(lambda reader: reader.projects())
        allowed = [one for one in projects if actor.projects is None or one.id in actor.projects]
        return await asyncio.gather(*map(poll, allowed))


def add_project(tx: Tx, services: OperationServices, fields: Fields) -> Project:
    """Add a project and return it. Raises ConflictError and FieldError."""
    said = merge_run(set_by_person(fields), NO_OPTIONS, {})
    # Without a port, the first deploy's image says what port and health check are.
    said["inspected"] = "port" in said
    project = Project(id=new_id(), created_at=services.clock(), **said)
    check_host_paths(project.run, NO_OPTIONS, services.host_path)
    _check_project_saved(tx, services, project)
    if services.compares_paths:
        check_nesting(tx, services.host_path, [], [(project, ())])
    tx.add_project(project)
    subject = project_subject(project)
    services.record(tx, AuditAction.PROJECT_CREATE, subject, changes_between(None, project))
    return project


def edit_project(tx: Tx, services: OperationServices, old: Project, fields: Fields) -> Project:
    """Change the fields given and return the project. Raises ConflictError and FieldError."""
    said = merge_run(set_by_person(fields), old.run, old.env)
    if "port" in said:
        said["inspected"] = True
    project = replace(old, **said)
    check_host_paths(project.run, old.run, services.host_path)
    _check_project_saved(tx, services, project)
    if services.compares_paths:
        stages = tx.stages(project.id)
        check_nesting(tx, services.host_path, [(old, stages)], [(project, stages)])
    tx.put_project(project)
    if project.image != old.image:
        # Tags of the old image must not count as known, nor be deployed, as the new one's.
        tx.forget_tags(project.id)
    subject = project_subject(project)
    services.record(tx, AuditAction.PROJECT_CHANGE, subject, changes_between(old, project))
    return project


def _check_project_saved(reader: Reader, services: OperationServices, project: Project) -> None:
    """Raise ConflictError or FieldError unless `project` can be saved."""
    twin = reader.project_by_image(project.image)
    if twin and twin.id != project.id:
        raise TakenError(
            f"the project {twin.name} deploys the image {project.image} already, and an image"
            f" has one project: add a stage to it with"
            f" 'tagboat stages add {twin.name} NAME --pattern PATTERN'",
            twin.id,
        )
    namesake = reader.project_by_name(project.name)
    if namesake and namesake.id != project.id:
        raise ConflictError(
            f"there is a project named {project.name} already, which deploys {namesake.image};"
            " give this one another name"
        )
    if project.registry_id is not None:
        try:
            reader.registry(project.registry_id)
        except NotFoundError as error:
            raise FieldError("registry", str(error)) from None
    stages = reader.stages(project.id)
    check_project(project, stages)
    for stage in stages:
        check_placement(project, stage, is_cluster=services.engine.is_cluster)
    if stages:
        # Hosts follow from the project's name: a new name moves those of all its stages.
        claims = HostClaims(reader, services.base_domain)
        claims.check([StageRef(project, stage) for stage in stages])


def set_by_person(fields: Fields) -> dict[str, Any]:
    """Return `fields` with a note that a person has set the port, health check or protocol given.

    Images set them no longer then. Raises FieldError where the note is given too, and denies it.
    """
    said = dict(fields)
    for name in ("port", "healthcheck", "protocol"):
        if name in said and not said.setdefault(f"{name}_set", True):
            raise FieldError(
                f"{name}_set",
                f"false lets the image say it, but a {name} is given as well;"
                " leave one of the two out",
            )
    return said
