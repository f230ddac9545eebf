"""The process: its streams and exit codes."""

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.cli.conftest import PROGRAM, Tagboat


def test_a_reader_that_has_seen_enough_hears_no_complaint(tagboat: Tagboat) -> None:
    command = f'{sys.executable} -c "from tagboat.cli.entry import run; run()" projects | true'
    done = subprocess.run(  # noqa: S602 - a pipe is what this is about
        command,
        shell=True,
        env=tagboat.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""


def test_output_that_cannot_be_written(tagboat: Tagboat) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "projects"],
            env=tagboat.environ,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "tagboat: No space left on device\n")


def test_a_stdout_that_is_closed(tagboat: Tagboat) -> None:
    command = f'{sys.executable} -c "from tagboat.cli.entry import run; run()" projects >&-'
    done = subprocess.run(  # noqa: S602 - only a shell closes it
        command,
        shell=True,
        env=tagboat.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_a_module_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tagboat", "--version"],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.startswith("tagboat ")) == (0, True)


def test_a_failure_to_write_is_told_with_its_place_whatever_is_left_in_the_buffer() -> None:
    code = (
        "import sys, tagboat.cli.main as main, tagboat.cli.entry as entry\n"
        "sys.stdout = open('/dev/full', 'w')\n"
        "def program(**_):\n"
        "    sys.stdout.write('left')\n"
        "    raise OSError(28, 'No space left on device', 'place')\n"
        "main.program = program\n"
        "entry.run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (1, "tagboat: place: No space left on device\n")
