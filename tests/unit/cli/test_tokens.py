"""`tagboat tokens` and the commands below it."""

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import FakeServer, page

CI: dict[str, Any] = {
    "id": "t1",
    "name": "ci",
    "role": "deployer",
    "projects": [],
    "created_at": "2026-11-24T10:00:00Z",
    "created_by": "Anna",
    "expires_at": "2027-11-24T10:00:00Z",
    "used_at": None,
}


@pytest.fixture(autouse=True)
def one_token(server: FakeServer) -> None:
    server.answers |= {
        "GET /api/tokens": page(CI),
        "POST /api/tokens": CI | {"token": "tagboat_abc"},
        "DELETE /api/tokens/t1": {},
    }


def test_the_list(tagboat: Tagboat, server: FakeServer) -> None:
    lines = [" ".join(line.split()) for line in tagboat("tokens").stdout.splitlines()]
    assert lines[0] == "name role expires last use projects"
    assert lines[2:] == ["ci deployer 2027-11-24 10:00:00Z - none that exists"]
    assert json.loads(tagboat("tokens", "ls", "--json").stdout) == [CI]
    server.answers["GET /api/tokens"] = page(CI | {"expires_at": None, "projects": None})
    assert tagboat("tokens", "list").stdout.splitlines()[2].split() == [
        "ci", "deployer", "never", "-", "all",
    ]  # fmt: skip
    server.answers["GET /api/tokens"] = page()
    assert "tagboat tokens create NAME" in tagboat("tokens").stdout


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        ([], {"role": "deployer", "projects": None, "expires_in_days": None}),
        (
            ["--role", "metrics", "--expires-in", "90"],
            {"role": "metrics", "projects": None, "expires_in_days": 90},
        ),
        (
            ["--project", "app"],
            {"role": "deployer", "projects": ["app"], "expires_in_days": None},
        ),
    ],
)
def test_one_is_made_and_shown_alone_on_stdout(
    tagboat: Tagboat, server: FakeServer, words: list[str], sent: dict[str, object]
) -> None:
    done = tagboat("tokens", "create", "ci", *words)
    assert done.stdout == "tagboat_abc\n"
    assert done.stderr == "Save it now: it is not shown again.\n"
    assert server.asked[-1].body == {"name": "ci"} | sent
    made = json.loads(tagboat("tokens", "create", "ci", *words, "--json").stdout)
    assert made["token"] == "tagboat_abc"


def test_one_is_deleted(tagboat: Tagboat, server: FakeServer) -> None:
    assert "would be deleted; confirm with --yes" in tagboat.fails("tokens", "delete", "ci")
    assert tagboat("tokens", "delete", "CI", "--yes").stdout == "the token ci is deleted\n"
    assert server.asked[-1].call == "DELETE /api/tokens/t1"
    assert json.loads(tagboat("tokens", "delete", "ci", "--yes", "--json").stdout) == CI
    assert tagboat.fails("tokens", "delete", "x", "--yes") == (
        "there is no token named 'x'; there are: ci"
    )
