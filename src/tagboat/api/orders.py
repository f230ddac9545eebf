"""Orders beside deploying a tag: back to what was live, the same in another stage, not at all, not now."""

from http import HTTPStatus

from fastapi import APIRouter

from tagboat.api import schemas
from tagboat.api.answers import problems
from tagboat.api.services import Services
from tagboat.api.values import DeployId, StageId
from tagboat.api.views import Views
from tagboat.core.ports import Tx

router = APIRouter(prefix="/api", tags=["orders"])


@router.post(
    "/stages/{stage_id}/rollback",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems(404, 409, 413, 422),
)
async def roll_back(
    services: Services, stage_id: StageId, body: schemas.RollbackCreate | None = None
) -> schemas.DeployOut:
    """Queue the very digest that was live before, with the configuration it had, and hold the stage.

    A deploy at work that has not begun to retire what it replaces is cancelled, and what it was to replace serves again.
    Ordered again while a rollback is under way, the answer is that one. Where the image is nowhere any more, it is a 409.
    """
    to = body.to if body else None
    await services.ways_back.refuse_if_gone(stage_id, to)

    def queue(tx: Tx) -> schemas.DeployOut:
        return Views(tx, services).deploy(
            tx.deploy(services.orders.rollback(tx, stage_id, to).deploy_id)
        )

    return await services.store.write(queue)


@router.get("/stages/{stage_id}/rollback", responses=problems(404))
async def show_way_back(services: Services, stage_id: StageId) -> schemas.WayBackOut:
    """Say what a rollback of the stage would bring back, and whether its image is still to be had."""
    prospect = await services.ways_back.prospect(stage_id)
    target = prospect.target
    return schemas.WayBackOut(
        possible=prospect.possible,
        reason=prospect.reason,
        deploy=target.deploy_id if target else None,
        tag=target.tag if target else None,
        digest=target.digest if target else None,
    )


@router.post(
    "/stages/{stage_id}/promote",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems(404, 409, 413, 422),
)
async def promote(
    services: Services, stage_id: StageId, body: schemas.PromoteCreate
) -> schemas.DeployOut:
    """Queue the very digest that is live in another stage of the project."""

    def queue(tx: Tx) -> schemas.DeployOut:
        return Views(tx, services).deploy(
            tx.deploy(services.orders.promote(tx, stage_id, body.source).deploy_id)
        )

    return await services.store.write(queue)


@router.post("/deploys/{deploy_id}/cancel", responses=problems(404, 409))
async def cancel_deploy(services: Services, deploy_id: DeployId) -> schemas.DeployOut:
    """Cancel a deploy. A queued one is so at once; a running one is `cancelling` until its worker has taken it back."""
    return await services.store.write(
        lambda tx: Views(tx, services).deploy(services.orders.cancel(tx, deploy_id))
    )


@router.post("/stages/{stage_id}/hold", responses=problems(404))
async def hold_stage(services: Services, stage_id: StageId) -> schemas.StageOut:
    """Let pushes and polls deploy nothing in the stage until it is released; deploys by hand go on."""
    return await services.store.write(
        lambda tx: Views(tx, services).stage(services.orders.hold(tx, stage_id))
    )


@router.post("/stages/{stage_id}/release", responses=problems(404, 413, 422))
async def release_stage(
    services: Services, stage_id: StageId, body: schemas.ReleaseCreate | None = None
) -> schemas.ReleasedStageOut:
    """Let pushes and polls deploy again, beginning with the newest that came meanwhile."""

    def release(tx: Tx) -> schemas.ReleasedStageOut:
        queued = services.orders.release(
            tx, stage_id, including=body is not None and body.including
        )
        return Views(tx, services).released_stage(
            tx.stage(stage_id), [one.deploy_id for one in queued]
        )

    return await services.store.write(release)
