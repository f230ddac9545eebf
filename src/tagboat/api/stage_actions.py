"""Actions on stages and deploys: roll back, promote, cancel, hold, release."""

from http import HTTPStatus

from fastapi import APIRouter

from tagboat.api import overview_schemas, schemas
from tagboat.api.answers import problems
from tagboat.api.roles import least_role
from tagboat.api.services import Ops
from tagboat.api.values import DeployId, StageId
from tagboat.api.views import show_deploy, show_stage, show_way_back
from tagboat.core.principal import Role

router = APIRouter(prefix="/api", tags=["orders"])


@router.post(
    "/stages/{stage_id}/rollback",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems(404, 409, 413, 422),
    openapi_extra=least_role(Role.DEPLOYER),
)
async def roll_back(
    operations: Ops, stage_id: StageId, body: schemas.RollbackCreate | None = None
) -> schemas.DeployOut:
    """Queue the digest that was live before, with the configuration it had, and hold the stage.

    A deploy at work that has not begun to retire what it replaces is cancelled, and what it was to
    replace serves again. While a rollback is under way, another one answers with the same deploy.
    Where the image does not exist any more, the answer is 409.
    """
    to, note = (body.to, body.note) if body else (None, "")
    return show_deploy(await operations.deploys.rollback(stage_id, to, note))


@router.get("/stages/{stage_id}/rollback", responses=problems(404))
async def show_rollback(operations: Ops, stage_id: StageId) -> schemas.WayBackOut:
    """Show what a rollback of the stage would bring back, and whether its image still exists."""
    return show_way_back(await operations.deploys.way_back(stage_id))


@router.post(
    "/stages/{stage_id}/promote",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems(404, 409, 413, 422),
    openapi_extra=least_role(Role.DEPLOYER),
)
async def promote(
    operations: Ops, stage_id: StageId, body: schemas.PromoteCreate
) -> schemas.DeployOut:
    """Queue the digest that is live in another stage of the project."""
    return show_deploy(await operations.deploys.promote(stage_id, body.source, body.note))


@router.post(
    "/deploys/{deploy_id}/cancel",
    responses=problems(404, 409),
    openapi_extra=least_role(Role.DEPLOYER),
)
async def cancel_deploy(operations: Ops, deploy_id: DeployId) -> schemas.DeployOut:
    """Cancel a deploy, a queued one at once.

    A running one is `cancelling` until its worker has taken it back.
    """
    return show_deploy(await operations.deploys.cancel(deploy_id))


@router.post(
    "/stages/{stage_id}/cancel",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems(404, 409),
    openapi_extra=least_role(Role.DEPLOYER),
)
async def cancel_stage(operations: Ops, stage_id: StageId) -> overview_schemas.CancelledDeploysOut:
    """Cancel every queued and running deploy of the stage that can be cancelled, all at once.

    Where there is none, the answer is 409.
    """
    cancelled = await operations.deploys.cancel_all(stage_id)
    return overview_schemas.CancelledDeploysOut(items=[show_deploy(one) for one in cancelled])


@router.post(
    "/stages/{stage_id}/hold", responses=problems(404), openapi_extra=least_role(Role.DEPLOYER)
)
async def hold_stage(operations: Ops, stage_id: StageId) -> schemas.StageOut:
    """Let pushes and polls deploy nothing in the stage until it is released."""
    return show_stage(await operations.deploys.hold(stage_id))


@router.post(
    "/stages/{stage_id}/release",
    responses=problems(404, 413, 422),
    openapi_extra=least_role(Role.DEPLOYER),
)
async def release_stage(
    operations: Ops, stage_id: StageId, body: schemas.ReleaseCreate | None = None
) -> schemas.ReleasedStageOut:
    """Let pushes and polls deploy again, beginning with the newest that came while it was held."""
    including = body is not None and body.including
    stage, deploys = await operations.deploys.release(stage_id, including=including)
    return schemas.ReleasedStageOut(**dict(show_stage(stage)), deploys=deploys)
