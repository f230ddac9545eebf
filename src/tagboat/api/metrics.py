"""What Prometheus reads."""

from fastapi import APIRouter, Response

from tagboat.api.answers import Responses, problems
from tagboat.api.parts import Parts

_text: Responses = {
    200: {"description": "Prometheus's text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}

router = APIRouter(tags=["metrics"])


@router.get("/metrics", response_class=Response, responses={**_text, **problems()})
async def get_metrics(parts: Parts) -> Response:
    """Counters and gauges in Prometheus's text format."""
    from tagboat.api.exposition import MEDIA_TYPE, expose  # noqa: PLC0415 - a library for those who scrape alone

    open_deploys = await parts.store.read(lambda reader: reader.all_open_deploys())
    return Response(expose(parts.version, open_deploys, parts.tally.read()), media_type=MEDIA_TYPE)
