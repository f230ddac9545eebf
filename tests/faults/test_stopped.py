"""The server told to stop, by SIGTERM, while an app that cannot run twice is being replaced.

It goes within ten seconds; the old instance serves as long as the server is down, and the deploy
ends after the next start.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.faults.fault_harness import FaultHarness, StageUnderTest, world
from tests.faults.points import around
from tests.support.docker_registry import DockerRegistry
from tests.support.images import EXITS_AT_ONCE

_BEFORE_THE_SWITCH = (
    "store.write DeployRecord.make_way#1 after",
    *around(
        ("ingress.change_routes#1", "haproxy.set map#1", "ingress.in_flight#1", "runtime.stop#1")
    ),
    *around(("store.write DeployRecord.put_instance#1", "runtime.create#1", "runtime.start#1")),
    *around(("store.write DeployRecord.advance to check#1", "runtime.status#2")),
    "store.write DeployRecord.advance to switch#1 before",
)
_AFTER_IT = (
    "store.write DeployRecord.advance to switch#1 after",
    "ingress.change_routes#2 after",
    "runtime.status#3 after",
)
_FAILING = (
    "store.write DeployRecord.record_failure#1 after",
    "ingress.change_routes#2 after",
    "runtime.list_workloads#2 after",
    "runtime.remove#1 after",
    "runtime.start#2 before",
)
_QUICK = frozenset({"runtime.stop#1 after", "runtime.start#1 after"})
DEAF = ("/bin/sh", "-c", "trap '' TERM; httpd -f -p $PORT -h /www & while :; do wait; done")
SLOW = (
    "/bin/sh",
    "-c",
    "trap 'sleep 2; exit 0' TERM; httpd -f -p $PORT -h /www & while :; do wait; done",
)


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, engine_url: str, docker_registry: DockerRegistry
) -> Iterator[FaultHarness]:
    with world(tmp_path_factory.mktemp("stopped"), engine_url, docker_registry.host) as running:
        yield running


@pytest.fixture
def lane(host: FaultHarness) -> Iterator[StageUnderTest]:
    host.server.start_if_left_dead()
    made = host.lane(strategy="recreate")
    yield made
    host.called("DELETE", f"/api/projects/{made.project_id}")


def stopped_at(
    host: FaultHarness,
    lane: StageUnderTest,
    point: str,
    serves: str,
    **app: Any,  # noqa: ANN401 - any app
) -> tuple[str, str]:
    """Stop the server with a deploy held at the point.

    The tags that served before and that the deploy is of.

    `serves` is which of the two, `old` or `new`, must serve while the server is down.
    """
    old = host.live(lane)["tag"]
    tag = host.publish(lane, **app)
    with host.users(lane) as users:
        host.server.order(hold_at=point)
        deploy = host.push(lane, tag)
        host.server.held_at(point)
        assert host.server.terminate() == 0
        assert users.goes_on(5) == f"I am {old if serves == 'old' else tag}"
        host.server.order()
        host.server.start()
        host.ended(deploy)
        host.rest(lane)
        users.goes_on()
    assert users.failures == []
    return old, tag


@pytest.mark.parametrize(
    "point",
    [pytest.param(p, marks=[pytest.mark.quick] if p in _QUICK else []) for p in _BEFORE_THE_SWITCH],
)
def test_before_the_switch(host: FaultHarness, lane: StageUnderTest, point: str) -> None:
    host.live_from(lane)
    _, tag = stopped_at(host, lane, point, "old")
    host.assert_serves(lane, tag)
    host.assert_true_of(host.deploys(lane)[0], lane)


@pytest.mark.parametrize("point", _AFTER_IT)
def test_after_the_switch(host: FaultHarness, lane: StageUnderTest, point: str) -> None:
    host.live_from(lane)
    _, tag = stopped_at(host, lane, point, "new")
    host.assert_serves(lane, tag)
    host.assert_true_of(host.deploys(lane)[0], lane)


@pytest.mark.parametrize("point", _FAILING)
def test_while_what_has_failed_is_taken_back(
    host: FaultHarness, lane: StageUnderTest, point: str
) -> None:
    host.live_from(lane)
    old, _ = stopped_at(host, lane, point, "old", cmd=EXITS_AT_ONCE)
    host.assert_serves(lane, old)
    deploy = host.deploys(lane)[0]
    host.assert_true_of(deploy, lane)
    assert "no configuration found" in deploy["log"]


@pytest.mark.parametrize("command", [DEAF, SLOW], ids=["deaf", "slow"])
def test_while_the_old_one_takes_its_time_to_stop(
    host: FaultHarness, lane: StageUnderTest, command: tuple[str, ...]
) -> None:
    host.live_from(lane, cmd=command)
    _, tag = stopped_at(host, lane, "runtime.stop#1 before", "old")
    host.assert_serves(lane, tag)


def test_while_an_old_one_that_does_not_listen_is_stopping(
    host: FaultHarness, lane: StageUnderTest
) -> None:
    """The engine goes on with what it was told, although whoever told it is gone."""
    assert stopped_while_it_stops(host, lane, DEAF) == "old"


def test_while_a_slow_old_one_is_stopping(host: FaultHarness, lane: StageUnderTest) -> None:
    """It is gone in time, so the new one may be live by then."""
    assert stopped_while_it_stops(host, lane, SLOW) in {"old", "new"}


def stopped_while_it_stops(
    host: FaultHarness, lane: StageUnderTest, command: tuple[str, ...]
) -> str:
    """Whether the `old` or the `new` one serves while the server is down, which was stopped as
    the old one had begun to.
    """
    old = host.live_from(lane, cmd=command)
    container = host.live(lane)["container"]
    began = started_at(host, container)
    tag = host.publish(lane)
    with host.users(lane) as users:
        host.server.order()
        deploy = host.push(lane, tag)
        host.server.until(
            lambda: "runtime.stop#1 before" in host.server.passed(),
            "the old one to be told to stop",
        )
        assert host.server.terminate() == 0
        served = {f"I am {old}": "old", f"I am {tag}": "new"}[users.goes_on(5)]
        # What runs is there to stay: it was started after the stop was over.
        assert served == "new" or started_at(host, container) > began
        host.server.start()
        assert host.ended(deploy)["status"] == "succeeded"
        host.rest(lane)
        users.goes_on()
    assert users.failures == []
    host.assert_serves(lane, tag)
    return served


def started_at(host: FaultHarness, container: str) -> datetime:
    return datetime.fromisoformat(
        host.engine(f"/containers/{container}/json")["State"]["StartedAt"]
    )
