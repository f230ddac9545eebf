"""`tagboat users` and the commands below it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import FakeServer, page

ANNA: dict[str, Any] = {
    "id": "u1",
    "name": "Anna",
    "role": "admin",
    "projects": None,
    "has_password": True,
    "created_at": "2026-11-24T10:00:00Z",
    "signed_in_at": "2026-11-24T11:00:00.5Z",
}
BEN = ANNA | {
    "id": "u2",
    "name": "ben",
    "role": "deployer",
    "projects": [{"id": "p1", "name": "app"}, {"id": "p2", "name": "shop"}],
    "signed_in_at": None,
}


@pytest.fixture(autouse=True)
def two_accounts(server: FakeServer) -> None:
    server.answers |= {
        "GET /api/users": page(ANNA, BEN),
        "POST /api/users": BEN,
        "PATCH /api/users/u2": BEN,
        "DELETE /api/users/u2": {},
        "POST /api/users/u2/sign-out": {},
        "POST /api/users/u2/sign-in-link": {
            "url": "https://boat.example.com/sign-in/abc",
            "expires_at": "2026-11-25T10:00:00Z",
        },
        "POST /api/users/setup-link": {
            "url": "https://boat.example.com/setup/abc",
            "expires_at": "2026-11-25T10:00:00Z",
        },
    }


def test_the_list(tagboat: Tagboat, server: FakeServer) -> None:
    assert [" ".join(line.split()) for line in tagboat("users").stdout.splitlines()] == [
        "name role last sign-in projects",
        "-" * 47,
        "Anna admin 2026-11-24 11:00:00Z all",
        "ben deployer - app, shop",
    ]
    assert json.loads(tagboat("users", "ls", "--json").stdout) == [ANNA, BEN]
    server.answers["GET /api/users"] = page()
    assert "tagboat users setup-link" in tagboat("users", "list").stdout


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        ([], {"role": "viewer", "projects": None}),
        (["--admin"], {"role": "admin", "projects": None}),
        (["--role", "admin", "--admin"], {"role": "admin", "projects": None}),
        (
            ["--role", "deployer", "--project", "app", "--project", "shop"],
            {"role": "deployer", "projects": ["app", "shop"]},
        ),
    ],
)
def test_one_is_made(
    tagboat: Tagboat, server: FakeServer, words: list[str], sent: dict[str, object]
) -> None:
    done = tagboat("users", "create", "ben", *words, piped="a password of ben\n")
    assert done.stdout == "the account ben (deployer) is made\n"
    assert server.asked[-1].body == {"name": "ben", "password": "a password of ben"} | sent


def test_a_password_comes_from_a_file(tagboat: Tagboat, server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a password of ben\n")
    done = tagboat("users", "create", "ben", "--password-file", "password", "--json")
    assert json.loads(done.stdout) == BEN
    assert server.asked[-1].body["password"] == "a password of ben"
    assert "the password is missing" in tagboat.fails("users", "create", "ben")


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (["--role", "viewer"], {"role": "viewer"}),
        (["--name", "Benedict"], {"name": "Benedict"}),
        (["--project", "app"], {"projects": ["app"]}),
        (["--all-projects"], {"projects": None}),
    ],
)
def test_only_what_is_given_is_changed(
    tagboat: Tagboat, server: FakeServer, words: list[str], sent: dict[str, object]
) -> None:
    # Names are compared without case, as by the server.
    assert tagboat("users", "edit", "BEN", *words).returncode == 0
    assert (server.asked[-1].call, server.asked[-1].body) == ("PATCH /api/users/u2", sent)


@pytest.mark.parametrize(
    "words",
    [
        ("edit", "ben"),
        ("edit", "ben", "--project", "app", "--all-projects"),
        ("edit", "ben", "--role", "metrics"),
        ("create", "ben", "--admin", "--role", "viewer"),
    ],
)
def test_wrong_usage(tagboat: Tagboat, server: FakeServer, words: tuple[str, ...]) -> None:
    assert tagboat("users", *words, piped="a password of ben").returncode == 2
    assert server.asked == []


def test_a_password_is_reset_for_an_account_that_exists(
    tagboat: Tagboat, server: FakeServer
) -> None:
    done = tagboat("users", "reset-password", "ben", piped="another password")
    assert "it has to sign in again" in done.stdout
    assert server.asked[-1].body == {"password": "another password"}
    assert tagboat.fails("users", "reset-password", "x", piped="another password") == (
        "there is no account named 'x'; there are: Anna, ben"
    )


def test_one_is_signed_out_and_deleted(tagboat: Tagboat, server: FakeServer) -> None:
    assert tagboat("users", "sign-out", "ben").stdout == (
        "the account ben is signed out everywhere\n"
    )
    assert server.asked[-1].call == "POST /api/users/u2/sign-out"
    assert "would be deleted; confirm with --yes" in tagboat.fails("users", "delete", "ben")
    assert tagboat("users", "delete", "ben", "--yes").stdout == "the account ben is deleted\n"
    assert server.asked[-1].call == "DELETE /api/users/u2"
    assert json.loads(tagboat("users", "delete", "ben", "--yes", "--json").stdout) == BEN


def test_the_set_up_link_is_the_only_line(tagboat: Tagboat) -> None:
    assert tagboat("users", "setup-link").stdout == "https://boat.example.com/setup/abc\n"
    assert json.loads(tagboat("users", "setup-link", "--json").stdout)["expires_at"]


def test_a_sign_in_link_of_an_account(tagboat: Tagboat) -> None:
    said = tagboat("users", "sign-in-link", "ben").stdout
    assert said == "https://boat.example.com/sign-in/abc\n"
    assert json.loads(tagboat("users", "sign-in-link", "ben", "--json").stdout)["expires_at"]


def test_one_is_shown_by_its_name_in_whatever_case(quick: Tagboat) -> None:
    assert json.loads(quick("users", "show", "BEN", "--json").stdout) == BEN
    rows = [row.split(maxsplit=1) for row in quick("users", "show", "ben").stdout.splitlines()]
    assert ["projects", "app, shop"] in rows
    assert "there are: Anna, ben" in quick.fails("users", "show", "nobody")
