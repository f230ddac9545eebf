"""Deploys: queueing them, and their progress."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from tagboat.api import schemas
from tagboat.api.answers import problems
from tagboat.api.filters import Only
from tagboat.api.pagination import Page
from tagboat.api.roles import least_role
from tagboat.api.services import Ops
from tagboat.api.values import DeployId, StageId
from tagboat.api.views import show_deploy
from tagboat.core.deploy import DeployStatus
from tagboat.core.principal import Role

router = APIRouter(prefix="/api", tags=["deploys"])


@router.post(
    "/stages/{stage_id}/deploys",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems(404, 413, 422),
    openapi_extra=least_role(Role.DEPLOYER),
)
async def create_deploy(
    operations: Ops, stage_id: StageId, body: schemas.DeployCreate
) -> schemas.DeployOut:
    """Queue a deploy of a tag, whatever the stage's pattern is.

    The answer may be a deploy that waits for the same already.
    """
    return show_deploy(
        await operations.deploys.deploy(stage_id, body.tag, force=body.force, note=body.note)
    )


@router.get("/deploys", responses=problems(422))
async def list_deploys(
    operations: Ops,
    page: Page,
    only: Only,
    statuses: Annotated[
        list[DeployStatus], Query(alias="status", description="Only in one of these.")
    ] = [],  # noqa: B006 - never changed
) -> schemas.PageOut[schemas.DeployOut]:
    """List deploys, newest first."""
    found = await operations.history.deploys(only, statuses, page.after, page.with_next)
    shown, cursor = page.cut(found, lambda view: view.deploy.id)
    return schemas.PageOut(items=[show_deploy(view) for view in shown], next=cursor)


@router.get("/deploys/{deploy_id}", responses=problems(404))
async def get_deploy(operations: Ops, deploy_id: DeployId) -> schemas.DeployOut:
    """Return one deploy."""
    return show_deploy(await operations.history.deploy(deploy_id))
