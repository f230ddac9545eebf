"""Whole deploys on engines that speak Docker's API but are not Docker run by root."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.acceptance.test_push_to_running import inspect
from tests.acceptance.test_switching import Lane, asking, new_lane
from tests.support.images import EXITS_AT_ONCE
from tests.support.other_engines import OtherEngine, podman, rootless_docker
from tests.support.ports import free_port
from tests.support.server import running_server


@pytest.fixture(scope="module", params=[podman, rootless_docker])
def engine(request: pytest.FixtureRequest) -> Iterator[OtherEngine]:
    run: Callable[[], AbstractContextManager[OtherEngine]] = request.param
    if run is rootless_docker and not Path("/dev/net/tun").exists():
        pytest.skip("slirp4netns needs /dev/net/tun, which this kernel lacks")
    with run() as running:
        yield running


@pytest.fixture
def lane(engine: OtherEngine, tmp_path: Path) -> Iterator[Lane]:
    port = free_port()
    environ = {"TAGBOAT_INGRESS": "haproxy", "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{port}"}
    with running_server(tmp_path, engine.url, **environ) as server:
        yield new_lane(server, port, engine.registry, engine.url)


def test_a_stage_is_brought_replaced_and_taken_back_without_a_lost_request(lane: Lane) -> None:
    lane.bring("v1")
    with asking(lane) as asked:
        lane.bring("v2")
        failed = lane.bring("v3", "failed", cmd=EXITS_AT_ONCE)
        status, back = lane.post(f"/api/stages/{lane.stage}/rollback")
        assert status == 202, back
        assert lane.server.ended(back["id"])["status"] == "succeeded"
        assert lane.ask() == (200, "v1")
    assert {"v1", "v2"} == set(asked.answers)
    assert "exited with code 3" in failed["reason"]
    assert "no configuration found" in failed["log"]
    assert (lane.live(), len(lane.containers())) == (["v1"], 1)
    said = lane.server.cli("doctor")
    assert said.returncode == 0, said.stdout + said.stderr


def test_a_restart_of_the_server_finds_what_runs(lane: Lane) -> None:
    lane.bring("v1")
    (runs,) = lane.containers()
    with asking(lane) as asked:
        lane.server.kill()
        lane.server.start()
        lane.bring("v2")
    assert list(dict.fromkeys(asked.answers)) == ["v1", "v2"]
    (now,) = lane.containers()
    assert now != runs
    assert inspect(now, lane.engine_url)["Config"]["Labels"]["tagboat.project"] == lane.name
