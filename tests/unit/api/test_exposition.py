"""Metrics as Prometheus reads them."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from tagboat.api.exposition import expose
from tagboat.core.request_counts import CodeClasses
from tagboat.operations.queries.machine import MetricsSnapshot


def requests_shown(
    requests: Mapping[tuple[str, str], CodeClasses] | None,
) -> dict[tuple[str, ...], float]:
    text = expose("0.1.0", MetricsSnapshot([], {}, {}, requests)).decode()
    return {
        (sample.labels["project"], sample.labels["stage"], sample.labels["code_class"]): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "tagboat_requests_total"
    }


def test_each_stage_has_all_classes_from_the_start() -> None:
    shown = requests_shown({("shop", "dev"): {}, ("shop", "prod"): {"2xx": 7, "5xx": 1}})
    assert shown == {
        ("shop", "dev", "1xx"): 0,
        ("shop", "dev", "2xx"): 0,
        ("shop", "dev", "3xx"): 0,
        ("shop", "dev", "4xx"): 0,
        ("shop", "dev", "5xx"): 0,
        ("shop", "prod", "1xx"): 0,
        ("shop", "prod", "2xx"): 7,
        ("shop", "prod", "3xx"): 0,
        ("shop", "prod", "4xx"): 0,
        ("shop", "prod", "5xx"): 1,
    }


def test_without_an_ingress_that_answers_there_is_no_series() -> None:
    assert requests_shown(None) == {}
