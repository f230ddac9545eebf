"""Metrics in the format of Prometheus."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tagboat.core.counters import Labels
from tagboat.core.deploy import OPEN_STATUSES
from tagboat.core.request_counts import CODE_CLASSES, CodeClasses
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
    open_deploys = GaugeMetricFamily(
        "tagboat_deploys", "Deploys that have not come to an end.", labels=["status"]
    )
    numbers = Counter(deploy.status for deploy in metrics.open_deploys)
    for status in sorted(OPEN_STATUSES):
        open_deploys.add_metric([status], numbers[status])
    troubled = GaugeMetricFamily(
        "tagboat_stage_troubled_instances",
        "Live instances that need a person: they end again and again, are unhealthy or paused,"
        " or do not run.",
        labels=["project", "stage"],
    )
    for names, number in sorted(metrics.troubled.items()):
        troubled.add_metric(names, number)
    # A registry for each answer: in the library's global one, the second answer would register
    # the same names again, which is an error.
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(
        _Snapshot(
            [
                info,
                open_deploys,
                troubled,
                *_requests(metrics.requests),
                *_counters(metrics.counts),
            ]
        )
    )
    return generate_latest(registry)


class _Snapshot:
    """A collector of metrics that were gathered already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    # The name that the library calls.
    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _requests(found: Mapping[tuple[str, str], CodeClasses] | None) -> Iterator[Metric]:
    if found is None:
        return
    family = CounterMetricFamily(
        "tagboat_requests_total",
        "Answers to requests for stages, by the ingress.",
        labels=["project", "stage", "code_class"],
    )
    for names, classes in sorted(found.items()):
        for one in CODE_CLASSES:
            family.add_metric([*names, one], classes.get(one, 0))
    yield family


def _counters(counts: Mapping[tuple[str, Labels], int]) -> Iterator[Metric]:
    by_name: dict[str, list[tuple[Labels, int]]] = defaultdict(list)
    for (name, labels), number in counts.items():
        by_name[name].append((labels, number))
    for name, series in sorted(by_name.items()):
        # All series of a counter have the same labels, in one order.
        names = [label for label, _ in series[0][0]]
        family = CounterMetricFamily(name, _HELP.get(name, name), labels=names)
        for labels, number in series:
            family.add_metric([value for _, value in labels], number)
        yield family
