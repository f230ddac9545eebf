"""What each command says, and does, when all goes well, and when what it asked for does not."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tagboat.data_dir import open_data_dir
from tagboat.store import open_store
from tests.unit.cli.conftest import PROGRAM, Tagboat
from tests.unit.cli.fake_server import (
    DEPLOY,
    EXPLANATION,
    INSTANCE,
    POLLED,
    PROJECT,
    SECRET_URL,
    STAGE,
    STEPS,
    FakeServer,
    Said,
    page,
    problem,
)

NOTHING_NEW = {"first_poll": False, "new_tags": [], "deploys": [], "tags": [], "error": None}
NOTHING_YET = "There is no project yet"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status"], "v1 succeeded"),
        (["projects"], "git.example.com/acme/app"),
        (["deploy", "app", "dev", "v1"], "d1"),
        (["deploy", "app", "dev", "v1", "--wait"], "v1 is live at http://127.0.0.1:20001"),
        (["rollback", "app", "dev"], "deploy d1 of v1 is queued"),
        (
            ["rollback", "app", "dev", "--to", "d0", "--wait"],
            "v1 is live at http://127.0.0.1:20001",
        ),
        (["promote", "app", "dev", "dev"], "deploy d1 of v1 is queued"),
        (["promote", "app", "dev", "dev", "--wait"], "v1 is live at http://127.0.0.1:20001"),
        (["cancel", "d1"], "deploy d1 of v1 to app dev is cancelled"),
        (["cancel", "app", "dev"], "deploy d1 of v1 to app dev is cancelled"),
        (
            ["hold", "app", "dev"],
            "app dev is held: pushes deploy nothing there until 'tagboat release app dev'",
        ),
        (
            ["release", "app", "dev"],
            "app dev is released; queued for what came meanwhile: deploy d1",
        ),
        (["logs", "app", "dev"], "hello\nworld"),
        (
            ["explain", "git.example.com/acme/app:v1"],
            "would be queued in app prod: tag v1 matches v*",
        ),
        (["poll"], "first poll"),
        (["poll", "app"], "v1"),
        (["webhook", "url"], SECRET_URL),
        (["webhook", "regenerate", "--yes"], "http://localhost/api/webhook/other"),
        (["webhook", "list"], "ci"),
        (["webhook", "list", "app"], "ci"),
        (["webhook", "add", "app", "ci"], "http://localhost/api/webhook/own"),
        (["webhook", "rotate", "app", "ci", "--yes"], "http://localhost/api/webhook/fresh"),
        (["webhook", "revoke", "app", "ci", "--yes"], "the webhook ci of app is revoked"),
        (["webhook", "signature"], "must bear an HMAC-SHA256 of their body"),
        (["webhook", "unsign", "app", "ci"], "calls of the webhook ci of app need no signature"),
        (["deliveries"], "git.example.com/acme/app:v1 is queued in app prod: tag v1 matches v*"),
        (["deliveries", "show", "v1"], '{"action": "created"}'),
        (["deliveries", "redeliver", "v1"], "tag v1 matches v*"),
        (["registries"], "There is no registry yet"),
        (["tags", "git.example.com/acme/app"], "v1\nv2\n"),
        (
            ["projects", "create", "git.example.com/acme/app"],
            "the project app deploys git.example.com/acme/app",
        ),
        (["doctor"], "All is well."),
    ],
)
def test_what_each_command_says(tagboat: Tagboat, words: list[str], said: str) -> None:
    done = tagboat(*words)
    assert done.returncode == 0, done
    assert said in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        "status",
        "projects",
        "poll",
        "doctor",
        "webhook url",
        "webhook regenerate --yes",
        "logs app dev",
        "explain a:b",
        "deploy app dev v1",
        "deploy app dev v1 --wait",
        "rollback app dev",
        "rollback app dev --wait",
        "promote app dev dev",
        "promote app dev dev --wait",
        "cancel d1",
        "cancel app dev",
        "hold app dev",
        "release app dev",
        "webhook list",
        "webhook add app ci",
        "webhook rotate app ci --yes",
        "webhook revoke app ci --yes",
        "webhook signature",
        "webhook unsign",
        "deliveries",
        "deliveries show v1",
        "deliveries redeliver v1",
        "registries",
        "registries add a https://b",
        "tags a",
        "projects create a/b",
    ],
)
def test_json_is_one_document_on_stdout(tagboat: Tagboat, words: str) -> None:
    done = tagboat(*words.split(), "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)


STEERS = "a\x1b]0;PWNED\x07\x1b[2Jb\x9b31mc\u202ed\x00\x7f"
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")


@pytest.mark.parametrize(
    "words",
    [
        "deliveries show v1",
        "deliveries",
        "status",
        "projects",
        "logs app dev",
        "explain acme/app:v1",
        "poll",
        "deploy app dev v1",
    ],
)
@pytest.mark.parametrize("json_too", [(), ("--json",)])
def test_nothing_that_others_wrote_steers_a_terminal(
    tagboat: Tagboat, server: FakeServer, words: str, json_too: tuple[str, ...]
) -> None:
    server.answers = {call: steering(answer, call) for call, answer in server.answers.items()}
    done = tagboat(*words.split(), *json_too)
    assert "a" in done.stdout + done.stderr
    assert not HARMFUL.search(done.stdout + done.stderr), done


@pytest.mark.parametrize("words", ["deliveries show v1", "status", "webhook url"])
def test_nor_does_what_a_server_complains_of(
    tagboat: Tagboat, server: FakeServer, words: str
) -> None:
    server.answers = dict.fromkeys(server.answers, problem(500, f"fault: {STEERS}"))
    done = tagboat(*words.split())
    assert "fault: a" in done.stderr
    assert not HARMFUL.search(done.stderr), done


def steering(answer: Any, key: str) -> Any:  # noqa: ANN401 - any JSON
    """The answer with what is prose, or somebody's own words, steering a terminal."""
    if isinstance(answer, Mapping):
        return {name: steering(value, name) for name, value in answer.items()}
    if isinstance(answer, list):
        return [steering(value, key) for value in answer]
    free = {"reason", "log", "detail", "body", "user-agent", "error", "lines", "image", "sender"}
    return f"{answer}{STEERS}" if isinstance(answer, str) and key in free else answer


def test_projects_as_json_are_the_items_of_the_api(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects"] = [
        page(PROJECT, following="2"),
        page(PROJECT | {"id": "p2", "name": "web"}),
    ]
    assert json.loads(tagboat("projects", "--json").stdout) == [
        PROJECT,
        PROJECT | {"id": "p2", "name": "web"},
    ]
    assert [asked.query.get("cursor") for asked in server.asked] == [None, "2"]


def test_a_table_that_is_not_for_a_terminal_has_one_whole_line_for_a_row(
    tagboat: Tagboat, server: FakeServer
) -> None:
    image = "git.example.com/" + "x" * 230
    error = "first line\nand " + "no end of it " * 40 + ":tag: [red]"
    server.answers["GET /api/projects"] = page(
        PROJECT | {"image": image, "poll": {"last_at": None, "error": error}}
    )
    *_, row = tagboat("projects").stdout.splitlines()
    assert row.split() == ["app", image, "8080", "dev", "v1", "failed:", *error.split()]


def test_projects_without_a_poll_yet(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects"] = page(
        PROJECT | {"poll": {"last_at": None, "next_at": None, "error": None}}
    )
    assert tagboat("projects").stdout.endswith("not yet\n")


@pytest.mark.parametrize("command", ["projects", "status", "poll"])
def test_a_new_server_says_how_to_begin(tagboat: Tagboat, server: FakeServer, command: str) -> None:
    server.answers |= {
        "GET /api/projects": page(),
        "GET /api/instances": page(),
        "GET /api/deploys": page(),
    }
    done = tagboat(command)
    assert (done.returncode, NOTHING_YET in done.stdout) == (0, True)


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
    assert {
        asked.query.get("state") for asked in server.asked if asked.call == "GET /api/instances"
    } == {"live"}


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


def test_deploy_asks_for_what_was_said(tagboat: Tagboat, server: FakeServer) -> None:
    done = tagboat("deploy", "app", "dev", "v1", "--force")
    assert server.asked[-1].body == {"tag": "v1", "force": True}
    assert (
        done.stdout
        == "deploy d1 of v1 is queued; 'tagboat deploys show d1' follows it, and --wait stays\n"
    )


def test_deploy_follows_the_steps_and_tells_each_once(tagboat: Tagboat, server: FakeServer) -> None:
    running = DEPLOY | {"status": "running", "reason": None}
    started = [STEPS[0], STEPS[1] | {"status": "done"}]
    server.answers["GET /api/deploys/d1"] = [
        running,
        running,
        running | {"steps": started},
        DEPLOY | {"steps": started},
    ]
    done = tagboat("deploy", "app", "dev", "v1", "--wait")
    assert done.stderr.splitlines() == [
        "deploy d1: v1 to app dev",
        "pull    done      1.5 s  3 layers",
        "start   done",
    ]
    assert done.stdout == "v1: v1 is live at http://127.0.0.1:20001\n"


def test_deploy_names_the_address_of_the_stage_where_it_has_one(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/projects/p1/stages"] = page(
        STAGE | {"address": "http://app-dev.localhost"}
    )
    assert (
        tagboat("deploy", "app", "dev", "v1", "--wait").stdout
        == "v1: v1 is live at http://app-dev.localhost\n"
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("failed", "failed: too ill"),
        ("superseded", "was superseded: too ill"),
        ("cancelled", "was cancelled: too ill"),
    ],
)
def test_a_deploy_that_comes_to_nothing(
    tagboat: Tagboat, server: FakeServer, status: str, said: str
) -> None:
    ended = DEPLOY | {"status": status, "reason": "too ill", "log": "line 1\nline 2"}
    server.answers["GET /api/deploys/d1"] = ended
    done = tagboat("deploy", "app", "dev", "v1", "--wait")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(
        f"| line 1\n| line 2\ntagboat: the deploy of v1 to app dev {said}\n"
    )
    done = tagboat("deploy", "app", "dev", "v1", "--wait", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (1, ended)


def test_a_reason_that_says_no_more_than_the_status_is_not_told(
    tagboat: Tagboat, server: FakeServer
) -> None:
    cancelled = DEPLOY | {"status": "cancelled", "reason": "cancelled"}
    server.answers |= {"GET /api/deploys/d1": cancelled, "GET /api/deploys": page(cancelled)}
    assert (
        tagboat.fails("deploy", "app", "dev", "v1", "--wait")
        == "the deploy of v1 to app dev was cancelled"
    )
    assert re.search(r"  v0        v1 cancelled$", tagboat("status").stdout.rstrip())


def test_a_deploy_that_goes_away_while_it_is_watched(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/deploys/d1"] = [
        DEPLOY | {"status": "running"},
        problem(404, "there is no deploy 'd1'"),
    ]
    said = tagboat.fails("deploy", "app", "dev", "v1", "--wait")
    assert said == "lost sight of deploy d1, which may go on: there is no deploy 'd1'"


def test_ctrl_c_while_waiting_says_what_goes_on(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/deploys/d1"] = DEPLOY | {"status": "running"}
    # Whoever runs the tests in the background has Ctrl-C ignored, and so would what they start.
    listening = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from tagboat.cli.entry import run; run()"
    )
    words = [sys.executable, "-c", listening, "deploy", "app", "dev", "v1", "--wait"]
    with subprocess.Popen(
        words, env=tagboat.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == "deploy d1: v1 to app dev\n"
            assert process.stderr.readline().startswith("pull")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, "")
    assert err == "\ndeploy d1 goes on; 'tagboat cancel d1' takes it back\n"


@pytest.mark.parametrize(
    ("words", "call", "body"),
    [
        ("rollback app dev", "POST /api/stages/s1/rollback", {"to": None}),
        ("rollback app dev --to d0", "POST /api/stages/s1/rollback", {"to": "d0"}),
        ("promote app qa dev", "POST /api/stages/s1/promote", {"from": "s0"}),
        ("cancel d1", "POST /api/deploys/d1/cancel", None),
        ("hold app dev", "POST /api/stages/s1/hold", None),
        ("release app dev", "POST /api/stages/s1/release", {"including": False}),
        ("release app dev --including", "POST /api/stages/s1/release", {"including": True}),
    ],
)
def test_orders_ask_for_what_was_said(
    tagboat: Tagboat, server: FakeServer, words: str, call: str, body: object
) -> None:
    server.answers["GET /api/projects/p1/stages"] = page(STAGE, STAGE | {"id": "s0", "name": "qa"})
    assert tagboat(*words.split()).returncode == 0
    assert [
        (asked.call, asked.body) for asked in server.asked if asked.call.startswith("POST")
    ] == [(call, body)]


def test_rollback_says_that_the_stage_is_held(tagboat: Tagboat) -> None:
    said = "app dev is held: pushes deploy nothing there until 'tagboat release app dev'\n"
    assert tagboat("rollback", "app", "dev").stderr == said


@pytest.mark.parametrize("words", ["rollback app dev", "promote app dev dev", "cancel d1"])
def test_what_the_server_refuses_is_told_and_fails(
    tagboat: Tagboat, server: FakeServer, words: str
) -> None:
    refused = problem(409, "that cannot be")
    server.answers |= {
        "POST /api/stages/s1/rollback": refused,
        "POST /api/stages/s1/promote": refused,
        "POST /api/deploys/d1/cancel": refused,
    }
    done = tagboat(*words.split())
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "tagboat: that cannot be\n")


def test_a_running_deploy_is_being_taken_back(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/deploys/d1/cancel"] = DEPLOY | {
        "status": "running",
        "cancelling": True,
    }
    assert (
        tagboat("cancel", "d1").stdout
        == "deploy d1 of v1 to app dev is being taken back; what was live stays\n"
    )


def test_cancel_of_a_stage_takes_what_is_queued_first(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/deploys"] = [page(DEPLOY | {"id": "d2"}), page(DEPLOY)]
    server.answers["POST /api/deploys/d2/cancel"] = DEPLOY | {"id": "d2", "status": "cancelled"}
    done = tagboat("cancel", "app", "dev", "--json")
    assert [deploy["id"] for deploy in json.loads(done.stdout)] == ["d2", "d1"]
    assert [
        asked.query["status"] for asked in server.asked if asked.call == "GET /api/deploys"
    ] == ["queued", "running"]
    assert server.calls("POST") == ["POST /api/deploys/d2/cancel", "POST /api/deploys/d1/cancel"]


def test_cancel_of_a_stage_where_nothing_is_on_its_way(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/deploys"] = page()
    assert tagboat.fails("cancel", "app", "dev") == "nothing is queued or running in app dev"


def test_cancel_of_what_is_no_id(tagboat: Tagboat, server: FakeServer) -> None:
    assert tagboat.fails("cancel", "a/.. b").startswith("there is no deploy a/.. b; ")
    assert server.calls("POST") == ["POST /api/deploys/a%2F..%20b/cancel"]


def test_release_where_nothing_came(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/stages/s1/release"] = STAGE | {"deploys": []}
    assert (
        tagboat("release", "app", "dev").stdout
        == "app dev is released; nothing came meanwhile to be deployed\n"
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


def test_explain_shows_every_stage_tried(tagboat: Tagboat, server: FakeServer) -> None:
    rows = [
        line.split()
        for line in tagboat("explain", "git.example.com/acme/app:v1").stdout.splitlines()
    ]
    assert rows[-2:] == [["dev", "main-*", "no"], ["prod", "v*", "yes"]]
    assert server.asked[0].query == {"image": "git.example.com/acme/app:v1"}


def test_explain_of_an_image_nobody_knows(tagboat: Tagboat, server: FakeServer) -> None:
    refused = EXPLANATION | {
        "project": None,
        "stage": None,
        "outcome": "refused",
        "reason": "no",
        "considered": [],
    }
    server.answers["GET /api/explain"] = refused
    assert tagboat("explain", "a:b").stdout == "git.example.com/acme/app:v1 would be refused: no\n"


def test_explain_of_what_is_no_image(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/explain"] = problem(400, "image: that is none")
    assert tagboat.fails("explain", "::") == "image: that is none"


def test_a_poll_that_fails_does_not_keep_the_others_from_theirs(
    tagboat: Tagboat, server: FakeServer
) -> None:
    tags = [f"v{number}" for number in range(8)]
    server.answers |= {
        "GET /api/projects": page(
            PROJECT, PROJECT | {"id": "p2", "name": "web"}, PROJECT | {"id": "p3", "name": "db"}
        ),
        "POST /api/projects/p1/poll": problem(404, "there is no such project"),
        "POST /api/projects/p2/poll": NOTHING_NEW | {"error": "it is down"},
        "POST /api/projects/p3/poll": NOTHING_NEW | {"new_tags": tags, "deploys": ["d1"]},
    }
    done = tagboat("poll")
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()[2:]]
    assert done.returncode == 1
    assert rows[0].startswith("app - - failed: there is no such project")
    assert rows[1:] == ["web - - failed: it is down", "db v0, v1, v2, v3, v4 and 3 more d1 -"]
    assert done.stderr.count("polling git.example.com/acme/app\n") == 3
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
    rows = [" ".join(line.split()) for line in tagboat("poll").stdout.splitlines()]
    assert rows[-2:] == [
        "app main new - unmatched tag main matches nothing",
        "app v1 new dev queued tag v1 matches *",
    ]
    many = [POLLED | {"tag": f"v{number}"} for number in range(30)]
    server.answers["POST /api/projects/p1/poll"] = NOTHING_NEW | {"tags": many}
    done = tagboat("poll")
    assert [line.split()[1] for line in done.stdout.splitlines()[-20:]] == [
        f"v{number}" for number in range(10, 30)
    ]
    assert "of 30 tags of app the last 20 are shown" in done.stderr
    assert json.loads(tagboat("poll", "--json").stdout)[0]["tags"] == many


def test_a_first_poll_says_once_that_nothing_is_deployed(tagboat: Tagboat) -> None:
    said = tagboat("poll").stdout
    assert (said.count("nothing is deployed"), "tag v1 matches" in said) == (1, False)


def test_poll_of_one_project_leaves_the_others_alone(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects"] = page(PROJECT | {"id": "p2", "name": "web"}, PROJECT)
    assert tagboat("poll", "app").returncode == 0
    assert server.calls("POST") == ["POST /api/projects/p1/poll"]


@pytest.mark.parametrize(
    ("typed", "code", "out", "calls"),
    [
        (
            "y\n",
            0,
            "http://localhost/api/webhook/other\n",
            ["POST /api/settings/webhook/regenerate"],
        ),
        ("\n", 1, "", []),
    ],
)
def test_regenerate_asks_on_a_terminal(
    tagboat: Tagboat, server: FakeServer, typed: str, code: int, out: str, calls: list[str]
) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(ours, "wb", buffering=0) as keyboard, os.fdopen(theirs) as terminal:
        keyboard.write(typed.encode())
        done = subprocess.run(
            [*PROGRAM, "webhook", "regenerate"],
            env=tagboat.environ,
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stdout) == (code, out)
    assert "The old URL stops working at once" in done.stderr
    assert server.calls("POST") == calls


def test_what_cannot_be_asked_is_refused_without_standard_input(
    tagboat: Tagboat, server: FakeServer
) -> None:
    words = ["sh", "-c", 'exec "$@" <&-', "sh", *PROGRAM, "webhook", "revoke", "app", "ci"]
    done = subprocess.run(
        words, env=tagboat.environ, capture_output=True, text=True, timeout=30, check=False
    )
    said = "tagboat: the old URL would stop working at once; say --yes if that is meant\n"
    assert (done.returncode, done.stderr) == (1, said)
    assert server.calls("DELETE") == []


def test_regenerate_does_as_told_where_nobody_is_to_be_asked(
    tagboat: Tagboat, server: FakeServer
) -> None:
    assert tagboat("webhook", "regenerate").stdout == "http://localhost/api/webhook/other\n"
    assert server.calls("POST") == ["POST /api/settings/webhook/regenerate"]


def test_the_local_server_is_found_through_the_data_directory(
    here: Tagboat, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "server.json").write_text(
        json.dumps({"url": server.url, "token": "a-token-that-nobody-may-see"})
    )
    assert here("projects").returncode == 0
    assert "does not accept the token" in here.fails("projects", TAGBOAT_TOKEN="another")


def test_a_project_or_a_stage_is_deleted_when_that_is_meant(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["DELETE /api/projects/p1"] = {
        "volumes_kept": ["tagboat-s1-data"],
        "volumes_removed": [],
    }
    server.answers["DELETE /api/stages/s1"] = Said(b"", 204)
    assert (
        tagboat.fails("projects", "remove", "app")
        == "the project app would be deleted; say --yes if that is meant"
    )
    told = tagboat.fails("projects", "remove", "app", "--volumes")
    assert told == (
        "the project app would be deleted, and all that is in its volumes; say --yes "
        "if that is meant"
    )
    assert server.calls("DELETE") == []

    said = tagboat("projects", "remove", "app", "--yes").stdout
    assert said == (
        "the project app is deleted\nthese volumes stay: tagboat-s1-data ('docker "
        "volume rm NAME' deletes one)\n"
    )
    assert server.asked[-1].query == {"volumes": "keep"}
    server.answers["DELETE /api/projects/p1"] = {
        "volumes_kept": [],
        "volumes_removed": ["tagboat-s1-data"],
    }
    said = tagboat("projects", "remove", "app", "--volumes", "--yes").stdout
    assert (
        said == "the project app is deleted\ndeleted with all that was in them: tagboat-s1-data\n"
    )
    assert server.asked[-1].query == {"volumes": "delete"}
    assert (
        tagboat("projects", "remove", "app", "--stage", "dev", "--yes").stdout
        == "the stage dev of app is deleted\n"
    )
    assert json.loads(
        tagboat("projects", "remove", "app", "--stage", "dev", "--yes", "--json").stdout
    ) == {
        "volumes_kept": [],
        "volumes_removed": [],
    }


def test_the_key_is_changed_while_no_server_runs(here: Tagboat) -> None:
    data = here.directory / "data"
    assert "no server has used the data directory" in here.fails("rotate-key")
    open_store(None, data).close()
    before = (data / "encryption.key").read_text()
    assert "encrypted with a new key" in here("rotate-key").stdout
    assert (data / "encryption.key").read_text() != before
    with open_data_dir(data):
        assert "another Tagboat server runs" in here.fails("rotate-key")
