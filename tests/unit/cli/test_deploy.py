"""`tagboat deploy`, `rollback` and `promote`."""

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    FakeServer,
    problem,
)


def test_deploy_asks_for_what_was_said(tagboat: Tagboat, server: FakeServer) -> None:
    done = tagboat("deploy", "app", "dev", "v1", "--force")
    assert server.asked[-1].body == {"tag": "v1", "force": True}
    assert done.stdout == "deploy d1 of v1 is queued; 'tagboat deploys show d1' shows its steps\n"


def test_rollback_says_that_the_stage_is_held(tagboat: Tagboat) -> None:
    said = "app dev is held: pushes deploy nothing there until 'tagboat release app dev'\n"
    assert tagboat("rollback", "app", "dev").stderr == said


def test_a_deploy_that_is_none_is_no_way_back(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/stages/s1/rollback"] = problem(404, "there is no deploy 'd9'")
    said = "there is no deploy d9; 'tagboat deploys list' shows their ids"
    assert tagboat.fails("rollback", "app", "dev", "--to", "d9") == said
