"""Instances and what they wrote."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from tagboat.api import schemas
from tagboat.api.answers import ProblemError, problems
from tagboat.api.pagination import Page
from tagboat.api.services import Services
from tagboat.api.values import IdFilter, InstanceId
from tagboat.api.views import Views
from tagboat.core.deploy import InstanceState
from tagboat.core.errors import EngineNotFoundError
from tagboat.core.masking import mask_values
from tagboat.core.ports import Reader
from tagboat.deploy.context import read_context

DEFAULT_TAIL = 100
MAX_TAIL = 10_000

router = APIRouter(prefix="/api/instances", tags=["instances"])


@router.get("", responses=problems(422))
async def list_instances(
    services: Services,
    page: Page,
    project: Annotated[
        IdFilter | None, Query(description="Only of the project of this id.")
    ] = None,
    stage: Annotated[IdFilter | None, Query(description="Only of the stage of this id.")] = None,
    states: Annotated[
        list[InstanceState], Query(alias="state", description="Only in one of these.")
    ] = [],  # noqa: B006 - never changed
) -> schemas.PageOut[schemas.InstanceOut]:
    """Instances, newest first."""

    def read(reader: Reader) -> schemas.PageOut[schemas.InstanceOut]:
        found = reader.instances(
            project_id=project,
            stage_id=stage,
            states=states,
            before=page.after,
            limit=page.with_next,
        )
        views = Views(reader, services)
        shown, cursor = page.cut(found, lambda instance: instance.id)
        return schemas.PageOut(items=views.instances(shown), next=cursor)

    return await services.store.read(read)


@router.get("/{instance_id}/logs", responses=problems(404, 422))
async def read_logs(
    services: Services,
    instance_id: InstanceId,
    tail: Annotated[
        int, Query(ge=1, le=MAX_TAIL, description="How many lines at most.")
    ] = DEFAULT_TAIL,
) -> schemas.LogsOut:
    """The last lines that an instance's container wrote."""
    instance = await services.store.read(lambda reader: reader.instance(instance_id))
    secrets = await services.store.read(
        lambda reader: read_context(reader, instance.deploy_id).secret_values
    )
    try:
        lines = await services.engine.logs(instance.handle, tail)
        return schemas.LogsOut(
            lines=mask_values("\n".join(lines), secrets).split("\n") if lines else []
        )
    except EngineNotFoundError:
        gone = f"the container {instance.container} is gone, and its log with it"
        raise ProblemError(HTTPStatus.NOT_FOUND, gone) from None
