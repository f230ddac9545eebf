"""The server that a command finds."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    FakeServer,
)


def test_the_local_server_is_found_through_the_data_directory(
    here: Tagboat, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "server.json").write_text(
        json.dumps({"url": server.url, "token": "a-token-that-nobody-may-see"})
    )
    assert here("projects").returncode == 0
    assert "does not accept the token" in here.fails("projects", TAGBOAT_TOKEN="another")


def test_no_server_on_this_machine(here: Tagboat, tmp_path: Path) -> None:
    assert here.fails("status") == (
        f"no Tagboat server runs here ({tmp_path}/data/server.json does not exist). "
        "Start one with 'tagboat serve', use sudo here too if it was started with sudo, set "
        "TAGBOAT_DATA_DIR to the data directory of the one that runs (only 'serve' reads .env), "
        "or use another one with 'tagboat login URL' and without TAGBOAT_DATA_DIR, which goes "
        "first: unset TAGBOAT_DATA_DIR"
    )


def test_the_address_of_the_api_is_as_good_as_the_servers(
    tagboat: Tagboat, server: FakeServer
) -> None:
    for url in (f"{server.url}/api", f"{server.url}/api/", f"{server.url}/"):
        assert tagboat("projects", TAGBOAT_URL=url).returncode == 0


@pytest.mark.parametrize("word", ["", "[]", '{"url": "http://127.0.0.1:9"}', "\0"])
def test_a_file_that_no_server_left(here: Tagboat, tmp_path: Path, word: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "server.json").write_text(word)
    assert "was not written by a Tagboat server" in here.fails("status")


def test_a_file_that_cannot_be_read(here: Tagboat, tmp_path: Path) -> None:
    (tmp_path / "data" / "server.json").mkdir(parents=True)
    assert (
        "cannot be read (Is a directory). Run this command as the user that runs the server"
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
