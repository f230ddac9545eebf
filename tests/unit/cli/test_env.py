"""`tagboat env list`, `set` and `unset`."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    PROJECT,
    STAGE,
    FakeServer,
    page,
    problem,
)

PATCHES = {"project": "PATCH /api/projects/p1", "stage": "PATCH /api/stages/s1"}


def bodies(server: FakeServer, holder: str = "stage") -> list[object]:
    return [asked.body for asked in server.asked if asked.call == PATCHES[holder]]


def cells(out: str) -> list[list[str]]:
    return [line.split(maxsplit=2) for line in out.splitlines()[2:]]


def test_a_stage_shows_what_it_gets_and_from_where(quick: Tagboat) -> None:
    rows = quick("env", "list", "app", "dev").stdout.splitlines()[2:]
    assert [" ".join(row.split()) for row in rows] == [
        "LOG_LEVEL stage (overrides) debug",
        "PORT project 8080",
    ]


def test_a_project_shows_its_own(quick: Tagboat) -> None:
    out = quick("env", "list", "app").stdout
    assert cells(out) == [["LOG_LEVEL", "project", "info"], ["PORT", "project", "8080"]]


@pytest.mark.parametrize("word", [[], ["list"], ["ls"]])
def test_without_a_project_those_of_all_are_listed_by_two_requests(
    quick: Tagboat, server: FakeServer, word: list[str]
) -> None:
    out = quick("env", *word).stdout
    assert [line.split() for line in out.splitlines()[2:]] == [
        ["app", "-", "LOG_LEVEL", "info"],
        ["app", "-", "PORT", "8080"],
        ["app", "dev", "LOG_LEVEL", "debug"],
    ]
    assert server.calls("GET") == ["GET /api/stages", "GET /api/projects"]


def test_programs_get_values_as_they_are(quick: Tagboat, server: FakeServer) -> None:
    odd = "two\nlines \u202e"
    server.answers["GET /api/projects"] = page(PROJECT | {"env": {"ODD": odd, "EMPTY": ""}})
    found = json.loads(quick("env", "list", "app", "dev", "--json").stdout)
    assert found[0] == {
        "project": "app",
        "stage": "dev",
        "name": "EMPTY",
        "from": "project",
        "overrides": False,
        "value": "",
    }
    assert [(one["name"], one["value"], one["from"]) for one in found[1:]] == [
        ("LOG_LEVEL", "debug", "stage"),
        ("ODD", odd, "project"),
    ]
    # On a terminal an empty value is not a dash.
    assert cells(quick("env", "list", "app").stdout)[0] == ["EMPTY", "project", '""']


def test_nothing_set_says_how(quick: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects"] = page(PROJECT | {"env": {}})
    assert quick("env", "list", "app").stdout == (
        "app has no environment variable yet; 'tagboat env set app NAME=VALUE' sets one.\n"
    )
    server.answers["GET /api/projects"] = page()
    assert quick("env").stdout.startswith("No project has an environment variable yet")


@pytest.mark.parametrize(
    ("words", "holder", "body"),
    [
        (["app", "A=1"], "project", {"A": "1"}),
        (["app", "dev", "A=1", "B=x=y", "C="], "stage", {"A": "1", "B": "x=y", "C": ""}),
        (["app", "dev", "odd name.ü-=v", "A=\n"], "stage", {"odd name.ü-": "v", "A": "\n"}),
        (["--", "app", "dev", "-A=1"], "stage", {"-A": "1"}),
    ],
)
def test_only_the_names_given_are_sent(
    quick: Tagboat, server: FakeServer, words: list[str], holder: str, body: object
) -> None:
    server.answers |= {PATCHES["project"]: PROJECT}
    done = quick("env", "set", *words)
    assert done.returncode == 0, done
    assert bodies(server, holder) == [{"env": body}]


def test_what_is_saved_says_how_it_becomes_live(quick: Tagboat, server: FakeServer) -> None:
    done = quick("env", "set", "app", "dev", "A=1", "B=2")
    assert done.stdout == (
        "A and B of app dev are saved\n"
        "live from the next deploy on: 'tagboat restart app dev' starts one\n"
    )
    server.answers["GET /api/instances"] = page()
    assert quick("env", "set", "app", "dev", "A=1").stdout == "A of app dev is saved\n"


def test_a_project_says_which_stage_has_its_own(quick: Tagboat) -> None:
    done = quick("env", "set", "app", "LOG_LEVEL=warning", "A=1")
    assert done.stderr == "note: the stage dev has its own LOG_LEVEL\n"
    assert "'tagboat restart app STAGE'" in done.stdout


def test_the_same_values_change_nothing(quick: Tagboat, server: FakeServer) -> None:
    done = quick("env", "set", "app", "dev", "LOG_LEVEL=debug")
    assert done.stdout == "app dev has these values already; nothing is changed\n"
    assert bodies(server) == []
    quick("env", "set", "app", "dev", "LOG_LEVEL=debug", "A=1")
    assert bodies(server) == [{"env": {"A": "1"}}]


def test_a_file_sets_many(quick: Tagboat, server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "\ufeff# a comment\n\nexport A=1\nB='two words' # more\nC=\"x\\ny\"\nD=\n"
    )
    assert quick("env", "set", "app", "dev", "B=3", "--from-file", ".env").returncode == 0
    assert quick("env", "set", "app", "dev", "--from-file", "-", piped="E=5").returncode == 0
    assert bodies(server) == [
        {"env": {"A": "1", "B": "3", "C": "x\ny", "D": ""}},
        {"env": {"E": "5"}},
    ]


@pytest.mark.parametrize("line", ["hush", "=hush", "export hush", "A='hush"])
def test_a_line_that_is_no_pair_is_named_and_not_repeated(
    quick: Tagboat, server: FakeServer, tmp_path: Path, line: str
) -> None:
    (tmp_path / "wrong.env").write_text(f"A=1\n\n{line}\n")
    said = quick.fails("env", "set", "app", "dev", "--from-file", "wrong.env")
    assert said == "wrong.env:3: not NAME=VALUE"
    assert bodies(server) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["app"], "say what to set"),
        (["app", "dev"], "say what to set"),
        (["app", "dev", "A=1", "B"], "'B' has no value; NAME= sets an empty one"),
        (["app", "dev", "=hush"], "'=' has no name"),
    ],
)
def test_wrong_words_are_a_wrong_usage(
    quick: Tagboat, server: FakeServer, words: list[str], said: str
) -> None:
    done = quick("env", "set", *words)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "hush" not in done.stderr
    assert server.asked == []


def test_what_the_api_refuses_names_the_field(quick: Tagboat, server: FakeServer) -> None:
    refused = {"field": "env.A", "message": "must be a string without NUL"}
    server.answers[PATCHES["stage"]] = problem(422, "env.A: wrong", errors=[refused])
    said = quick.fails("env", "set", "app", "dev", "A=1")
    assert said == "env.A: must be a string without NUL"


def test_names_are_removed(quick: Tagboat, server: FakeServer) -> None:
    server.answers[PATCHES["project"]] = PROJECT
    assert quick("env", "unset", "app", "dev", "LOG_LEVEL").stdout.startswith(
        "LOG_LEVEL of app dev is removed\n"
    )
    assert quick("env", "unset", "app", "LOG_LEVEL", "PORT", "--json").returncode == 0
    assert bodies(server) == [{"env": {"LOG_LEVEL": None}}]
    assert bodies(server, "project") == [{"env": {"LOG_LEVEL": None, "PORT": None}}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dev", "NOPE"], "app dev has no NOPE; it has: LOG_LEVEL"),
        (["dev", "PORT"], "app dev has no PORT; the project app has it, for all its stages"),
        (["LOG_LEVEL", "NOPE"], "app has no NOPE; it has: LOG_LEVEL and PORT"),
        (["nope"], "app has no nope; it has: LOG_LEVEL and PORT"),
        (["dve", "LOG_LEVEL"], "there is no stage of app named 'dve'; there are: dev"),
    ],
)
def test_a_name_that_is_not_there_removes_nothing(
    quick: Tagboat, server: FakeServer, words: list[str], said: str
) -> None:
    assert quick.fails("env", "unset", "app", *words) == said
    assert server.calls("PATCH") == []


def test_a_stage_alone_is_no_name(quick: Tagboat) -> None:
    done = quick("env", "unset", "app", "dev")
    assert (done.returncode, "dev is a stage of app" in done.stderr) == (2, True)


def test_json_is_what_the_api_answers(quick: Tagboat) -> None:
    saved = json.loads(quick("env", "set", "app", "dev", "A=1", "--json").stdout)
    assert saved["id"] == STAGE["id"]
