"""Servers that refuse or do not answer."""

import json
from pathlib import Path

from tagboat.data_dir import open_data_dir
from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import TOKEN


def test_a_wrong_token_is_told_and_not_shown(tagboat: Tagboat) -> None:
    done = tagboat("projects", TAGBOAT_TOKEN="wrong-token")
    assert done.returncode == 1
    assert "does not accept the token. Set TAGBOAT_TOKEN" in done.stderr
    assert "wrong-token" not in done.stderr


def test_a_token_that_is_missing(tagboat: Tagboat) -> None:
    assert "needs a token. Set TAGBOAT_TOKEN" in tagboat.fails("projects", TAGBOAT_TOKEN="")


def test_a_server_that_is_down(tagboat: Tagboat) -> None:
    done = tagboat("status", TAGBOAT_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr == (
        "tagboat: cannot connect to the server at http://127.0.0.1:9 (Connection refused). "
        "Does it run there, and is TAGBOAT_URL right?\n"
    )


def test_a_server_that_ended_without_tidying_up(here: Tagboat, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "server.json").write_text(
        json.dumps({"url": "http://127.0.0.1:9", "token": TOKEN})
    )
    ended = "the server is not running (it ended unexpectedly). Start it with 'tagboat serve'"
    assert here.fails("status") == ended
    with open_data_dir(tmp_path / "data"):
        assert "(Connection refused), though it is running" in here.fails("status")
