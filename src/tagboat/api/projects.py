"""Projects, their tags, and polls on request."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from tagboat.api import schemas
from tagboat.api.answers import problems
from tagboat.api.etags import Versioned
from tagboat.api.filters import NameOrId
from tagboat.api.pagination import Page
from tagboat.api.roles import least_role
from tagboat.api.services import Ops
from tagboat.api.stages import stage_fields
from tagboat.api.tag_schemas import (
    KnownTagOut,
    PollReportOut,
    PollReportsOut,
    ProjectPollOut,
)
from tagboat.api.values import MAX_POSITION, PatternQuery, ProjectId, SearchText, StageId
from tagboat.api.views import (
    name_of,
    show_poll,
    show_preview,
    show_project,
    show_saved_stage,
    show_tag,
)
from tagboat.api.volumes import VOLUMES_LEFT, VolumesChoice, volumes_left
from tagboat.core.catalog import Project
from tagboat.core.errors import FieldError
from tagboat.core.page_port import TagPlace
from tagboat.core.principal import Role
from tagboat.core.tags import parse_tag_pattern

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
    operations: Ops,
    project_id: ProjectId,
    page: Page,
    text: Annotated[SearchText, Query(description="Only tags that contain this.")] = "",
    order: Annotated[
        Literal["name", "newest"],
        Query(description="In order of their text, or those first seen last first."),
    ] = "name",
) -> schemas.PageOut[KnownTagOut]:
    """List the known tags, with what became of each and where it is live."""
    if order == "newest":
        found = await operations.tags.tags_view(
            project_id, text, _tag_place(page.after), page.with_next
        )
        shown, cursor = page.cut(
            found, lambda view: f"{view.tag.first_seen.isoformat()} {view.tag.tag}"
        )
    # No tag has a blank: this one is of the other order.
    elif " " in page.after:
        raise FieldError(
            "cursor", "this cursor is of another order; take it from `next` of the previous page"
        )
    else:
        found = await operations.tags.tags(project_id, text, page.after, page.with_next)
        shown, cursor = page.cut(found, lambda view: view.tag.tag)
    return schemas.PageOut(items=[show_tag(view) for view in shown], next=cursor)


@router.get("/{project_id}/pattern", responses=problems(404, 422))
async def preview_pattern(
    operations: Ops,
    project_id: ProjectId,
    pattern: Annotated[PatternQuery, Query(description="The tag pattern to try.")],
    stage: Annotated[
        StageId | None, Query(description="Id of the stage that would get it; none: a new one.")
    ] = None,
    position: Annotated[
        int | None,
        Query(ge=-MAX_POSITION, le=MAX_POSITION, description="The position it would get."),
    ] = None,
    name: Annotated[NameOrId | None, Query(description="The name it would get.")] = None,
) -> schemas.PatternPreviewOut:
    """Show which known tags match a pattern, and which pushes would have gone elsewhere.

    Changes nothing.
    """
    return show_preview(
        await operations.patterns.preview_pattern(
            project_id, stage, parse_tag_pattern(pattern), position, name
        )
    )


@poll_router.post("/poll", responses=problems(), openapi_extra=least_role(Role.DEPLOYER))
async def poll_all_projects(operations: Ops) -> PollReportsOut:
    """Ask the registries for new tags of all projects now. Of a failed poll, `error` says why."""
    polls = await operations.projects.poll_all()
    return PollReportsOut(
        items=[
            ProjectPollOut(project=name_of(one.project), **dict(show_poll(one.report)))
            for one in polls
        ]
    )


@router.post("/{project_id}/poll", responses=problems(404), openapi_extra=least_role(Role.DEPLOYER))
async def poll_project(operations: Ops, project_id: ProjectId) -> PollReportOut:
    """Ask the registry for new tags now."""
    return show_poll(await operations.projects.poll(project_id))


def _tag_place(key: str) -> TagPlace | None:
    """Return the place of a key, None for the start. Raises FieldError."""
    if not key:
        return None
    seen, _, tag = key.partition(" ")
    try:
        place = datetime.fromisoformat(seen), tag
    except ValueError:
        place = None
    if place is None or place[0].tzinfo is None:
        raise FieldError("cursor", "this cursor is of another list")
    return place
