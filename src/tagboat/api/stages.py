"""Stages of projects."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response

from tagboat.api import schemas
from tagboat.api.answers import problems
from tagboat.api.claims import Claims, Lane
from tagboat.api.etags import Versioned
from tagboat.api.host_rules import check_host_paths
from tagboat.api.pagination import Page
from tagboat.api.rules import check_stage
from tagboat.api.run_schemas import split_run
from tagboat.api.services import ApiServices, Services
from tagboat.api.values import MAX_POSITION, ProjectId, StageId
from tagboat.api.views import Views
from tagboat.api.volumes import VOLUMES_LEFT, Volumes, volumes_left
from tagboat.core.catalog import Stage
from tagboat.core.errors import ConflictError
from tagboat.core.ids import new_id
from tagboat.core.ports import Reader, Tx
from tagboat.core.run import NO_OPTIONS

router = APIRouter(prefix="/api", tags=["stages"])


@router.get("/projects/{project_id}/stages", responses=problems(404, 422))
async def list_stages(
    services: Services, project_id: ProjectId, page: Page
) -> schemas.PageOut[schemas.StageOut]:
    """The stages of a project, in the order in which they are tried."""

    def read(reader: Reader) -> schemas.PageOut[schemas.StageOut]:
        stages = reader.stages(reader.project(project_id).id)
        views = Views(reader, services)
        shown, cursor = page.cut([stage for stage in stages if _place(stage) > page.after], _place)
        return schemas.PageOut(items=[views.stage(stage) for stage in shown], next=cursor)

    return await services.store.read(read)


@router.post(
    "/projects/{project_id}/stages",
    status_code=HTTPStatus.CREATED,
    responses=problems(404, 409, 413, 422),
)
async def create_stage(
    services: Services, project_id: ProjectId, body: schemas.StageCreate
) -> schemas.SavedStageOut:
    """Make a stage. Tags known by then are not news to it."""
    stage = new_stage(services, project_id, body)
    return await services.store.write(lambda tx: add_stage(tx, services, stage))


@router.get("/stages/{stage_id}", responses=problems(404))
async def get_stage(services: Services, version: Versioned, stage_id: StageId) -> schemas.StageOut:
    """One stage."""

    def read(reader: Reader) -> tuple[Stage, schemas.StageOut]:
        stage = reader.stage(stage_id)
        return stage, Views(reader, services).stage(stage)

    stage, shown = await services.store.read(read)
    version.mark(stage)
    return shown


@router.patch("/stages/{stage_id}", responses=problems(404, 409, 412, 413, 422))
async def change_stage(
    services: Services, version: Versioned, stage_id: StageId, body: schemas.StageUpdate
) -> schemas.SavedStageOut:
    """Change what is given; instances take it over at their next deploy. `held` made false is a release."""
    values = _values(body)

    def change(tx: Tx) -> tuple[Stage, schemas.SavedStageOut]:
        old = tx.stage(stage_id)
        version.check(old)
        stage = replace(old, **split_run(values, old.run, old.env))
        check_host_paths(stage.run, old.run, services.host_path)
        _check(tx, services, stage)
        tx.put_stage(stage)
        if old.held and not stage.held:
            services.orders.release(tx, stage_id)
        return stage, Views(tx, services).saved_stage(stage)

    stage, shown = await services.store.write(change)
    version.mark(stage)
    return shown


@router.delete(
    "/stages/{stage_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses={**VOLUMES_LEFT, **problems(404, 409, 412, 422)},
)
async def delete_stage(
    services: Services, version: Versioned, stage_id: StageId, volumes: Volumes = "keep"
) -> Response:
    """Delete a stage with its deploys and instances; their containers are stopped and removed.

    What is in their volumes stays, unless `volumes` is `delete`; where there are any, the answer is 200 and names them.
    """
    if version.is_demanded:
        version.check(await services.store.read(lambda reader: reader.stage(stage_id)))
    return volumes_left(await services.removal.remove_stage(stage_id, volumes=volumes == "delete"))


def new_stage(services: ApiServices, project_id: str, body: schemas.StageCreate) -> Stage:
    """The stage that is asked for, not yet checked."""
    values = split_run(_values(body), NO_OPTIONS, {})
    return Stage(id=new_id(), project_id=project_id, created_at=services.clock(), **values)


def add_stage(tx: Tx, services: ApiServices, stage: Stage) -> schemas.SavedStageOut:
    """Add a stage. Raises NotFoundError, ConflictError or FieldError where that cannot be."""
    check_host_paths(stage.run, NO_OPTIONS, services.host_path)
    _check(tx, services, stage)
    tx.add_stage(stage)
    return Views(tx, services).saved_stage(stage)


def _values(body: schemas.StageCreate | schemas.StageUpdate) -> dict[str, Any]:
    values = body.given(tag_pattern="pattern")
    if "domains" in values:
        values["domains"] = tuple(values["domains"])
    return values


def _check(reader: Reader, services: ApiServices, stage: Stage) -> None:
    """Raise NotFoundError, ConflictError or FieldError unless `stage` can be saved."""
    project = reader.project(stage.project_id)
    if any(
        other.name == stage.name and other.id != stage.id for other in reader.stages(project.id)
    ):
        raise ConflictError(f"the project has a stage named {stage.name} already")
    check_stage(project, stage)
    Claims(reader, services.base_domain).check([Lane(project, stage)])


def _place(stage: Stage) -> str:
    """A key that sorts as stages do: by position, then by name."""
    return f"{stage.position + MAX_POSITION:07d} {stage.name}"
