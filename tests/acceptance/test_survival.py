"""The server killed in the middle of things, and started wrongly."""

import uuid
from pathlib import Path

import pytest

from tests.acceptance.test_push_to_running import containers, publish
from tests.support.docker_registry import DockerRegistry
from tests.support.forks import servers
from tests.support.images import listens_late
from tests.support.server import Server, fetch


@pytest.fixture
def image(registry: DockerRegistry) -> str:
    return f"{registry.host}/acme/app-{uuid.uuid4().hex[:8]}"


def test_killed_right_after_the_202(server: Server, image: str, engine_url: str) -> None:
    publish(image, "v1", body="hello")
    push = server.push(f"{image}:v1")
    server.kill()
    server.start()
    assert server.ended(push["deploy"])["status"] == "succeeded"
    assert [fetch(instance["url"]) for instance in server.live()] == ["hello"]
    assert len(containers(push["project"]["name"], engine_url)) == 1


# The fault tests kill it at many more points.
@pytest.mark.slow
@pytest.mark.parametrize("step", ["start", "check"])
def test_killed_before_the_switch(server: Server, image: str, engine_url: str, step: str) -> None:
    publish(image, "v1", body="old")
    push = server.push(f"{image}:v1")
    server.ended(push["deploy"])
    publish(image, "v2", body="new", cmd=listens_late(3))
    deploy = server.push(f"{image}:v2")["deploy"]

    def reached() -> bool:
        steps = server.call("GET", f"/api/deploys/{deploy}")[1]["steps"]
        return any(seen["name"] == step and seen["status"] != "pending" for seen in steps)

    server.until(reached, f"the step {step}")
    (old,) = server.live()
    server.kill()
    assert fetch(old["url"]) == "old"
    server.start()
    assert server.ended(deploy)["status"] == "succeeded"
    (instance,) = server.live()
    assert (instance["tag"], len(containers(push["project"]["name"], engine_url))) == ("v2", 1)


@pytest.mark.slow
def test_told_to_stop_in_the_middle_of_a_deploy(server: Server, image: str) -> None:
    publish(image, "v1", cmd=listens_late(12))
    deploy = server.push(f"{image}:v1")["deploy"]
    server.until(
        lambda: server.call("GET", f"/api/deploys/{deploy}")[1]["status"] == "running",
        "the deploy to begin",
    )
    assert server.terminate() == 0
    server.start()
    assert server.ended(deploy)["status"] == "succeeded"


def test_a_second_server_on_the_same_data_directory(server: Server) -> None:
    variables = {**server.variables(), "TAGBOAT_PORT": "1"}
    done = servers().run(("tagboat", "serve"), variables, server.directory)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "another Tagboat server uses" in done.stderr


def test_a_port_in_use(server: Server, tmp_path: Path) -> None:
    variables = {**server.variables(), "TAGBOAT_DATA_DIR": str(tmp_path / "other")}
    done = servers().run(("tagboat", "serve"), variables, server.directory)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}" in done.stderr
