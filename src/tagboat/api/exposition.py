"""Metrics in the formats of Prometheus: its own text, and OpenMetrics."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics

from tagboat.core.counters import (
    DURATION_BOUNDS_S,
    NO_DURATIONS,
    STEP_DURATION,
    Durations,
    Labels,
    Series,
)
from tagboat.core.deploy import OPEN_STATUSES, StepName
from tagboat.core.request_counts import CODE_CLASSES
from tagboat.operations.queries.metrics import DEPLOYS_ENDED, MetricsSnapshot, StageNumbers

_OPENMETRICS = "application/openmetrics-text"
# A quality of 0 (RFC 9110, section 12.4.2).
_NOT_WANTED = re.compile(r"q\s*=\s*0(\.0*)?")
_HELP = {
    "tagboat_webhook_calls_total": "Calls of webhook URLs with a correct secret.",
    "tagboat_polls_total": "Polls of projects.",
}
_OF_STAGE = ("project", "stage")


def wanted_format(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    """Return the encoder for a header `Accept`, and the type of what it returns."""
    for one in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in one.split(";"))
        if kind != _OPENMETRICS or any(_NOT_WANTED.fullmatch(part) for part in parameters):
            continue
        return openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest, CONTENT_TYPE_PLAIN_0_0_4


def expose(version: str, metrics: MetricsSnapshot, accept: str = "") -> tuple[bytes, str]:
    """Return all metrics in the format that `accept` asks for, and its type."""
    # A registry for each answer: in the library's global one, the second answer would register
    # the same names again, which is an error.
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Snapshot(_families(version, metrics)))
    encode, media_type = wanted_format(accept)
    return encode(registry), media_type


class _Snapshot:
    """A collector of metrics that were gathered already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    # The name that the library calls.
    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _families(version: str, metrics: MetricsSnapshot) -> Iterator[Metric]:
    yield InfoMetricFamily("tagboat_build", "The server's version.", value={"version": version})
    yield _gauge(
        "tagboat_deploys_open",
        "Deploys that have not come to an end.",
        ["status"],
        [
            ((status,), metrics.open_deploys.get(status, 0))
            for status in sorted(one.value for one in OPEN_STATUSES)
        ],
    )
    yield from _of_stages(metrics.stages)
    yield _gauge(
        "tagboat_component_up",
        "1 where the server reaches what it needs: database, engine, ingress.",
        ["component"],
        [((name,), works) for name, works in sorted(metrics.components.items())],
    )
    yield _gauge(
        "tagboat_registry_up",
        "1 where the last polls of a registry did not fail, by its name, or host without one.",
        ["registry"],
        [((name,), works) for name, works in sorted(metrics.registries.items())],
    )
    yield _gauge(
        "tagboat_images_bytes",
        "Disk space of the images that Tagboat pulled, when last measured.",
        [],
        [((), metrics.images_bytes)],
    )
    yield _step_durations(metrics.durations)
    yield from _counters(metrics.counts)


def _of_stages(stages: Iterable[StageNumbers]) -> Iterator[Metric]:
    stages = list(stages)
    gauges: tuple[tuple[str, str, Callable[[StageNumbers], float]], ...] = (
        ("tagboat_stage_live", "Live instances.", lambda one: one.live),
        (
            "tagboat_stage_troubled_instances",
            "Live instances that end again and again, are unhealthy or paused, or do not run.",
            lambda one: one.troubled,
        ),
        ("tagboat_stage_held", "1 where `tagboat hold` is in force.", lambda one: one.held),
        (
            "tagboat_stage_stopped",
            "1 where nothing runs because somebody stopped it.",
            lambda one: one.stopped,
        ),
        (
            "tagboat_stage_last_success_timestamp_seconds",
            "When a deploy last succeeded, in seconds since 1970; 0 for never.",
            lambda one: one.last_success.timestamp() if one.last_success else 0,
        ),
    )
    for name, words, number in gauges:
        samples = [((one.project, one.stage), number(one)) for one in stages]
        yield _gauge(name, words, _OF_STAGE, samples)
    ended = CounterMetricFamily(
        DEPLOYS_ENDED, "Deploys that came to an end.", labels=[*_OF_STAGE, "status"]
    )
    answers = CounterMetricFamily(
        "tagboat_requests_total",
        "Answers to requests for stages, by the ingress.",
        labels=[*_OF_STAGE, "code_class"],
    )
    for one in stages:
        for status, number_of in one.ended.items():
            ended.add_metric([one.project, one.stage, status], number_of)
        # No series is better than one that falls to 0 while the ingress cannot be asked.
        for code_class in CODE_CLASSES if one.answers is not None else ():
            count = (one.answers or {}).get(code_class, 0)
            answers.add_metric([one.project, one.stage, code_class], count)
    yield ended
    yield answers


def _gauge(
    name: str,
    words: str,
    labels: Iterable[str],
    samples: Iterable[tuple[tuple[str, ...], float]],
) -> Metric:
    family = GaugeMetricFamily(name, words, labels=list(labels))
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _step_durations(found: Mapping[Series, Durations]) -> Metric:
    family = HistogramMetricFamily(
        STEP_DURATION, "Duration of the steps of deploys that were done.", labels=["step"]
    )
    for step in StepName:
        one = found.get((STEP_DURATION, (("step", step.value),)), NO_DURATIONS)
        bounds = [str(bound) for bound in DURATION_BOUNDS_S]
        buckets = [*zip(bounds, one.at_most, strict=True), ("+Inf", one.number)]
        family.add_metric([step.value], buckets, one.sum_s)
    return family


def _counters(counts: Mapping[Series, int]) -> Iterator[Metric]:
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
