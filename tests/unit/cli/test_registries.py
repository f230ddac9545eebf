"""`tagboat registries add`, `change`, `test`, `remove`."""

import json
import re
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    REGISTRY,
    FakeServer,
    page,
    problem,
)

ONE = "/api/registries/r1"
ADD = ["registries", "add", "Ours", "https://git.example.com"]


@pytest.fixture(autouse=True)
def one_registry(server: FakeServer) -> None:
    server.answers["GET /api/registries"] = page(REGISTRY)


def test_one_is_made_known(tagboat: Tagboat, server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hush\n")
    (tmp_path / "ca.pem").write_text("PEM\n")
    (tmp_path / "config.json").write_text("{}")
    known = {"name": "Ours", "url": "https://git.example.com", "kind": "oci"}

    done = tagboat(
        *ADD,
        "--kind",
        "gitea",
        "--username",
        "ci",
        "--password-file",
        "token",
        "--ca-cert",
        "ca.pem",
    )
    piped = tagboat(*ADD, "--username", "ci", "--json", piped="hush")
    tagboat(*ADD, "--docker-config", "config.json")
    tagboat(*ADD)

    assert done.stdout == "the registry Ours is added. Test it: tagboat registries test Ours\n"
    assert json.loads(piped.stdout) == REGISTRY
    assert [asked.body for asked in server.asked] == [
        known | {"kind": "gitea", "username": "ci", "password": "hush", "ca_cert": "PEM\n"},
        known | {"username": "ci", "password": "hush"},
        known | {"docker_config": "{}"},
        known,
    ]


def test_a_password_command_needs_no_password(tagboat: Tagboat, server: FakeServer) -> None:
    command = ["--password-command", "aws ecr get-login-password"]
    known = {"name": "Ours", "url": "https://git.example.com", "kind": "oci"}
    assert tagboat(*ADD, "--username", "AWS", *command).returncode == 0
    assert tagboat("registries", "change", "Ours", *command).returncode == 0
    assert tagboat("registries", "change", "Ours", "--password-command", "").returncode == 0
    by_command = {"password_command": "aws ecr get-login-password"}
    assert [asked.body for asked in server.asked if asked.body] == [
        known | {"username": "AWS"} | by_command,
        by_command,
        {"password_command": ""},
    ]


def test_one_source_of_the_password_is_enough(
    tagboat: Tagboat, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("hush")
    command = ["--password-command", "give"]
    both = tagboat(*ADD, "--username", "ci", "--password-file", "token", *command)
    config = tagboat(*ADD, "--docker-config", "token", *command)
    assert (both.returncode, config.returncode, server.asked) == (2, 2, [])


def test_only_what_is_given_is_changed(
    tagboat: Tagboat, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("new")
    assert tagboat("registries", "change", "Ours", "--password-file", "token").stdout.startswith(
        "the registry Ours is changed"
    )
    tagboat("registries", "change", "Ours", "--url", "http://r.example", "--kind", "oci")
    asked = [asked for asked in server.asked if asked.call == f"PATCH {ONE}"]
    assert [each.body for each in asked] == [
        {"password": "new"},
        {"url": "http://r.example", "kind": "oci"},
    ]


@pytest.mark.parametrize(("ok", "code", "word"), [(True, 0, "ok"), (False, 1, "wrong")])
def test_one_is_tried(tagboat: Tagboat, server: FakeServer, ok: bool, code: int, word: str) -> None:
    tried = {"ok": ok, "checks": [{"name": "login", "ok": ok, "detail": "in words"}]}
    server.answers[f"POST {ONE}/test"] = tried
    done = tagboat("registries", "test", "Ours")
    assert (done.returncode, done.stdout.splitlines()[-1].split()) == (
        code,
        ["login", word, "in", "words"],
    )
    done = tagboat("registries", "test", "Ours", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (code, tried)


def test_what_a_try_came_to_fits_a_narrow_screen(tagboat: Tagboat, server: FakeServer) -> None:
    names = ("url", "engine login", "reachable")
    checks = [
        {"name": name, "ok": False, "detail": "what is to be done about it, at some length " * 6}
        for name in names
    ]
    server.answers[f"POST {ONE}/test"] = {"ok": False, "checks": checks}
    shown = tagboat("registries", "test", "Ours").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.split().count("length") == 18


def test_one_is_forgotten_when_that_is_meant(tagboat: Tagboat, server: FakeServer) -> None:
    said = "the registry Ours would be removed; confirm with --yes"
    assert tagboat.fails("registries", "remove", "Ours") == said
    assert server.calls("DELETE") == []
    assert (
        tagboat("registries", "remove", "Ours", "--yes").stdout == "the registry Ours is removed\n"
    )
    assert json.loads(tagboat("registries", "remove", "Ours", "--yes", "--json").stdout) == REGISTRY
    assert server.calls("DELETE") == [f"DELETE {ONE}"] * 2
    server.answers[f"DELETE {ONE}"] = problem(409, "it is named by these projects: app")
    assert (
        tagboat.fails("registries", "remove", "Ours", "--yes")
        == "it is named by these projects: app"
    )


@pytest.mark.parametrize("command", ["change --kind oci", "test", "remove --yes"])
def test_a_name_that_is_not_there(tagboat: Tagboat, command: str) -> None:
    word, *more = command.split()
    assert (
        tagboat.fails("registries", word, "Nope", *more)
        == "there is no registry named 'Nope'; there are: Ours"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("add a", "Missing argument 'URL'"),
        ("add a https://b --kind hub", "is not one of 'gitea', 'oci'"),
        ("add a https://b --password-file here", "--username: is needed with --password-file"),
        ("add a https://b --username u --docker-config here", "give either it or those"),
        ("add a https://b --ca-cert nowhere", "'nowhere' does not exist"),
        ("change Ours", "say what to change"),
        ("change Ours --docker-config here --password-file here", "give either it or those"),
    ],
)
def test_wrong_usage(
    tagboat: Tagboat, server: FakeServer, tmp_path: Path, words: str, said: str
) -> None:
    (tmp_path / "here").write_text("{}")
    done = tagboat("registries", *words.split(), piped="hush")
    assert (done.returncode, done.stdout, said in done.stderr) == (2, "", True)
    assert server.asked == []


def rows(text: str) -> list[list[str]]:
    return [re.split(" {2,}", line) for line in text.splitlines()[2:]]


def test_registries_and_their_images(tagboat: Tagboat, server: FakeServer) -> None:
    plain = REGISTRY | {"name": "Plain", "url": "http://r.example", "username": ""}
    server.answers["GET /api/registries"] = page(
        REGISTRY, REGISTRY | {"name": "Own", "ca_cert": "PEM"}, plain
    )
    assert [[row[0], row[-1]] for row in rows(tagboat("registries").stdout)] == [
        ["Ours", "the system's"],
        ["Own", "the system's and its own"],
        ["Plain", "none: plain HTTP"],
    ]
    server.answers["GET /api/registries/r1/images"] = {
        "items": ["a/b", "a/c"],
        "whole": False,
        "error": None,
    }
    done = tagboat("images", "Ours")
    assert (done.stdout, done.stderr) == (
        "a/b\na/c\n",
        "the registry has more; these are the first that it listed\n",
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


def test_one_is_shown_without_its_password(quick: Tagboat) -> None:
    assert json.loads(quick("registries", "show", "Ours", "--json").stdout) == REGISTRY
    shown = quick("registries", "show", "Ours").stdout
    assert re.search(r"^username +ci$", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["--name", "Theirs"], {"name": "Theirs"}),
        (["--no-password"], {"password": None, "password_command": ""}),
        (["--no-ca-cert"], {"ca_cert": ""}),
        (
            ["--no-password", "--username", ""],
            {"password": None, "password_command": "", "username": ""},
        ),
    ],
)
def test_one_is_renamed_and_what_it_has_is_cleared(
    quick: Tagboat, server: FakeServer, words: list[str], body: object
) -> None:
    assert quick("registries", "change", "Ours", *words).returncode == 0
    assert server.asked[-1].body == body


@pytest.mark.parametrize(
    "words",
    [
        ["--no-password", "--password-file", "file"],
        ["--no-password", "--docker-config", "file"],
        ["--no-ca-cert", "--ca-cert", "file"],
    ],
)
def test_what_contradicts_itself_changes_nothing(
    quick: Tagboat, server: FakeServer, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "file").write_text("x")
    done = quick("registries", "change", "Ours", *words)
    assert (done.returncode, "contradicts" in done.stderr, server.asked) == (2, True, [])
