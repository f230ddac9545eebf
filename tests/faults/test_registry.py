"""Registries that fail: while Tagboat resolves the tag, or while the engine pulls the image."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tagboat.core.values import replace
from tests.faults.fault_harness import FaultHarness, Json, StageUnderTest, world
from tests.faults.registry_front import Fault, Front, registry_front
from tests.support.docker_registry import DockerRegistry
from tests.support.images import push_image

TAGBOAT, ENGINE = "tagboat/", "docker/"
HANG_S = 60.0


@pytest.fixture(scope="module")
def front(docker_registry: DockerRegistry) -> Iterator[Front]:
    with registry_front(docker_registry.host) as running:
        yield running


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory,
    engine_url: str,
    docker_registry: DockerRegistry,
    front: Front,
) -> Iterator[FaultHarness]:
    with world(
        tmp_path_factory.mktemp("registry"), engine_url, docker_registry.host, front.host
    ) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(
    tmp_path_factory: pytest.TempPathFactory,
    engine_url: str,
    docker_registry: DockerRegistry,
    front: Front,
) -> Iterator[FaultHarness]:
    """Return its registry client waits half a second for the next byte."""
    with world(
        tmp_path_factory.mktemp("impatient"),
        engine_url,
        docker_registry.host,
        front.host,
        read_s=0.5,
    ) as running:
        yield running


def deployed(
    host: FaultHarness, front: Front, strike: Callable[[], None]
) -> tuple[StageUnderTest, Json, str]:
    """Return the ended deploy of a tag pushed under the fault; who serves before it.

    All the while it served.
    """
    lane = host.lane()
    old = host.live_from(lane)
    tag = f"{old}-next"
    push_image(host.registry, f"acme/{lane.project}", tag, body=f"I am {tag}")
    with host.users(lane) as users:
        strike()
        pushed = host.called("POST", host.server.webhook_path(), {"image": f"{lane.image}:{tag}"})
        deploy = host.ended(pushed["pushes"][0]["deploy"])
        front.mend()
        host.rest(lane)
        users.goes_on()
    assert users.failures == []
    host.assert_true_of(deploy, lane)
    host.assert_serves(lane, tag if deploy["status"] == "succeeded" else old)
    return lane, deploy, old


FAILURES = {
    "a 401": (Fault(status=401, code="UNAUTHORIZED"), "denied access", "refused the login"),
    "a 404": (Fault(status=404, code="MANIFEST_UNKNOWN"), "has no", "has no such image"),
    "a 500": (
        Fault(status=500),
        "failed with status 500; its own log says why",
        "out of order for now",
    ),
    "a 429 without end": (
        Fault(status=429, code="TOOMANYREQUESTS", headers={"Retry-After": "1"}),
        "has had too many requests from here; it may be asked again at",
        "refuses more pulls for now",
    ),
    "an answer cut in the middle": (
        Fault(cut=True, path="/manifests/"),
        "closed the connection before its answer was complete",
        "could not reach the registry",
    ),
}
QUICK = {("a 404", TAGBOAT), ("a 401", ENGINE)}
CASES = [
    pytest.param(
        name,
        agent,
        id=f"{name} for {agent[:-1]}",
        marks=[pytest.mark.quick] if (name, agent) in QUICK else [],
    )
    for name in FAILURES
    for agent in (TAGBOAT, ENGINE)
]


@pytest.mark.parametrize(("name", "agent"), CASES)
def test_one_that_answers_badly(name: str, agent: str, host: FaultHarness, front: Front) -> None:
    fault, told_tagboat, told_engine = FAILURES[name]
    _, deploy, _ = deployed(host, front, lambda: front.fail(replace(fault, agent=agent)))
    assert front.struck > 0
    assert deploy["status"] == "failed", deploy
    assert (told_tagboat if agent == TAGBOAT else told_engine) in deploy["reason"]
    assert front.host in deploy["reason"]


@pytest.mark.parametrize("agent", [TAGBOAT, ENGINE])
def test_one_that_is_away(agent: str, host: FaultHarness, front: Front) -> None:
    strike = front.close if agent == TAGBOAT else lambda: front.fail(Fault(away=True, agent=ENGINE))
    try:
        _, deploy, _ = deployed(host, front, strike)
    finally:
        front.open()
    assert deploy["status"] == "failed"
    assert front.host in deploy["reason"]
    wanted = (
        "refused the connection; is the registry up"
        if agent == TAGBOAT
        else "is it up, and in reach of the engine?"
    )
    assert wanted in deploy["reason"]


def test_one_that_says_when_to_come_back(host: FaultHarness, front: Front) -> None:
    fault = Fault(status=429, headers={"Retry-After": "3"}, agent=TAGBOAT, times=1)
    began = time.monotonic()
    _, deploy, _ = deployed(host, front, lambda: front.fail(fault))
    assert (deploy["status"], front.struck) == ("succeeded", 1)
    assert time.monotonic() - began > 3


def test_a_layer_that_is_cut_in_the_middle_once(host: FaultHarness, front: Front) -> None:
    fault = Fault(cut=True, agent=ENGINE, path="/blobs/", times=1)
    _, deploy, _ = deployed(host, front, lambda: front.fail(fault))
    assert (deploy["status"], front.struck) == ("succeeded", 1)


def test_one_that_never_answers(impatient: FaultHarness, front: Front) -> None:
    _, deploy, _ = deployed(impatient, front, lambda: front.fail(Fault(hang=True, agent=TAGBOAT)))
    assert (deploy["status"], deploy["reason"]) == (
        "failed",
        f"{front.host} did not answer in time",
    )


@pytest.mark.parametrize("agent", [TAGBOAT, ENGINE])
def test_one_that_hangs_for_a_minute(agent: str, host: FaultHarness, front: Front) -> None:
    """With the time-outs that people have."""

    def strike() -> None:
        front.fail(Fault(hang=True, agent=agent))
        threading.Timer(HANG_S, front.mend).start()

    _, deploy, _ = deployed(host, front, strike)
    assert deploy["status"] == "succeeded"
    assert front.struck > 0
