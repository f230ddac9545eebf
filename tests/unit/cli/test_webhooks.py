"""`tagboat webhook` below a project, `deliveries`, and what there is to choose from."""

import json
import re
import subprocess

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    DELIVERY,
    HOOK,
    PROJECT,
    PUSH,
    REGISTRY,
    SECRET_URL,
    STAGE,
    FakeServer,
    page,
    problem,
)

WHY = "`image` is missing"
FAILED = DELIVERY | {
    "id": "v0", "status": 400, "outcome": "failed", "reason": WHY, "pushes": [], "hook": {"id": "h1", "name": "ci"},
}  # fmt: skip


def rows(text: str) -> list[list[str]]:
    return [re.split(" {2,}", line) for line in text.splitlines()[2:]]


def test_a_new_url_is_all_there_is_on_stdout(tagboat: Tagboat, server: FakeServer) -> None:
    done = tagboat("webhook", "add", "app", "Forgejo of Berlin")
    assert done.stdout == "http://localhost/api/webhook/own\n"
    assert "not shown again" in done.stderr
    assert server.asked[-1].body == {"name": "Forgejo of Berlin"}


def test_webhooks_are_listed_with_how_they_are_signed(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects/p1/webhooks"] = page(
        HOOK,
        HOOK | {"name": "harbor", "signature": {"kind": "header", "header": "authorization"}},
        HOOK | {"name": "nexus", "signature": {"kind": "hmac-sha1", "header": None}},
    )
    assert [row[1:3] for row in rows(tagboat("webhook", "list").stdout)] == [
        ["ci", "-"], ["harbor", "header authorization"], ["nexus", "hmac-sha1"],
    ]  # fmt: skip
    server.answers["GET /api/projects/p1/webhooks"] = page()
    assert "'tagboat webhook add PROJECT NAME' makes one" in tagboat("webhook", "list").stdout


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_a_url_is_not_taken_away_unasked(
    tagboat: Tagboat, server: FakeServer, command: str
) -> None:
    assert "say --yes" in tagboat.fails("webhook", command, "app", "ci")
    assert server.calls("POST") + server.calls("DELETE") == []


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
    assert done.stderr == "of the body only the beginning was kept\n"
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


def test_the_url_for_a_registry_that_does_not_say_where_it_is(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/registries"] = page(REGISTRY | {"name": "Our own & only"})
    shown = tagboat("webhook", "url", "--registry", "Our own & only")
    assert shown.stdout == f"{SECRET_URL}?registry=Our%20own%20%26%20only\n"
    assert (
        json.loads(tagboat("webhook", "url", "--registry", "Our own & only", "--json").stdout)[
            "url"
        ]
        in shown.stdout
    )
    assert "there is no registry named 'none'; there are: Our own & only" in tagboat.fails(
        "webhook", "url", "--registry", "none"
    )


def test_a_sender_that_needs_a_person_is_told_by_status_until_it_is_understood(
    tagboat: Tagboat, server: FakeServer
) -> None:
    zot = FAILED | {"sender": "zot", "hook": None, "needs_you": True}
    server.answers["GET /api/deliveries"] = page(DELIVERY, zot, zot | {"id": "older"})
    assert tagboat("status").stdout.splitlines()[-1] == f"the webhook's sender zot needs you: {WHY}"
    assert [call["id"] for call in json.loads(tagboat("status", "--json").stdout)["senders"]] == [
        "v0"
    ]
    server.answers["GET /api/deliveries"] = page(DELIVERY | {"sender": "zot"}, zot)
    assert "needs you" not in tagboat("status").stdout


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
    assert tagboat.fails("deliveries", "show", "../health").startswith(
        "nothing at GET /api/deliveries/..%2Fhealth"
    )


def test_registries_and_their_images(tagboat: Tagboat, server: FakeServer) -> None:
    plain = REGISTRY | {"name": "Plain", "url": "http://r.example", "username": ""}
    server.answers["GET /api/registries"] = page(
        REGISTRY, REGISTRY | {"name": "Own", "ca_cert": "PEM"}, plain
    )
    assert [[row[0], row[-1]] for row in rows(tagboat("registries").stdout)] == [
        ["Ours", "the system's"], ["Own", "the system's and its own"], ["Plain", "none: plain HTTP"],
    ]  # fmt: skip
    server.answers["GET /api/registries/r1/images"] = {
        "items": ["a/b", "a/c"],
        "whole": False,
        "error": None,
    }
    done = tagboat("images", "Ours")
    assert (done.stdout, done.stderr) == (
        "a/b\na/c\n",
        "the registry has more; these are the first that it named\n",
    )
    server.answers["GET /api/registries/r1/images"] = {"items": [], "whole": True, "error": None}
    assert (tagboat("images", "Ours").stdout, tagboat("images", "Ours").stderr) == (
        "",
        "the registry lists no images\n",
    )
    server.answers["GET /api/registries/r1/images"] = {
        "items": [],
        "whole": False,
        "error": "it does not tell",
    }
    assert tagboat.fails("images", "Ours") == "it does not tell"
    assert tagboat("tags", "nginx").returncode == 0
    assert server.asked[-1].query == {"image": "nginx"}


def test_a_project_is_made_with_its_first_stage(tagboat: Tagboat, server: FakeServer) -> None:
    given = ["--name", "shop", "--stage", "prod", "--pattern", "v*", "--port", "80"]
    assert tagboat("projects", "create", "git.example.com/acme/app").returncode == 0
    assert tagboat("projects", "create", "nginx", *given).returncode == 0
    assert [asked.body for asked in server.asked] == [
        {"image": "git.example.com/acme/app", "name": "app", "stages": [{"name": "dev", "tag_pattern": "*"}]},
        {"image": "nginx", "name": "shop", "port": 80, "stages": [{"name": "prod", "tag_pattern": "v*"}]},
    ]  # fmt: skip


def test_a_project_whose_stage_cannot_be_made_is_not_made(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["POST /api/projects"] = problem(422, "stages.0.tag_pattern: no")
    assert (
        tagboat.fails("projects", "create", "nginx", "--pattern", "[") == "stages.0.tag_pattern: no"
    )
    assert len(server.calls("POST")) == 1


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("deploy ", ["app", "web"]),
        ("deploy w", ["web"]),
        ("deploy app ", ["dev", "prod"]),
        ("deploy app dev ", ["v1", "v2", "main"]),
        ("deploy app dev v", ["v1", "v2"]),
        ("promote app dev ", ["dev", "prod"]),
        ("cancel app p", ["prod"]),
        ("logs ", ["app", "web"]),
        ("poll ", ["app", "web"]),
        ("images ", ["Ours"]),
        ("tags git", ["git.example.com/acme/app"]),
        ("projects create git", ["git.example.com/acme/app"]),
        ("webhook rotate app ", ["ci"]),
        ("webhook sign hmac-", ["hmac-sha256", "hmac-sha1"]),
        ("webhook sign header ", ["app", "web"]),
        ("webhook unsign app ", ["ci"]),
        ("registries test ", ["Ours"]),
        ("webhook url --registry ", ["Ours"]),
        ("deliveries show ", ["v1"]),
        ("deploy nope ", []),
    ],
)
def test_the_shell_is_offered_names_of_the_server(
    tagboat: Tagboat, server: FakeServer, typed: str, offered: list[str]
) -> None:
    server.answers |= {
        "GET /api/projects": page(PROJECT, PROJECT | {"id": "p2", "name": "web"}),
        "GET /api/projects/p1/stages": page(STAGE, STAGE | {"id": "s2", "name": "prod"}),
        "GET /api/registries": page(REGISTRY),
    }
    done = completed(tagboat, typed)
    assert (done.stdout.split(), done.stderr) == (offered, "")


@pytest.mark.parametrize("broken", ["TAGBOAT_URL", "TAGBOAT_TOKEN", "TAGBOAT_PORT"])
def test_the_shell_is_offered_nothing_where_there_is_nothing(tagboat: Tagboat, broken: str) -> None:
    values = {
        "TAGBOAT_URL": "http://127.0.0.1:1",
        "TAGBOAT_TOKEN": "wrong-token",
        "TAGBOAT_PORT": "none",
    }
    more = {"TAGBOAT_URL": ""} if broken == "TAGBOAT_PORT" else {}
    done = completed(tagboat, "deploy ", **more, **{broken: values[broken]})
    assert (done.stdout.strip(), done.stderr) == ("", "")


def completed(tagboat: Tagboat, typed: str, **more: str) -> subprocess.CompletedProcess[str]:
    """What bash gets when Tab is pressed after `tagboat ` and what was typed."""
    words = f"tagboat {typed}"
    asked = {
        "_TAGBOAT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    return tagboat(**asked, **more)
