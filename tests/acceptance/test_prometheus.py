"""A real Prometheus with what the documents and contrib/ give to it, at a real server."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.test_push_to_running import publish
from tests.acceptance.test_switching import Lane, behind, lane
from tests.support.monitoring import ALERTS, Asked, alert_rules, expressions
from tests.support.ports import free_port
from tests.support.prometheus import Prometheus, running_prometheus

__all__ = ["behind", "lane"]

MONITORING = Path(__file__).parents[2] / "docs" / "monitoring.md"
FAILS = {"www/cgi-bin/fail": "#!/bin/sh\necho 'Status: 500 Out of luck'; echo; echo no\n"}
# What Grafana puts in place of its variables if all projects and stages are chosen.
GRAFANA = {
    "$project": ".*",
    "$stage": ".*",
    "$__rate_interval": "1m",
    "$__interval": "1m",
}
LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")


def documented(lane: Lane, folder: Path, *more: str) -> dict[str, Any]:
    """The prometheus.yml of the documents, for this server and the targets `more`."""
    (text,) = re.findall(r"```yaml\n(# prometheus\.yml\n.*?)```", MONITORING.read_text(), re.DOTALL)
    config = dict(yaml.safe_load(text))
    (job,) = config["scrape_configs"]
    made = lane.server.cli("tokens", "create", f"of-{lane.name}", "--role", "metrics", "--json")
    token = folder / "token"
    token.write_text(json.loads(made.stdout)["token"])
    assert config["rule_files"] == [ALERTS.name]
    assert job["authorization"].keys() == {"credentials_file"}
    job |= {
        "scheme": "http",
        "authorization": {"credentials_file": str(token)},
        "static_configs": [{"targets": [f"127.0.0.1:{lane.server.port}", *more]}],
    }
    pace = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    return config | {"global": pace, "rule_files": [str(ALERTS)]}


def as_grafana_asks(expr: str) -> str:
    """An expression with Grafana's variables filled in."""
    for name, value in sorted(GRAFANA.items(), reverse=True):
        expr = expr.replace(name, value)
    return expr


@pytest.fixture
def dead() -> str:
    """The address of a server that does not answer."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def prometheus(lane: Lane, tmp_path: Path, dead: str) -> Iterator[Prometheus]:
    with running_prometheus(tmp_path, documented(lane, tmp_path, dead)) as running:
        yield running


def test_every_panel_shows_something_and_every_alert_is_evaluated(
    lane: Lane, prometheus: Prometheus
) -> None:
    panels = [
        one for one in expressions() if one.place not in {rule["alert"] for rule in alert_rules()}
    ]
    assert len(panels) > 10
    lane.bring("v1", programs=FAILS)
    publish(lane.image, "v2", programs=FAILS)

    def is_empty(panel: Asked) -> bool:
        expr = as_grafana_asks(panel.expr)
        assert "$" not in expr, expr
        if asked := LABEL_VALUES.fullmatch(expr):
            return not any(
                asked[2] in one for one in prometheus.get("series", **{"match[]": asked[1]})
            )
        return not prometheus.query(expr)

    def empty() -> list[str]:
        # Rates need something that goes on.
        assert lane.ask()[0] == 200
        assert lane.ask(path="/cgi-bin/fail")[0] == 500
        lane.server.push(f"{lane.image}:v2")
        return [panel.place for panel in panels if is_empty(panel)]

    prometheus.until(lambda: not empty(), empty)
    stored = set(prometheus.get("label/__name__/values"))
    named = {name for asked in expressions() for name, _ in asked.selectors()}
    assert named - stored == set()

    groups = prometheus.get("rules")["groups"]
    rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert rules.keys() == {rule["alert"] for rule in alert_rules()}
    prometheus.until(
        lambda: all(
            rule["health"] == "ok"
            for group in prometheus.get("rules")["groups"]
            for rule in group["rules"]
        ),
        lambda: prometheus.get("rules"),
    )


def test_a_failed_deploy_and_a_dead_server_raise_their_alerts(
    lane: Lane, prometheus: Prometheus, dead: str
) -> None:
    up = {"job": "tagboat", "instance": f"127.0.0.1:{lane.server.port}"}

    def values(expr: str) -> dict[str, str]:
        return {one["metric"]["instance"]: one["value"][1] for one in prometheus.query(expr)}

    prometheus.until(lambda: values("up") == {up["instance"]: "1", dead: "0"}, lambda: values("up"))
    # An increase is one from a value that was seen.
    failed = f'tagboat_deploys_total{{status="failed",project="{lane.name}"}}'
    prometheus.until(lambda: values(failed) == {up["instance"]: "0"}, lambda: values(failed))
    assert "TagboatDeployFailed" not in {name for name, _, _ in prometheus.alerts()}
    order = lane.deploy("is-not-there")
    assert lane.server.ended(order["id"])["status"] == "failed"

    def raised() -> dict[str, str]:
        return {
            f"{name} {labels['instance']}": state for name, state, labels in prometheus.alerts()
        }

    # The second has to last for two minutes before anybody is woken.
    expected = {f"TagboatDeployFailed {up['instance']}": "firing", f"TagboatDown {dead}": "pending"}
    prometheus.until(lambda: expected.items() <= raised().items(), raised)
    (alert,) = [one for one in prometheus.get("alerts")["alerts"] if one["state"] == "firing"]
    assert alert["annotations"]["summary"] == f"A deploy of {lane.name} dev failed"
