"""`tagboat login` and `tagboat logout`, and which server commands use then."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Tagboat, environment
from tests.unit.cli.fake_server import TOKEN, FakeServer

ME = {"kind": "token", "id": "t1", "name": "laptop", "role": "admin", "projects": None}


@pytest.fixture
def elsewhere(server: FakeServer, tmp_path: Path) -> Tagboat:
    """A machine without a server, whose user has a home."""
    server.answers["GET /api/me"] = ME
    (tmp_path / "home").mkdir()
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    variables = environment(HOME=str(tmp_path / "home"), TAGBOAT_INGRESS="none")
    variables.pop("XDG_CONFIG_HOME", None)
    return Tagboat(tmp_path, variables)


def login_file(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".config" / "tagboat" / "login.json"


def test_a_login_holds_until_the_logout(
    elsewhere: Tagboat, server: FakeServer, tmp_path: Path
) -> None:
    done = elsewhere("login", f"{server.url}/api/", piped=TOKEN)
    assert done.stdout == (
        f"logged in at {server.url} as laptop, with the role admin."
        " Commands use it until 'tagboat logout'\n"
    )
    assert login_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert login_file(tmp_path).parent.stat().st_mode & 0o777 == 0o700
    assert elsewhere("projects").returncode == 0
    assert server.asked[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert "logged out" in elsewhere("logout").stdout
    assert not login_file(tmp_path).exists()
    assert elsewhere.fails("logout") == "nobody is logged in"
    assert "or use another one with 'tagboat login URL'" in elsewhere.fails("projects")


def test_a_token_comes_from_a_file_and_the_caller_as_json(
    elsewhere: Tagboat, server: FakeServer
) -> None:
    done = elsewhere("login", server.url, "--token-file", "token", "--json")
    assert json.loads(done.stdout) == ME


def test_a_token_that_is_refused_is_not_kept(
    elsewhere: Tagboat, server: FakeServer, tmp_path: Path
) -> None:
    assert "does not accept the token" in elsewhere.fails("login", server.url, piped="wrong")
    assert not login_file(tmp_path).exists()


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", ""])
def test_a_url_that_is_none(elsewhere: Tagboat, url: str) -> None:
    assert "a URL such as https://tagboat.example.com is expected" in elsewhere.fails(
        "login", url, piped=TOKEN
    )


def test_without_a_person_the_url_is_needed(elsewhere: Tagboat) -> None:
    assert elsewhere.fails("login", piped=TOKEN) == "the URL is missing: nothing was changed"


def test_the_environment_goes_before_the_login(
    elsewhere: Tagboat, server: FakeServer, tmp_path: Path
) -> None:
    elsewhere("login", server.url, piped=TOKEN)
    said = elsewhere.fails("projects", TAGBOAT_URL="http://127.0.0.1:9", TAGBOAT_TOKEN="x")
    assert "cannot connect to the server at http://127.0.0.1:9" in said
    # Another server does not get the token of this one.
    assert "needs a token" in elsewhere.fails("projects", TAGBOAT_URL=f"{server.url}/./")
    assert elsewhere("projects", TAGBOAT_URL=server.url).returncode == 0
    said = elsewhere.fails("projects", TAGBOAT_DATA_DIR=str(tmp_path / "data"))
    assert "no Tagboat server runs here" in said
    assert "without TAGBOAT_DATA_DIR, which goes first: unset TAGBOAT_DATA_DIR" in said


def test_a_login_that_commands_do_not_use_says_so(elsewhere: Tagboat, server: FakeServer) -> None:
    more = {"TAGBOAT_DATA_DIR": "data", "TAGBOAT_TOKEN": "other"}
    done = elsewhere("login", server.url, piped=TOKEN, **more)
    assert done.stdout.endswith("with the role admin.\n")
    assert "TAGBOAT_TOKEN and TAGBOAT_DATA_DIR, which go first: unset TAGBOAT_TOKEN TA" in (
        done.stderr
    )
    done = elsewhere("login", server.url, "--json", piped=TOKEN, TAGBOAT_URL="http://x")
    assert "without TAGBOAT_URL, which goes first: unset TAGBOAT_URL" in done.stderr
    assert json.loads(done.stdout) == ME


def test_the_folder_of_settings_is_the_users_choice(
    elsewhere: Tagboat, server: FakeServer, tmp_path: Path
) -> None:
    elsewhere("login", server.url, piped=TOKEN, XDG_CONFIG_HOME=str(tmp_path / "xdg"))
    assert (tmp_path / "xdg" / "tagboat" / "login.json").exists()
    assert elsewhere("projects", XDG_CONFIG_HOME=str(tmp_path / "xdg")).returncode == 0
    elsewhere("login", server.url, piped=TOKEN, XDG_CONFIG_HOME="relative")
    assert login_file(tmp_path).exists()


@pytest.mark.parametrize("text", ["", "[]", '{"url": "x"}'])
def test_a_file_that_no_login_wrote(elsewhere: Tagboat, tmp_path: Path, text: str) -> None:
    login_file(tmp_path).parent.mkdir(parents=True)
    login_file(tmp_path).write_text(text)
    assert "Remove it with 'tagboat logout'" in elsewhere.fails("projects")
    assert elsewhere("logout").returncode == 0


def test_a_server_that_is_away_is_named_with_the_login(elsewhere: Tagboat, tmp_path: Path) -> None:
    login_file(tmp_path).parent.mkdir(parents=True)
    login_file(tmp_path).write_text(json.dumps({"url": "http://127.0.0.1:9", "token": TOKEN}))
    assert elsewhere.fails("projects").endswith(
        f"Does it run there, and is {login_file(tmp_path)} right?"
    )
