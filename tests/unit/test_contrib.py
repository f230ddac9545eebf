"""The files in contrib/ are what they claim to be."""

import itertools
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tagboat import variables
from tagboat.api.exposition import expose
from tagboat.core.counters import Counters
from tagboat.operations.queries.metrics import MetricsSnapshot, StageNumbers
from tests.support.monitoring import (
    ALERTS,
    CONTRIB,
    SCRAPED,
    Asked,
    alert_rules,
    dashboard,
    exposed_labels,
    expressions,
    not_exposed,
)

UNITS = sorted(CONTRIB.glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((CONTRIB / "compose.yaml").read_text())
PROD = '{project="shop",stage="prod"}'
OTHER_STATUS = 'tagboat_deploys_total{status="succeeded"}'
LAST_SUCCESS = "tagboat_stage_last_success_timestamp_seconds"
# Settings that the image or the file itself decides, and those of commands on another machine.
NOT_PASSED_ON = {
    "TAGBOAT_DATA_DIR",
    "TAGBOAT_DOCKER_HOST",
    "TAGBOAT_URL",
    "TAGBOAT_TOKEN",
    "TAGBOAT_TOKEN_FILE",
}
SAME = (
    "User=",
    "Group=",
    "Environment=",
    "EnvironmentFile=",
    "StateDirectory",
    "WorkingDirectory=",
    "UMask=0077",
)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_to_say_of_it(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_all_services_work_with_the_same_settings_and_data() -> None:
    server, ingress, edge = (
        [line for line in (CONTRIB / name).read_text().splitlines() if line.startswith(SAME)]
        for name in ("tagboat.service", "tagboat-ingress.service", "tagboat-edge.service")
    )
    assert server == ingress == edge
    assert len(server) >= len(SAME)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_no_comment_stands_behind_a_value(unit: Path) -> None:
    """Systemd would take it for a part of the value."""
    values = [
        line
        for line in unit.read_text().splitlines()
        if line.strip() and not line.startswith(("#", "["))
    ]
    assert [line for line in values if "#" in line] == []


def everything() -> str:
    """All metrics of a server with one of each; tests/acceptance asks a real one."""
    counters = Counters()
    counters.counter("tagboat_webhook_calls_total", sender="gitea", status="202")
    counters.counter("tagboat_polls_total", outcome="done")
    noon = datetime(2026, 11, 29, 12, tzinfo=UTC)
    ended = {"failed": 1}
    stage = StageNumbers(project="shop", stage="dev", ended=ended, answers={}, last_success=noon)
    snapshot = MetricsSnapshot(
        open_deploys={},
        stages=[stage],
        components={"engine": True},
        registries={"forge": True},
        counts=counters.read(),
        durations={},
        images_bytes=0,
    )
    return expose("0.1.0", snapshot)[0].decode()


def test_alerts_and_dashboard_ask_for_metrics_and_labels_that_exist() -> None:
    assert not_exposed(everything()) == []
    assert len({name for asked in expressions() for name, _ in asked.selectors()}) >= 13


def test_a_metric_or_label_that_does_not_exist_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Asked("x", 'sum by (nobody) (tagboat_polls_total{result="done"}) / tagboat_gone')
    monkeypatch.setattr("tests.support.monitoring.expressions", lambda: [wrong])
    assert not_exposed(everything()) == [
        "x: tagboat_polls_total{result}",
        "x: tagboat_gone",
        "x: by nobody",
    ]


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, object]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Tagboat[A-Z]\w+", str(rule["alert"]))
    assert re.fullmatch(r"\d+[smhd]", str(rule.get("for", "1m")))
    assert isinstance(rule["labels"], dict)
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert isinstance(rule["annotations"], dict)
    assert set(rule["annotations"]) == {"summary", "description"}
    # Labels in the words are those of the metrics, or what results are grouped by.
    asked, exposed = Asked("", str(rule["expr"])), exposed_labels(everything())
    grouped = asked.grouped() if " by " in asked.expr else set()
    known = grouped or {label for name, _ in asked.selectors() for label in exposed[name]}
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(map(str, rule["annotations"].values()))))
    assert used <= known | SCRAPED


def test_commands_in_alerts_exist() -> None:
    commands = set(re.findall(r"`tagboat ([a-z]+)", ALERTS.read_text()))
    listed = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    assert {command for command in commands if f"`tagboat {command}" not in listed} == set()


# Series, one value each minute, or in days each four: `0x5` is 0 and five more. The alert fires at
# the end of the first ones, and not at that of the second ones.
SERIES: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "TagboatDown": ({'up{job="tagboat"}': "1 0x4"}, {'up{job="tagboat"}': "1 0x1 1x3"}),
    "TagboatComponentDown": (
        {'tagboat_component_up{component="engine"}': "1 0x4"},
        {'tagboat_component_up{component="engine"}': "1 0 1x4"},
    ),
    "TagboatRegistryDown": (
        {'tagboat_registry_up{registry="forge"}': "0x20"},
        {'tagboat_registry_up{registry="forge"}': "0x10 1x10"},
    ),
    "TagboatDeployFailed": (
        {'tagboat_deploys_total{status="failed"}': "0 0 1x5"},
        {'tagboat_deploys_total{status="failed"}': "3x9", OTHER_STATUS: "0+1x9"},
    ),
    "TagboatDeployStuck": (
        {'tagboat_deploys_open{status="running"}': "1x125"},
        {'tagboat_deploys_open{status="running"}': "1x60 0 1x64"},
    ),
    "TagboatInstanceTroubled": (
        {f"tagboat_stage_troubled_instances{PROD}": "1x4"},
        {f"tagboat_stage_troubled_instances{PROD}": "0 1 0x3"},
    ),
    "TagboatStageDown": (
        {f"tagboat_stage_live{PROD}": "1 0x7", f"{LAST_SUCCESS}{PROD}": "9x9"},
        {
            f"tagboat_stage_live{PROD}": "1 0x7",
            f"{LAST_SUCCESS}{PROD}": "9x9",
            f"tagboat_stage_stopped{PROD}": "1x9",
        },
    ),
    "TagboatStageHeld": (
        {f"tagboat_stage_held{PROD}": "1x1082"},
        {f"tagboat_stage_held{PROD}": "1x60"},
    ),
    "TagboatErrorsServed": (
        {
            'tagboat_requests_total{stage="prod",code_class="5xx"}': "0+10x15",
            'tagboat_requests_total{stage="prod",code_class="2xx"}': "0+100x15",
        },
        {
            'tagboat_requests_total{stage="prod",code_class="5xx"}': "0+4x15",
            'tagboat_requests_total{stage="prod",code_class="2xx"}': "0+100x15",
            # Few requests: one error is a large share of them.
            'tagboat_requests_total{stage="dev",code_class="5xx"}': "0x6 1x8",
            'tagboat_requests_total{stage="dev",code_class="2xx"}': "0x15",
        },
    ),
    "TagboatWebhookRefused": (
        {'tagboat_webhook_calls_total{sender="gitea",status="422"}': "0+1x9"},
        {
            'tagboat_webhook_calls_total{sender="gitea",status="422"}': "0 1x9",
            'tagboat_webhook_calls_total{sender="gitea",status="202"}': "0+5x9",
        },
    ),
    "TagboatPollsFail": (
        {
            'tagboat_polls_total{outcome="failed"}': "0+1x90",
            'tagboat_polls_total{outcome="done"}': "7x90",
        },
        {
            'tagboat_polls_total{outcome="failed"}': "0+1x90",
            'tagboat_polls_total{outcome="done"}': "0+5x90",
        },
    ),
}


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_fires_when_it_should_and_at_no_other_time(
    rule: dict[str, object], tmp_path: Path
) -> None:
    asked = f'count(ALERTS{{alertname="{rule["alert"]}",alertstate="firing"}}) or vector(0)'
    # Fewer steps for what takes days: each costs time.
    step = 4 if str(rule.get("for")).endswith("d") else 1
    tests = [
        {
            "interval": f"{step}m",
            "input_series": [{"series": name, "values": one} for name, one in series.items()],
            "promql_expr_test": [
                {
                    "expr": asked,
                    "eval_time": f"{step * max(map(last_number, series.values()))}m",
                    "exp_samples": [{"labels": "{}", "value": firing}],
                }
            ],
        }
        for firing, series in zip((1, 0), SERIES[str(rule["alert"])], strict=True)
    ]
    file = tmp_path / "test.yml"
    pace = {"rule_files": ["rule.yml"], "evaluation_interval": f"{step}m"}
    file.write_text(yaml.safe_dump({**pace, "tests": tests}))
    # Without the other rules, which cost time at each step as well.
    group = {"name": "tagboat", "rules": [rule]}
    (tmp_path / "rule.yml").write_text(yaml.safe_dump({"groups": [group]}))
    subprocess.run(["promtool", "test", "rules", str(file)], check=True, timeout=120)


def last_number(values: str) -> int:
    """The number of the last of some values, from 0 on, as Prometheus's tool counts them."""
    runs = (part.partition("x")[2] for part in values.split())
    return sum(int(run or 0) + 1 for run in runs) - 1


def test_prometheus_accepts_the_alerts() -> None:
    subprocess.run(["promtool", "check", "rules", str(ALERTS)], check=True, timeout=60)


def test_the_dashboard_has_its_panels_side_by_side() -> None:
    board = dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x, y in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    sources = {panel["datasource"]["uid"] for panel in panels}
    assert sources == {"${datasource}"}
    offered = {one["name"] for one in board["templating"]["list"]}
    used = {name for one in expressions() for name in re.findall(r"\$(\w+)", one.expr)}
    assert used - {"__rate_interval", "__interval"} <= offered


def test_the_compose_file_passes_every_setting_on() -> None:
    server, ingress = (COMPOSE["services"][name] for name in ("tagboat", "ingress"))
    passed = {name for name in server["environment"] if name.startswith("TAGBOAT_")}
    assert passed == set(variables.KNOWN) - NOT_PASSED_ON
    # HAProxy gets the same settings from both, and no secret.
    for name in ingress["environment"]:
        assert ingress["environment"][name] == server["environment"][name]
    used = {name for name in variables.KNOWN if name.startswith("TAGBOAT_INGRESS")}
    assert used <= ingress["environment"].keys()
    assert not {*variables.SECRETS} & ingress["environment"].keys()


def test_both_containers_run_one_image_and_share_the_ingress_only() -> None:
    server, ingress = (COMPOSE["services"][name] for name in ("tagboat", "ingress"))
    assert server["image"] == ingress["image"]
    assert {server["network_mode"], ingress["network_mode"]} == {"host"}
    assert ingress["volumes"] == ["ingress:/var/lib/tagboat/ingress"]
    assert set(ingress["volumes"]) < set(server["volumes"])
    assert server["environment"]["TAGBOAT_INGRESS_START"] == "false"
