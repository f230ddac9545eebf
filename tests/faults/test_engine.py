"""An engine that goes away in mid-deploy, for a moment, for half a minute, or for good.

And one that is killed.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.engine_relay import Relay, engine_relay
from tests.faults.fault_harness import FaultHarness, Json, StageUnderTest, world
from tests.faults.own_engine import OwnEngine, own_engine
from tests.faults.registry_front import Fault, Front, registry_front
from tests.support.docker_registry import DockerRegistry
from tests.support.images import listens_late

AWAY_S = 30.0


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory, engine_url: str) -> Iterator[Relay]:
    assert engine_url.startswith("unix://"), (
        "these tests stand between Tagboat and an engine's socket"
    )
    with engine_relay(
        tmp_path_factory.mktemp("relay") / "docker.sock", Path(engine_url.removeprefix("unix://"))
    ) as running:
        yield running


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory,
    engine_url: str,
    docker_registry: DockerRegistry,
    relay: Relay,
) -> Iterator[FaultHarness]:
    directory = tmp_path_factory.mktemp("engine")
    with world(directory, engine_url, docker_registry.host, server_engine=relay.url) as running:
        yield running
        if relay.away.is_set():
            relay.open()


def after(seconds: float, what: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, what)
    timer.start()
    return timer


def goes_on(
    host: FaultHarness,
    lane: StageUnderTest,
    relay: Relay,
    away_s: float,
    **app: Any,  # noqa: ANN401 - as the sample app
) -> Json:
    """A deploy during which the engine goes away by itself, or has gone, and comes back after
    `away_s`.
    """
    tag = host.publish(lane, **app)
    with host.users(lane) as users, ExitStack() as stack:
        deploy = host.push(lane, tag)
        host.server.until(relay.away.is_set, "the engine to go away")
        stack.callback(after(away_s, relay.open).join)
        ended = host.ended(deploy)
        host.rest(lane)
        users.goes_on()
    assert (ended["status"], users.failures) == ("succeeded", []), ended["reason"]
    host.assert_serves(lane, tag)
    host.assert_true_of(ended, lane)
    return ended


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("POST", "/images/create"), id="pull"),
        pytest.param(("POST", "/containers/create"), id="create", marks=[pytest.mark.quick]),
        pytest.param(("POST", "/containers/", "/start"), id="start"),
        pytest.param(("POST", "/containers/", "/stop"), id="stop"),
        pytest.param(("DELETE", "/containers/"), id="remove"),
    ],
)
def test_one_that_hangs_up_in_the_middle_of(
    words: tuple[str, ...], host: FaultHarness, relay: Relay
) -> None:
    lane = host.lane()
    host.live_from(lane)
    relay.cut(*words)
    goes_on(host, lane, relay, 2.0)


def test_one_that_is_away_for_half_a_minute(host: FaultHarness, relay: Relay) -> None:
    lane = host.lane(health_timeout_s=60)
    host.live_from(lane)
    relay.close()
    goes_on(host, lane, relay, AWAY_S)


def test_one_that_is_away_for_half_a_minute_while_a_container_warms_up(
    host: FaultHarness, relay: Relay
) -> None:
    lane = host.lane(health_timeout_s=60)
    host.live_from(lane)
    relay.cut("POST", "/containers/", "/start")
    goes_on(host, lane, relay, AWAY_S, cmd=listens_late(5))


def test_one_that_does_not_come_back(host: FaultHarness, relay: Relay) -> None:
    lane = host.lane()
    old = host.live_from(lane)
    relay.cut("POST", "/containers/create")
    with host.users(lane) as users:
        deploy = host.push(lane, host.publish(lane))
        ended = host.ended(deploy, 240)
        users.goes_on()
        relay.open()
        host.rest(lane)
    assert (ended["status"], users.failures) == ("failed", [])
    assert f"the Docker engine at {relay.url} could not" in ended["reason"]
    assert "is Docker running there?" in ended["reason"]
    host.assert_serves(lane, old)
    host.assert_true_of(ended, lane)


@pytest.fixture(scope="module")
def mortal() -> Iterator[OwnEngine]:
    with own_engine() as running:
        yield running


@pytest.fixture(scope="module")
def front(docker_registry: DockerRegistry) -> Iterator[Front]:
    with registry_front(docker_registry.host) as running:
        yield running


@pytest.fixture(scope="module")
def frail(
    tmp_path_factory: pytest.TempPathFactory,
    mortal: OwnEngine,
    docker_registry: DockerRegistry,
    front: Front,
) -> Iterator[FaultHarness]:
    """On an engine of its own, which may be killed."""
    with world(
        tmp_path_factory.mktemp("frail"), mortal.url, docker_registry.host, front.host
    ) as running:
        yield running


def comes_through(frail: FaultHarness, lane: StageUnderTest, tag: str, deploy: str) -> None:
    """The containers die with the engine, and come back with it.

    Who asks in between finds nobody, but nothing is lost.
    """
    ended = frail.ended(deploy)
    assert ended["status"] == "succeeded", ended["reason"]
    frail.rest(lane)
    frail.server.until(lambda: frail.page(lane) == (200, f"I am {tag}"), "the new one to serve")
    frail.assert_serves(lane, tag)
    frail.assert_true_of(ended, lane)


@pytest.mark.parametrize(
    "point", ["runtime.start#1 before", "runtime.start#1 after", "runtime.stop#1 before"]
)
def test_one_that_is_killed_and_started_again(
    point: str, frail: FaultHarness, mortal: OwnEngine
) -> None:
    lane = frail.lane(health_timeout_s=60)
    frail.live_from(lane)
    tag = frail.publish(lane)
    frail.server.order(wait_at=point)
    deploy = frail.push(lane, tag)
    frail.server.until(lambda: point in frail.server.passed(), point)
    mortal.kill()
    frail.server.order()
    mortal.start()
    comes_through(frail, lane, tag, deploy)


def test_one_that_is_killed_in_the_middle_of_a_pull(
    frail: FaultHarness, mortal: OwnEngine, front: Front
) -> None:
    lane = frail.lane(health_timeout_s=60)
    frail.live_from(lane)
    tag = frail.publish(lane)
    front.fail(Fault(hang=True, agent="docker/", path="/blobs/"))
    deploy = frail.push(lane, tag)
    frail.server.until(lambda: front.struck > 0, "a layer to be asked for")
    mortal.kill()
    front.mend()
    mortal.start()
    comes_through(frail, lane, tag, deploy)


@pytest.mark.parametrize(
    ("step", "strategy"),
    [("check", "rolling"), ("watch", "rolling"), ("check", "recreate"), ("watch", "recreate")],
)
def test_one_that_is_stopped_and_started_again(
    step: str, strategy: str, frail: FaultHarness, mortal: OwnEngine
) -> None:
    """As by an upgrade: it ends the containers first, in good order, and then goes."""
    lane = frail.lane(health_timeout_s=60, watch_s=10, strategy=strategy)
    frail.live_from(lane)
    tag = frail.publish(lane, cmd=listens_late(3))
    deploy = frail.push(lane, tag)

    def is_there() -> bool:
        steps = frail.called("GET", f"/api/deploys/{deploy}")["steps"]
        return any(one["name"] == step and one["status"] == "running" for one in steps)

    frail.server.until(is_there, f"the step {step}")
    mortal.stop()
    mortal.start()
    comes_through(frail, lane, tag, deploy)
