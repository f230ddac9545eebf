"""Metrics as Prometheus reads them, in both of its formats."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_text

from tagboat.api.exposition import expose
from tagboat.core.counters import DURATION_BOUNDS_S, Counters
from tagboat.core.deploy import StepName
from tagboat.core.request_counts import CodeClasses
from tagboat.core.values import replace
from tagboat.operations.queries.metrics import MetricsSnapshot, StageNumbers

ENDED = {"succeeded": 3, "failed": 1}
DEV = StageNumbers(project="shop", stage="dev", ended=ENDED)
NOTHING = MetricsSnapshot(
    open_deploys={},
    stages=[],
    components={},
    registries={},
    counts={},
    durations={},
    images_bytes=0,
)
Samples = dict[tuple[str, ...], float]


def read_all(metrics: MetricsSnapshot) -> Samples:
    """The samples, which must be the same in both formats."""
    found: list[Samples] = []
    formats: tuple[tuple[str, Callable[[str], Iterable[Metric]]], ...] = (
        ("", read_text),
        ("application/openmetrics-text", read_openmetrics),
    )
    for accept, read in formats:
        text = expose("0.1.0", metrics, accept)[0].decode()
        found.append(
            {
                (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
                for family in read(text)
                for sample in family.samples
                if sample.name.startswith("tagboat_")
            }
        )
    assert found[0] == found[1]
    return found[0]


def requests_shown(answers: CodeClasses | None) -> Samples:
    found = read_all(replace(NOTHING, stages=[replace(DEV, answers=answers)]))
    return {key: value for key, value in found.items() if key[0] == "tagboat_requests_total"}


def test_each_stage_has_all_classes_from_the_start() -> None:
    name = "tagboat_requests_total"
    for answers in ({}, {"2xx": 7, "5xx": 1}):
        assert requests_shown(answers) == {
            (name, f"{number}xx", "shop", "dev"): answers.get(f"{number}xx", 0)
            for number in range(1, 6)
        }


def test_without_an_ingress_that_answers_there_is_no_series() -> None:
    assert requests_shown(None) == {}


def test_a_server_without_projects_has_what_belongs_to_none() -> None:
    found = read_all(NOTHING)
    assert {key[0] for key in found} == {
        "tagboat_build_info",
        "tagboat_deploys_open",
        "tagboat_images_bytes",
        *(f"tagboat_deploy_step_duration_seconds_{part}" for part in ("bucket", "count", "sum")),
    }
    assert found["tagboat_deploys_open", "queued"] == 0
    counts = {key[1] for key in found if key[0] == "tagboat_deploy_step_duration_seconds_count"}
    assert counts == set(StepName)


def test_a_stage_has_its_numbers() -> None:
    noon = datetime(2026, 11, 29, 12, tzinfo=UTC)
    stage = replace(DEV, live=2, troubled=1, held=True, stopped=True, last_success=noon)
    found = read_all(replace(NOTHING, stages=[stage, replace(DEV, project='q"\\\n')]))
    assert found["tagboat_stage_live", "shop", "dev"] == 2
    assert found["tagboat_stage_troubled_instances", "shop", "dev"] == 1
    assert found["tagboat_stage_held", "shop", "dev"] == 1
    assert found["tagboat_stage_stopped", "shop", "dev"] == 1
    assert found["tagboat_stage_stopped", 'q"\\\n', "dev"] == 0
    assert found["tagboat_stage_last_success_timestamp_seconds", "shop", "dev"] == noon.timestamp()
    assert found["tagboat_deploys_total", "shop", "dev", "succeeded"] == 3
    assert found["tagboat_stage_live", 'q"\\\n', "dev"] == 0
    assert found["tagboat_stage_last_success_timestamp_seconds", 'q"\\\n', "dev"] == 0


def test_durations_are_a_histogram() -> None:
    counters = Counters()
    for seconds in (0.3, 0.3, 7000.0):
        counters.observe("tagboat_deploy_step_duration_seconds", seconds, step="pull")
    found = read_all(replace(NOTHING, durations=counters.durations()))
    name = "tagboat_deploy_step_duration_seconds"
    assert found[f"{name}_bucket", "0.25", "pull"] == 0
    assert found[f"{name}_bucket", "0.5", "pull"] == 2
    assert found[f"{name}_bucket", str(DURATION_BOUNDS_S[-1]), "pull"] == 2
    assert found[f"{name}_bucket", "+Inf", "pull"] == 3
    assert found[f"{name}_count", "pull"] == 3


def test_what_is_up_is_1_and_counts_have_their_labels() -> None:
    counters = Counters()
    counters.counter("tagboat_polls_total", outcome="failed")
    counters.count("tagboat_polls_total", outcome="done")
    metrics = replace(
        NOTHING,
        components={"engine": False, "database": True},
        registries={"forge": True},
        counts=counters.read(),
        images_bytes=5e9,
    )
    found = read_all(metrics)
    assert found["tagboat_component_up", "engine"] == 0
    assert found["tagboat_component_up", "database"] == 1
    assert found["tagboat_registry_up", "forge"] == 1
    assert found["tagboat_polls_total", "done"] == 1
    assert found["tagboat_polls_total", "failed"] == 0
    assert found["tagboat_images_bytes",] == 5e9


@pytest.mark.parametrize(
    ("accept", "begins"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("text/html;q=x,,;", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;q=0, text/plain", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; Q = 0.000;x", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;q=0.001", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text;version=abc", "application/openmetrics-text; version=1.0.0"),
        (
            "text/plain;version=0.0.4;q=0.5, Application/OpenMetrics-Text;version=1.0.0;q=0.7",
            "application/openmetrics-text; version=1.0.0",
        ),
    ],
)
def test_the_format_is_the_one_that_is_accepted(accept: str, begins: str) -> None:
    text, media_type = expose("0.1.0", NOTHING, accept)
    assert media_type.startswith(begins)
    assert text.endswith(b"# EOF\n") == begins.startswith("application")
