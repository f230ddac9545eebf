"""Orders about the whole of a stage: restart, stop and start."""

from http import HTTPStatus

from fastapi import APIRouter

from tagboat.api import lifecycle_schemas, schemas
from tagboat.api.answers import problems
from tagboat.api.roles import least_role
from tagboat.api.services import Ops
from tagboat.api.values import StageId
from tagboat.api.views import show_deploy, show_stage
from tagboat.core.principal import Role

router = APIRouter(prefix="/api/stages/{stage_id}", tags=["orders"])


@router.post(
    "/restart",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems(404, 409, 413, 422),
    openapi_extra=least_role(Role.DEPLOYER),
)
async def restart_stage(
    operations: Ops, stage_id: StageId, body: lifecycle_schemas.LifecycleOrder | None = None
) -> lifecycle_schemas.RestartedDeployOut:
    """Deploy the live digest again, with the configuration as it is saved now.

    That makes saved settings live. What runs serves until the new instance is healthy. A stage with
    several instances gets a deploy for each. The release command does not run again. Where nothing
    is live, or another deploy is under way, the answer is 409.
    """
    queued = await operations.lifecycle.restart(stage_id, body.note if body else "")
    return lifecycle_schemas.RestartedDeployOut(
        **dict(show_deploy(queued[-1])), deploys=[view.deploy.id for view in queued]
    )


@router.post(
    "/stop",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems(404, 409),
    openapi_extra=least_role(Role.DEPLOYER),
)
async def stop_stage(operations: Ops, stage_id: StageId) -> schemas.StageOut:
    """Stop a stage: take the traffic away, drain its instances, end and remove them.

    Requests get 503. Pushes and polls wait until the stage is started, or a person deploys to it.
    Volumes stay. Stopping a stopped stage changes nothing. While a deploy is under way, the answer
    is 409.
    """
    return show_stage(await operations.lifecycle.stop(stage_id))


@router.post(
    "/start",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems(404, 409, 413, 422),
    openapi_extra=least_role(Role.DEPLOYER),
)
async def start_stage(
    operations: Ops, stage_id: StageId, body: lifecycle_schemas.LifecycleOrder | None = None
) -> lifecycle_schemas.StartedStageOut:
    """Deploy what was live last again, with the configuration as it is saved now.

    The stage is stopped until an instance is live. Where it runs already, `deploys` is empty, and
    `reason` says so. Pushes that came while it was stopped wait for a release.
    """
    started = await operations.lifecycle.start(stage_id, body.note if body else "")
    return lifecycle_schemas.StartedStageOut(
        **dict(show_stage(started.view)), deploys=list(started.deploys), reason=started.reason
    )
