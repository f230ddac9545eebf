"""`tagboat logs`."""

import json

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    DEPLOY,
    INSTANCE,
    FakeServer,
    page,
)


def test_logs_ask_the_live_instance_for_as_many_lines_as_were_said(
    tagboat: Tagboat, server: FakeServer
) -> None:
    assert tagboat("logs", "app", "dev", "--tail", "7").stdout == "hello\nworld\n"
    assert (server.asked[-1].call, server.asked[-1].query) == (
        "GET /api/instances/i1/logs",
        {"tail": "7"},
    )


def test_logs_of_one_that_starts_where_none_is_live(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/instances"] = [page(), page(INSTANCE)]
    assert tagboat("logs", "app", "dev").stdout == "hello\nworld\n"
    assert [
        asked.query["state"] for asked in server.asked if asked.call == "GET /api/instances"
    ] == ["live", "starting"]


def test_logs_that_a_failed_deploy_has_left(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/instances"] = page()
    server.answers["GET /api/deploys"] = page(
        DEPLOY | {"status": "failed", "reason": "too ill", "log": "a\nb\nc"}
    )
    done = tagboat("logs", "app", "dev", "--tail", "2")
    assert (done.returncode, done.stdout) == (0, "b\nc\n")
    assert done.stderr == "nothing runs in app dev; deploy d1 of v1 failed (too ill) and left:\n"
    assert json.loads(tagboat("logs", "app", "dev", "--json").stdout) == {"lines": ["a", "b", "c"]}


def test_logs_where_there_are_none(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers |= {"GET /api/instances": page(), "GET /api/deploys": page()}
    assert tagboat.fails("logs", "app", "dev").startswith(
        "nothing runs in app dev, and no failed deploy has left a log"
    )
