"""Instances, and what they write."""

from typing import Annotated

from fastapi import APIRouter, Query

from tagboat.api import schemas
from tagboat.api.answers import problems
from tagboat.api.filters import Only
from tagboat.api.pagination import Page
from tagboat.api.services import Ops
from tagboat.api.values import InstanceId
from tagboat.api.views import instance_out
from tagboat.core.deploy import InstanceState

MAX_TAIL = 10_000
Tail = Annotated[int, Query(ge=1, le=MAX_TAIL, description="How many lines at most.")]

router = APIRouter(prefix="/api/instances", tags=["instances"])


@router.get("", responses=problems(422))
async def list_instances(
    operations: Ops,
    page: Page,
    only: Only,
    states: Annotated[
        list[InstanceState], Query(alias="state", description="Only in one of these.")
    ] = [],  # noqa: B006 - never changed
) -> schemas.Page[schemas.Instance]:
    """List instances, newest first."""
    found = await operations.history.instances(only, states, page.after, page.with_next)
    shown, cursor = page.cut(found, lambda view: view.instance.id)
    return schemas.Page(items=[instance_out(view) for view in shown], next=cursor)


@router.get("/{instance_id}/logs", responses=problems(404, 422))
async def read_logs(operations: Ops, instance_id: InstanceId, tail: Tail = 100) -> schemas.Logs:
    """Return the last lines that an instance's container wrote."""
    return schemas.Logs(lines=list(await operations.history.instance_log(instance_id, tail)))
