"""`tagboat deliveries`."""

import json
import re

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    DELIVERY,
    PUSH,
    FakeServer,
    page,
    problem,
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


def rows(text: str) -> list[list[str]]:
    return [re.split(" {2,}", line) for line in text.splitlines()[2:]]


def test_deliveries_say_why(tagboat: Tagboat, server: FakeServer) -> None:
    several = DELIVERY | {
        "id": "v2",
        "outcome": "2 queued",
        "reason": "a:b is queued (and 1 more)",
        "pushes": [PUSH, PUSH],
    }
    silent = DELIVERY | {
        "id": "v3",
        "outcome": "nothing to push",
        "reason": "",
        "pushes": [],
        "hook": {"id": "h", "name": None},
    }
    server.answers["GET /api/deliveries"] = page(DELIVERY, FAILED, several, silent)

    done = tagboat("deliveries", "--limit", "4")

    at = "2026-11-24 10:00:00Z"
    assert rows(done.stdout) == [
        ["v1", at, "gitea", "(all)", "202", DELIVERY["reason"]],
        ["v0", at, "gitea", "ci", "400", f"failed: {WHY}"],
        ["v2", at, "gitea", "(all)", "202", "2 queued: a:b is queued (and 1 more)"],
        ["v3", at, "gitea", "(revoked)", "202", "nothing to push"],
    ]
    assert server.asked[-1].query == {"limit": "4"}
    server.answers["GET /api/deliveries"] = page()
    assert "Nobody has called the webhook yet" in tagboat("deliveries").stdout


def test_a_delivery_is_shown_whole(tagboat: Tagboat, server: FakeServer) -> None:
    more = {
        "headers": {"user-agent": "curl"},
        "body": '{"imgae": 1}',
        "truncated": True,
        "result": {"reason": WHY},
    }
    server.answers["GET /api/deliveries/v0"] = FAILED | more

    done = tagboat("deliveries", "show", "v0")

    first, second, *rest = done.stdout.splitlines()
    assert first == "gitea called the webhook ci at 2026-11-24 10:00:00Z; answered 400 in 1.2 ms"
    assert (second, rest) == (f"failed: {WHY}", ["", "user-agent: curl", "", '{"imgae": 1}'])
    assert done.stderr == "only the beginning of the body was kept\n"
    assert json.loads(tagboat("deliveries", "show", "v0", "--json").stdout) == FAILED | more


def test_what_was_skipped_is_shown(tagboat: Tagboat, server: FakeServer) -> None:
    skipped = {"image": "git.example.com/acme/other", "reason": "it names no tag"}
    server.answers["GET /api/deliveries/v1"] = server.answers["GET /api/deliveries/v1"] | {
        "skipped": [skipped]
    }
    server.answers["POST /api/deliveries/v1/redeliver"] = {
        "delivery": "v3",
        "pushes": [],
        "reason": "x",
        "skipped": [skipped],
    }
    for command in ("show", "redeliver"):
        assert (
            "git.example.com/acme/other  it names no tag"
            in tagboat("deliveries", command, "v1").stdout
        )


def test_once_more(tagboat: Tagboat, server: FakeServer) -> None:
    assert rows(tagboat("deliveries", "redeliver", "v1").stdout) == [
        ["git.example.com/acme/app", "v1", "queued", "app", "prod", "d1", "tag v1 matches v*"]
    ]
    server.answers["POST /api/deliveries/v1/redeliver"] = {
        "delivery": "v3",
        "pushes": [],
        "reason": "a ping",
    }
    assert tagboat("deliveries", "redeliver", "v1").stdout == "nothing to push: a ping\n"
    server.answers["POST /api/deliveries/v1/redeliver"] = problem(409, "only the beginning is kept")
    assert tagboat.fails("deliveries", "redeliver", "v1") == "only the beginning is kept"
    told = tagboat.fails("deliveries", "show", "../health")
    assert told.startswith("there is no delivery ../health;")


def test_an_unknown_delivery_names_the_command_that_lists_them(tagboat: Tagboat) -> None:
    told = "there is no delivery nope; 'tagboat deliveries' shows their ids"
    for command in ("show", "redeliver"):
        assert tagboat.fails("deliveries", command, "nope") == told
