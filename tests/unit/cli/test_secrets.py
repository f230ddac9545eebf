"""`tagboat secrets list`, `set` and `unset`."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.cli.conftest import PROGRAM, Tagboat
from tests.unit.cli.fake_server import (
    PROJECT,
    STAGE,
    FakeServer,
    page,
    problem,
)

STAGES = "PATCH /api/stages/s1"
PROJECTS = "PATCH /api/projects/p1"


@pytest.fixture(autouse=True)
def can_change(server: FakeServer) -> None:
    server.answers[PROJECTS] = PROJECT


def changes(server: FakeServer) -> list[tuple[str, object]]:
    return [(one.call, one.body) for one in server.asked if one.call.startswith("PATCH")]


def test_names_are_listed_and_no_value(quick: Tagboat) -> None:
    rows = quick("secrets", "list", "app", "dev").stdout.splitlines()[2:]
    assert [row.split() for row in rows] == [
        ["DB_PASSWORD", "project", "variable"],
        ["tls.key", "stage", "file"],
    ]
    assert json.loads(quick("secrets", "list", "app", "--json").stdout) == [
        {
            "project": "app",
            "stage": None,
            "name": "DB_PASSWORD",
            "from": "project",
            "overrides": False,
            "kind": "variable",
        }
    ]
    assert [line.split()[2] for line in quick("secrets").stdout.splitlines()[2:]] == [
        "DB_PASSWORD",
        "tls.key",
    ]


def test_none_says_how_to_set_one(quick: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects"] = page(PROJECT | {"secrets": []})
    assert quick("secrets", "list", "app").stdout == (
        "app has no secret yet; 'tagboat secrets set app NAME' sets one.\n"
    )


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["DB_PASSWORD"], PROJECTS),
        (["db_password"], PROJECTS),
        (["dev", "DB_PASSWORD"], STAGES),
    ],
)
def test_a_value_is_piped_in(
    quick: Tagboat, server: FakeServer, words: list[str], call: str
) -> None:
    done = quick("secrets", "set", "app", *words, piped="hush=hush\n")
    assert done.returncode == 0, done
    assert changes(server) == [(call, {"secrets": {words[-1]: "hush=hush"}})]
    assert "hush" not in done.stdout + done.stderr


def test_values_come_from_files(quick: Tagboat, server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "db.txt").write_text("hush\n")
    (tmp_path / "more.env").write_text("A=1\nB=\n")
    (tmp_path / "tls.key").write_text("line\n\n")
    set_ = ("secrets", "set", "app")
    assert quick(*set_, "dev", "DB", "--value-file", "db.txt").returncode == 0
    assert quick(*set_, "dev", "--from-file", "more.env").returncode == 0
    done = quick(*set_, "--file", "tls.key=tls.key", "--file", "ca=tls.key")
    assert done.stdout.startswith("tls.key and ca of app are saved\n")
    assert changes(server) == [
        (STAGES, {"secrets": {"DB": "hush"}}),
        (STAGES, {"secrets": {"A": "1", "B": ""}}),
        (PROJECTS, {"secret_files": {"tls.key": "line\n\n", "ca": "line\n\n"}}),
    ]


def test_a_value_is_typed_unseen(tagboat: Tagboat, server: FakeServer) -> None:
    """On a terminal, for each name; nothing of it is shown."""
    ours, theirs = os.openpty()
    with (
        os.fdopen(ours, "wb", buffering=0) as keyboard,
        subprocess.Popen(
            [*PROGRAM, "secrets", "set", "app", "dev", "A", "B"],
            env=tagboat.environ,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # getpass would ask the terminal of this test, if there is one.
            start_new_session=True,
        ) as process,
    ):
        os.close(theirs)
        assert process.stderr is not None
        shown = b""
        for name, typed in ((b"A", b"hush-1\n"), (b"B", b"hush-2\n")):
            # Before it asks, getpass throws away what was typed.
            while not shown.endswith(b"Value of %b (not shown): " % name):
                one = process.stderr.read(1)
                assert one, shown
                shown += one
            keyboard.write(typed)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert b"hush" not in shown + out + err
    assert changes(server) == [(STAGES, {"secrets": {"A": "hush-1", "B": "hush-2"}})]


@pytest.mark.parametrize("words", [["app", "DB=hush"], ["app", "dev", "A", "DB=hush"]])
def test_a_value_as_a_word_is_refused_with_the_reason(
    quick: Tagboat, server: FakeServer, words: list[str]
) -> None:
    done = quick("secrets", "set", *words, piped="x")
    assert (done.returncode, "hush" in done.stderr) == (2, False)
    said = " ".join(done.stderr.split())
    assert "give DB without its value" in said
    assert "history" in said
    assert "--value-file" in said
    assert server.asked == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["app"], "say which secret to set"),
        (["app", "dev"], "say which secret to set"),
        (["app", "dev", "A", "B"], "only one value can be piped in"),
        (["app", "dev", "A", "--from-file", "-"], "the value is piped in already"),
        (["app", "dev", "A", "B", "--value-file", "v"], "holds the value of one secret"),
        (["app", "dev", "--file", "tls.key"], "write NAME=PATH"),
    ],
)
def test_wrong_words_are_a_wrong_usage(
    quick: Tagboat, server: FakeServer, tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "v").write_text("hush")
    done = quick("secrets", "set", *words, piped="hush")
    assert (done.returncode, said in " ".join(done.stderr.split())) == (2, True), done
    assert changes(server) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dve", "A"], "there is no stage of app named 'dve'; there are: dev"),
        (["dve", "--from-file", "v.env"], "there is no stage of app named 'dve'; there are: dev"),
        (["A"], "the value of A is missing: standard input is empty."),
        (["dev", "--file", "k=gone"], "gone cannot be read (No such file or directory)"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    quick: Tagboat, server: FakeServer, tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "v.env").write_text("A=hush")
    assert said in quick.fails("secrets", "set", "app", *words)
    assert changes(server) == []


def test_a_name_that_is_a_variable_already_is_refused_by_the_server(
    quick: Tagboat, server: FakeServer
) -> None:
    why = "PORT is a secret of the project and in env of the project; leave one of the two out"
    error = {"field": "secrets", "message": why}
    server.answers[PROJECTS] = problem(422, f"secrets: {why}", errors=[error])
    assert quick.fails("secrets", "set", "app", "PORT", piped="x") == f"secrets: {why}"


def test_both_kinds_are_removed_by_name(quick: Tagboat, server: FakeServer) -> None:
    both = STAGE | {"secrets": ["A", "B"], "secret_files": ["A", "c"]}
    server.answers["GET /api/stages/s1"] = both
    assert quick("secrets", "unset", "app", "dev", "A", "c").returncode == 0
    assert changes(server) == [
        (STAGES, {"secrets": {"A": None}, "secret_files": {"A": None, "c": None}})
    ]
    assert quick.fails("secrets", "unset", "app", "dev", "D") == (
        "app dev has no D; it has: A, B and c"
    )
