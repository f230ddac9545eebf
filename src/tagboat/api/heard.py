"""Senders and registries that were heard, and those that are silent."""

from fastapi import APIRouter

from tagboat.api.answers import problems
from tagboat.api.page_schemas import HeardOut
from tagboat.api.page_views import show_heard
from tagboat.api.services import Ops

router = APIRouter(prefix="/api", tags=["deliveries"])


@router.get("/heard", responses=problems())
async def list_heard(operations: Ops) -> HeardOut:
    """Show when each sender and each registry was heard last, and which should have called."""
    return show_heard(await operations.connect.heard())
