"""Projects, their tags, and polls on request."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response

from tagboat.api import schemas
from tagboat.api.answers import problems
from tagboat.api.etags import Versioned
from tagboat.api.pagination import Page
from tagboat.api.services import Ops
from tagboat.api.stages import stage_fields
from tagboat.api.tag_schemas import (
    KnownTagOut,
    PollReportOut,
    PollReportsOut,
    ProjectPollOut,
)
from tagboat.api.values import ProjectId
from tagboat.api.views import name_of, show_poll, show_project, show_saved_stage, show_tag
from tagboat.api.volumes import VOLUMES_LEFT, VolumesChoice, volumes_left
from tagboat.core.catalog import Project

router = APIRouter(prefix="/api/projects", tags=["projects"])
poll_router = APIRouter(prefix="/api", tags=["projects"])


@router.get("", responses=problems(422))
async def list_projects(operations: Ops, page: Page) -> schemas.PageOut[schemas.ProjectOut]:
    """List the projects, in order of name."""
    found = await operations.catalog.projects(page.after, page.with_next)
    shown, cursor = page.cut(found, lambda view: view.project.name)
    return schemas.PageOut(items=[show_project(view) for view in shown], next=cursor)


@router.post("", status_code=HTTPStatus.CREATED, responses=problems(409, 413, 422))
async def create_project(
    operations: Ops, body: schemas.ProjectCreate
) -> schemas.CreatedProjectOut | schemas.ProjectOut:
    """Make a project with the `stages` given, all or nothing. The answer has them too then."""
    fields = body.given(registry="registry_id")
    # They are no fields of the project: each is made by the rules of stages, with its defaults.
    fields.pop("stages", None)
    stages = [stage_fields(stage) for stage in body.stages]
    project, made = await operations.projects.create(fields, stages)
    shown = show_project(project)
    if not made:
        return shown
    return schemas.CreatedProjectOut(**dict(shown), stages=[show_saved_stage(one) for one in made])


@router.get("/{project_id}", responses=problems(404))
async def get_project(
    operations: Ops, version: Versioned, project_id: ProjectId
) -> schemas.ProjectOut:
    """Return one project."""
    found = await operations.catalog.project(project_id)
    version.mark(found.project)
    return show_project(found)


@router.patch("/{project_id}", responses=problems(404, 409, 412, 413, 422))
async def change_project(
    operations: Ops, version: Versioned, project_id: ProjectId, body: schemas.ProjectUpdate
) -> schemas.ProjectOut:
    """Change the fields given; instances follow at their next deploy."""
    fields = body.given(registry="registry_id")

    def edit(project: Project) -> dict[str, Any]:
        version.check(project)
        return fields

    changed = await operations.projects.change(project_id, edit)
    version.mark(changed.project)
    return show_project(changed)


@router.delete(
    "/{project_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses={**VOLUMES_LEFT, **problems(404, 409, 412, 422)},
)
async def delete_project(
    operations: Ops, version: Versioned, project_id: ProjectId, volumes: VolumesChoice = "keep"
) -> Response:
    """Delete a project with its stages, deploys and instances; their containers are removed.

    The content of their volumes stays, unless `volumes` is `delete`; where there are any, the
    answer is 200 and names them.
    """
    left = await operations.projects.delete(project_id, version.check, volumes=volumes == "delete")
    return volumes_left(left)


@router.get("/{project_id}/tags", responses=problems(404, 422))
async def list_tags(
    operations: Ops, project_id: ProjectId, page: Page
) -> schemas.PageOut[KnownTagOut]:
    """List the known tags, in order of their text."""
    found = await operations.catalog.tags(project_id, page.after, page.with_next)
    shown, cursor = page.cut(found, lambda view: view.tag.tag)
    return schemas.PageOut(items=[show_tag(view) for view in shown], next=cursor)


@poll_router.post("/poll", responses=problems())
async def poll_all_projects(operations: Ops) -> PollReportsOut:
    """Ask the registries for new tags of all projects now. Of a failed poll, `error` says why."""
    polls = await operations.projects.poll_all()
    return PollReportsOut(
        items=[
            ProjectPollOut(project=name_of(one.project), **dict(show_poll(one.report)))
            for one in polls
        ]
    )


@router.post("/{project_id}/poll", responses=problems(404))
async def poll_project(operations: Ops, project_id: ProjectId) -> PollReportOut:
    """Ask the registry for new tags now."""
    return show_poll(await operations.projects.poll(project_id))
