"""`tagboat uninstall`, where the engine does not answer."""

import json

import pytest

from tagboat.data_dir import open_data_dir
from tagboat.store import open_store
from tests.unit.cli.conftest import Tagboat


@pytest.fixture
def away(here: Tagboat) -> Tagboat:
    """The command on a machine with a data directory and no engine."""
    (here.directory / "data").mkdir(mode=0o700)
    open_store(None, here.directory / "data").close()
    here.environ["TAGBOAT_DOCKER_HOST"] = f"unix://{here.directory}/none.sock"
    here.environ["XDG_CONFIG_HOME"] = str(here.directory / "config")
    return here


def test_it_lists_asks_and_removes(away: Tagboat) -> None:
    data, login = away.directory / "data", away.directory / "config" / "tagboat" / "login.json"
    login.parent.mkdir(parents=True)
    login.write_text(json.dumps({"url": "http://127.0.0.1:7070", "token": "t"}))
    listed = away("uninstall", "--dry-run")
    assert listed.returncode == 0, listed.stderr
    assert "engine (not asked)" in listed.stdout
    assert "docker ps -a --filter label=tagboat.installation" in listed.stdout
    assert f"{data}: encryption.key, tagboat.db" in listed.stdout
    assert not (data / "lock").exists()
    assert str(login) in listed.stdout
    assert "confirm with --yes" in away.fails("uninstall", "--without-engine")
    assert (data / "tagboat.db").exists()

    assert "--without-engine" in away.fails("uninstall", "--yes")
    assert (data / "tagboat.db").exists()

    done = away("uninstall", "--yes", "--without-engine")

    assert done.returncode == 0, done.stderr
    assert "What is on the engine stays" in done.stdout
    assert "docker volume ls --filter label=tagboat.installation" in done.stdout
    assert "Tagboat is removed" in done.stdout
    assert not data.exists()
    assert not login.exists()


def test_not_while_the_server_runs(away: Tagboat) -> None:
    with open_data_dir(away.directory / "data"):
        assert "the server runs. Stop it first" in away.fails("uninstall", "--yes")
        assert json.loads(away("uninstall", "--dry-run", "--json").stdout)["haproxy"] == []


def test_json_says_what_goes_and_what_stays(away: Tagboat) -> None:
    login = away.directory / "config" / "tagboat" / "login.json"
    login.parent.mkdir(parents=True)
    login.write_text(json.dumps({"url": "https://tagboat.example.com", "token": "t"}))
    document = json.loads(away("uninstall", "--yes", "--without-engine", "--json").stdout)
    # It is for another server.
    assert (login.exists(), document["login"]) == (True, None)
    assert document["failures"] == []
    assert document["engine_error"]
    assert document["kept"]["volumes"] == []
    assert any(path.endswith("tagboat.db") for path in document["files"])


def test_the_second_time_there_is_nothing_to_remove(away: Tagboat) -> None:
    away("uninstall", "--yes", "--without-engine")
    # As where the directory is a mounted disk.
    data = away.directory / "data"
    data.mkdir(mode=0o700)
    for left in ("", "lock", "replica"):
        if left:
            (data / left).touch()
        again = away("uninstall", "--yes")
        assert (again.returncode, again.stdout[:17]) == (0, "Nothing to remove"), again.stderr
