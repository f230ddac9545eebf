"""Apps that misbehave.

Each ends with a reason that a person can act on, and the old instance serves all the while.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.faults.fault_harness import FaultHarness, Json, StageUnderTest, world
from tests.faults.traffic import Traffic
from tests.support.docker_registry import DockerRegistry
from tests.support.images import EXITS_AT_ONCE, NEVER_LISTENS

SERVE = "httpd -p $PORT -h /www"
UNHEARD = (
    "not healthy within 3 s: nothing accepted a connection on port 8080. Does the app "
    "listen on 0.0.0.0:8080"
)
_LOG_LIMIT = 31 << 20
"""Three files of 10 MB, and a little for the line that filled one."""
_GROWTH_LIMIT = 40 << 20


def shell(line: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", line)


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, engine_url: str, docker_registry: DockerRegistry
) -> Iterator[FaultHarness]:
    with world(tmp_path_factory.mktemp("apps"), engine_url, docker_registry.host) as running:
        yield running


@pytest.fixture
def lane(host: FaultHarness) -> Iterator[StageUnderTest]:
    made = host.lane(health_timeout_s=3)
    host.live_from(made)
    yield made
    host.called("DELETE", f"/api/projects/{made.project_id}")


def refused(host: FaultHarness, lane: StageUnderTest, **app: Any) -> tuple[Json, Traffic]:  # noqa: ANN401 - whatever the sample app takes
    """The failed deploy of such an app, beside which the old instance has gone on to serve."""
    old = host.live(lane)
    with host.users(lane) as users:
        deploy = host.ended(host.push(lane, host.publish(lane, **app)))
        host.rest(lane)
        users.goes_on()
    assert deploy["status"] == "failed", deploy
    assert host.live(lane) == old
    host.assert_serves(lane, old["tag"])
    host.assert_true_of(deploy, lane)
    return deploy, users


@pytest.mark.quick
def test_one_that_exits_at_once(host: FaultHarness, lane: StageUnderTest) -> None:
    deploy, users = refused(host, lane, cmd=EXITS_AT_ONCE)
    assert users.failures == []
    assert deploy["reason"].startswith("the new container exited")
    assert "no configuration found" in deploy["log"]


def test_one_that_is_never_healthy(host: FaultHarness, lane: StageUnderTest) -> None:
    deploy, users = refused(host, lane, cmd=NEVER_LISTENS)
    assert users.failures == []
    assert deploy["reason"].startswith(UNHEARD)
    assert "waiting for nothing" in deploy["log"]


def test_one_whose_page_for_the_healthcheck_is_not_there(
    host: FaultHarness, lane: StageUnderTest
) -> None:
    host.called("PATCH", f"/api/projects/{lane.project_id}", {"healthcheck": "/no-such-page"})
    deploy, users = refused(host, lane)
    assert users.failures == []
    assert (
        deploy["reason"] == "not healthy within 3 s: answered HTTP 404 (the project's port is 8080)"
    )


def test_one_that_listens_on_another_port(host: FaultHarness, lane: StageUnderTest) -> None:
    deploy, users = refused(
        host, lane, cmd=shell("echo 'listening on 9090'; httpd -f -p 9090 -h /www")
    )
    assert users.failures == []
    assert deploy["reason"].startswith(UNHEARD)
    assert "listening on 9090" in deploy["log"]


def test_one_that_dies_when_it_is_live(host: FaultHarness, lane: StageUnderTest) -> None:
    host.called("PATCH", f"/api/stages/{lane.stage_id}", {"watch_s": 10})
    deploy, users = refused(host, lane, cmd=shell(f"{SERVE}; sleep 5; echo 'out of luck'; exit 4"))
    assert deploy["reason"].startswith(
        "it was healthy and live, and then: the new container exited"
    )
    assert "out of luck" in deploy["log"]
    watch = next(step for step in deploy["steps"] if step["name"] == "watch")
    assert (watch["status"], watch["detail"]) == ("failed", deploy["reason"])
    # It was dead for a moment before anybody could know: that is all that anybody noticed.
    found_dead = datetime.fromisoformat(watch["finished_at"])
    assert [
        told for told in users.failures if abs(told[0] - found_dead) > timedelta(seconds=2)
    ] == []


def test_one_that_ignores_the_signal_to_stop(host: FaultHarness, lane: StageUnderTest) -> None:
    host.called("PATCH", f"/api/stages/{lane.stage_id}", {"stop_timeout_s": 2})
    deaf = host.live_from(
        lane, cmd=shell("trap '' TERM; httpd -f -p $PORT -h /www & while :; do wait; done")
    )
    assert host.live(lane)["tag"] == deaf
    with host.users(lane) as users:
        tag = host.publish(lane)
        deploy = host.ended(host.push(lane, tag))
        host.rest(lane)
        users.goes_on()
    retire = next(step for step in deploy["steps"] if step["name"] == "retire")
    took = datetime.fromisoformat(retire["finished_at"]) - datetime.fromisoformat(
        retire["started_at"]
    )
    assert timedelta(seconds=2) <= took < timedelta(seconds=8)
    assert (deploy["status"], users.failures) == ("succeeded", [])
    host.assert_serves(lane, tag)
    host.assert_true_of(deploy, lane)


def test_one_that_forks_without_end(host: FaultHarness, lane: StageUnderTest) -> None:
    host.called("PATCH", f"/api/stages/{lane.stage_id}", {"pids": 50})
    deploy, users = refused(host, lane, cmd=shell("while :; do sleep 86400 & done"))
    assert users.failures == []
    assert deploy["reason"].startswith("the new container exited")
    assert "can't fork" in deploy["log"]


def memory_of(process: int) -> int:
    """Resident bytes."""
    (line,) = [
        line
        for line in Path(f"/proc/{process}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    ]
    return int(line.split()[1]) << 10


def log_size(host: FaultHarness, lane: StageUnderTest) -> int:
    """Bytes of all files that the engine keeps of what the stage's container has said."""
    path = Path(host.engine(f"/containers/{host.live(lane)['container']}/json")["LogPath"])
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


def test_one_that_floods_its_log(host: FaultHarness, lane: StageUnderTest) -> None:
    process = host.server.process
    assert process is not None
    before = memory_of(process.pid)
    line = "x" * 2000
    tag = host.live_from(
        lane,
        cmd=shell(f"{SERVE}; yes {line} | head -c 1000000000; echo 'that was all'; sleep 86400"),
    )
    logs = f"/api/instances/{host.live(lane)['id']}/logs?tail=100"
    sizes = []
    seen = []

    def done() -> bool:
        sizes.append(log_size(host, lane))
        seen.append(memory_of(process.pid))
        return "that was all" in str(host.server.call("GET", logs)[1])

    host.server.until(done, "a gigabyte to be said", 180)
    assert max(sizes) <= _LOG_LIMIT
    assert max(seen) - before <= _GROWTH_LIMIT
    host.assert_serves(lane, tag)


def test_one_that_floods_its_log_and_dies(host: FaultHarness, lane: StageUnderTest) -> None:
    deploy, users = refused(
        host, lane, cmd=shell(f"yes {'y' * 200} | head -c 30000000; echo 'that was all'; exit 9")
    )
    assert users.failures == []
    assert deploy["reason"].startswith("the new container exited")
    assert 0 < len(deploy["log"].splitlines()) <= 100
