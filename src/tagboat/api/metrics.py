"""What Prometheus reads."""

from collections.abc import Mapping

from fastapi import APIRouter, Response

from tagboat.api.answers import Responses, problems
from tagboat.api.services import Services
from tagboat.core.deploy import InstanceState
from tagboat.core.health import Trouble
from tagboat.core.ports import Reader
from tagboat.core.stage_refs import iter_stages

_text: Responses = {
    200: {
        "description": "Prometheus's text format.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}

router = APIRouter(tags=["metrics"])


@router.get("/metrics", response_class=Response, responses={**_text, **problems()})
async def get_metrics(services: Services) -> Response:
    """Counters and gauges in Prometheus's text format."""
    from tagboat.api.exposition import MEDIA_TYPE, expose  # noqa: PLC0415 - a library for those who scrape alone

    open_deploys = await services.store.read(lambda reader: reader.all_open_deploys())
    troubled = await services.store.read(_troubled)
    return Response(
        expose(services.version, open_deploys, services.counters.read(), troubled),
        media_type=MEDIA_TYPE,
    )


def _troubled(reader: Reader) -> Mapping[tuple[str, str], int]:
    """How many live instances need a person, by the names of project and stage; 0 for stages whose are well."""
    live = reader.instances(states=[InstanceState.LIVE])
    unwell = {
        one.instance_id
        for one in reader.vitals([one.id for one in live]).values()
        if one.trouble is not Trouble.NONE
    }
    counts: dict[str, int] = {one.stage_id: 0 for one in live}
    for instance in live:
        counts[instance.stage_id] += instance.id in unwell
    return {
        (project.name, stage.name): counts[stage.id]
        for project, stage in iter_stages(reader)
        if stage.id in counts
    }
