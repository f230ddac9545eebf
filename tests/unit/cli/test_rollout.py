"""`--deploy` and `--wait` of commands that save variables and secrets."""

import json

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import DEPLOY, PROJECT, STAGE, FakeServer, Said, page, problem

PENDING = {
    "project": {"id": "p1", "name": "app"},
    "stage": {"id": "s1", "name": "dev"},
    "deploy": "d1",
    "tag": "v1",
    "count": 1,
    "changes": [],
    "reason": "",
}
QUEUED = DEPLOY | {"status": "queued", "reason": None}
PROD = STAGE | {"id": "s2", "name": "prod"}


@pytest.fixture(autouse=True)
def pending(server: FakeServer) -> None:
    server.answers |= {
        "GET /api/stages/s1/pending": PENDING,
        "GET /api/stages/s2/pending": PENDING | {"stage": {"id": "s2", "name": "prod"}},
        "POST /api/stages/s2/restart": Said(QUEUED | {"id": "d2", "deploys": ["d2"]}, 202),
        "GET /api/deploys/d2": DEPLOY | {"id": "d2"},
        "PATCH /api/projects/p1": PROJECT,
    }


@pytest.mark.parametrize(
    "words",
    [
        "env set app dev A=1",
        "env unset app dev LOG_LEVEL",
        "secrets set app dev KEY",
        "secrets unset app dev tls.key",
    ],
)
def test_one_command_saves_and_deploys(quick: Tagboat, server: FakeServer, words: str) -> None:
    server.answers["GET /api/deploys/d1"] = QUEUED
    done = quick(*words.split(), "--deploy", piped="hush")
    assert "deploy d1 of v1 is queued" in done.stdout
    # Nobody is told to do what was just done.
    assert "tagboat restart" not in done.stdout
    assert [asked.call for asked in server.asked if asked.call[:3] != "GET"] == [
        "PATCH /api/stages/s1",
        "POST /api/stages/s1/restart",
    ]


def test_it_is_followed_to_its_end(quick: Tagboat) -> None:
    done = quick("env", "set", "app", "dev", "A=1", "--wait")
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        ["A of app dev is saved", "v1 is live at http://127.0.0.1:20001"],
    )


def test_a_deploy_that_fails_is_an_error_that_says_what_stays(
    quick: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/deploys/d1"] = DEPLOY | {"status": "failed", "reason": "it exited"}
    for more in ([], ["--json"]):
        said = quick.fails("env", "set", "app", "dev", "A=1", "--wait", *more)
        assert said.startswith("it is saved, but not live everywhere: ")
        assert "v1" in said
        assert "app dev" in said


def test_values_that_are_there_and_not_live_are_deployed(
    quick: Tagboat, server: FakeServer
) -> None:
    """Else a repeated command would say that all is well after one whose deploy has failed."""
    done = quick("env", "set", "app", "dev", "LOG_LEVEL=debug", "--wait")
    assert "has these values already" in done.stdout
    assert server.calls("POST") == ["POST /api/stages/s1/restart"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"count": 0}, "all that is saved for app dev is live: nothing to deploy\n"),
        (
            {"deploy": None, "tag": None, "count": 0},
            "nothing is live in app dev: its next deploy gets what is saved\n",
        ),
    ],
)
def test_where_nothing_is_to_be_deployed_it_says_so(
    quick: Tagboat, server: FakeServer, found: dict[str, object], said: str
) -> None:
    server.answers["GET /api/stages/s1/pending"] = PENDING | found
    done = quick("env", "set", "app", "dev", "A=1", "--wait")
    assert (done.returncode, done.stderr) == (0, said)
    assert server.calls("POST") == []


def test_what_cannot_be_compared_is_deployed(quick: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/stages/s1/pending"] = PENDING | {"count": 0, "reason": "too old"}
    quick("env", "set", "app", "dev", "A=1", "--deploy")
    assert server.calls("POST") == ["POST /api/stages/s1/restart"]


def test_a_project_is_deployed_in_each_stage_that_lacks_it(
    quick: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/projects/p1/stages"] = page(STAGE, PROD)
    found = json.loads(quick("env", "set", "app", "A=1", "--wait", "--json").stdout)
    assert (found["id"], [one["id"] for one in found["deploys"]]) == ("p1", ["d1", "d2"])
    server.answers["GET /api/stages/s1/pending"] = PENDING | {"count": 0}
    found = json.loads(quick("env", "set", "app", "A=1", "--deploy", "--json").stdout)
    assert [one["id"] for one in found["deploys"]] == ["d2"]


def test_one_that_is_refused_leaves_no_other_out(quick: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects/p1/stages"] = page(STAGE, PROD)
    server.answers["POST /api/stages/s1/restart"] = problem(409, "v2 is running in app dev")
    said = quick.fails("env", "set", "app", "A=1", "--wait")
    assert said == "it is saved, but not live everywhere: v2 is running in app dev"
    assert server.calls("POST") == ["POST /api/stages/s1/restart", "POST /api/stages/s2/restart"]
