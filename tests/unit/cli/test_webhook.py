"""`tagboat webhook`."""

import json
import os
import re
import subprocess

import pytest

from tests.unit.cli.conftest import PROGRAM, Tagboat
from tests.unit.cli.fake_server import (
    HOOK,
    REGISTRY,
    SECRET_URL,
    FakeServer,
    page,
)


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
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stdout) == (code, out)
    assert "The old URL stops working at once" in done.stderr
    assert server.calls("POST") == calls


def test_regenerate_does_as_told_where_nobody_is_to_be_asked(
    tagboat: Tagboat, server: FakeServer
) -> None:
    assert tagboat("webhook", "regenerate").stdout == "http://localhost/api/webhook/other\n"
    assert server.calls("POST") == ["POST /api/settings/webhook/regenerate"]


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
        ["ci", "-"],
        ["harbor", "header authorization"],
        ["nexus", "hmac-sha1"],
    ]
    server.answers["GET /api/projects/p1/webhooks"] = page()
    assert "'tagboat webhook add PROJECT NAME' creates one" in tagboat("webhook", "list").stdout


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_a_url_is_not_taken_away_unasked(
    tagboat: Tagboat, server: FakeServer, command: str
) -> None:
    assert "confirm with --yes" in tagboat.fails("webhook", command, "app", "ci")
    assert server.calls("POST") + server.calls("DELETE") == []


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


def test_who_was_heard_last(tagboat: Tagboat, server: FakeServer) -> None:
    call = {"sender": "gitea", "host": "git.example.com", "at": "2026-11-24T10:00:00Z"}
    silent = "Registry forge has not called for 3 days; polling found 4 pushes it did not report."
    server.answers["GET /api/heard"] = {
        "senders": [call],
        "registries": [
            {"host": "git.example.com", "registry": None, "last": call, "silent": None},
            {
                "host": "b.example",
                "registry": {"id": "r", "name": "forge"},
                "last": None,
                "silent": silent,
            },
        ],
    }
    said = tagboat("webhook", "heard").stdout.splitlines()
    assert said[2].split() == ["gitea", "2026-11-24", "10:00:00Z", "git.example.com"]
    assert said[-2].split() == ["git.example.com", "2026-11-24", "10:00:00Z", "gitea", "-"]
    assert said[-1].split()[:2] == ["forge", "never"]
    assert said[-1].endswith(silent)


def test_by_itself_it_lists(quick: Tagboat) -> None:
    listed = quick("webhook").stdout
    assert "ci" in listed
    assert [quick("webhook", word).stdout for word in ("list", "ls")] == [listed] * 2


def test_one_is_shown_and_renamed(quick: Tagboat, server: FakeServer) -> None:
    assert json.loads(quick("webhook", "show", "app", "ci", "--json").stdout) == HOOK
    assert re.search(r"^name +ci$", quick("webhook", "show", "app", "ci").stdout, re.MULTILINE)
    server.answers["PATCH /api/webhooks/h1"] = HOOK | {"name": "forge"}
    done = quick("webhook", "rename", "app", "ci", "forge")
    assert done.stdout == "the webhook ci of app is now called forge\n"
    assert server.asked[-1].body == {"name": "forge"}


@pytest.mark.parametrize("host", ["http://127.0.0.1:7070", "https://deploy.example.com"])
def test_a_url_that_only_this_machine_reaches_says_so(
    tagboat: Tagboat, server: FakeServer, host: str
) -> None:
    url = f"{host}/api/webhook/secret"
    server.answers["GET /api/settings/webhook"]["url"] = url
    done = tagboat("webhook", "url")
    assert done.stdout == f"{url}\n"
    assert ("TAGBOAT_PUBLIC_URL" in done.stderr) is host.startswith("http:")
