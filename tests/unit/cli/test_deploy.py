"""`tagboat deploy`, `rollback` and `promote`."""

import json

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    COMPARISON,
    FakeServer,
    problem,
)


def test_deploy_asks_for_what_was_said(tagboat: Tagboat, server: FakeServer) -> None:
    done = tagboat("deploy", "app", "dev", "v1", "--force")
    assert server.asked[-1].body == {"tag": "v1", "force": True}
    assert done.stdout == "deploy d1 of v1 is queued; 'tagboat deploys show d1' shows its steps\n"


def test_a_note_goes_with_each_order(tagboat: Tagboat, server: FakeServer) -> None:
    for command in (
        ("deploy", "app", "dev", "v1"),
        ("rollback", "app", "dev"),
        ("promote", "app", "dev", "dev"),
    ):
        assert tagboat(*command, "--note", "for the fair").returncode == 0
        assert server.asked[-1].body["note"] == "for the fair"


def test_a_promotion_is_shown_before_it_is_ordered(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/stages/s1/promotion"] = COMPARISON
    said = tagboat("promote", "app", "dev", "dev", "--preview").stdout
    assert "v1 -> v2" in said
    assert "https://forge.example/compare/1...2" in said
    assert server.asked[-1].query == {"from": "s1"}
    assert all(asked.call.startswith("GET ") for asked in server.asked)
    as_json = tagboat("promote", "app", "dev", "dev", "--preview", "--json").stdout
    assert json.loads(as_json) == COMPARISON


def test_rollback_says_that_the_stage_is_held(tagboat: Tagboat) -> None:
    said = "app dev is held: pushes deploy nothing there until 'tagboat release app dev'\n"
    assert tagboat("rollback", "app", "dev").stderr == said


def test_a_deploy_that_is_none_is_no_way_back(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/stages/s1/rollback"] = problem(404, "there is no deploy 'd9'")
    said = "there is no deploy d9; 'tagboat deploys list' shows their ids"
    assert tagboat.fails("rollback", "app", "dev", "--to", "d9") == said


def test_a_rollback_is_shown_before_it_is_ordered(quick: Tagboat, server: FakeServer) -> None:
    preview = ("rollback", "app", "dev", "--preview")
    said = quick(*preview).stdout
    assert said == "it would go back to v0 (aaaaaaaaaaaa), of deploy d0\n"
    none = {"possible": False, "reason": "nothing was live before", "deploy": None}
    server.answers["GET /api/stages/s1/rollback"] = none | {"tag": None, "digest": None}
    said = quick(*preview).stdout
    assert said == "rollback is not possible: nothing was live before\n"
    assert json.loads(quick(*preview, "--json").stdout)["possible"] is False
    assert quick(*preview, "--to", "d0").returncode == 2
    assert server.calls("POST") == []
