"""`tagboat status`."""

import json
import re

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    DELIVERY,
    DEPLOY,
    INSTANCE,
    STAGE,
    FakeServer,
    Said,
    page,
)

WHY = "`image` is missing"
FAILED = DELIVERY | {
    "id": "v0",
    "status": 400,
    "outcome": "failed",
    "reason": WHY,
    "pushes": [],
    "hook": {"id": "h1", "name": "ci"},
}


def test_status_tells_what_is_live_and_why_the_last_deploy_failed(
    tagboat: Tagboat, server: FakeServer
) -> None:
    other = INSTANCE | {"id": "i2", "stage": {"id": "s2", "name": "prod"}, "tag": "v9"}
    server.answers["GET /api/instances"] = page(INSTANCE, other)
    server.answers["GET /api/deploys"] = page(
        DEPLOY | {"tag": "v2", "status": "failed", "reason": "not healthy within 60 s"}
    )
    first, *_, row = tagboat("status").stdout.splitlines()
    assert first == "Tagboat 0: ok (database ok, engine ok)"
    assert re.split(" {2,}", row) == [
        "app",
        "dev",
        "v1",
        "a" * 12,
        "http://127.0.0.1:20001",
        "2026-11-24 10:00:02Z",
        "v0",
        "v2 failed: not healthy within 60 s",
    ]


def test_status_tells_of_a_stage_that_is_held_and_where_it_answers(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/projects/p1/stages"] = page(
        STAGE | {"held": True, "address": "http://app-dev.localhost"}
    )
    *_, row = tagboat("status").stdout.splitlines()
    cells = re.split(" {2,}", row)
    assert (cells[1], cells[4]) == ("dev (held)", "http://app-dev.localhost")


def test_status_has_a_line_for_each_of_several_instances(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/projects/p1/stages"] = page(
        STAGE | {"name": "pr", "max_instances": 3, "address": "http://app-pr.localhost"}
    )
    previews = [
        INSTANCE
        | {
            "id": f"i{number}",
            "tag": f"pr-{number}",
            "address": f"http://app-pr-pr-{number}.localhost",
        }
        for number in (2, 1)
    ]
    server.answers["GET /api/instances"] = page(*previews)
    rows = [re.split(" {2,}", line) for line in tagboat("status").stdout.splitlines()[-2:]]
    assert [(row[1], row[2], row[4], *row[-2:]) for row in rows] == [
        (
            "pr",
            "pr-2",
            "http://app-pr.localhost, http://app-pr-pr-2.localhost",
            "v0",
            "v1 succeeded",
        ),
        ("pr", "pr-1", "http://app-pr-pr-1.localhost", "-", "-"),
    ]
    assert json.loads(tagboat("status", "--json").stdout)["stages"][0]["live"] == previews


def test_status_of_several_without_an_ingress_and_of_none(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/projects/p1/stages"] = page(STAGE | {"max_instances": 3})
    assert (
        re.split(" {2,}", tagboat("status").stdout.splitlines()[-1])[4] == "http://127.0.0.1:20001"
    )
    server.answers["GET /api/instances"] = page()
    assert re.split(" {2,}", tagboat("status").stdout.splitlines()[-1])[2:6] == ["-"] * 4


def test_status_of_a_server_without_its_database(tagboat: Tagboat, server: FakeServer) -> None:
    health = {
        "status": "unavailable",
        "version": "0",
        "checks": {"database": "out of reach", "engine": "ok"},
    }
    server.answers["GET /api/health"] = Said(health, 503)
    done = tagboat("status")
    assert (done.returncode, done.stdout) == (
        1,
        "Tagboat 0: unavailable (database: out of reach)\n",
    )
    assert json.loads(tagboat("status", "--json").stdout) == {"health": health, "stages": []}


def test_status_of_a_server_that_cannot_deploy(tagboat: Tagboat, server: FakeServer) -> None:
    health = {
        "status": "degraded",
        "version": "0",
        "checks": {"database": "ok", "engine": "permission denied", "ingress": "none"},
    }
    server.answers["GET /api/health"] = health
    done = tagboat("status")
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        1,
        "Tagboat 0: degraded (engine: permission denied)",
    )
    assert "app" in done.stdout, "what is live is shown all the same"


def test_a_sender_that_needs_a_person_is_told_by_status_until_it_is_understood(
    tagboat: Tagboat, server: FakeServer
) -> None:
    zot = FAILED | {"sender": "zot", "hook": None, "needs_you": True}
    server.answers["GET /api/deliveries"] = page(DELIVERY, zot, zot | {"id": "older"})
    assert (
        tagboat("status").stdout.splitlines()[-1]
        == f"the webhook's sender zot needs attention: {WHY}"
    )
    assert [
        call["delivery"] for call in json.loads(tagboat("status", "--json").stdout)["senders"]
    ] == ["v0"]
    server.answers["GET /api/deliveries"] = page(DELIVERY | {"sender": "zot"}, zot)
    assert "needs attention" not in tagboat("status").stdout


def test_status_tells_what_needs_a_person_once(tagboat: Tagboat, server: FakeServer) -> None:
    where = {"project": {"id": "p1", "name": "app"}, "stage": {"id": "s1", "name": "dev"}}
    nowhere = {"project": None, "stage": None}
    server.answers["needs"] = [
        where | {"kind": "failed", "sentence": "v2 failed: why. v1 serves."},
        # It is among the stage's own sentences already.
        where | {"kind": "unhealthy", "sentence": "v1: it restarts"},
        nowhere | {"kind": "silent", "sentence": "Registry forge has not called for 3 days."},
    ]
    said = tagboat("status").stdout.splitlines()
    assert "app dev failed: v2 failed: why. v1 serves." in said
    assert "silent: Registry forge has not called for 3 days." in said
    assert not any("it restarts" in line for line in said)
