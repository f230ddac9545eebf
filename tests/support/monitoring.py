"""The expressions of contrib/, and the metrics and labels that they ask for."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

CONTRIB = Path(__file__).parents[2] / "contrib"
ALERTS = CONTRIB / "prometheus" / "alerts.yml"
DASHBOARD = CONTRIB / "grafana" / "tagboat.json"
# Prometheus adds them to each series that it scrapes.
SCRAPED = frozenset({"instance", "job"})
_SELECTOR = re.compile(r"\b((?:tagboat|process)_\w+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPED = re.compile(r"\b(?:by|on|ignoring|without|group_left|group_right)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Asked:
    """An expression, and where it is."""

    place: str
    expr: str

    def selectors(self) -> Iterator[tuple[str, set[str]]]:
        """The names of metrics, each with the labels that are looked for."""
        for name, labels in _SELECTOR.findall(self.expr):
            yield name, set(_LABEL.findall(labels))

    def grouped(self) -> set[str]:
        """The labels that results are grouped or joined by."""
        return {one.strip() for part in _GROUPED.findall(self.expr) for one in part.split(",")}


def alert_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    return dict(json.loads(DASHBOARD.read_text()))


def expressions() -> list[Asked]:
    """All expressions of alerts, panels and variables."""
    asked = [Asked(rule["alert"], rule["expr"]) for rule in alert_rules()]
    board = dashboard()
    for panel in board["panels"]:
        asked += [Asked(panel["title"], target["expr"]) for target in panel["targets"]]
    variables = board["templating"]["list"]
    asked += [Asked(one["name"], one["definition"]) for one in variables if "definition" in one]
    return asked


def exposed_labels(text: str) -> Mapping[str, set[str]]:
    """The labels of each sample in a text of Prometheus's format, by name."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def not_exposed(text: str, *, besides: str = "no metric") -> list[str]:
    """What contrib/ asks for and the text has not, but for what is about the metric `besides`."""
    exposed = exposed_labels(text)
    missing = []
    for asked in (one for one in expressions() if besides not in one.expr):
        known = set(SCRAPED)
        for name, labels in asked.selectors():
            known |= exposed.get(name, set())
            if name not in exposed:
                missing.append(f"{asked.place}: {name}")
            missing += [f"{asked.place}: {name}{{{one}}}" for one in labels - known]
        missing += [f"{asked.place}: by {one}" for one in asked.grouped() - known]
    return missing
