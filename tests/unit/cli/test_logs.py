"""`tagboat logs`."""

import json

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import DEPLOY, FakeServer, problem


def test_as_many_lines_are_asked_for_as_were_said(tagboat: Tagboat, server: FakeServer) -> None:
    assert tagboat("logs", "app", "dev", "--tail", "7").stdout == "hello\nworld\n"
    last = server.asked[-1]
    assert (last.call, last.query) == ("GET /api/stages/s1/logs", {"tail": "7"})


def test_logs_that_a_failed_deploy_has_left(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/stages/s1/logs"] = {
        "source": "deploy",
        "instance": None,
        "deploy": DEPLOY | {"status": "failed", "reason": "too ill"},
        "lines": ["b", "c"],
    }
    done = tagboat("logs", "app", "dev")
    assert (done.returncode, done.stdout) == (0, "b\nc\n")
    assert done.stderr == "nothing runs in app dev; deploy d1 of v1 failed (too ill) and left:\n"
    assert json.loads(tagboat("logs", "app", "dev", "--json").stdout) == {"lines": ["b", "c"]}


def test_logs_where_there_are_none(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/stages/s1/logs"] = problem(404, "Nothing runs in app dev.")
    assert tagboat.fails("logs", "app", "dev") == "Nothing runs in app dev"
