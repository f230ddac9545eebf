"""The demo ends what it started, and nothing else."""

import json
import os
import sys
from pathlib import Path

import pytest

from demo.processes import Processes
from demo.show import DemoError
from demo.waiting import await_value

SLEEPS = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


def test_what_was_started_runs_until_it_is_ended_by_whoever_reads_the_record(
    tmp_path: Path,
) -> None:
    starter = Processes(tmp_path)
    running = starter.start("sleeper", SLEEPS)
    assert Processes(tmp_path).get("sleeper") == running
    assert Processes(tmp_path).end("sleeper")
    assert not running.is_alive
    assert Processes(tmp_path).get("sleeper") is None
    assert not starter.end("sleeper")


def test_a_process_number_used_again_is_left_alone(tmp_path: Path) -> None:
    """The record names this very process, but with another start: to end it would end the test."""
    (tmp_path / "processes.json").write_text(json.dumps({"sleeper": [os.getpid(), 1]}))
    assert not Processes(tmp_path).end("sleeper")


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="/no/such/program cannot be started: No such file"):
        Processes(tmp_path).start("nothing", ["/no/such/program"])
    assert Processes(tmp_path).get("nothing") is None


def test_the_log_has_what_a_program_wrote_last(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    running = processes.start("writer", [sys.executable, "-c", "print(*range(20), sep='\\n')"])
    await_value(lambda: None if running.is_alive else True, 10, "the program")
    assert not processes.end("writer")
    assert processes.tail("writer", lines=2) == "18\n19"
