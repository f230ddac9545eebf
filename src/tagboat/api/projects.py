"""Projects, their tags, and polls on request."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response

from tagboat.api import schemas
from tagboat.api.answers import FieldError, problems
from tagboat.api.claims import Claims, Lane
from tagboat.api.etags import Versioned
from tagboat.api.host_rules import check_host_paths
from tagboat.api.pagination import Page
from tagboat.api.rules import check_project
from tagboat.api.run_schemas import split_run
from tagboat.api.services import ApiServices, Services
from tagboat.api.stages import add_stage, new_stage
from tagboat.api.tag_schemas import KnownTagOut, PollReportOut
from tagboat.api.tag_views import poll_view, tag_view
from tagboat.api.values import ProjectId
from tagboat.api.views import Views
from tagboat.api.volumes import VOLUMES_LEFT, Volumes, volumes_left
from tagboat.core.catalog import Project
from tagboat.core.errors import ConflictError, NotFoundError
from tagboat.core.ids import new_id
from tagboat.core.ports import Reader, Tx
from tagboat.core.run import NO_OPTIONS
from tagboat.core.serving import serving_in

router = APIRouter(prefix="/api/projects", tags=["projects"])


@router.get("", responses=problems(422))
async def list_projects(services: Services, page: Page) -> schemas.PageOut[schemas.ProjectOut]:
    """The projects, in order of name."""
    next_at = services.polls.next_at()

    def read(reader: Reader) -> schemas.PageOut[schemas.ProjectOut]:
        views = Views(reader, services)
        shown, cursor = page.cut(
            reader.projects(page.after, page.with_next), lambda project: project.name
        )
        return schemas.PageOut(
            items=[views.project(project, next_at) for project in shown], next=cursor
        )

    return await services.store.read(read)


@router.post("", status_code=HTTPStatus.CREATED, responses=problems(409, 413, 422))
async def create_project(
    services: Services, body: schemas.ProjectCreate
) -> schemas.CreatedProjectOut | schemas.ProjectOut:
    """Make a project, with the `stages` that are given, which the answer has then too, or none yet."""
    given = _given(body)
    given.pop("stages", None)
    values = split_run(given, NO_OPTIONS, {})
    values["inspected"] = "port" in values
    project = Project(id=new_id(), created_at=services.clock(), **values)
    stages = [new_stage(services, project.id, asked) for asked in body.stages]

    def create(tx: Tx) -> schemas.CreatedProjectOut | schemas.ProjectOut:
        check_host_paths(project.run, NO_OPTIONS, services.host_path)
        _check(tx, services, project)
        tx.add_project(project)
        saved = [add_stage(tx, services, stage) for stage in stages]
        made = _view(tx, services, project)
        return schemas.CreatedProjectOut(**dict(made), stages=saved) if saved else made

    return await services.store.write(create)


@router.get("/{project_id}", responses=problems(404))
async def get_project(
    services: Services, version: Versioned, project_id: ProjectId
) -> schemas.ProjectOut:
    """One project."""

    def read(reader: Reader) -> tuple[Project, schemas.ProjectOut]:
        project = reader.project(project_id)
        return project, _view(reader, services, project)

    project, shown = await services.store.read(read)
    version.mark(project)
    return shown


@router.patch("/{project_id}", responses=problems(404, 409, 412, 413, 422))
async def change_project(
    services: Services, version: Versioned, project_id: ProjectId, body: schemas.ProjectUpdate
) -> schemas.ProjectOut:
    """Change what is given; instances take it over at their next deploy."""
    values = _given(body)
    if "port" in values:
        values["inspected"] = True

    def change(tx: Tx) -> tuple[Project, schemas.ProjectOut]:
        old = tx.project(project_id)
        version.check(old)
        project = replace(old, **split_run(values, old.run, old.env))
        check_host_paths(project.run, old.run, services.host_path)
        _check(tx, services, project)
        tx.put_project(project)
        if project.image != old.image:
            tx.forget_tags(project_id)
        return project, _view(tx, services, project)

    project, shown = await services.store.write(change)
    version.mark(project)
    return shown


@router.delete(
    "/{project_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses={**VOLUMES_LEFT, **problems(404, 409, 412, 422)},
)
async def delete_project(
    services: Services, version: Versioned, project_id: ProjectId, volumes: Volumes = "keep"
) -> Response:
    """Delete a project with its stages, deploys and instances; their containers are stopped and removed.

    What is in their volumes stays, unless `volumes` is `delete`; where there are any, the answer is 200 and names them.
    """
    if version.is_demanded:
        version.check(await services.store.read(lambda reader: reader.project(project_id)))
    return volumes_left(
        await services.removal.remove_project(project_id, volumes=volumes == "delete")
    )


@router.get("/{project_id}/tags", responses=problems(404, 422))
async def list_tags(
    services: Services, project_id: ProjectId, page: Page
) -> schemas.PageOut[KnownTagOut]:
    """The tags that are known, in order of their text."""

    def read(reader: Reader) -> schemas.PageOut[KnownTagOut]:
        project, stages = reader.project(project_id), reader.stages(project_id)
        tags = reader.known_tags(project.id, page.after, page.with_next)
        shown, cursor = page.cut(tags, lambda tag: tag.tag)
        serving = {stage.id: serving_in(reader, stage.id) for stage in stages}
        taken_back = {stage.id: reader.taken_back(stage.id) for stage in stages}
        items = [tag_view(tag, project, stages, serving, taken_back) for tag in shown]
        return schemas.PageOut(items=items, next=cursor)

    return await services.store.read(read)


@router.post("/{project_id}/poll", responses=problems(404))
async def poll_project(services: Services, project_id: ProjectId) -> PollReportOut:
    """Ask the registry for new tags now."""
    await services.store.read(lambda reader: reader.project(project_id))
    report = await services.polls.poll_now(project_id)
    return poll_view(report)


def _given(body: schemas.ProjectCreate | schemas.ProjectUpdate) -> dict[str, Any]:
    """What was sent; a port or healthcheck that a person gives is followed by no image any more."""
    values = body.given(registry="registry_id")
    for name in ("port", "healthcheck", "protocol"):
        if name in values and not values.setdefault(f"{name}_set", True):
            raise FieldError(
                f"{name}_set",
                f"false lets the image say it, but a {name} is given as well; leave one of the two out",
            )
    return values


def _view(reader: Reader, services: ApiServices, project: Project) -> schemas.ProjectOut:
    return Views(reader, services).project(project, services.polls.next_at())


def _check(reader: Reader, services: ApiServices, project: Project) -> None:
    """Raise ConflictError or FieldError unless `project` can be saved."""
    twin = reader.project_by_image(project.image)
    if twin and twin.id != project.id:
        raise ConflictError(
            f"the project {twin.name} deploys the image {project.image} already, and an image has one project: "
            f"add a stage to it with 'tagboat stages add {twin.name} NAME --pattern PATTERN'"
        )
    namesake = reader.project_by_name(project.name)
    if namesake and namesake.id != project.id:
        raise ConflictError(
            f"there is a project named {project.name} already, which deploys {namesake.image}; give this one another name"
        )
    if project.registry_id is not None:
        _check_registry(reader, project.registry_id)
    stages = reader.stages(project.id)
    check_project(project, stages)
    if stages:
        Claims(reader, services.base_domain).check([Lane(project, stage) for stage in stages])


def _check_registry(reader: Reader, registry_id: str) -> None:
    try:
        reader.registry(registry_id)
    except NotFoundError as error:
        raise FieldError("registry", str(error)) from None
