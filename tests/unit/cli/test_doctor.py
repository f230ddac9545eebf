"""`tagboat doctor`: every check when it is well, and when it is not."""

import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tagboat.cli.context import CommandContext
from tagboat.cli.doctor import find_problems
from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    DELIVERY,
    INSTANCE,
    PROJECT,
    TOKEN,
    FakeServer,
    Said,
    fake_engine,
    page,
)

GIB = 1 << 30


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    return directory


def findings(tmp_path: Path, **more: str) -> dict[str, tuple[bool, str]]:
    """Return what doctor finds on a machine whose engine's socket is `docker.sock`."""
    environ = {
        "TAGBOAT_DATA_DIR": str(tmp_path / "data"),
        "TAGBOAT_DOCKER_HOST": f"unix://{tmp_path}/docker.sock",
        "TAGBOAT_INGRESS": "none",
    } | more
    context = CommandContext(environ, tmp_path, is_tty=False)
    return {found.check: (found.ok, found.detail) for found in find_problems(context)}


def announce(data: Path, server: FakeServer) -> None:
    (data / "server.json").write_text(json.dumps({"url": server.url, "token": TOKEN}))


def test_all_is_well(tmp_path: Path, data: Path, server: FakeServer) -> None:
    announce(data, server)
    server.answers["GET /api/registries"] = page(
        {"id": "r1", "name": "mine", "url": "https://r.example"}
    )
    server.answers["POST /api/registries/r1/test"] = {
        "ok": True,
        "checks": [{"name": "login", "ok": True, "detail": "in"}],
    }
    with fake_engine(
        tmp_path / "docker.sock", {"/_ping": b"OK", "/info": {"DockerRootDir": str(tmp_path)}}
    ):
        found = findings(tmp_path)
    assert list(found) == [
        "settings",
        "data directory",
        "disk of the data",
        "disk of Docker",
        "server",
        "database",
        "engine",
        "registry mine",
    ]
    assert all(ok for ok, _ in found.values())
    assert found["registry mine"] == (True, "https://r.example answers")


def test_no_server_runs_here_but_the_engine_does(tmp_path: Path) -> None:
    with fake_engine(tmp_path / "docker.sock", {"/_ping": b"OK"}):
        found = findings(tmp_path)
    assert found["data directory"] == (True, f"{tmp_path}/data is made at the first start")
    assert (found["server"][0], "Start one with 'tagboat serve'" in found["server"][1]) == (
        False,
        True,
    )
    assert found["engine"] == (True, f"{tmp_path}/docker.sock answers")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            None,
            "there is no such socket; is Docker running there? ('sudo systemctl start docker')",
        ),
        ({"/_ping": b"pong"}, "is not the socket of a Docker engine"),
        ({}, "is not the socket of a Docker engine"),
    ],
)
def test_no_server_and_no_engine(
    tmp_path: Path, answers: dict[str, object] | None, said: str
) -> None:
    if answers is None:
        found = findings(tmp_path)
    else:
        with fake_engine(tmp_path / "docker.sock", answers):
            found = findings(tmp_path)
    assert (found["engine"][0], said in found["engine"][1]) == (False, True)
    assert found["engine"][1].endswith(". Another engine: TAGBOAT_DOCKER_HOST")


def test_a_machine_without_haproxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    found = findings(tmp_path, TAGBOAT_INGRESS="")
    assert found["ingress"][0] is False
    assert "HAProxy is not installed" in found["ingress"][1]
    assert "sudo apt install haproxy" in found["ingress"][1]
    assert "ingress" not in findings(tmp_path), "none was chosen"


def test_an_engine_elsewhere_is_left_to_the_server(tmp_path: Path) -> None:
    found = findings(tmp_path, TAGBOAT_DOCKER_HOST="tcp://engine.example:2376")
    assert found["engine"] == (
        True,
        "not checked: the server asks tcp://engine.example:2376 when it runs",
    )


def test_an_engine_elsewhere_in_the_clear(tmp_path: Path) -> None:
    found = findings(tmp_path, TAGBOAT_DOCKER_HOST="tcp://engine.example.com:2375")
    ok, detail = found["connection to the engine"]
    assert not ok
    assert detail.startswith(
        "tcp://engine.example.com:2375: the engine is on another host and used without TLS"
    )
    for safe in ("tcp://127.0.0.1:2375", "ssh://engine.example.com"):
        assert "connection to the engine" not in findings(tmp_path, TAGBOAT_DOCKER_HOST=safe)


def test_settings_that_cannot_be_used(tmp_path: Path) -> None:
    found = findings(tmp_path, TAGBOAT_PORT="none")
    assert list(found) == ["settings"]
    assert found["settings"][1].startswith(
        "TAGBOAT_PORT cannot be used: a port from 1 to 65535 is expected"
    )


def test_a_data_directory_open_to_others(tmp_path: Path, data: Path) -> None:
    data.chmod(0o750)
    expected = f"{data} is open to other users and holds secrets; chmod 700 {data}"
    assert findings(tmp_path)["data directory"] == (False, expected)


def test_a_data_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert "is not a directory" in findings(tmp_path)["data directory"][1]


def test_a_data_directory_of_somebody_else(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests may run as root, whom nothing is denied.
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert f"{data} is not writable" in findings(tmp_path)["data directory"][1]


@pytest.mark.parametrize(("free", "ok"), [(GIB, True), (GIB - 1, False), (0, False)])
def test_the_disks(
    tmp_path: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    ok: bool,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(2 * GIB, 0, free))
    with fake_engine(tmp_path / "docker.sock", {"/info": {"DockerRootDir": str(data)}}):
        found = findings(tmp_path)
    for check in ("disk of the data", "disk of Docker"):
        assert found[check][0] is ok
        assert ("free some space" in found[check][1]) is not ok


@pytest.mark.parametrize(
    "info", [{"DockerRootDir": "/not/here"}, {}, [], Said(b"<"), Said(b"", 500)]
)
def test_a_docker_whose_disk_is_not_here(tmp_path: Path, data: Path, info: object) -> None:
    assert data.is_dir()
    with fake_engine(tmp_path / "docker.sock", {"/_ping": b"OK", "/info": info}):
        assert "disk of Docker" not in findings(tmp_path)


def test_a_server_without_database_and_engine(
    tmp_path: Path, data: Path, server: FakeServer
) -> None:
    announce(data, server)
    checks = {"database": "no answer within 2 s", "engine": "out of reach"}
    server.answers["GET /api/health"] = Said(
        {"status": "unavailable", "version": "0", "checks": checks}, 503
    )
    found = findings(tmp_path)
    assert found["server"] == (False, "Tagboat 0 answers: unavailable, see below")
    assert found["database"] == (False, "no answer within 2 s")
    assert found["engine"] == (False, "out of reach")


def test_a_server_without_its_engine_tells_the_reason_of_its_own_health(
    tmp_path: Path, data: Path, server: FakeServer
) -> None:
    announce(data, server)
    checks = {
        "database": "ok",
        "engine": "permission denied on its socket; add the user ada to the group docker",
    }
    server.answers["GET /api/health"] = {"status": "degraded", "version": "0", "checks": checks}
    found = findings(tmp_path)
    assert found["server"] == (True, "Tagboat 0 answers: degraded, see below")
    assert found["engine"] == (False, checks["engine"])


@pytest.mark.parametrize(
    ("state", "ok", "said"),
    [
        ("ok", True, "answers"),
        (
            "none",
            True,
            (
                "none: instances answer at their own loopback addresses; "
                "set TAGBOAT_INGRESS=haproxy to get one"
            ),
        ),
        ("another program has 127.0.0.1:7080", False, "another program has 127.0.0.1:7080"),
    ],
)
def test_the_ingress(
    tmp_path: Path,
    data: Path,
    server: FakeServer,
    state: str,
    ok: bool,
    said: str,
) -> None:
    announce(data, server)
    server.answers["GET /api/health"] = {
        "status": "ok",
        "version": "0",
        "checks": {"ingress": state},
    }
    found = findings(tmp_path)
    assert (found["ingress"][0], found["ingress"][1].startswith(said)) == (ok, True)


def test_what_the_engine_needs_for_a_registry_is_told_beside_that_all_is_well(
    tmp_path: Path, data: Path, server: FakeServer
) -> None:
    announce(data, server)
    server.answers["GET /api/registries"] = page(
        {"id": "r1", "name": "mine", "url": "https://r.example"}
    )
    checks = [
        {"name": "tls", "ok": True, "detail": "trusted"},
        {"name": "engine", "ok": True, "detail": "it needs a file"},
    ]
    server.answers["POST /api/registries/r1/test"] = {"ok": True, "checks": checks}
    assert findings(tmp_path)["registry mine"] == (
        True,
        "https://r.example answers; it needs a file",
    )


def test_registries_that_do_not_work(tmp_path: Path, data: Path, server: FakeServer) -> None:
    announce(data, server)
    server.answers["GET /api/registries"] = page(
        {"id": "r1", "name": "mine", "url": "https://r.example"},
        {"id": "r2", "name": "gone", "url": "https://g.example"},
    )
    bad = [
        {"name": "reachable", "ok": True, "detail": "yes"},
        {"name": "login", "ok": False, "detail": "enter a password"},
    ]
    server.answers["POST /api/registries/r1/test"] = {"ok": False, "checks": bad}
    found = findings(tmp_path)
    assert found["registry mine"] == (False, "login: enter a password")
    assert (found["registry gone"][0], "nothing at POST" in found["registry gone"][1]) == (
        False,
        True,
    )


def test_a_failed_poll_is_told(tmp_path: Path, data: Path, server: FakeServer) -> None:
    announce(data, server)
    failed = PROJECT | {
        "poll": {"last_at": None, "next_at": None, "error": "r.example refused the connection"}
    }
    server.answers["GET /api/projects"] = page(PROJECT | {"name": "well"}, failed)
    with fake_engine(tmp_path / "docker.sock", {"/_ping": b"OK"}):
        found = findings(tmp_path)
    assert {check: found[check] for check in found if "poll" in check} == {
        "last poll of app": (
            False,
            "r.example refused the connection; 'tagboat poll app' tries again",
        ),
    }


def test_a_sender_that_needs_a_person_is_told(
    tmp_path: Path, data: Path, server: FakeServer
) -> None:
    announce(data, server)
    server.answers["GET /api/deliveries"] = page(
        DELIVERY | {"sender": "zot", "needs_you": True, "reason": "which registry?"}
    )
    found = findings(tmp_path)
    assert found["sender zot"] == (
        False,
        "which registry? ('tagboat deliveries show v1' shows the call)",
    )


def test_a_wrong_token_is_one_of_the_findings(tagboat: Tagboat) -> None:
    done = tagboat("doctor", TAGBOAT_TOKEN="wrong-token")
    assert done.returncode == 1
    assert "WRONG  token     the server at" in done.stdout
    assert done.stdout.endswith("1 of 4 checks found a problem.\n")


def test_a_server_elsewhere_is_asked_and_nothing_here(tagboat: Tagboat, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    done = tagboat("doctor", "--json", TAGBOAT_DATA_DIR=str(tmp_path / "data"))
    assert (done.returncode, [finding["check"] for finding in json.loads(done.stdout)]) == (
        0,
        ["server", "database", "engine"],
    )


DISK = {
    "name": "data",
    "path": "/data",
    "free_bytes": 3 * GIB,
    "total_bytes": 9 * GIB,
    "low": False,
}
TAKEN = {
    "images": 4,
    "images_bytes": 2 * GIB,
    "volumes": [
        {"name": "tagboat-1-data", "bytes": GIB, "project": "app", "stage": "dev"},
        {"name": "tagboat-2-data", "bytes": None, "project": None, "stage": None},
    ],
}


def test_what_images_and_volumes_take_is_told(
    tmp_path: Path, data: Path, server: FakeServer
) -> None:
    announce(data, server)
    server.answers["GET /api/disk"] = {"disks": [DISK], "taken": TAKEN}
    found = findings(tmp_path)
    assert found["images"] == (True, "4 that Tagboat pulled, at most 2.0 GiB")
    assert found["volumes"] == (True, "2 of stages, 1.0 GiB")
    assert found["unused volumes"][0]
    assert found["unused volumes"][1].endswith("deletes one with its data: tagboat-2-data")
    on_node = {"name": "x", "bytes": None, "project": "app", "stage": "dev", "node": "n1"}
    taken = TAKEN | {"volumes": [on_node]}
    server.answers["GET /api/disk"] = {"disks": [DISK], "taken": taken}
    words = "0 of stages, 0 MiB; 1 on nodes of the swarm, not counted ('tagboat volumes')"
    assert findings(tmp_path)["volumes"] == (True, words)


def test_the_disks_of_a_server_elsewhere_are_told_by_it(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/disk"] = {
        "disks": [DISK | {"free_bytes": 1 << 20, "low": True}],
        "taken": TAKEN,
    }
    done = tagboat("doctor", "--json")
    (found,) = [
        finding for finding in json.loads(done.stdout) if finding["check"] == "disk of data"
    ]
    assert (found["ok"], found["detail"]) == (
        False,
        "1 MiB free for the data (LOW: free some space at /data)",
    )
    assert done.returncode == 1


def test_status_tells_of_the_disks(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/disk"] = {
        "disks": [DISK, DISK | {"name": "engine", "path": "/d", "low": True}],
        "taken": None,
    }
    assert (
        "disk: 3.0 GiB free for the data, 3.0 GiB free for Docker (LOW: free some space at /d)\n"
        in tagboat("status").stdout
    )
    assert len(json.loads(tagboat("status", "--json").stdout)["disks"]) == 2


def test_a_live_instance_that_needs_a_person_is_told_here_and_in_status(
    tmp_path: Path,
    data: Path,
    server: FakeServer,
    tagboat: Tagboat,
) -> None:
    announce(data, server)
    server.answers["GET /api/registries"] = page()
    server.answers["GET /api/instances"] = page(
        INSTANCE | {"trouble": "it ends again and again"}, INSTANCE | {"trouble": None}
    )
    with fake_engine(
        tmp_path / "docker.sock", {"/_ping": b"OK", "/info": {"DockerRootDir": str(tmp_path)}}
    ):
        found = findings(tmp_path)
    assert found["instance of app dev"] == (False, "v1: it ends again and again")
    told = tagboat("status").stdout.splitlines()
    assert told[-1] == "app dev needs attention: v1: it ends again and again"
    assert "v1 (!), v1" in told[-2]
