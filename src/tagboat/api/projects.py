"""Projects, their tags, and polls on request."""

from functools import partial
from http import HTTPStatus

from fastapi import APIRouter, Response

from tagboat.api import schemas
from tagboat.api.answers import problems
from tagboat.api.pagination import Page
from tagboat.api.run_schemas import split_run
from tagboat.api.services import Ops
from tagboat.api.stages import stage_fields
from tagboat.api.tag_schemas import KnownTag, PollOutcome
from tagboat.api.values import ProjectId
from tagboat.api.views import poll_out, project_out, saved_stage_out, tag_out
from tagboat.api.volumes import VOLUMES_LEFT, VolumesChoice, volumes_left
from tagboat.core.run import NO_OPTIONS

router = APIRouter(prefix="/api/projects", tags=["projects"])


@router.get("", responses=problems(422))
async def list_projects(operations: Ops, page: Page) -> schemas.Page[schemas.Project]:
    """List the projects, in order of name."""
    found = await operations.catalog.projects(page.after, page.with_next)
    shown, cursor = page.cut(found, lambda view: view.project.name)
    return schemas.Page(items=[project_out(view) for view in shown], next=cursor)


@router.post("", status_code=HTTPStatus.CREATED, responses=problems(409, 413, 422))
async def create_project(
    operations: Ops, body: schemas.ProjectAsked
) -> schemas.CreatedProject | schemas.Project:
    """Make a project with the `stages` given, all or nothing. The answer has them too then."""
    fields = body.given(registry="registry_id")
    fields.pop("stages", None)
    stages = [split_run(stage_fields(stage), NO_OPTIONS) for stage in body.stages]
    project, made = await operations.projects.create(split_run(fields, NO_OPTIONS), stages)
    shown = project_out(project)
    if not made:
        return shown
    return schemas.CreatedProject(**dict(shown), stages=[saved_stage_out(one) for one in made])


@router.get("/{project_id}", responses=problems(404))
async def get_project(operations: Ops, project_id: ProjectId) -> schemas.Project:
    """Return one project."""
    return project_out(await operations.catalog.project(project_id))


@router.patch("/{project_id}", responses=problems(404, 409, 413, 422))
async def change_project(
    operations: Ops, project_id: ProjectId, body: schemas.ProjectChange
) -> schemas.Project:
    """Change the fields given; instances follow at their next deploy."""
    edit = partial(split_run, body.given(registry="registry_id"))
    return project_out(
        await operations.projects.change(project_id, lambda project: edit(project.run))
    )


@router.delete(
    "/{project_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses={**VOLUMES_LEFT, **problems(404, 409, 422)},
)
async def delete_project(
    operations: Ops, project_id: ProjectId, volumes: VolumesChoice = "keep"
) -> Response:
    """Delete a project with its stages, deploys and instances; their containers are removed.

    The content of their volumes stays, unless `volumes` is `delete`; where there are any, the
    answer is 200 and names them.
    """
    return volumes_left(await operations.projects.delete(project_id, volumes=volumes == "delete"))


@router.get("/{project_id}/tags", responses=problems(404, 422))
async def list_tags(operations: Ops, project_id: ProjectId, page: Page) -> schemas.Page[KnownTag]:
    """List the known tags, in order of their text."""
    found = await operations.catalog.tags(project_id, page.after, page.with_next)
    shown, cursor = page.cut(found, lambda view: view.tag.tag)
    return schemas.Page(items=[tag_out(view) for view in shown], next=cursor)


@router.post("/{project_id}/poll", responses=problems(404))
async def poll_project(operations: Ops, project_id: ProjectId) -> PollOutcome:
    """Ask the registry for new tags now."""
    return poll_out(await operations.projects.poll(project_id))
