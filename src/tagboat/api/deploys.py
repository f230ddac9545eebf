"""Deploys: queueing them, and how they go."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from tagboat.api import schemas
from tagboat.api.answers import problems
from tagboat.api.pagination import Page
from tagboat.api.services import Services
from tagboat.api.values import DeployId, IdFilter, StageId
from tagboat.api.views import Views
from tagboat.core.decision import normal_tag
from tagboat.core.deploy import DeployStatus, Trigger
from tagboat.core.ports import Reader, Tx
from tagboat.intake.admit import by_hand, registry_kind

router = APIRouter(prefix="/api", tags=["deploys"])


@router.post(
    "/stages/{stage_id}/deploys", status_code=HTTPStatus.ACCEPTED, responses=problems(404, 413, 422)
)
async def create_deploy(
    services: Services, stage_id: StageId, body: schemas.DeployCreate
) -> schemas.DeployOut:
    """Queue a deploy of a tag, whatever the stage's pattern says; the answer may be one that waits for the same already."""

    def queue(tx: Tx) -> schemas.DeployOut:
        stage = tx.stage(stage_id)
        project = tx.project(stage.project_id)
        tag = normal_tag(body.tag, registry_kind(tx, project))
        queued = services.deployer.trigger_deploy(
            project.id, stage_id, tag, tx=tx, trigger=Trigger.MANUAL, force=body.force
        )
        tx.record_tag(by_hand(stage, tag, queued, services.clock()))
        return Views(tx, services).deploy(tx.deploy(queued.deploy_id))

    return await services.store.write(queue)


@router.get("/deploys", responses=problems(422))
async def list_deploys(
    services: Services,
    page: Page,
    project: Annotated[
        IdFilter | None, Query(description="Only of the project of this id.")
    ] = None,
    stage: Annotated[IdFilter | None, Query(description="Only of the stage of this id.")] = None,
    statuses: Annotated[
        list[DeployStatus], Query(alias="status", description="Only in one of these.")
    ] = [],  # noqa: B006 - never changed
) -> schemas.PageOut[schemas.DeployOut]:
    """Deploys, newest first."""

    def read(reader: Reader) -> schemas.PageOut[schemas.DeployOut]:
        found = reader.deploys(
            project_id=project,
            stage_id=stage,
            statuses=statuses,
            before=page.after,
            limit=page.with_next,
        )
        views = Views(reader, services)
        shown, cursor = page.cut(found, lambda deploy: deploy.id)
        return schemas.PageOut(items=[views.deploy(deploy) for deploy in shown], next=cursor)

    return await services.store.read(read)


@router.get("/deploys/{deploy_id}", responses=problems(404))
async def get_deploy(services: Services, deploy_id: DeployId) -> schemas.DeployOut:
    """One deploy."""
    return await services.store.read(
        lambda reader: Views(reader, services).deploy(reader.deploy(deploy_id))
    )
