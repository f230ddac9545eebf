"""Whatever goes wrong is one clear line on stderr, and an exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tagboat import __version__
from tagboat.data_dir import open_data_dir
from tests.unit.cli.conftest import PROGRAM, Tagboat
from tests.unit.cli.fake_server import TOKEN, FakeServer


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deploy", "nope", "dev", "v1"], "there is no project named 'nope'; there are: app"),
        (["deploy", "app", "nope", "v1"], "there is no stage of app named 'nope'; there are: dev"),
        (["poll", "nope"], "there is no project named 'nope'; there are: app"),
        (["poll", ""], "there is no project named ''; there are: app"),
        (
            ["webhook", "rotate", "app", "nope", "--yes"],
            "there is no webhook of app named 'nope'; there are: ci",
        ),
        (["images", "nope"], "there is no registry named 'nope'; there are: none yet"),
        (["logs", "app", "nope"], "there is no stage of app named 'nope'; there are: dev"),
        (["logs", "\udcff", "dev"], "there is no project named '\\udcff'; there are: app"),
    ],
)
def test_a_wrong_name_lists_the_right_ones(tagboat: Tagboat, words: list[str], said: str) -> None:
    assert tagboat.fails(*words) == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Usage: tagboat"),
        (["webhook"], "Usage: tagboat webhook"),
        (["deploy", "app"], "Missing argument 'STAGE'"),
        (["sail"], "No such command 'sail'"),
        (["statsu"], "Did you mean 'status'"),
        (["status", "--jsno"], "No such option"),
        (["logs", "app", "dev", "--tail", "0"], "--tail"),
        (["status", "more"], "unexpected extra argument"),
        (["projects", "more"], "No such command 'more'"),
        (["deliveries", "--limit", "201"], "--limit"),
        (["deliveries", "shwo"], "Did you mean 'show'"),
    ],
)
def test_wrong_usage(tagboat: Tagboat, words: list[str], said: str) -> None:
    done = tagboat(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_wrong_token_is_told_and_not_shown(tagboat: Tagboat) -> None:
    done = tagboat("projects", TAGBOAT_TOKEN="wrong-token")
    assert done.returncode == 1
    assert "does not accept the token; set TAGBOAT_TOKEN" in done.stderr
    assert "wrong-token" not in done.stderr


def test_a_token_that_is_missing(tagboat: Tagboat) -> None:
    assert "wants a token; set TAGBOAT_TOKEN" in tagboat.fails("projects", TAGBOAT_TOKEN="")


def test_a_server_that_is_down(tagboat: Tagboat) -> None:
    done = tagboat("status", TAGBOAT_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr == (
        "tagboat: the server at http://127.0.0.1:9 cannot be reached (Connection refused); "
        "does it run there, and is TAGBOAT_URL right?\n"
    )


def test_no_server_on_this_machine(here: Tagboat, tmp_path: Path) -> None:
    assert here.fails("status") == (
        f"no Tagboat server runs here (no {tmp_path}/data/server.json); "
        "start one with 'tagboat serve', set TAGBOAT_DATA_DIR to that of one (only 'serve' reads .env), or TAGBOAT_URL and "
        "TAGBOAT_TOKEN"
    )


def test_a_server_that_ended_without_tidying_up(here: Tagboat, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "server.json").write_text(
        json.dumps({"url": "http://127.0.0.1:9", "token": TOKEN})
    )
    ended = (
        "the server is not running (it ended without cleaning up): start it with 'tagboat serve'"
    )
    assert here.fails("status") == ended
    with open_data_dir(tmp_path / "data"):
        assert "cannot be reached (Connection refused), though it runs" in here.fails("status")


def test_the_address_of_the_api_is_as_good_as_the_servers(
    tagboat: Tagboat, server: FakeServer
) -> None:
    for url in (f"{server.url}/api", f"{server.url}/api/", f"{server.url}/"):
        assert tagboat("projects", TAGBOAT_URL=url).returncode == 0


@pytest.mark.parametrize(
    "words", [["cancel", "abc"], ["deploys", "show", "abc"], ["deploys", "logs", "abc"]]
)
def test_a_deploy_that_does_not_exist(tagboat: Tagboat, words: list[str]) -> None:
    assert tagboat.fails(*words) == "there is no deploy abc; 'tagboat deploys list' shows their ids"


@pytest.mark.parametrize("word", ["", "[]", '{"url": "http://127.0.0.1:9"}', "\0"])
def test_a_file_that_no_server_left(here: Tagboat, tmp_path: Path, word: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "server.json").write_text(word)
    assert "is not what a server leaves there" in here.fails("status")


def test_a_file_that_cannot_be_read(here: Tagboat, tmp_path: Path) -> None:
    (tmp_path / "data" / "server.json").mkdir(parents=True)
    assert (
        "cannot be read (Is a directory); run this as the user that runs the server"
        in here.fails("status")
    )


@pytest.mark.parametrize("command", ["serve", "status", "projects"])
def test_an_unknown_setting_is_named(here: Tagboat, command: str) -> None:
    done = here(command, TAGBOAT_PROT="1")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == "tagboat: TAGBOAT_PROT is not a setting of Tagboat; did you mean TAGBOAT_PORT?\n"
    )


def test_a_reader_that_has_seen_enough_hears_no_complaint(tagboat: Tagboat) -> None:
    command = f'{sys.executable} -c "from tagboat.cli.entry import run; run()" projects | true'
    done = subprocess.run(  # noqa: S602 - a pipe is what this is about
        command,
        shell=True,
        env=tagboat.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""


def test_output_that_cannot_be_written(tagboat: Tagboat) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "projects"],
            env=tagboat.environ, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "tagboat: No space left on device\n")


def test_a_stdout_that_is_closed(tagboat: Tagboat) -> None:
    command = f'{sys.executable} -c "from tagboat.cli.entry import run; run()" projects >&-'
    done = subprocess.run(  # noqa: S602 - only a shell closes it
        command,
        shell=True,
        env=tagboat.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_version(here: Tagboat) -> None:
    assert here("--version").stdout == f"tagboat {__version__}\n"


def test_help_names_every_command(here: Tagboat) -> None:
    text = here("--help").stdout
    for command in (
        "serve",
        "status",
        "webhook",
        "projects",
        "deploy",
        "logs",
        "explain",
        "poll",
        "doctor",
    ):
        assert f"\n  {command} " in text
    assert "Examples:\n    tagboat serve " in text


def test_help_of_every_command(here: Tagboat, server: FakeServer) -> None:
    for words in (
        "serve",
        "status",
        "webhook url",
        "webhook regenerate",
        "projects",
        "deploy",
        "logs",
        "explain",
        "poll",
    ):
        done = here(*words.split(), "--help")
        assert (done.returncode, done.stdout.startswith(f"Usage: tagboat {words} ")) == (0, True)
    assert server.asked == []


def loaded(tagboat: Tagboat, *words: str) -> set[str]:
    """The modules in memory after a command."""
    program = (
        "import sys\nfrom tagboat.cli.entry import run\n"
        f"sys.argv = {['tagboat', *words]!r}\n"
        "try: run()\nexcept SystemExit as end: assert end.code == 0\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=tagboat.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_nothing_heavy(here: Tagboat) -> None:
    heavy = {
        "aiodocker",
        "aiohttp",
        "asyncio",
        "fastapi",
        "pydantic",
        "rich",
        "sqlalchemy",
        "starlette",
        "urllib.request",
    }
    found = loaded(here, "--help")
    assert "typer" in found
    assert not heavy & found


def test_a_command_that_asks_the_server_loads_none_of_it(tagboat: Tagboat) -> None:
    heavy = {
        "aiodocker",
        "aiohttp",
        "asyncio",
        "fastapi",
        "sqlalchemy",
        "starlette",
        "structlog",
        "tagboat.app",
        "uvicorn",
    }
    found = loaded(tagboat, "projects")
    assert "urllib.request" in found
    assert not heavy & found
