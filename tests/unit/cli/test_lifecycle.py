"""`tagboat restart`, `stop` and `start`."""

import json

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    DEPLOY,
    INSTANCE,
    STAGE,
    STOPPED,
    FakeServer,
    Said,
    page,
)

QUEUED = DEPLOY | {"status": "queued", "reason": None}


@pytest.mark.parametrize("verb", ["restart", "start"])
def test_it_says_which_deploy_was_queued(tagboat: Tagboat, server: FakeServer, verb: str) -> None:
    server.answers["GET /api/deploys/d1"] = QUEUED
    done = tagboat(verb, "app", "dev", "--note", "it hangs")
    assert "deploy d1 of v1 is queued" in done.stdout
    (asked,) = [one for one in server.asked if one.call.startswith("POST")]
    assert (asked.call, asked.body) == (f"POST /api/stages/s1/{verb}", {"note": "it hangs"})


@pytest.mark.parametrize("verb", ["restart", "start"])
def test_it_is_followed_to_its_end(tagboat: Tagboat, verb: str) -> None:
    assert "v1 is live" in tagboat(verb, "app", "dev", "--wait").stdout
    assert json.loads(tagboat(verb, "app", "dev", "--wait", "--json").stdout)["id"] == "d1"


def test_several_are_followed_and_one_that_fails_is_named(
    tagboat: Tagboat, server: FakeServer
) -> None:
    failed = DEPLOY | {"id": "d2", "tag": "v2", "status": "failed", "reason": "ill"}
    server.answers |= {
        "POST /api/stages/s1/restart": Said(QUEUED | {"deploys": ["d1", "d2"]}, 202),
        "GET /api/deploys/d2": failed,
    }
    done = tagboat("restart", "app", "dev", "--wait", "--json")
    assert [one["id"] for one in json.loads(done.stdout)] == ["d1", "d2"]
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "tagboat: v2 did not become live in app dev",
    )


def test_starting_what_runs_says_so(tagboat: Tagboat, server: FakeServer) -> None:
    answer = STAGE | {"deploys": [], "reason": "it is running already; nothing was changed"}
    server.answers["POST /api/stages/s1/start"] = Said(answer, 202)
    done = tagboat("start", "app", "dev")
    assert (done.returncode, done.stdout) == (
        0,
        "app dev: it is running already; nothing was changed\n",
    )


def test_a_stop_says_since_when_and_how_it_is_started(tagboat: Tagboat) -> None:
    assert tagboat("stop", "app", "dev").stdout == (
        "app dev is stopped since 2026-11-24 10:00:00Z, by ada; 'tagboat start app dev' starts it\n"
    )


def test_a_stop_can_be_waited_for(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/instances"] = [
        page(),
        page(),
        page(INSTANCE | {"state": "draining"}),
        page(),
    ]
    done = tagboat("stop", "app", "dev", "--wait")
    assert (done.returncode, done.stderr) == (0, "v1 is draining\n")


def test_waiting_for_a_stop_ends_if_somebody_starts_the_stage(
    tagboat: Tagboat, server: FakeServer
) -> None:
    # Starting, live, draining.
    server.answers["GET /api/instances"] = [page(), page(INSTANCE | {"state": "live"}), page()]
    done = tagboat("stop", "app", "dev", "--wait")
    assert done.returncode == 1
    assert "app dev was started again before all of its instances had ended" in done.stderr


def test_the_status_says_what_is_stopped(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects/p1/stages"] = page(STOPPED)
    said = tagboat("status").stdout
    assert "dev (stopped)" in said
    assert "app dev is stopped since 2026-11-24 10:00:00Z, by ada" in said
