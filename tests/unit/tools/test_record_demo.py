"""The cast of the demo: what a terminal shows, line by line."""

import json
import subprocess
import sys

import pytest

from tools.draw_cast import COLUMNS, ROWS
from tools.record_demo import CAST, ROOT, terminal_lines, without_places

_SIZE = "import os; print(*os.get_terminal_size(), os.isatty(1)); print('end')"


def test_a_program_finds_a_terminal_of_that_size() -> None:
    shown = [line.rstrip() for line in terminal_lines([sys.executable, "-c", _SIZE])]
    assert shown == [f"{COLUMNS} {ROWS} True", "end"]


def test_a_program_that_fails_makes_no_cast() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        list(terminal_lines([sys.executable, "-c", "raise SystemExit(3)"]))


def test_places_of_the_machine_and_keys_of_links_are_left_out() -> None:
    assert without_places(f"in {ROOT}/.demo/token") == "in /home/you/tagboat/.demo/token"
    assert without_places("http://127.0.0.1/sign-in/aB-_9 x") == "http://127.0.0.1/sign-in/… x"


def test_the_cast_is_of_version_2_and_in_order() -> None:
    header, *events = (json.loads(line) for line in CAST.read_text().splitlines())
    assert (header["version"], header["width"], header["height"]) == (2, COLUMNS, ROWS)
    assert [kind for _, kind, _ in events if kind != "o"] == []
    moments = [at for at, _, _ in events]
    assert moments == sorted(moments)
    assert str(ROOT) not in CAST.read_text()
