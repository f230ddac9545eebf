"""`make demo-swarm`: nothing is lost once a node is gone, and nothing is left at the end."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.engine_traces import cgroups_of
from demo.swarm_demo import FOLDER
from tests.support.server import fetch

_LIMIT_S = 1500.0

pytestmark = pytest.mark.slow


def demo(*words: str) -> str:
    """Run the demo with these words; all that it wrote."""
    command = [sys.executable, "-m", "demo", "swarm", *words]
    done = subprocess.run(
        command, cwd=FOLDER.parent, capture_output=True, text=True, timeout=_LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def stopped() -> Iterator[None]:
    demo("stop")
    yield
    demo("stop")


@pytest.mark.usefixtures("stopped")
def test_it_runs_to_the_end_keeps_running_and_leaves_nothing() -> None:
    said = demo()
    assert re.search(r"sent \d+ requests: 0 lost by the update, \d+ as n\d died, 0 since", said)
    moved = re.search(r"(n\d) is off; \d+ s later both tasks run on (n\d) and (n\d)", said)
    assert moved is not None
    assert moved[1] not in {moved[2], moved[3]}
    link = re.findall(r"http://127\.0\.0\.1:\d+/sign-in/\S+", said)[-1]
    assert "<html" in fetch(link)

    second = subprocess.run(
        [sys.executable, "-m", "demo", "swarm"],
        cwd=FOLDER.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert "a demo of a swarm already runs" in second.stderr

    folder, mark = json.loads((FOLDER / "cluster.json").read_text())
    demo("stop")
    assert not FOLDER.exists()
    assert not Path(folder).exists()
    assert mark not in subprocess.check_output(["ip", "netns", "list"], text=True)
    assert cgroups_of(f"{mark}-*") == []
    assert subprocess.run(["pgrep", "-f", folder], check=False).returncode == 1
