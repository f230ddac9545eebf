"""Metrics for Prometheus."""

import asyncio

from fastapi import APIRouter, Request, Response

from tagboat.api.answers import Responses, problems
from tagboat.api.roles import least_role
from tagboat.api.services import Services
from tagboat.core.principal import Role

_text: Responses = {
    200: {
        "description": "Prometheus's text format, or OpenMetrics where it is accepted.",
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "application/openmetrics-text": {"schema": {"type": "string"}},
        },
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
async def get_metrics(request: Request, services: Services) -> Response:
    """Return all metrics in Prometheus's text format, or in OpenMetrics."""
    # A library that only those need who scrape: it is not loaded at the start.
    from tagboat.api.exposition import expose  # noqa: PLC0415 - as said

    accept = ",".join(request.headers.getlist("accept"))
    metrics = await services.operations.metrics.read()
    # Thousands of stages are tens of thousands of lines: nobody else must wait for them.
    text, media_type = await asyncio.to_thread(expose, services.version, metrics, accept)
    return Response(text, headers={"content-type": media_type})
