"""Steps of a deploy, printed while they happen."""

import sys

import pytest

from tagboat.cli import deploy_progress
from tagboat.cli.deploy_progress import StepPrinter


def step(status: str, detail: str) -> dict[str, str | None]:
    return {
        "name": "pull", "status": status, "detail": detail, "started_at": None, "finished_at": None,
    }  # fmt: skip


def test_elsewhere_a_running_step_is_repeated_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printer = StepPrinter()
    for megabytes in (1, 2, 3):
        printer.show(step("running", f"{megabytes} of 80 MB"))
    monkeypatch.setattr(deploy_progress, "REPEAT_EVERY_S", 0.0)
    printer.show(step("running", "4 of 80 MB"))
    printer.show(step("running", "4 of 80 MB"))
    printer.show(step("done", "3 layers"))
    printer.show(step("done", "3 layers"))
    assert [line.split(maxsplit=2)[1:] for line in capsys.readouterr().err.splitlines()] == [
        ["running", "1 of 80 MB"],
        ["running", "4 of 80 MB"],
        ["done", "3 layers"],
    ]


def test_on_a_terminal_its_line_is_overwritten(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    printer = StepPrinter()
    printer.show(step("running", "1 of 80 MB"))
    printer.show(step("running", "2 of 80 MB\x1b[2J" + "." * 500))
    printer.show(step("done", "3 layers"))
    parts = capsys.readouterr().err.split("\r")
    assert [" ".join(part.split())[:25] for part in parts if part.strip()] == [
        "pull running 1 of 80 MB",
        "pull running 2 of 80 MB..",
        "pull done 3 layers",
    ]
    assert max(map(len, parts)) < 80


def test_a_step_without_a_detail_is_not_shown_before_it_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    StepPrinter().show(step("running", ""))
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_each_step_as_it_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    printer = StepPrinter()
    printer.show_queued()
    printer.show_queued()
    printer.show(step("running", ""))
    printer.show(step("done", "3 layers"))
    parts = [" ".join(part.split()) for part in capsys.readouterr().err.split("\r")]
    assert [part for part in parts if part] == [
        "queued: it begins when it is its turn in the stage",
        "pull running",
        "pull done 3 layers",
    ]


def test_a_log_is_not_told_that_a_deploy_waits(capsys: pytest.CaptureFixture[str]) -> None:
    StepPrinter().show_queued()
    assert capsys.readouterr().err == ""
