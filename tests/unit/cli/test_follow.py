"""Following a deploy, also while its server goes away and comes back elsewhere."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tagboat.cli import follow
from tagboat.cli.client import Client
from tagboat.cli.client_errors import ServerAwayError
from tagboat.cli.context import ServerAddress
from tagboat.core.errors import TagboatError
from tests.support.clock import SleepersTime
from tests.unit.cli.conftest import PROGRAM, Tagboat
from tests.unit.cli.fake_server import (
    DEPLOY,
    STAGE,
    STEPS,
    TOKEN,
    Asked,
    FakeServer,
    Said,
    fake_server,
    page,
    problem,
)

RUNNING = DEPLOY | {"status": "running", "reason": None}
AWAY = "the server is away; trying again for 60 s"


def leave_word(folder: Path, url: str, token: str = TOKEN) -> None:
    """As a server does at its start."""
    (folder / "data").mkdir(exist_ok=True)
    draft = folder / "data" / "draft"
    draft.write_text(json.dumps({"url": url, "token": token}))
    draft.replace(folder / "data" / "server.json")


@contextmanager
def waiting(here: Tagboat) -> Iterator["subprocess.Popen[str]"]:
    words = [*PROGRAM, "deploy", "app", "dev", "v1", "--wait"]
    with subprocess.Popen(
        words,
        env=here.environ,
        cwd=here.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def said_until(process: "subprocess.Popen[str]", line: str) -> list[str]:
    """Return what it says on stderr up to `line`."""
    assert process.stderr is not None
    said = [process.stderr.readline().rstrip("\n")]
    while said[-1] != line:
        assert process.poll() is None or said[-1], said
        said.append(process.stderr.readline().rstrip("\n"))
    return said


def test_a_server_that_is_restarted_is_found_again(here: Tagboat, tmp_path: Path) -> None:
    with fake_server() as first:
        first.answers["GET /api/deploys/d1"] = RUNNING
        leave_word(tmp_path, first.url)
        with waiting(here) as process:
            said_until(process, "pull    done      1.5 s  3 layers")
            first.answers["GET /api/deploys/d1"] = problem(503, "The database is out of reach.")
            said = said_until(process, AWAY)
            (tmp_path / "data" / "server.json").unlink()
            with fake_server() as second:
                leave_word(tmp_path, second.url)
                out, err = process.communicate(timeout=120)

    assert said == [AWAY]
    assert (process.returncode, out, err) == (
        0,
        "v1 is live at http://127.0.0.1:20001\n",
        "the server is back\n",
    )


def test_the_token_of_the_new_server_is_taken(
    here: Tagboat, server: FakeServer, tmp_path: Path
) -> None:
    """The address is the same; the old token is refused as soon as the new server answers."""
    leave_word(tmp_path, server.url, "the-old-token-that-nobody-may-see")
    old = [Said(RUNNING), problem(401, "A token is needed."), Said(DEPLOY)]
    usual = server.answer

    def answer(asked: Asked) -> Said:
        headers = {**asked.headers, "authorization": f"Bearer {TOKEN}"}
        if asked.call != "GET /api/deploys/d1":
            return usual(Asked(asked.call, asked.query, headers, asked.body))
        if len(old) == 2:
            leave_word(tmp_path, server.url)
        elif len(old) == 1 and asked.headers["authorization"] != f"Bearer {TOKEN}":
            return problem(401, "A token is needed.")
        return old.pop(0) if len(old) > 1 else old[0]

    server.answer = answer  # type: ignore[method-assign]
    done = here("deploy", "app", "dev", "v1", "--wait")

    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-2:] == [AWAY, "the server is back"]


def test_a_token_that_is_refused_for_good_is_not_tried_for_a_minute(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/deploys/d1"] = [RUNNING, problem(401, "A token is needed.")]
    began = time.monotonic()

    said = tagboat.fails("deploy", "app", "dev", "v1", "--wait")

    assert said.startswith("lost deploy d1, which may continue: the server at")
    assert "does not accept the token" in said
    assert time.monotonic() - began < 50


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_front_without_its_server_is_waited_for(
    tagboat: Tagboat, server: FakeServer, status: int
) -> None:
    server.answers["GET /api/deploys/d1"] = [RUNNING, Said(b"nothing here", status), DEPLOY]

    done = tagboat("deploy", "app", "dev", "v1", "--wait")

    assert (done.returncode, done.stderr.count(AWAY)) == (0, 1)


def test_an_app_without_a_port_answers_nowhere(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects/p1/stages"] = page(
        STAGE | {"address": "http://app-dev.localhost"}
    )
    (live,) = server.answers["GET /api/instances"]["items"]
    server.answers["GET /api/instances"] = page(live | {"url": None, "address": None})

    assert tagboat("deploy", "app", "dev", "v1", "--wait").stdout == "v1 is live\n"


def test_a_success_is_told_even_if_the_server_goes_away_right_after(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/instances"] = problem(503, "The database is out of reach.")

    done = tagboat("deploy", "app", "dev", "v1", "--wait")

    assert (done.returncode, done.stdout) == (0, "v1 is live\n")


def test_patience_ends(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follow, "RESTART_WAIT_S", 0.6)
    monkeypatch.setattr(follow, "time", SleepersTime())
    server.answers["GET /api/deploys/d1"] = [RUNNING, problem(503, "The database is out of reach.")]
    client = Client(ServerAddress(server.url, TOKEN, "TAGBOAT_URL"))

    with pytest.raises(
        TagboatError,
        match="^lost deploy d1, which may continue: The database is out of reach.$",
    ):
        follow.follow_deploy(client, "d1")

    assert capsys.readouterr().err.count("the server is away") == 1
    assert server.calls("GET").count("GET /api/deploys/d1") >= 3


def test_a_server_that_is_nowhere_is_away(server: FakeServer) -> None:
    def find() -> ServerAddress:
        raise TagboatError("no Tagboat server runs here")

    with pytest.raises(ServerAwayError, match="no Tagboat server runs here"):
        Client(ServerAddress(server.url, TOKEN, "x"), find).find_again()


def test_only_a_change_is_news(server: FakeServer) -> None:
    found = [
        ServerAddress(server.url, TOKEN, "x"),
        ServerAddress(server.url, "another", "x"),
        ServerAddress(server.url, "another", "x"),
    ]
    client = Client(found[0], lambda: found.pop(0))

    assert [client.find_again() for _ in range(3)] == [False, True, False]


def test_deploy_follows_the_steps_and_tells_each_once(tagboat: Tagboat, server: FakeServer) -> None:
    running = DEPLOY | {"status": "running", "reason": None}
    started = [STEPS[0], STEPS[1] | {"status": "done"}]
    server.answers["GET /api/deploys/d1"] = [
        running,
        running,
        running | {"steps": started},
        DEPLOY | {"steps": started},
    ]
    done = tagboat("deploy", "app", "dev", "v1", "--wait")
    assert done.stderr.splitlines() == [
        "deploy d1: v1 to app dev",
        "pull    done      1.5 s  3 layers",
        "start   done",
    ]
    assert done.stdout == "v1 is live at http://127.0.0.1:20001\n"


def test_deploy_names_the_address_of_the_stage_where_it_has_one(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/projects/p1/stages"] = page(
        STAGE | {"address": "http://app-dev.localhost"}
    )
    assert (
        tagboat("deploy", "app", "dev", "v1", "--wait").stdout
        == "v1 is live at http://app-dev.localhost\n"
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("failed", "failed: too ill"),
        ("superseded", "was superseded: too ill"),
        ("cancelled", "was cancelled: too ill"),
    ],
)
def test_a_deploy_that_comes_to_nothing(
    tagboat: Tagboat, server: FakeServer, status: str, said: str
) -> None:
    ended = DEPLOY | {"status": status, "reason": "too ill", "log": "line 1\nline 2"}
    server.answers["GET /api/deploys/d1"] = ended
    done = tagboat("deploy", "app", "dev", "v1", "--wait")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(
        f"| line 1\n| line 2\ntagboat: the deploy of v1 to app dev {said}\n"
    )
    done = tagboat("deploy", "app", "dev", "v1", "--wait", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (1, ended)


def test_a_reason_that_says_no_more_than_the_status_is_not_told(
    tagboat: Tagboat, server: FakeServer
) -> None:
    cancelled = DEPLOY | {"status": "cancelled", "reason": "cancelled"}
    server.answers |= {"GET /api/deploys/d1": cancelled, "GET /api/deploys": page(cancelled)}
    assert (
        tagboat.fails("deploy", "app", "dev", "v1", "--wait")
        == "the deploy of v1 to app dev was cancelled"
    )
    assert re.search(r"  v0        v1 cancelled$", tagboat("status").stdout.rstrip())


def test_a_deploy_that_goes_away_while_it_is_watched(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/deploys/d1"] = [
        DEPLOY | {"status": "running"},
        problem(404, "there is no deploy 'd1'"),
    ]
    said = tagboat.fails("deploy", "app", "dev", "v1", "--wait")
    assert said == "lost deploy d1, which may continue: there is no deploy 'd1'"


def test_ctrl_c_while_waiting_says_what_goes_on(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/deploys/d1"] = DEPLOY | {"status": "running"}
    # Tests that run in the background ignore Ctrl-C, and so would what they start.
    listening = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from tagboat.cli.entry import run; run()"
    )
    words = [sys.executable, "-c", listening, "deploy", "app", "dev", "v1", "--wait"]
    with subprocess.Popen(
        words, env=tagboat.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == "deploy d1: v1 to app dev\n"
            assert process.stderr.readline().startswith("pull")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, "")
    assert err == "\ndeploy d1 continues; 'tagboat cancel d1' cancels it\n"


def stream(*events: dict[str, object]) -> Said:
    """Return a stream of these events, which then ends."""
    blocks = ["retry: 2000\nid: 7\n\n", ": heartbeat\n\n"]
    blocks += [f"id: {event['id']}\ndata: {json.dumps(event)}\n\n" for event in events]
    return Said("".join(blocks).encode(), 200, {"content-type": "text/event-stream"})


def step(number: int, status: str, detail: str) -> dict[str, object]:
    return {"id": number, "topic": "step", "name": "pull", "status": status, "detail": detail}


def test_what_happens_is_shown_as_it_happens(tagboat: Tagboat, server: FakeServer) -> None:
    pulling = RUNNING | {"steps": [STEPS[0] | {"status": "running", "finished_at": None}]}
    server.answers["GET /api/events"] = [
        stream(step(8, "running", "12 of 80 MB"), {"id": 9, "topic": "log", "text": "hello"}),
        stream({"id": 10, "topic": "deploy", "status": "succeeded"}),
    ]
    server.answers["GET /api/deploys/d1"] = [
        pulling | {"steps": []},
        pulling | {"steps": []},
        DEPLOY,
    ]

    done = tagboat("deploy", "app", "dev", "v1", "--wait")

    assert done.stderr.splitlines() == [
        "deploy d1: v1 to app dev",
        "pull    running          12 of 80 MB",
        "pull    done      1.5 s  3 layers",
    ]
    asked = [asked.query for asked in server.asked if asked.call == "GET /api/events"]
    assert asked == [{"deploy": "d1"}, {"deploy": "d1", "last_event_id": "9"}]


def test_a_stream_that_is_cut_is_taken_up_again(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/events"] = [stream(), problem(503, "Not now."), stream()]
    server.answers["GET /api/deploys/d1"] = [RUNNING, RUNNING, RUNNING, DEPLOY]

    done = tagboat("deploy", "app", "dev", "v1", "--wait")

    assert (done.returncode, done.stdout) == (0, "v1 is live at http://127.0.0.1:20001\n")
