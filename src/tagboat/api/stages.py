"""Stages of projects, and the overview of all of them."""

from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from tagboat.api import overview_schemas, schemas
from tagboat.api.answers import problems
from tagboat.api.filters import NameOrId, Only
from tagboat.api.instances import Tail
from tagboat.api.pagination import Page
from tagboat.api.run_schemas import split_run
from tagboat.api.services import Ops
from tagboat.api.values import MAX_POSITION, ProjectId, StageId
from tagboat.api.views import overview_out, saved_stage_out, stage_log_out, stage_out
from tagboat.api.volumes import VOLUMES_LEFT, VolumesChoice, volumes_left
from tagboat.core.errors import FieldError
from tagboat.core.run import NO_OPTIONS
from tagboat.core.store_port import StagePlace
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
    return overview_out(shown, found.senders, cursor)


@router.get("/stages", responses=problems(422))
async def list_all_stages(
    operations: Ops,
    page: Page,
    project: Annotated[
        NameOrId | None, Query(description="Only of the project of this name or id.")
    ] = None,
    name: Annotated[NameOrId | None, Query(description="Only stages of this name.")] = None,
) -> schemas.Page[schemas.Stage]:
    """List the stages of all projects, in order of project name, position and name."""
    after = _place_after(page.after)
    found = await operations.catalog.stages(StageFilter(project, name), after, page.with_next)
    shown, cursor = page.cut(found, _key)
    return schemas.Page(items=[stage_out(view) for view in shown], next=cursor)


@router.get("/projects/{project_id}/stages", responses=problems(404, 422))
async def list_stages(
    operations: Ops, project_id: ProjectId, page: Page
) -> schemas.Page[schemas.Stage]:
    """List the stages of a project, in the order in which they are tried."""
    found = await operations.catalog.stages_of(project_id)
    shown, cursor = page.cut([view for view in found if _place(view) > page.after], _place)
    return schemas.Page(items=[stage_out(view) for view in shown], next=cursor)


@router.post(
    "/projects/{project_id}/stages",
    status_code=HTTPStatus.CREATED,
    responses=problems(404, 409, 413, 422),
)
async def create_stage(
    operations: Ops, project_id: ProjectId, body: schemas.StageAsked
) -> schemas.SavedStage:
    """Make a stage. Tags known by then are not news to it."""
    fields = split_run(stage_fields(body), NO_OPTIONS)
    return saved_stage_out(await operations.stages.create(project_id, fields))


@router.get("/stages/{stage_id}", responses=problems(404))
async def get_stage(operations: Ops, stage_id: StageId) -> schemas.Stage:
    """Return one stage."""
    return stage_out(await operations.catalog.stage(stage_id))


@router.patch("/stages/{stage_id}", responses=problems(404, 409, 413, 422))
async def change_stage(
    operations: Ops, stage_id: StageId, body: schemas.StageChange
) -> schemas.SavedStage:
    """Change the fields given; instances follow at their next deploy. `held` false is a release."""
    edit = partial(split_run, stage_fields(body))
    return saved_stage_out(await operations.stages.change(stage_id, lambda stage: edit(stage.run)))


@router.delete(
    "/stages/{stage_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses={**VOLUMES_LEFT, **problems(404, 409, 422)},
)
async def delete_stage(
    operations: Ops, stage_id: StageId, volumes: VolumesChoice = "keep"
) -> Response:
    """Delete a stage with its deploys and instances; their containers are removed.

    The content of their volumes stays, unless `volumes` is `delete`; where there are any, the
    answer is 200 and names them.
    """
    return volumes_left(await operations.stages.delete(stage_id, volumes=volumes == "delete"))


@router.get("/stages/{stage_id}/logs", responses=problems(404, 422))
async def read_stage_log(
    operations: Ops, stage_id: StageId, tail: Tail = 100
) -> overview_schemas.StageLogOut:
    """Return the last lines of the log that matters.

    It is that of the container that a deploy at work has started, else of the live instance, else
    of any that runs, else what the last failed deploy kept.
    """
    return stage_log_out(await operations.history.stage_log(stage_id, tail))


def stage_fields(body: schemas.StageAsked | schemas.StageChange) -> dict[str, Any]:
    """Return the fields that were sent, under the names of `Stage`."""
    fields = body.given(tag_pattern="pattern")
    if "domains" in fields:
        fields["domains"] = tuple(fields["domains"])
    return fields


def _place(view: StageView) -> str:
    """Return a key that sorts as the stages of a project do: by position, then by name."""
    return f"{view.stage.position + MAX_POSITION:07d} {view.stage.name}"


def _key(view: StageView) -> str:
    """Return the key of a stage among all; no name has a blank."""
    return f"{view.project.name} {view.stage.position} {view.stage.name}"


def _place_after(key: str) -> StagePlace | None:
    """Return the place of a key, None for the start. Raises FieldError."""
    if not key:
        return None
    try:
        project, position, name = key.split(" ")
        place = (project, int(position), name)
    except ValueError:
        place = ("", MAX_POSITION + 1, "")
    if abs(place[1]) > MAX_POSITION:
        raise FieldError("cursor", "this cursor is of another list")
    return place
