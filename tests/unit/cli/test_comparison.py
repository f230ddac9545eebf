"""Comparisons as people read them."""

import pytest

from tagboat.cli.client import ApiObject
from tagboat.cli.comparison import show_comparison_table, show_pending_changes
from tests.unit.cli.fake_server import COMPARISON

Captured = pytest.CaptureFixture[str]


def test_each_kind_of_change_has_a_line(capsys: Captured) -> None:
    show_comparison_table(ApiObject(COMPARISON))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()[2:]]
    digest = COMPARISON["before"]["digest"].removeprefix("sha256:")[:12]  # type: ignore[index]
    assert lines == [
        "tag v1 -> v2",
        f"digest {digest} -> not known yet",
        "commits https://forge.example/compare/1...2",
        "environment +SMTP_HOST ~CACHE_URL",
        "image user root -> 1000",
        "configuration port - -> 80",
        "size 10.0 MiB -> ?",
        "release command yes",
        "not compared the digest of v2 is not known yet",
    ]


def test_without_anything_before_and_without_labels_lines_are_left_out(capsys: Captured) -> None:
    bare: dict[str, object] = {
        "before": None,
        "commits": {"before": None, "after": None, "source": None, "compare_url": None},
        "env": {"added": [], "removed": [], "changed": []},
        "config": [],
        "image": [],
        "release_command": False,
        "changes_nothing": True,
        "unknown": "",
    }
    show_comparison_table(ApiObject(COMPARISON | bare))
    said = capsys.readouterr().out
    assert said.startswith("This changes nothing: digest and configuration are the same.\n")
    assert [line.split()[0] for line in said.splitlines()[3:]] == [
        "tag",
        "digest",
        "size",
        "release",
    ]


def test_pending_changes(capsys: Captured) -> None:
    change = {"field": "env.A", "change": "added", "before": None, "after": "1"}
    show_pending_changes(ApiObject({"reason": "", "count": 1, "changes": [change]}))
    said = capsys.readouterr().out
    assert said.startswith("Saved, not live: 1 change\n")
    assert said.splitlines()[-1].split() == ["env.A", "-", "1"]
    show_pending_changes(ApiObject({"reason": "", "count": 0, "changes": []}))
    assert capsys.readouterr().out == "Nothing is saved that is not live.\n"
    show_pending_changes(ApiObject({"reason": "it was not recorded", "count": 0, "changes": []}))
    assert capsys.readouterr().out == "it was not recorded\n"
