"""Containers made by `docker run`, taken over by the real server on the real engine."""

import json
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any, Self

import pytest

from tests.acceptance.test_push_to_running import publish
from tests.acceptance.test_run_options import KEEPS, docker
from tests.support.docker_registry import DockerRegistry
from tests.support.ports import free_port
from tests.support.server import Server, running_server

pytestmark = pytest.mark.xdist_group("engine")
SECRET = "correct horse battery staple"


@pytest.fixture
def name(engine_url: str) -> Iterator[str]:
    """The name of a container that is removed after the test, with its volume and network."""
    made = f"theirs-{uuid.uuid4().hex[:8]}"
    docker(engine_url, "network", "create", f"{made}-net")
    yield made
    docker(engine_url, "rm", "-f", made)
    docker(engine_url, "volume", "rm", "-f", f"{made}-data")
    docker(engine_url, "network", "rm", f"{made}-net")


class Client:
    """Asks the ingress without a pause, and counts what is not answered by 200."""

    def __init__(self, address: str, host: str) -> None:
        self._request = urllib.request.Request(address, headers={"Host": host})
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answered = 0
        self.lost: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                with urllib.request.urlopen(self._request, timeout=120) as answer:
                    answer.read()
                    self.answered += 1
            except OSError as error:
                self.lost.append(str(error))


def state(engine_url: str, name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(docker(engine_url, "inspect", name))[0]


@pytest.fixture(scope="module")
def listen() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, engine_url: str, listen: int
) -> Iterator[Server]:
    """One server with an ingress for all tests here: each has a container and image of its own."""
    with running_server(
        tmp_path_factory.mktemp("server"),
        engine_url,
        TAGBOAT_INGRESS="haproxy",
        TAGBOAT_INGRESS_LISTEN=f"127.0.0.1:{listen}",
    ) as running:
        yield running


def replaced(server: Server, adopted: Any, tag: str) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Deploy a tag in the stage of an adopted container; return the live instance."""
    stage = adopted["stage"]["id"]
    server.call("PATCH", f"/api/stages/{stage}", {"watch_s": 1})
    status, deploy = server.call("POST", f"/api/stages/{stage}/deploys", {"tag": tag})
    assert status == 202, deploy
    ended = server.ended(deploy["id"])
    assert ended["status"] == "succeeded", ended
    (live,) = server.items(f"/api/instances?stage={stage}&state=live")
    return dict(live)


def test_a_container_is_replaced_without_a_lost_request(
    server: Server, listen: int, engine_url: str, registry: DockerRegistry, name: str
) -> None:
    image, port = f"{registry.host}/acme/{name}", free_port()
    publish(image, "v1.0.0")
    docker(
        engine_url,
        *("run", "-d", "--name", name, "--restart", "always", "-p", f"127.0.0.1:{port}:8080"),
        *("-e", f"DB_PASSWORD={SECRET}", "-e", "COLOUR=red", "--memory", "64m"),
        *("--network", f"{name}-net", f"{image}:v1.0.0"),
    )
    adopted = server.cli("adopt", name, "--project", "shop")
    assert adopted.returncode == 0, adopted.stderr
    assert SECRET not in adopted.stdout + adopted.stderr
    for part in ("loses no request", "tagboat deploy shop prod v1.0.0 --wait"):
        assert part in adopted.stdout
    (stage,) = server.items("/api/stages?project=shop")
    host, address = "shop-prod.localhost", f"http://127.0.0.1:{listen}/"
    server.until(lambda: _status(address, host) == 200, "the ingress to lead to it")

    with Client(address, host) as client:
        live = replaced(server, {"stage": stage}, "v1.0.0")

    assert (client.lost, client.answered > 10) == ([], True)
    theirs, ours = state(engine_url, name), state(engine_url, live["container"])
    assert theirs["State"]["Running"] is False
    assert theirs["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert {f"DB_PASSWORD={SECRET}", "COLOUR=red"} <= set(ours["Config"]["Env"])
    assert ours["HostConfig"]["Memory"] == 64 << 20
    aliases = ours["NetworkSettings"]["Networks"][f"{name}-net"]["Aliases"]
    assert {"shop-prod", "shop"} <= set(aliases)
    status, again = server.call("POST", "/api/adopt", {"container": live["container"]})
    assert (status, "Tagboat has made it" in again["detail"]) == (409, True)
    server.clear()
    assert state(engine_url, name)["Id"]


def test_an_app_with_data_keeps_it(
    server: Server, engine_url: str, registry: DockerRegistry, name: str
) -> None:
    image = f"{registry.host}/acme/{name}"
    publish(image, "v1", cmd=KEEPS, env={"VERSION": "v1"}, volumes=("/data",))
    docker(
        engine_url,
        *("run", "-d", "--name", name, "-v", f"{name}-data:/data", "-v", "/etc/hostname:/x:ro"),
        *("-p", "8080", "-e", "VERSION=theirs", f"{image}:v1"),
    )
    asked = server.cli("adopt", name)
    assert (asked.returncode, "to leave that out, use --force" in asked.stderr) == (1, True)
    asked = server.cli("adopt", name, "--force")
    assert (asked.returncode, "confirm with --yes" in asked.stderr) == (1, True), asked.stderr
    assert "It is down from then until the new one is healthy" in asked.stdout
    status, refused = server.call("POST", "/api/adopt", {"container": name})
    assert (status, "/etc/hostname is a path of the server's host" in refused["detail"]) == (
        409,
        True,
    )
    status, adopted = server.call("POST", "/api/adopt", {"container": name, "force": True})
    assert (status, adopted["stage"]["volumes"]) == (200, {"/data": f"{name}-data"})
    live = replaced(server, adopted, "v1")
    visits = docker(engine_url, "exec", live["container"], "cat", "/data/visits").splitlines()
    assert visits[-2:] == ["theirs", "theirs"]
    assert state(engine_url, name)["State"]["Running"] is False
    server.clear()
    assert f"{name}-data" in docker(engine_url, "volume", "ls", "-q").split()


def test_a_compose_file_becomes_a_running_app(
    server: Server, engine_url: str, registry: DockerRegistry, name: str
) -> None:
    image = f"{registry.host}/acme/{name}"
    publish(image, "v1")
    (server.directory / "compose.yaml").write_text(
        f"services:\n  {name}:\n    image: {image}:v1\n    ports: [8080]\n"
        f"    environment: {{COLOUR: red}}\n    mem_limit: 64m\n"
        f"    networks: [theirs]\nnetworks: {{theirs: {{external: true, name: {name}-net}}}}\n"
    )
    proposed = server.cli("import", "compose", "compose.yaml")
    assert proposed.returncode == 0, proposed.stderr
    (server.directory / "tagboat.yaml").write_text(proposed.stdout)
    applied = server.cli("apply", "tagboat.yaml")
    assert applied.returncode == 0, applied.stderr
    (stage,) = server.items(f"/api/stages?project={name}")
    live = replaced(server, {"stage": stage}, "v1")
    ours = state(engine_url, live["container"])
    assert "COLOUR=red" in ours["Config"]["Env"]
    assert ours["HostConfig"]["Memory"] == 64 << 20
    assert f"{name}-net" in ours["NetworkSettings"]["Networks"]
    server.clear()


def test_what_was_built_here_is_refused_with_the_way_on(
    server: Server, engine_url: str, registry: DockerRegistry, name: str
) -> None:
    image = f"{registry.host}/acme/{name}"
    publish(image, "v1")
    docker(engine_url, "run", "-d", "--name", name, f"{image}:v1")
    docker(engine_url, "commit", name, f"{name}-local:dev")
    docker(engine_url, "rm", "-f", name)
    docker(engine_url, "run", "-d", "--name", name, f"{name}-local:dev")
    status, local = server.call("POST", "/api/adopt", {"container": name, "dry_run": True})
    docker(engine_url, "rm", "-f", name)
    docker(engine_url, "image", "rm", f"{name}-local:dev")
    assert status == 409
    assert f"docker push docker.io/library/{name}-local:TAG" in local["detail"]


def _status(address: str, host: str) -> int:
    request = urllib.request.Request(address, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return int(answer.status)
    except OSError:
        return 0
