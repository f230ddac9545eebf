"""The demo of a swarm says what it lacks, and does not start where one runs."""

import fcntl
import sys
from pathlib import Path

import pytest

from demo import swarm_demo
from demo.__main__ import main
from demo.processes import Processes
from demo.server import SERVER
from demo.show import DemoError
from demo.swarm_demo import FORWARDER, check_machine, refuse_second

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / ".demo-swarm"
    monkeypatch.setattr(swarm_demo, "FOLDER", place)
    return place


def test_root_and_the_programs_are_needed() -> None:
    check_machine(0, lambda name: f"/usr/bin/{name}")
    with pytest.raises(DemoError, match="only root") as refused:
        check_machine(1000, lambda name: f"/usr/bin/{name}")
    assert "sudo" in refused.value.remedy


def test_missing_programs_are_named_with_their_packages() -> None:
    there = {"haproxy", "nsenter", "unshare", "pgrep"}
    with pytest.raises(DemoError, match="missing: dockerd, docker-registry, ip") as refused:
        check_machine(0, lambda name: name if name in there else None)
    assert refused.value.remedy.endswith("apt-get install docker.io docker-registry iproute2)")


@pytest.mark.parametrize("name", [SERVER, FORWARDER])
def test_a_second_one_is_refused_while_one_runs(tmp_path: Path, name: str) -> None:
    processes = Processes(tmp_path)
    refuse_second(processes)
    processes.start(name, SLEEPS)
    try:
        with pytest.raises(DemoError, match="already runs") as refused:
            refuse_second(Processes(tmp_path))
        assert "make demo-swarm-stop" in refused.value.remedy
    finally:
        processes.end(name)
    refuse_second(Processes(tmp_path))


def test_two_at_once_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(swarm_demo, "check_machine", lambda _user, _find: None)
    folder.mkdir()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for words in (["swarm"], ["swarm", "stop"]):
            assert main(words) == 1
            assert "is at work in this checkout" in capsys.readouterr().err


def test_to_stop_what_does_not_run_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["swarm", "stop"]) == 0
    assert "No demo of a swarm is running." in capsys.readouterr().out
    assert not folder.exists()


def test_what_was_left_by_one_that_died_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cluster is gone with the machine that was switched off."""
    monkeypatch.setattr(swarm_demo, "check_machine", lambda _user, _find: None)
    monkeypatch.setattr("demo.lan.Lan.remove", lambda _lan: None)
    folder.mkdir()
    (folder / "cluster.json").write_text('["/tmp/tbs-is-gone", "tbsgone00"]')
    (folder / "data").mkdir()
    assert main(["swarm", "stop"]) == 0
    assert not folder.exists()


@pytest.mark.parametrize("words", [["swarm", "now"], ["stop", "swarm"], ["swarm", "stop", "now"]])
def test_other_words_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "usage: python -m demo [swarm] [stop]" in capsys.readouterr().err
