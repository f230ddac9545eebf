"""HAProxy killed, or its socket gone, while a deploy is about to switch."""

import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tagboat.ingress.process import our_processes
from tests.faults.fault_harness import FaultHarness, world
from tests.faults.traffic import Traffic
from tests.support.docker_registry import DockerRegistry

_SWITCH = "ingress.change_routes#1 before"
_BACK_WITHIN = timedelta(seconds=5)


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, engine_url: str, docker_registry: DockerRegistry
) -> Iterator[FaultHarness]:
    with world(tmp_path_factory.mktemp("ingress"), engine_url, docker_registry.host) as running:
        yield running


def switched_in_spite_of(host: FaultHarness, trouble: Callable[[Path], None]) -> Traffic:
    """What people noticed of a deploy that met the trouble just before its switch, and came
    through.
    """
    lane = host.lane()
    host.live_from(lane)
    tag = host.publish(lane)
    with host.users(lane) as users:
        host.server.order(wait_at=_SWITCH)
        deploy = host.push(lane, tag)
        host.server.until(lambda: _SWITCH in host.server.passed(), "the switch")
        trouble((host.server.directory / "data" / "ingress").resolve())
        host.server.order()
        ended = host.ended(deploy)
        host.rest(lane)
        assert users.goes_on() == f"I am {tag}"
    assert ended["status"] == "succeeded", ended["reason"]
    host.assert_serves(lane, tag)
    host.assert_true_of(ended, lane)
    return users


def kill(directory: Path) -> None:
    for process in our_processes(directory):
        os.kill(process, signal.SIGKILL)


def test_killed(host: FaultHarness) -> None:
    users = switched_in_spite_of(host, kill)
    times = [when for when, _ in users.failures]
    assert times
    assert times[-1] - times[0] < _BACK_WITHIN


@pytest.mark.quick
def test_its_socket_gone(host: FaultHarness) -> None:
    users = switched_in_spite_of(host, lambda directory: (directory / "master.sock").unlink())
    assert users.failures == []
