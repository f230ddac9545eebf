"""The table of Tagboat and others, where some cannot be had."""

import sys
from pathlib import Path

import pytest

from tools import compare_style


def test_what_cannot_be_had_is_named_and_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(name: str, folder: Path) -> Path:
        assert folder.is_dir()
        raise compare_style.PeerError(f"no {name} here")

    (tmp_path / "proxy.go").write_text("func a() {\n}\n")
    monkeypatch.setattr(compare_style, "fetch", away)
    monkeypatch.setattr(sys, "argv", ["compare_style", f"kamal-proxy={tmp_path}"])
    compare_style.main()
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head == "| | tagboat | kamal-proxy |"
    assert any(line.endswith("2 / 2 / 2 |") for line in lines)
    missing = [line for line in lines if "could not be fetched" in line]
    assert missing == [
        f"{name} could not be fetched: no {name} here"
        for name in ("procrastinate", "healthchecks", "httpx")
    ]
    monkeypatch.setattr(sys, "argv", ["compare_style", "django=."])
    with pytest.raises(SystemExit, match="django"):
        compare_style.main()
