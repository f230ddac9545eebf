"""What Prometheus reads."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tagboat.api.answers import Responses, problems
from tagboat.api.parts import Parts
from tagboat.core.deploy import OPEN_STATUSES, Deploy
from tagboat.core.tally import Labels

_HELP = {
    "tagboat_webhook_calls_total": "Calls of the webhook's URL.",
    "tagboat_deploys_total": "Deploys that came to an end.",
    "tagboat_polls_total": "Polls of projects.",
}
_text: Responses = {
    200: {"description": "Prometheus's text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}

router = APIRouter(tags=["metrics"])


@router.get("/metrics", response_class=Response, responses={**_text, **problems()})
async def get_metrics(parts: Parts) -> Response:
    """Counters and gauges in Prometheus's text format."""
    open_deploys = await parts.store.read(lambda reader: reader.all_open_deploys())
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Snapshot([_info(parts.version), _open(open_deploys), *_counters(parts.tally.read())]))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Snapshot:
    """A collector of what was gathered already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _info(version: str) -> Metric:
    info = GaugeMetricFamily("tagboat_info", "The server's version.", labels=["version"])
    info.add_metric([version], 1)
    return info


def _open(deploys: Sequence[Deploy]) -> Metric:
    numbers = Counter(deploy.status for deploy in deploys)
    gauge = GaugeMetricFamily("tagboat_deploys", "Deploys that have not come to an end.", labels=["status"])
    for status in sorted(OPEN_STATUSES):
        gauge.add_metric([status], numbers[status])
    return gauge


def _counters(counts: Mapping[tuple[str, Labels], int]) -> Iterator[Metric]:
    by_name: dict[str, list[tuple[Labels, int]]] = defaultdict(list)
    for (name, labels), number in counts.items():
        by_name[name].append((labels, number))
    for name, series in sorted(by_name.items()):
        names = [label for label, _ in series[0][0]]
        family = CounterMetricFamily(name, _HELP.get(name, name), labels=names)
        for labels, number in series:
            family.add_metric([value for _, value in labels], number)
        yield family
