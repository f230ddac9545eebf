"""Metrics in the format of Prometheus."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tagboat.core.counters import Labels
from tagboat.core.deploy import OPEN_STATUSES, Deploy
from tagboat.operations.queries.machine import MetricsSnapshot

EXPOSITION_TYPE = CONTENT_TYPE_LATEST
_HELP = {
    "tagboat_webhook_calls_total": "Calls of the webhook's URL.",
    "tagboat_deploys_total": "Deploys that came to an end.",
    "tagboat_polls_total": "Polls of projects.",
}


def expose(version: str, metrics: MetricsSnapshot) -> bytes:
    """Return counters and gauges in Prometheus's text format."""
    info = GaugeMetricFamily("tagboat_info", "The server's version.", labels=["version"])
    info.add_metric([version], 1)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(
        _Snapshot(
            [
                info,
                _open(metrics.open_deploys),
                _troubled_instances(metrics.troubled),
                *_counters(metrics.counts),
            ]
        )
    )
    return generate_latest(registry)


class _Snapshot:
    """A collector of metrics that were gathered already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _open(deploys: Sequence[Deploy]) -> Metric:
    numbers = Counter(deploy.status for deploy in deploys)
    gauge = GaugeMetricFamily(
        "tagboat_deploys", "Deploys that have not come to an end.", labels=["status"]
    )
    for status in sorted(OPEN_STATUSES):
        gauge.add_metric([status], numbers[status])
    return gauge


def _troubled_instances(numbers: Mapping[tuple[str, str], int]) -> Metric:
    words = (
        "Live instances that need a person: they end again and again, are unhealthy or paused,"
        " or do not run."
    )
    gauge = GaugeMetricFamily(
        "tagboat_stage_troubled_instances", words, labels=["project", "stage"]
    )
    for names, number in sorted(numbers.items()):
        gauge.add_metric(names, number)
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
