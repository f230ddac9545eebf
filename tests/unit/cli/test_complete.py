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
        ("cancel ", ["app", "web", "d1"]),
        ("deploys show ", ["d1"]),
        ("rollback app dev --to ", ["d1"]),
        ("instances logs ", ["i1"]),
        ("settings get auto", ["auto_create", "auto_create_images"]),
        ("users edit ", ["Anna"]),
        ("tokens delete ", ["ci"]),
        ("env list app ", ["dev", "prod"]),
        ("env set app ", ["dev", "prod", "LOG_LEVEL=", "PORT="]),
        ("env unset app dev ", ["LOG_LEVEL"]),
        ("env unset app LOG_LEVEL ", ["LOG_LEVEL", "PORT"]),
        ("secrets set app d", ["dev"]),
        ("secrets unset app dev ", ["tls.key"]),
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


def test_a_name_that_would_steer_the_terminal_is_not_offered(
    tagboat: Tagboat, server: FakeServer
) -> None:
    odd = [REGISTRY | {"name": name} for name in ("a\x9b31m", "a\u202eb", "a b")]
    server.answers["GET /api/registries"] = page(*odd)
    assert completed(tagboat, "registries test ").stdout == "a b\n"


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
