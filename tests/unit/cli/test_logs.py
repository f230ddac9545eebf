"""`tagboat logs`."""

import json
import signal
import subprocess

import pytest

from tagboat.cli import logs
from tagboat.core.errors import TagboatError
from tests.support.clock import SleepersTime
from tests.unit.cli.conftest import PROGRAM, Tagboat
from tests.unit.cli.fake_server import DEPLOY, TOKEN, FakeServer, Said, problem

CALL = "GET /api/stages/s1/logs"
END = "event: end\ndata: {}\n\n"
_SAID = json.dumps({"text": "the log broke off: the engine is away", "broken": True})
BROKEN = f"event: note\ndata: {_SAID}\n\n"


def sent(*blocks: str) -> Said:
    """A stream that ends after these events."""
    body = "retry: 2000\n\n" + "".join(blocks)
    return Said(body.encode(), headers={"content-type": "text/event-stream"})


def line(text: str, second: int = 0) -> str:
    at = f"2026-11-24T10:00:{second:02}.000000Z"
    data = json.dumps({"instance": "i1", "at": at, "text": text})
    return f"id: {at}\nevent: line\ndata: {data}\n\n"


def test_as_many_lines_are_asked_for_as_were_said(tagboat: Tagboat, server: FakeServer) -> None:
    assert tagboat("logs", "app", "dev", "--tail", "7").stdout == "hello\nworld\n"
    last = server.asked[-1]
    assert (last.call, last.query) == ("GET /api/stages/s1/logs", {"tail": "7"})


def test_logs_that_a_failed_deploy_has_left(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/stages/s1/logs"] = {
        "source": "deploy",
        "instance": None,
        "deploy": DEPLOY | {"status": "failed", "reason": "too ill"},
        "lines": ["b", "c"],
    }
    done = tagboat("logs", "app", "dev")
    assert (done.returncode, done.stdout) == (0, "b\nc\n")
    assert done.stderr == "nothing runs in app dev; deploy d1 of v1 failed (too ill) and left:\n"
    assert json.loads(tagboat("logs", "app", "dev", "--json").stdout) == {"lines": ["b", "c"]}


def test_logs_where_there_are_none(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/stages/s1/logs"] = problem(404, "Nothing runs in app dev.")
    assert tagboat.fails("logs", "app", "dev") == "Nothing runs in app dev"


def test_what_is_asked_for_reaches_the_server(tagboat: Tagboat, server: FakeServer) -> None:
    tagboat("logs", "app", "dev", "-n", "7", "--since", "10m", "--timestamps")
    assert server.asked[-1].query == {"tail": "7", "since": "10m", "timestamps": "true"}
    tagboat("logs", "app", "dev")
    assert server.asked[-1].query == {}


def test_a_log_is_followed_to_its_end(tagboat: Tagboat, server: FakeServer) -> None:
    note = f"event: note\ndata: {json.dumps({'text': 'v2 is live: its log follows'})}\n\n"
    server.answers[CALL] = sent(line("one"), ": heartbeat\n\n", note, line("two\x1b[31m"), END)
    tagboat("logs", "app", "dev", "-n", "0", "--since", "10m")
    assert server.asked.pop().query == {"since": "0s"}
    done = tagboat("logs", "-f", "-n", "7", "app", "dev")
    assert (done.returncode, done.stdout) == (0, "one\ntwo\n")
    assert done.stderr == "v2 is live: its log follows\n"
    asked = server.asked[-1]
    assert (asked.query, asked.headers["accept"]) == (
        {"tail": "7", "follow": "true"},
        "text/event-stream",
    )

    printed = tagboat("logs", "--follow", "app", "dev", "--json").stdout.splitlines()
    assert [json.loads(one)["text"] for one in printed] == ["one", "two\x1b[31m"]


def test_it_goes_on_after_a_restart_of_the_server(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers[CALL] = [
        sent(line("one"), line("two", 1)),
        problem(503, "the engine is away"),
        sent(line("three", 2), END),
    ]
    done = tagboat("logs", "-f", "app", "dev")
    assert (done.returncode, done.stdout) == (0, "one\ntwo\nthree\n")
    ids = [asked.headers.get("last-event-id") for asked in server.asked if asked.call == CALL]
    assert ids == [None, "2026-11-24T10:00:01.000000Z", "2026-11-24T10:00:01.000000Z"]


def test_a_log_that_breaks_off_is_said_once_and_goes_on(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers[CALL] = [
        sent(line("one"), BROKEN),
        sent(BROKEN),
        sent(BROKEN),
        sent(line("two", 1), BROKEN),
        sent(line("three", 2), END),
    ]
    done = tagboat("logs", "-f", "app", "dev")
    assert (done.returncode, done.stdout) == (0, "one\ntwo\nthree\n")
    assert done.stderr == 2 * "the log broke off: the engine is away\n"


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (sent(BROKEN), "the log broke off: the engine is away"),
        (sent(), "the server ended the log, and does not go on with it"),
        (problem(503, "It is starting."), "the log broke off: It is starting"),
    ],
)
def test_after_a_while_it_says_how_to_follow_the_log_again(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, then: object, reason: str
) -> None:
    for name, value in (("TAGBOAT_URL", server.url), ("TAGBOAT_TOKEN", TOKEN)):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(logs, "RESTART_WAIT_S", 0.1)
    monkeypatch.setattr(logs, "time", SleepersTime())
    server.answers[CALL] = [sent(line("one")), *([then] * 9)]
    with pytest.raises(TagboatError) as caught:
        logs.logs_command("app", "dev", follow=True)
    assert str(caught.value) == f"{reason}. Follow it again with: tagboat logs app dev -f"


@pytest.mark.parametrize(
    ("status", "said"), [(404, "there is no stage s1"), (503, "the engine is away")]
)
def test_a_log_that_cannot_be_followed_at_all_is_a_failure(
    tagboat: Tagboat, server: FakeServer, status: int, said: str
) -> None:
    server.answers[CALL] = problem(status, said)
    assert tagboat.fails("logs", "-f", "app", "dev") == said


def test_ctrl_c_ends_it_without_a_word(tagboat: Tagboat, server: FakeServer) -> None:
    # It ends without `end`: the command waits for the server, until somebody ends it.
    server.answers[CALL] = sent(line("one"))
    # A shell that runs the tests in the background lets them ignore Ctrl-C, and all they start.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    with subprocess.Popen(
        [*PROGRAM[:-1], heeding + PROGRAM[-1], "logs", "-f", "app", "dev"],
        env=tagboat.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"one\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, b"")
