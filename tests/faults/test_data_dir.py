"""The place where the server keeps what it knows: full, locked, or wanted by two.

And a clock that jumps.
"""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.fault_harness import LAUNCHER, FaultHarness, Json, StageUnderTest, world
from tests.support.docker_registry import DockerRegistry
from tests.support.images import listens_late
from tests.support.ports import free_port


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """Return a file system of 24 MB."""
    directory.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "tagboat-faults", directory],
        check=True,
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, engine_url: str, docker_registry: DockerRegistry
) -> Iterator[FaultHarness]:
    directory = tmp_path_factory.mktemp("data")
    with (
        small_disk(directory / "data"),
        world(directory, engine_url, docker_registry.host) as running,
    ):
        yield running


@pytest.fixture
def lane(host: FaultHarness) -> Iterator[StageUnderTest]:
    made = host.lane()
    host.called("PATCH", f"/api/projects/{made.project_id}", {"healthcheck": "/"})
    host.live_from(made)
    host.called("PATCH", f"/api/projects/{made.project_id}", {"healthcheck": "/ready"})
    yield made
    host.called("DELETE", f"/api/projects/{made.project_id}")


def deploy_held_up(host: FaultHarness, lane: StageUnderTest, **app: Any) -> tuple[str, str]:  # noqa: ANN401 - whatever the sample app takes
    """Tag and id of a deploy whose container runs and is not yet healthy."""
    tag = host.publish(lane, **app)
    deploy = host.push(lane, tag)

    def is_checked() -> bool:
        steps = host.called("GET", f"/api/deploys/{deploy}")["steps"]
        return any(step["name"] == "check" and step["status"] == "running" for step in steps)

    host.server.until(is_checked, "the new container to be asked whether it is healthy")
    return tag, deploy


def let(host: FaultHarness, deploy: str) -> None:
    """Make the container of that deploy healthy."""
    ask = ["docker", "-H", host.engine_url]
    found = subprocess.run(
        [*ask, "ps", "-q", "--filter", f"label=tagboat.deploy={deploy}"],
        capture_output=True,
        check=True,
    )
    (container,) = found.stdout.decode().split()
    subprocess.run([*ask, "exec", container, "/bin/sh", "-c", "echo yes > /www/ready"], check=True)


def goes_on_after(
    host: FaultHarness,
    lane: StageUnderTest,
    trouble: Callable[[], None],
    relief: Callable[[], None],
) -> Json:
    """Return a deploy that is in its middle when the trouble begins, and ends after the relief.

    All the while somebody serves.

    Returns what a push is told meanwhile.
    """
    host.called("PATCH", f"/api/projects/{lane.project_id}", {"healthcheck": "/"})
    tag, deploy = deploy_held_up(host, lane, cmd=listens_late(3))
    old = host.live(lane)["tag"]
    with host.users(lane) as users:
        trouble()
        host.server.until(
            lambda: waits_for_the_database(host, deploy), "the deploy to wait for the database"
        )
        assert users.goes_on() == f"I am {old}"
        status, told = host.server.call(
            "POST", host.server.webhook_path(), {"image": f"{lane.image}:not-now"}
        )
        ready, health = host.server.call("GET", "/api/health/ready")
        relief()
        ended = host.ended(deploy)
        host.rest(lane)
        users.goes_on()
    assert (ended["status"], users.failures) == ("succeeded", []), ended
    assert host.deploy_of(lane, "not-now") is None
    host.assert_true_of(ended, lane)
    assert host.live(lane)["tag"] == tag
    assert status == 503
    assert (ready, health["checks"]["database"] != "ok") == (503, True), health
    assert host.server.call("GET", "/api/health/ready")[0] == 200
    return dict(told)


def waits_for_the_database(host: FaultHarness, deploy: str) -> bool:
    lines = [json.loads(line) for line in host.server.log().splitlines() if line.startswith("{")]
    return any(
        line["event"] == "the deploy waits for the database" and line.get("deploy") == deploy
        for line in lines
    )


def test_a_full_disk(host: FaultHarness, lane: StageUnderTest) -> None:
    host.server.restart()  # it begins a new write-ahead log, which has no room in reserve
    filler = host.server.directory / "data" / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                return

    try:
        told = goes_on_after(host, lane, fill, filler.unlink)
    finally:
        filler.unlink(missing_ok=True)
    assert "the database cannot be used: database or disk is full" in told["detail"]


def test_a_locked_database(host: FaultHarness, lane: StageUnderTest) -> None:
    with closing(
        sqlite3.connect(host.server.directory / "data" / "tagboat.db", isolation_level=None)
    ) as other:
        told = goes_on_after(host, lane, lambda: lock(other), lambda: unlock(other))
    assert "the database cannot be used: database is locked" in told["detail"]


def lock(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA busy_timeout=10000")
    database.execute("BEGIN IMMEDIATE")


def unlock(database: sqlite3.Connection) -> None:
    database.execute("ROLLBACK")


@pytest.mark.parametrize("ahead_s", [3600, -3600])
def test_a_clock_that_jumps_an_hour(host: FaultHarness, lane: StageUnderTest, ahead_s: int) -> None:
    tag, deploy = deploy_held_up(host, lane)
    with host.users(lane) as users:
        host.server.order(ahead_s=ahead_s)
        so_far = host.server.log().count("waits for the database")
        # Several claims have run out by the new time, or seem to be an hour old.
        host.server.until(
            lambda: sum("Worker._look" in point for point in host.server.passed()) > 6,
            "the queue to be looked at",
        )
        let(host, deploy)
        ended = host.ended(deploy)
        next_tag, next_deploy = deploy_held_up(host, lane)
        let(host, next_deploy)
        assert host.ended(next_deploy)["status"] == "succeeded"
        host.rest(lane)
        users.goes_on()
        host.server.order()
    assert (ended["status"], ended["reason"], users.failures) == ("succeeded", f"{tag} is live", [])
    assert host.live(lane)["tag"] == next_tag
    assert [one["tag"] for one in host.deploys(lane)][:2] == [next_tag, tag] or ahead_s < 0
    assert host.server.log().count("waits for the database") == so_far
    assert len(host.containers(lane)) == 1


def test_two_servers_on_one_data_directory(host: FaultHarness, lane: StageUnderTest) -> None:
    _, deploy = deploy_held_up(host, lane)
    variables = {**host.server.variables(), "TAGBOAT_PORT": str(free_port())}
    second = subprocess.run(
        [sys.executable, LAUNCHER, "serve"],
        env=variables,
        cwd=host.server.directory,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 1
    assert "another Tagboat server uses the data directory" in second.stderr
    assert "stop it first, or set TAGBOAT_DATA_DIR" in second.stderr
    with host.users(lane) as users:
        let(host, deploy)
        ended = host.ended(deploy)
        host.rest(lane)
        users.goes_on()
    assert (ended["status"], users.failures) == ("succeeded", [])
    host.assert_true_of(ended, lane)
