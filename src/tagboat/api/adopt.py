"""Taking over a container that somebody else has made."""

from fastapi import APIRouter

from tagboat.api import adopt_schemas
from tagboat.api.answers import problems
from tagboat.api.roles import ADMIN_ONLY
from tagboat.api.services import Ops

router = APIRouter(prefix="/api/adopt", tags=["projects"])


@router.post("", responses=problems(404, 409, 413, 422), openapi_extra=ADMIN_ONLY)
async def adopt_container(
    operations: Ops, body: adopt_schemas.AdoptOrder
) -> adopt_schemas.AdoptionOut:
    """Make a running container the live instance of a new stage, which is held.

    The container goes on as it is; the first deploy replaces it. With `dry_run` nothing changes.
    """
    adoption = await operations.adoption.adopt(
        body.container,
        body.to_wish(),
        adopt_schemas.screen_stage,
        force=body.force,
        dry_run=body.dry_run,
    )
    return adopt_schemas.show_adoption(adoption, dry_run=body.dry_run)
