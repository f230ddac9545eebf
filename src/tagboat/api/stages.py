"""Stages of projects, and the overview of all of them."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from tagboat.api import overview_schemas, schemas
from tagboat.api.answers import problems
from tagboat.api.bodies import with_tuples
from tagboat.api.etags import Versioned
from tagboat.api.filters import NameOrId, Only
from tagboat.api.log_streams import LOG_STREAM, AskedLog, Stopping
from tagboat.api.pagination import Page
from tagboat.api.services import Ops
from tagboat.api.values import MAX_POSITION, ProjectId, StageId
from tagboat.api.views import show_overview, show_saved_stage, show_stage, show_stage_log
from tagboat.api.volumes import VOLUMES_LEFT, VolumesChoice, volumes_left
from tagboat.core.catalog import Stage
from tagboat.core.errors import FieldError
from tagboat.core.page_port import StagePlace
from tagboat.operations.queries.catalog import StageFilter
from tagboat.operations.views import StageView

router = APIRouter(prefix="/api", tags=["stages"])


@router.get("/overview", responses=problems(422))
async def get_overview(operations: Ops, page: Page, only: Only) -> overview_schemas.OverviewOut:
    """Show every stage with what is live, under way and waiting, and what needs a person.

    In order of the projects' names, then of position and name of the stages.
    """
    found = await operations.overview.read(only, _place_after(page.after), page.with_next)
    shown, cursor = page.cut(found.stages, lambda row: _key(row.stage))
    return show_overview(shown, found.senders, found.needs, cursor)


@router.get("/stages", responses=problems(422))
async def list_all_stages(
    operations: Ops,
    page: Page,
    project: Annotated[
        NameOrId | None, Query(description="Only of the project of this name or id.")
    ] = None,
    name: Annotated[NameOrId | None, Query(description="Only stages of this name.")] = None,
) -> schemas.PageOut[schemas.StageOut]:
    """List the stages of all projects, in order of project name, position and name."""
    after = _place_after(page.after)
    found = await operations.catalog.stages(StageFilter(project, name), after, page.with_next)
    shown, cursor = page.cut(found, _key)
    return schemas.PageOut(items=[show_stage(view) for view in shown], next=cursor)


@router.get("/projects/{project_id}/stages", responses=problems(404, 422))
async def list_stages(
    operations: Ops, project_id: ProjectId, page: Page
) -> schemas.PageOut[schemas.StageOut]:
    """List the stages of a project, in the order in which they are tried."""
    # A project has few: all are read, and the page is cut here.
    found = await operations.catalog.stages_of(project_id)
    shown, cursor = page.cut([view for view in found if _place(view) > page.after], _place)
    return schemas.PageOut(items=[show_stage(view) for view in shown], next=cursor)


@router.post(
    "/projects/{project_id}/stages",
    status_code=HTTPStatus.CREATED,
    responses=problems(404, 409, 413, 422),
)
async def create_stage(
    operations: Ops, project_id: ProjectId, body: schemas.StageCreate
) -> schemas.SavedStageOut:
    """Make a stage. Tags known by then are not news to it."""
    return show_saved_stage(await operations.stages.create(project_id, stage_fields(body)))


@router.get("/stages/{stage_id}", responses=problems(404))
async def get_stage(operations: Ops, version: Versioned, stage_id: StageId) -> schemas.StageOut:
    """Return one stage."""
    found = await operations.catalog.stage(stage_id)
    version.mark(found.stage)
    return show_stage(found)


@router.patch("/stages/{stage_id}", responses=problems(404, 409, 412, 413, 422))
async def change_stage(
    operations: Ops, version: Versioned, stage_id: StageId, body: schemas.StageUpdate
) -> schemas.SavedStageOut:
    """Change the fields given; instances follow at their next deploy. `held` false is a release."""
    fields = stage_fields(body)

    def edit(stage: Stage) -> dict[str, Any]:
        version.check(stage)
        return fields

    changed = await operations.stages.change(stage_id, edit)
    version.mark(changed.stage)
    return show_saved_stage(changed)


@router.delete(
    "/stages/{stage_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses={**VOLUMES_LEFT, **problems(404, 409, 412, 422)},
)
async def delete_stage(
    operations: Ops, version: Versioned, stage_id: StageId, volumes: VolumesChoice = "keep"
) -> Response:
    """Delete a stage with its deploys and instances; their containers are removed.

    The content of their volumes stays, unless `volumes` is `delete`; where there are any, the
    answer is 200 and names them.
    """
    left = await operations.stages.delete(stage_id, version.check, volumes=volumes == "delete")
    return volumes_left(left)


@router.get(
    "/stages/{stage_id}/logs",
    response_model=overview_schemas.StageLogOut,
    responses={**LOG_STREAM, **problems(404, 422)},
)
async def read_stage_log(
    operations: Ops, stopping: Stopping, stage_id: StageId, asked: AskedLog
) -> overview_schemas.StageLogOut | StreamingResponse:
    """Return the last lines of the log that matters, or follow it through deploys.

    It is that of the live instance, else of one that starts or drains, else what the last failed
    deploy kept.
    """
    if asked.follow:
        return asked.response(await operations.live_logs.stage(stage_id, asked.window), stopping)
    found = await operations.logs.stage(stage_id, asked.window)
    return show_stage_log(found, asked.texts(found.lines))


def stage_fields(body: schemas.StageCreate | schemas.StageUpdate) -> dict[str, Any]:
    """Return the fields that were sent, under the names of `Stage`."""
    return with_tuples(body.given(tag_pattern="pattern"))


def _place(view: StageView) -> str:
    """Return a key that sorts as the stages of a project do: by position, then by name."""
    # Never negative, and always of seven digits: text sorts as the numbers do.
    return f"{view.stage.position + MAX_POSITION:07d} {view.stage.name}"


def _key(view: StageView) -> str:
    """Return the key of a stage among all; no name has a blank."""
    return f"{view.project.name} {view.stage.position} {view.stage.name}"


def _place_after(key: str) -> StagePlace | None:
    """Return the place of a key, None for the start. Raises FieldError."""
    if not key:
        return None
    # A cursor of another list has another form: it is refused, like one that nobody wrote.
    try:
        project, position, name = key.split(" ")
        place = (project, int(position), name)
    except ValueError:
        place = ("", MAX_POSITION + 1, "")
    if abs(place[1]) > MAX_POSITION:
        raise FieldError("cursor", "this cursor is of another list")
    return place
