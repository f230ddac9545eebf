"""`tagboat poll`."""

import json

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    POLLED,
    PROJECT,
    FakeServer,
    page,
    problem,
)

NOTHING_NEW = {"first_poll": False, "new_tags": [], "deploys": [], "tags": [], "error": None}


def test_a_poll_that_fails_does_not_keep_the_others_from_theirs(
    tagboat: Tagboat, server: FakeServer
) -> None:
    tags = [f"v{number}" for number in range(8)]
    reports = {
        "app": NOTHING_NEW | {"error": "there is no such project"},
        "web": NOTHING_NEW | {"error": "it is down"},
        "db": NOTHING_NEW | {"new_tags": tags, "deploys": ["d1"]},
    }
    server.answers["POST /api/poll"] = {
        "items": [
            report | {"project": {"id": name, "name": name}} for name, report in reports.items()
        ]
    }
    done = tagboat("poll")
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()[2:]]
    assert done.returncode == 1
    assert rows[0].startswith("app - - failed: there is no such project")
    assert rows[1:] == ["web - - failed: it is down", "db v0, v1, v2, v3, v4 and 3 more d1 -"]
    assert done.stderr == "polling all projects\n"
    assert server.calls("") == ["POST /api/poll"]
    done = tagboat("poll", "--json")
    assert (done.returncode, json.loads(done.stdout)[2]["new_tags"]) == (1, tags)


def test_a_poll_says_of_each_tag_why_it_was_or_was_not_deployed(
    tagboat: Tagboat, server: FakeServer
) -> None:
    left = POLLED | {
        "tag": "main",
        "stage": None,
        "outcome": "unmatched",
        "reason": "tag main matches nothing",
        "deploy": None,
    }
    server.answers["POST /api/projects/p1/poll"] = NOTHING_NEW | {
        "new_tags": ["v1", "main"],
        "tags": [left, POLLED],
    }
    rows = [" ".join(line.split()) for line in tagboat("poll", "app").stdout.splitlines()]
    assert rows[-2:] == [
        "app main new - unmatched tag main matches nothing",
        "app v1 new dev queued tag v1 matches *",
    ]
    many = [POLLED | {"tag": f"v{number}"} for number in range(30)]
    server.answers["POST /api/projects/p1/poll"] = NOTHING_NEW | {"tags": many}
    done = tagboat("poll", "app")
    assert [line.split()[1] for line in done.stdout.splitlines()[-20:]] == [
        f"v{number}" for number in range(10, 30)
    ]
    assert "of 30 tags of app the last 20 are shown" in done.stderr
    assert json.loads(tagboat("poll", "app", "--json").stdout)[0]["tags"] == many


def test_a_first_poll_says_once_that_nothing_is_deployed(tagboat: Tagboat) -> None:
    said = tagboat("poll").stdout
    assert (said.count("nothing is deployed"), "tag v1 matches" in said) == (1, False)


def test_poll_of_one_project_leaves_the_others_alone(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects"] = page(PROJECT | {"id": "p2", "name": "web"}, PROJECT)
    assert tagboat("poll", "app").returncode == 0
    assert server.calls("POST") == ["POST /api/projects/p1/poll"]


def test_a_project_that_cannot_be_polled_is_a_failure(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/projects/p1/poll"] = problem(404, "there is no such project")
    done = tagboat("poll", "app")
    assert (done.returncode, "failed: there is no such project" in done.stdout) == (1, True)
