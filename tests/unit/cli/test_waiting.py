"""Signs of life during a long call."""

import time

import pytest

from tagboat.cli import waiting
from tagboat.cli.waiting import hint_while_slow


def test_a_slow_block_is_explained_and_a_fast_one_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with hint_while_slow("still going"):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(waiting, "FIRST_HINT_AFTER_S", 0.0)
    monkeypatch.setattr(waiting, "_NEXT_HINT_AFTER_S", 0.02)
    said, deadline = "", time.monotonic() + 60
    with hint_while_slow("still going"):
        while said.count("still going") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
            said += capsys.readouterr().err
    assert said.startswith("still going\nstill going (0 s)\n")
