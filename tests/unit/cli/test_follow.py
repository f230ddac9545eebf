"""Following a deploy while its server goes away: it comes back elsewhere, with another token, or not at all."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tagboat.cli import follow
from tagboat.cli.client import Client, ServerAwayError
from tagboat.cli.place import Server
from tagboat.core.errors import TagboatError
from tests.unit.cli.conftest import PROGRAM, Tagboat
from tests.unit.cli.fake_server import DEPLOY, TOKEN, Asked, FakeServer, Said, fake_server, problem

RUNNING = DEPLOY | {"status": "running", "reason": None}
AWAY = "the server is away; looking for it for up to 60 s"


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
    """What it says on stderr up to `line`."""
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
                out, err = process.communicate(timeout=20)

    assert said == [AWAY]
    assert (process.returncode, out, err) == (
        0,
        "v1: v1 is live at http://127.0.0.1:20001\n",
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

    assert said.startswith("lost sight of deploy d1, which may go on: the server at")
    assert "does not accept the token" in said
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_front_without_its_server_is_waited_for(
    tagboat: Tagboat, server: FakeServer, status: int
) -> None:
    server.answers["GET /api/deploys/d1"] = [RUNNING, Said(b"nothing here", status), DEPLOY]

    done = tagboat("deploy", "app", "dev", "v1", "--wait")

    assert (done.returncode, done.stderr.count(AWAY)) == (0, 1)


def test_a_success_is_told_even_if_the_server_goes_away_right_after(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/instances"] = problem(503, "The database is out of reach.")

    done = tagboat("deploy", "app", "dev", "v1", "--wait")

    assert (done.returncode, done.stdout) == (0, "v1: v1 is live\n")


def test_patience_ends(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follow, "PATIENCE_S", 0.3)
    server.answers["GET /api/deploys/d1"] = [RUNNING, problem(503, "The database is out of reach.")]
    client = Client(Server(server.url, TOKEN, "TAGBOAT_URL"))

    with pytest.raises(
        TagboatError,
        match="^lost sight of deploy d1, which may go on: The database is out of reach.$",
    ):
        follow._follow(client, "d1")

    assert capsys.readouterr().err.count("the server is away") == 1
    assert server.calls("GET").count("GET /api/deploys/d1") >= 3


def test_a_server_that_is_nowhere_is_away(server: FakeServer) -> None:
    def find() -> Server:
        raise TagboatError("no Tagboat server runs here")

    with pytest.raises(ServerAwayError, match="no Tagboat server runs here"):
        Client(Server(server.url, TOKEN, "x"), find).find_again()


def test_only_a_change_is_news(server: FakeServer) -> None:
    found = [
        Server(server.url, TOKEN, "x"),
        Server(server.url, "another", "x"),
        Server(server.url, "another", "x"),
    ]
    client = Client(found[0], lambda: found.pop(0))

    assert [client.find_again() for _ in range(3)] == [False, True, False]
