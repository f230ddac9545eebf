"""The files in contrib/ are what they claim to be."""

import subprocess
from pathlib import Path

import pytest

CONTRIB = Path(__file__).parents[2] / "contrib"
UNITS = sorted(CONTRIB.glob("*.service"))
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
