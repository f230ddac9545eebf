"""Instances, and what they write."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from tagboat.api import schemas
from tagboat.api.answers import problems
from tagboat.api.filters import Only
from tagboat.api.log_streams import LOG_STREAM, AskedLog, Stopping
from tagboat.api.pagination import Page
from tagboat.api.services import Ops
from tagboat.api.values import InstanceId
from tagboat.api.views import show_instance
from tagboat.core.deploy import InstanceState

router = APIRouter(prefix="/api/instances", tags=["instances"])


@router.get("", responses=problems(422))
async def list_instances(
    operations: Ops,
    page: Page,
    only: Only,
    states: Annotated[
        list[InstanceState], Query(alias="state", description="Only in one of these.")
    ] = [],  # noqa: B006 - never changed
) -> schemas.PageOut[schemas.InstanceOut]:
    """List instances, newest first."""
    found = await operations.history.instances(only, states, page.after, page.with_next)
    shown, cursor = page.cut(found, lambda view: view.instance.id)
    return schemas.PageOut(items=[show_instance(view) for view in shown], next=cursor)


@router.get(
    "/{instance_id}/logs",
    response_model=schemas.LogsOut,
    responses={**LOG_STREAM, **problems(404, 422)},
)
async def read_logs(
    operations: Ops, stopping: Stopping, instance_id: InstanceId, asked: AskedLog
) -> schemas.LogsOut | StreamingResponse:
    """Return the last lines that an instance's container wrote, or follow it until it is gone."""
    if asked.follow:
        parts = await operations.live_logs.instance(instance_id, asked.window)
        return asked.response(parts, stopping)
    return schemas.LogsOut(
        lines=asked.texts(await operations.logs.instance(instance_id, asked.window))
    )
