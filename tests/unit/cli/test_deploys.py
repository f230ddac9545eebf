"""`tagboat deploys`."""

import json

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import COMPARISON, FakeServer


def test_deploys_of_a_stage_by_status(tagboat: Tagboat, server: FakeServer) -> None:
    assert (
        "webhook"
        in tagboat("deploys", "list", "app", "dev", "--status", "failed", "--limit", "3").stdout
    )
    assert server.asked[-1].query == {"stage": "s1", "status": "failed", "limit": "3"}
    assert tagboat("deploys", "list", "app").returncode == 0
    assert server.asked[-1].query == {"project": "p1", "limit": "20"}


@pytest.mark.parametrize("words", [["--limit", "3", "app"], ["--limit=3", "app"], ["--limit", "3"]])
def test_options_before_a_project_are_those_of_the_list(
    tagboat: Tagboat, server: FakeServer, words: list[str]
) -> None:
    assert tagboat("deploys", *words).returncode == 0
    place = {"project": "p1"} if "app" in words else {}
    assert server.asked[-1].query == {**place, "limit": "3"}
    assert tagboat("deploys", "--json", "app", "dev").returncode == 0
    assert server.asked[-1].query == {"stage": "s1", "limit": "20"}


@pytest.mark.parametrize("words", [["--json", "list"], ["--limit", "3", "--json", "list", "app"]])
def test_options_before_a_command_are_those_of_the_command(
    tagboat: Tagboat, server: FakeServer, words: list[str]
) -> None:
    done = tagboat("deploys", *words)
    assert isinstance(json.loads(done.stdout), list)
    assert server.asked[-1].query["limit"] == ("3" if "app" in words else "20")


def test_an_option_before_a_command_that_has_none_is_refused(tagboat: Tagboat) -> None:
    done = tagboat("deploys", "--limit", "3", "show", "d1")
    assert (done.returncode, "No such option: --limit" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["deploys", "--help", "app"], "Usage: tagboat deploys [OPTIONS]"),
        (["deploys", "--json", "show", "--help"], "Usage: tagboat deploys show"),
        (["projects", "--json", "creat"], "No such command 'creat'. Did you mean 'create'"),
        (["deploys", "shwo", "d1", "--json"], "No such command 'shwo'. Did you mean 'show'"),
        (["deploys", ""], "No such command ''"),
    ],
)
def test_other_words_of_a_group_are_commands(tagboat: Tagboat, words: list[str], says: str) -> None:
    done = tagboat(*words)
    assert says in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["deploys", "list", "--status", "nope"], "'--status': 'nope' is not one of 'queued', "),
        (["deploys", "--limit", "x"], "'--limit': 'x' is not a whole number."),
        (["users", "create", "eva", "--role", "king"], "'--role': 'king' is not one of "),
    ],
)
def test_a_value_that_cannot_be_is_told_without_a_librarys_words(
    tagboat: Tagboat, words: list[str], says: str
) -> None:
    done = tagboat(*words)
    assert (done.returncode, f"Invalid value for {says}" in done.stderr) == (2, True), done.stderr


def test_the_changes_of_a_deploy(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/deploys/d1/changes"] = COMPARISON
    assert "v1 -> v2" in tagboat("deploys", "changes", "d1").stdout
    assert "there is no deploy d9" in tagboat.fails("deploys", "changes", "d9")
