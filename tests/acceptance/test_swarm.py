"""A real Docker Swarm of three nodes behind the real process and ingress."""

from collections.abc import Iterator

import pytest

from tests.faults.traffic import traffic
from tests.support.images import EXITS_AT_ONCE
from tests.support.server import Server
from tests.support.swarm_cluster import Cluster, Node, swarm_cluster
from tests.support.swarm_run import EDGE, SwarmLane, new_swarm_lane, swarm_server

DEPLOYS_UNDER_LOAD = 20


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with swarm_cluster(size=3, managers=3) as cluster:
        cluster.host(EDGE, 90)
        yield cluster


@pytest.fixture(scope="module")
def server(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with (
        cluster.inside(EDGE),
        swarm_server(cluster, tmp_path_factory.mktemp("tagboat")) as server,
    ):
        yield server


@pytest.fixture
def lane(cluster: Cluster, server: Server) -> Iterator[SwarmLane]:
    lane = new_swarm_lane(cluster, server)
    yield lane
    for project in server.items("/api/projects"):
        server.call("DELETE", f"/api/projects/{project['id']}")


@pytest.fixture
def back_again(cluster: Cluster) -> Iterator[None]:
    """Let all nodes be there again after a test that loses one."""
    yield
    for node in cluster.nodes:
        node.join_up()
        if node.process is None or node.process.poll() is not None:
            node.start()
            node.await_answer()


def other_than_leader(lane: SwarmLane) -> Node:
    leader = lane.cluster.leader()
    return next(node for node in lane.nodes_with_tasks() if node is not leader)


@pytest.mark.usefixtures("back_again")
def test_two_replicas_are_updated_and_lose_a_node_without_a_lost_request(lane: SwarmLane) -> None:
    lane.bring("v1")
    assert len(lane.nodes_with_tasks()) == 2
    with traffic(lane.port, lane.host) as asked:
        asked.goes_on()
        lane.bring("v2")
        asked.answers.clear()
        assert asked.goes_on() == "v2"
        assert set(asked.answers) == {"v2"}

        failed = lane.bring("v3", "failed", cmd=EXITS_AT_ONCE)
        assert "exited with code 3" in failed["reason"]
        assert "no configuration found" in failed["log"]
        assert len(lane.services()) == 1

        other_than_leader(lane).lose_power()
        lane.server.until(lambda: lane.running_tasks() == 2, "two tasks on the nodes left")
        asked.goes_on(100)
        assert set(asked.answers) == {"v2"}
    assert not asked.failures
    health = lane.server.call("GET", "/api/health")[1]
    assert "do not answer" in health["checks"]["engine"]
