"""A real Docker Swarm of three nodes behind the real process and ingress."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.lan import LAN
from demo.swarm_cluster import HUB, Cluster, swarm_cluster
from demo.swarm_node import Node
from demo.waiting import await_value
from tagboat.runtime.swarm.service_wire import LOGIN_LABEL
from tests.faults.traffic import page, traffic
from tests.support.docker_registry import DockerRegistry, docker_registry
from tests.support.images import EXITS_AT_ONCE
from tests.support.server import Server
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
        if not node.runs:
            node.start()
            node.await_answer()
    # With two managers left, the next one that dies would leave none that leads.
    await_value(lambda: len(cluster.ready_nodes()) == 3, 180, "all nodes to be there")


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


def reaches(lane: SwarmLane, deploy: str, step: str) -> None:
    """Wait until a deploy has begun that step."""

    def begun() -> bool:
        steps = lane.server.call("GET", f"/api/deploys/{deploy}")[1]["steps"]
        return any(one["name"] == step and one["status"] != "pending" for one in steps)

    lane.server.until(begun, f"the step {step}")


@pytest.mark.slow
@pytest.mark.parametrize("step", ["pull", "start", "check", "switch", "retire"])
def test_a_server_that_is_killed_carries_its_deploy_to_the_end(lane: SwarmLane, step: str) -> None:
    lane.bring("v1")
    lane.publish("v2")
    with traffic(lane.port, lane.host) as asked:
        asked.goes_on()
        deploy = lane.order("v2")
        reaches(lane, deploy, step)
        lane.server.kill()
        asked.goes_on()
        lane.server.start()
        ended = lane.server.ended(deploy)
        assert ended["status"] == "succeeded", ended
        asked.answers.clear()
        assert asked.goes_on() == "v2"
    assert not asked.failures
    assert lane.live()["tag"] == "v2"
    lane.server.until(lambda: len(lane.services()) == 1, "the old service to be gone")


@pytest.mark.slow
def test_many_deploys_under_load_lose_no_request(lane: SwarmLane) -> None:
    lane.bring("v0")
    with traffic(lane.port, lane.host) as asked:
        for number in range(1, DEPLOYS_UNDER_LOAD + 1):
            lane.bring(f"v{number}")
        asked.answers.clear()
        assert asked.goes_on() == f"v{DEPLOYS_UNDER_LOAD}"
    assert not asked.failures
    assert len(lane.services()) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("back_again")
@pytest.mark.parametrize("way", ["power", "cable", "freeze"])
@pytest.mark.parametrize("step", ["start", "check"])
def test_the_loss_of_the_leader_loses_no_deploy(lane: SwarmLane, step: str, way: str) -> None:
    lane.bring("v1")
    lane.publish("v2")
    with traffic(lane.port, lane.host) as asked:
        asked.goes_on()
        deploy = lane.order("v2")
        reaches(lane, deploy, step)
        leader = lane.cluster.leader()
        lose = {"power": leader.lose_power, "cable": leader.cut_off, "freeze": leader.freeze}
        lose[way]()
        try:
            ended = lane.server.ended(deploy)
            assert ended["status"] == "succeeded", (ended, lane.server.log()[-6000:])
            asked.answers.clear()
            assert asked.goes_on() == "v2"
        finally:
            leader.freeze(frozen=False)
    assert not asked.failures
    assert lane.live()["tag"] == "v2"


@pytest.mark.slow
@pytest.mark.usefixtures("back_again")
def test_one_replica_is_back_on_another_node(cluster: Cluster, server: Server) -> None:
    lane = new_swarm_lane(cluster, server, replicas=1)
    lane.bring("v1")
    before = lane.live()["url"]
    moves(lane)
    server.until(lambda: bool(lane.live()["url"] != before), "its endpoint on record")


@pytest.fixture
def private(cluster: Cluster) -> Iterator[DockerRegistry]:
    """A registry of the hub that wants a login."""
    with ExitStack() as stack:
        with cluster.inside(HUB):
            login = ("deploy", "first-password")
            made = docker_registry(login=login, address=f"{LAN}.100")
            registry = stack.enter_context(made)
        yield registry


@pytest.mark.slow
@pytest.mark.usefixtures("back_again")
def test_a_private_image_is_pulled_where_a_task_moves_to(
    cluster: Cluster, server: Server, private: DockerRegistry
) -> None:
    """Also after its password has changed: the login of the service is renewed."""
    assert private.login is not None
    fields = {"name": "private", "url": private.url, "kind": "oci"}
    login = {"username": private.login[0], "password": private.login[1]}
    status, known = server.call("POST", "/api/registries", {**fields, **login})
    assert status == 201, known
    lane = new_swarm_lane(cluster, server, private.host, replicas=1)
    lane.bring("v1", auth=private.login)
    # All that the other nodes have to pull with is the login of the service.
    moves(lane)
    for node in cluster.nodes:
        if node not in lane.nodes_with_tasks():
            forget_images(node)

    private.stop()
    private.change_login("deploy", "second-password")
    with cluster.inside(HUB):
        private.start()
    path = f"/api/registries/{known['id']}"
    status, said = server.call("PATCH", path, {"password": "second-password"})
    assert status == 200, said
    before = login_notes(lane)
    server.kill()
    server.start()  # it renews all logins at once, and then hourly
    server.until(lambda: login_notes(lane) != before, "new logins")
    moves(lane)


def forget_images(node: Node) -> None:
    """Let a node have to pull whatever it is to run."""

    def forgotten() -> bool:
        for image in node.read("/images/json"):
            # It keeps what a container that ends still uses.
            node.call("DELETE", f"/images/{image['Id']}?force=1")
        return not node.read("/images/json")

    await_value(forgotten, 60, "a node without images")


def login_notes(lane: SwarmLane) -> list[object]:
    """When each service got its login."""
    return [one["Spec"]["Labels"].get(LOGIN_LABEL) for one in lane.services()]


def moves(lane: SwarmLane) -> None:
    """Let the node of the only task lose its power, see the task elsewhere, and the node back."""
    (node,) = lane.nodes_with_tasks()
    node.lose_power()

    def elsewhere() -> bool:
        return page(lane.port, lane.host) == (200, "v1") and node not in lane.nodes_with_tasks()

    lane.server.until(elsewhere, "the task to be on another node", 360)
    node.join_up()
    node.start()
    node.await_answer()
    # With two managers left, the next one that dies would leave none that leads.
    lane.server.until(lambda: len(lane.cluster.ready_nodes()) == 3, "all nodes to be there", 360)


@pytest.mark.slow
@pytest.mark.usefixtures("back_again")
def test_a_node_that_is_cut_off_keeps_its_tasks_until_it_is_back(lane: SwarmLane) -> None:
    """Two more tasks than wanted run for that time, without traffic: as the documents say."""
    lane.bring("v1")
    node = other_than_leader(lane)
    label = f"tagboat.project={lane.name}"
    with traffic(lane.port, lane.host) as asked:
        node.cut_off()
        lane.server.until(lambda: lane.running_tasks() == 2, "a task in place of the one cut off")
        asked.goes_on(50)
        assert node.containers(label), "it runs on there"
        node.join_up()
        lane.server.until(lambda: lane.running_tasks() == 2, "two tasks, and no more")
        lane.server.until(
            lambda: sum(len(one.containers(label)) for one in lane.cluster.nodes) == 2,
            "the one too many to be ended",
        )
        lane.bring("v2")
    assert not asked.failures


@pytest.mark.slow
def test_an_app_with_data_needs_one_node_and_stays_on_it(cluster: Cluster, server: Server) -> None:
    lane = new_swarm_lane(cluster, server, replicas=1)
    path = f"/api/stages/{lane.stage}"
    volumes = {"volumes": {"data": "/data"}}
    status, refused = server.call("PATCH", path, volumes)
    assert status == 422, refused
    assert "node.hostname==n1" in str(refused)
    placed = {**volumes, "constraints": ["node.hostname==n2"]}
    assert server.call("PATCH", path, placed)[0] == 200
    for tag in ("v1", "v2"):
        lane.bring(tag)
        assert [node.name for node in lane.nodes_with_tasks()] == ["n2"]
    (volume,) = server.call("GET", "/api/disk?usage=true")[1]["taken"]["volumes"]
    assert volume["node"] == "n2"
    moved = {"constraints": ["node.hostname==n3"]}
    (warning,) = server.call("PATCH", path, moved)[1]["warnings"]
    assert "stays on node.hostname==n2" in warning


@pytest.mark.slow
def test_a_release_command_runs_once_with_secrets_and_its_failure_is_told(
    cluster: Cluster, server: Server
) -> None:
    lane = new_swarm_lane(cluster, server)
    command = ["/bin/sh", "-c", "cat /run/secrets/key; echo; exit 4"]
    fields = {"release_command": command, "secret_files": {"key": "not-to-be-shown"}}
    assert server.call("PATCH", f"/api/stages/{lane.stage}", fields)[0] == 200
    failed = lane.bring("v1", "failed")
    assert "the release command exited with code 4" in failed["reason"]
    assert failed["log"].strip() == "***"
    assert lane.services() == []
    missing = {"release_command": ["/no/such"]}
    assert server.call("PATCH", f"/api/stages/{lane.stage}", missing)[0] == 200
    assert 'cannot be run: exec: "/no/such"' in lane.bring("v2", "failed")["reason"]
    passes = {"release_command": ["/bin/sh", "-c", "test -s /run/secrets/key"]}
    assert server.call("PATCH", f"/api/stages/{lane.stage}", passes)[0] == 200
    lane.bring("v3")
    assert len(lane.services()) == 1


@pytest.mark.slow
def test_an_app_moves_from_one_machine_to_the_swarm_and_back_without_a_lost_request(
    cluster: Cluster, tmp_path: Path
) -> None:
    manager = cluster.node("n1")
    with ExitStack() as stack:
        stack.enter_context(cluster.inside(manager.name))
        server = stack.enter_context(
            swarm_server(
                cluster, tmp_path, TAGBOAT_ENGINE="docker", TAGBOAT_DOCKER_HOST=manager.url
            )
        )
        lane = new_swarm_lane(cluster, server, replicas=1)
        path, label = f"/api/stages/{lane.stage}", f"tagboat.project={lane.name}"
        lane.bring("v1")
        assert lane.services() == []
        with traffic(lane.port, lane.host) as asked:
            asked.goes_on()
            wanted = {"engine": "swarm", "replicas": 2}
            assert server.call("PATCH", path, wanted)[0] == 200
            lane.bring("v2")
            assert len(lane.services()) == 1
            assert lane.running_tasks() == 2
            # What was started before knows nothing of the swarm by itself.
            server.kill()
            server.start()
            asked.goes_on(50)
            assert lane.server.call("GET", "/api/health")[1]["checks"]["engine"] == "ok"
            failed = lane.bring("v3", "failed", cmd=EXITS_AT_ONCE)
            assert "exited with code 3" in failed["reason"]

            assert server.call("PATCH", path, {"engine": None, "replicas": 1})[0] == 200
            lane.bring("v4")
            asked.answers.clear()
            assert asked.goes_on() == "v4"
        assert not asked.failures
        assert lane.services() == []
        assert len(manager.containers(label)) == 1
        rolled = server.call("POST", f"{path}/rollback", {})
        assert server.ended(rolled[1]["id"])["status"] == "succeeded"
        assert lane.live()["tag"] == "v2"
        assert len(lane.services()) == 1
