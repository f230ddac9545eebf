"""Completion of names by the shell."""

import subprocess

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    PROJECT,
    REGISTRY,
    STAGE,
    FakeServer,
    page,
)


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
    """Return what bash gets when Tab is pressed after `tagboat ` and what was typed."""
    words = f"tagboat {typed}"
    asked = {
        "_TAGBOAT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    return tagboat(**asked, **more)
