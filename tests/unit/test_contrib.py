"""The files in contrib/ are what they claim to be."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tagboat import variables

CONTRIB = Path(__file__).parents[2] / "contrib"
UNITS = sorted(CONTRIB.glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((CONTRIB / "compose.yaml").read_text())
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


def test_both_services_work_with_the_same_settings_and_data() -> None:
    server, ingress = (
        [line for line in (CONTRIB / name).read_text().splitlines() if line.startswith(SAME)]
        for name in ("tagboat.service", "tagboat-ingress.service")
    )
    assert server == ingress
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
