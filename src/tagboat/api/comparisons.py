"""Comparisons of before and after, and the history of a stage."""

from typing import Annotated

from fastapi import APIRouter, Query

from tagboat.api import page_schemas, schemas
from tagboat.api.answers import problems
from tagboat.api.page_views import show_comparison, show_live_period, show_pending
from tagboat.api.pagination import Page
from tagboat.api.services import Ops
from tagboat.api.values import DeployId, StageId

router = APIRouter(prefix="/api", tags=["stages"])


@router.get("/stages/{stage_id}/history", responses=problems(404, 422))
async def list_stage_history(
    operations: Ops, stage_id: StageId, page: Page
) -> schemas.PageOut[page_schemas.LivePeriodOut]:
    """List what was live in a stage, newest first: from when to when, and how it ended."""
    found = await operations.history.stage_history(stage_id, page.after, page.with_next)
    shown, cursor = page.cut(found.periods, lambda period: period.instance.id)
    return schemas.PageOut(items=[show_live_period(one) for one in shown], next=cursor)


@router.get("/stages/{stage_id}/promotion", responses=problems(404, 409, 422))
async def preview_promotion(
    operations: Ops,
    stage_id: StageId,
    source: Annotated[
        StageId, Query(alias="from", description="Id of the stage whose live digest would come.")
    ],
) -> page_schemas.ComparisonOut:
    """Show what a promotion from another stage would change. Changes nothing."""
    return show_comparison(await operations.comparisons.promotion(stage_id, source))


@router.get("/stages/{stage_id}/pending", responses=problems(404))
async def list_pending_changes(operations: Ops, stage_id: StageId) -> page_schemas.PendingOut:
    """Show the changes of a stage and its project that are saved, and not live yet."""
    return show_pending(await operations.comparisons.pending(stage_id))


@router.get("/deploys/{deploy_id}/changes", responses=problems(404))
async def show_deploy_changes(operations: Ops, deploy_id: DeployId) -> page_schemas.ComparisonOut:
    """Show what a deploy changes, or has changed, in its stage."""
    return show_comparison(await operations.comparisons.deploy(deploy_id))
