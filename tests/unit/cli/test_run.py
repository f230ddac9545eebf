"""`tagboat run`."""

import json

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import FakeServer, Said, problem

CALL = "POST /api/stages/s1/runs"


def event(name: str, **data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def sent(*events: str) -> Said:
    body = event("started", id="r1", container="app-dev-run-1") + "".join(events)
    return Said(body.encode(), headers={"content-type": "text/event-stream"})


@pytest.mark.parametrize("code", [0, 137])
def test_it_prints_the_output_and_exits_as_the_command(
    tagboat: Tagboat, server: FakeServer, code: int
) -> None:
    server.answers[CALL] = sent(
        event("line", at=None, text="one"),
        ": still there\n\n",
        event("line", at=None, text="two\x1b[2J"),
        event("end", exit_code=code),
    )
    done = tagboat("run", "app", "dev", "--timeout", "9", "--", "ls", "-l", "--json", "a b")
    assert done.returncode == code
    assert done.stdout.splitlines()[0] == "one"
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
    assert server.asked[-1].body == {"command": ["ls", "-l", "--json", "a b"], "timeout_s": 9}


def test_as_json_each_line_is_an_object(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers[CALL] = sent(event("line", at=None, text="one"), event("end", exit_code=2))
    done = tagboat("run", "app", "dev", "--json", "--", "ls")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"at": None, "text": "one"},
        {"exit_code": 2},
    ]
    assert done.returncode == 2


def test_what_is_not_the_commands_own_failure_is_told_apart(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers[CALL] = sent(event("error", detail="it was ended"))
    assert tagboat.fails("run", "app", "dev", "--", "ls") == "it was ended"
    server.answers[CALL] = sent(event("line", at=None, text="one"))
    assert "it is not known how far it came" in tagboat.fails("run", "app", "dev", "--", "ls")
    server.answers[CALL] = problem(409, "Nothing is live.")
    assert tagboat.fails("run", "app", "dev", "--", "ls") == "Nothing is live."


def test_without_a_command_it_is_wrong_usage(tagboat: Tagboat) -> None:
    assert tagboat("run", "app", "dev").returncode == 2
