"""Metrics for Prometheus."""

from fastapi import APIRouter, Response

from tagboat.api.answers import Responses, problems
from tagboat.api.roles import least_role
from tagboat.api.services import Services
from tagboat.core.principal import Role

_text: Responses = {
    200: {
        "description": "Prometheus's text format.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}

METRICS_PATH = "/metrics"
router = APIRouter(tags=["metrics"])


@router.get(
    METRICS_PATH,
    response_class=Response,
    responses={**_text, **problems()},
    openapi_extra=least_role(Role.METRICS),
)
async def get_metrics(services: Services) -> Response:
    """Return counters and gauges in Prometheus's text format."""
    # A library that only those need who scrape: it is not loaded at the start.
    from tagboat.api.exposition import EXPOSITION_TYPE, expose  # noqa: PLC0415 - as said

    return Response(
        expose(services.version, await services.operations.machine.metrics()),
        media_type=EXPOSITION_TYPE,
    )
