"""Traffic through the ingress while deploys come, fail, are taken back and cancelled: the real
process, HAProxy and engine.
"""

import http.client
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tagboat.ingress.process import our_processes
from tests.acceptance.test_push_to_running import containers, publish
from tests.support.docker_registry import DockerRegistry
from tests.support.images import EXITS_AT_ONCE
from tests.support.ingress_run import ingress_run
from tests.support.ports import free_port
from tests.support.server import Server, running_server

SERVE = "httpd -f -p $PORT -h /www"
DIES_SOON = ("/bin/sh", "-c", f"{SERVE} & sleep 2; echo 'out of luck'; exit 7")
QUICK: Mapping[str, Any] = {"tag_pattern": "*", "watch_s": 1, "drain_timeout_s": 5}


@dataclass
class Lane:
    """One stage of one project behind the ingress at `port`."""

    server: Server
    engine_url: str
    port: int
    image: str
    stage: str
    host: str

    @property
    def name(self) -> str:
        return self.image.rpartition("/")[2]

    def deploy(self, tag: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever the API takes
        """Order a deploy of `tag`."""
        status, deploy = self.server.call(
            "POST", f"/api/stages/{self.stage}/deploys", {"tag": tag, **fields}
        )
        assert status == 202, deploy
        return dict(deploy)

    def bring(self, tag: str, status: str = "succeeded", **content: Any) -> dict[str, Any]:  # noqa: ANN401 - as publish
        """Publish `tag`, deploy it, and see it end."""
        publish(self.image, tag, **{"body": tag, **content})
        ended = self.server.ended(self.deploy(tag)["id"])
        assert ended["status"] == status, ended["reason"]
        return ended

    def change(self, **fields: Any) -> None:  # noqa: ANN401 - whatever the API takes
        status, answer = self.server.call("PATCH", f"/api/stages/{self.stage}", fields)
        assert status == 200, answer

    def post(self, path: str, body: object = None) -> tuple[int, Any]:
        return self.server.call("POST", path, {} if body is None else body)

    def ask(self, host: str = "", path: str = "/", timeout_s: float = 120) -> tuple[int, str]:
        """The answer of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("GET", path, headers={"Host": host or self.host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode().strip()
        finally:
            connection.close()

    def live(self) -> list[str]:
        return [
            one["tag"]
            for one in self.server.items(f"/api/instances?stage={self.stage}")
            if one["state"] == "live"
        ]

    def containers(self) -> list[str]:
        return list(containers(self.name, self.engine_url))

    def docker(self, *words: str) -> str:
        done = subprocess.run(
            ["docker", "-H", self.engine_url, *words], capture_output=True, check=True, text=True
        )
        return done.stdout.strip()


@dataclass
class Steady:
    """Requests one after the other, each on a connection of its own; `answers` are bodies,
    `lost` whatever was no 200.
    """

    lane: Lane
    answers: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.over.is_set():
            try:
                status, body = self.lane.ask()
                (self.answers if status == 200 else self.lost).append(body)
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
            self.over.wait(0.005)


@contextmanager
def asking(lane: Lane) -> Iterator[Steady]:
    """Ask all through the block; nothing may be lost."""
    steady = Steady(lane)
    threads = [threading.Thread(target=steady.run) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield steady
    finally:
        steady.over.set()
        for thread in threads:
            thread.join(150)
    assert not steady.lost
    assert steady.answers


@pytest.fixture(scope="module")
def behind(
    tmp_path_factory: pytest.TempPathFactory, engine_url: str
) -> Iterator[tuple[Server, int]]:
    port = free_port()
    environ = {"TAGBOAT_INGRESS": "haproxy", "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{port}"}
    with running_server(tmp_path_factory.mktemp("tagboat"), engine_url, **environ) as server:
        yield server, port


@pytest.fixture
def lane(behind: tuple[Server, int], registry: DockerRegistry, engine_url: str) -> Lane:
    server, port = behind
    return new_lane(server, port, registry.host, engine_url)


def new_lane(server: Server, port: int, registry: str, engine_url: str) -> Lane:
    image = f"{registry}/acme/app-{uuid.uuid4().hex[:8]}"
    name = image.rpartition("/")[2]
    body = {"name": name, "image": image, "port": 8080, "healthcheck": "/"}
    status, project = server.call("POST", "/api/projects", body)
    assert status == 201, project
    status, stage = server.call(
        "POST", f"/api/projects/{project['id']}/stages", {"name": "dev", **QUICK}
    )
    assert status == 201, stage
    return Lane(server, engine_url, port, image, stage["id"], f"{name}-dev.localhost")


def step(deploy: dict[str, Any], name: str) -> dict[str, Any]:
    return dict(next(one for one in deploy["steps"] if one["name"] == name))


def test_a_stage_answers_at_its_address(lane: Lane) -> None:
    address = lane.server.call("GET", f"/api/stages/{lane.stage}")[1]["address"]
    assert address == f"http://{lane.host}:{lane.port}"
    lane.server.until(lambda: lane.ask()[0] == 503, "the stage without an instance to be known")
    assert "no live instance" in lane.ask()[1].lower()
    assert lane.ask("nobody.localhost")[0] == 404
    lane.bring("v1")
    assert lane.ask() == (200, "v1")
    lane.change(domains=["shop.example.com"])
    lane.server.until(lambda: lane.ask("SHOP.example.com:80") == (200, "v1"), "the new domain")


def test_deploys_cost_no_request(lane: Lane) -> None:
    lane.bring("v1")
    with asking(lane) as steady:
        for tag in ("v2", "v3"):
            ended = lane.bring(tag)
            assert step(ended, "watch")["status"] == step(ended, "drain")["status"] == "done"
    assert list(dict.fromkeys(steady.answers)) == ["v1", "v2", "v3"]
    assert (lane.live(), len(lane.containers())) == (["v3"], 1)


def test_one_that_dies_while_watched_is_taken_back(lane: Lane) -> None:
    lane.bring("v1")
    lane.change(watch_s=10)
    publish(lane.image, "v2", body="v2", cmd=DIES_SOON)
    deploy = lane.deploy("v2")["id"]
    lane.server.until(lambda: lane.live() == ["v2"], "v2 to take over")
    ended = lane.server.ended(deploy)
    assert ended["status"] == "failed"
    assert "exited with code 7" in ended["reason"] or "was restarted" in ended["reason"]
    assert "out of luck" in ended["log"]
    assert (lane.ask(), lane.live(), len(lane.containers())) == ((200, "v1"), ["v1"], 1)


def test_a_newer_deploy_cuts_the_watch_short(lane: Lane) -> None:
    lane.bring("v1")
    lane.change(watch_s=600)
    publish(lane.image, "v2", body="v2")
    second = lane.deploy("v2")["id"]
    lane.server.until(lambda: is_watched(lane, second), "v2 to be watched")
    lane.change(watch_s=1)
    lane.bring("v3")
    assert "a newer deploy waits" in step(lane.server.ended(second), "watch")["detail"]


def is_watched(lane: Lane, deploy: str) -> bool:
    return bool(
        step(lane.server.call("GET", f"/api/deploys/{deploy}")[1], "watch")["status"] == "running"
    )


def test_back_to_what_was_live_with_its_configuration(lane: Lane) -> None:
    lane.change(env={"BODY": "first"})
    first = lane.bring("v1")
    lane.change(env={"BODY": "second"})
    lane.bring("v2")
    status, deploy = lane.post(f"/api/stages/{lane.stage}/rollback")
    assert status == 202, deploy
    ended = lane.server.ended(deploy["id"])
    assert (ended["status"], ended["trigger"], ended["tag"]) == ("succeeded", "rollback", "v1")
    assert ended["digest"] == first["digest"]
    (container,) = lane.containers()
    assert "BODY=first" in lane.docker("inspect", "-f", "{{.Config.Env}}", container)
    assert lane.server.call("GET", f"/api/stages/{lane.stage}")[1]["held"] is True


def test_a_held_stage_is_offered_what_came_when_it_is_released(lane: Lane) -> None:
    lane.bring("v1")
    assert lane.post(f"/api/stages/{lane.stage}/hold")[0] == 200
    for tag in ("v2", "v3"):
        publish(lane.image, tag, body=tag)
        assert lane.server.push(f"{lane.image}:{tag}")["outcome"] == "waiting"
    assert lane.live() == ["v1"]
    status, released = lane.post(f"/api/stages/{lane.stage}/release")
    assert status == 200, released
    (deploy,) = released["deploys"]
    assert lane.server.ended(deploy)["status"] == "succeeded"
    assert lane.live() == ["v3"]


def test_promoting_takes_the_very_digest(lane: Lane) -> None:
    lane.bring("v1")
    project = lane.server.call("GET", f"/api/stages/{lane.stage}")[1]["project"]["id"]
    _, prod = lane.server.call(
        "POST", f"/api/projects/{project}/stages", {"name": "prod", **QUICK, "auto_deploy": False}
    )
    publish(lane.image, "v1", body="pushed anew under the same tag")
    status, deploy = lane.post(f"/api/stages/{prod['id']}/promote", {"from": lane.stage})
    assert status == 202, deploy
    ended = lane.server.ended(deploy["id"])
    assert (ended["status"], ended["trigger"]) == ("succeeded", "promote")
    assert lane.ask(f"{lane.name}-prod.localhost") == (200, "v1")


@pytest.mark.parametrize("reached", ["check", "watch"])
def test_cancelling(lane: Lane, reached: str) -> None:
    lane.bring("v1")
    lane.change(watch_s=600)
    if reached == "check":
        publish(lane.image, "v2", body="v2", cmd=("/bin/sh", "-c", "sleep 600"))
    else:
        publish(lane.image, "v2", body="v2")
    deploy = lane.deploy("v2")["id"]

    def running() -> bool:
        return bool(
            step(lane.server.call("GET", f"/api/deploys/{deploy}")[1], reached)["status"]
            == "running"
        )

    lane.server.until(running, f"the step {reached}")
    with asking(lane) as steady:
        status, answer = lane.post(f"/api/deploys/{deploy}/cancel")
        assert status in {200, 202}, answer
        assert lane.server.ended(deploy)["status"] == "cancelled"
    assert steady.answers[-1] == "v1"
    assert (lane.ask(), lane.live(), len(lane.containers())) == ((200, "v1"), ["v1"], 1)
    assert lane.post(f"/api/deploys/{deploy}/cancel")[0] == 409


def test_an_app_that_cannot_run_twice(lane: Lane) -> None:
    lane.change(strategy="recreate")
    lane.bring("v1")
    with asking(lane) as steady:
        lane.bring("v2")
        failed = lane.bring("v3", "failed", cmd=EXITS_AT_ONCE)
    assert (
        "the new container exited" in failed["reason"]
    )  # with which code, the engine forgets once it restarts it
    assert list(dict.fromkeys(steady.answers)) == ["v1", "v2"]
    assert (lane.ask(), lane.live(), len(lane.containers())) == ((200, "v2"), ["v2"], 1)


def test_previews_side_by_side(lane: Lane) -> None:
    lane.change(max_instances=2)
    for tag in ("pr-1", "pr-2", "pr-3"):
        lane.bring(tag)
    assert lane.live() == ["pr-3", "pr-2"]
    assert lane.ask(f"{lane.name}-dev-pr-2.localhost") == (200, "pr-2")
    assert lane.ask(f"{lane.name}-dev-pr-3.localhost") == (200, "pr-3")
    assert lane.ask() == (200, "pr-3")
    assert lane.ask(f"{lane.name}-dev-pr-1.localhost")[0] == 404


def test_what_real_apps_need(lane: Lane) -> None:
    secret = f"s3cret-{uuid.uuid4().hex}"
    lane.change(
        secrets={"TOKEN": secret},
        secret_files={"key.pem": f"file {secret}"},
        volumes={"data": "/data"},
        memory="64m",
        pids=50,
        labels={"com.example.team": "web"},
        release_command=[
            "/bin/sh",
            "-c",
            "echo migrated with $TOKEN | head -c 13; echo once >> /data/log",
        ],
    )
    ended = lane.bring("v1")
    assert "migrated with" in ended["log"]
    (container,) = lane.containers()
    assert lane.docker("exec", container, "/bin/sh", "-c", "echo $TOKEN") == secret
    assert (
        lane.docker("exec", container, "/bin/sh", "-c", "cat /run/secrets/key.pem")
        == f"file {secret}"
    )
    assert lane.docker("exec", container, "/bin/sh", "-c", "cat /data/log") == "once"
    limits = lane.docker(
        "inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}", container
    )
    assert limits == f"{64 << 20} 50"
    shown = lane.server.call("GET", f"/api/stages/{lane.stage}")[1]
    assert secret not in str(shown)
    assert secret not in lane.server.log()
    assert secret.encode() not in b"".join(
        path.read_bytes()
        for path in (lane.server.directory / "data").iterdir()
        if path.name.startswith("tagboat.db")
    )


def test_a_release_command_that_fails_changes_nothing(lane: Lane) -> None:
    lane.bring("v1")
    lane.change(release_command=["/bin/sh", "-c", "echo 'no such table'; exit 5"])
    ended = lane.bring("v2", "failed")
    assert "the release command exited with code 5" in ended["reason"]
    assert "no such table" in ended["log"]
    assert (lane.ask(), len(lane.containers())) == ((200, "v1"), 1)


@pytest.mark.parametrize(
    "words", [("kill",), ("stop",), ("rm", "-f")], ids=["killed", "stopped", "removed"]
)
def test_a_live_container_that_is_gone_comes_back(lane: Lane, words: tuple[str, ...]) -> None:
    lane.bring("v1")
    (container,) = lane.containers()
    lane.docker(*words, container)
    lane.server.until(lambda: lane.ask() == (200, "v1"), "the container to be back")
    assert len(lane.containers()) == 1


@pytest.mark.slow
def test_traffic_flows_without_tagboat_and_haproxy_comes_back(lane: Lane) -> None:
    lane.bring("v1")
    data = Path(lane.server.directory) / "data"
    with asking(lane):
        assert lane.server.terminate() == 0
        before = our_processes(data / "ingress")
        time.sleep(1)
        lane.server.start()
        assert our_processes(data / "ingress") == before
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()

    def answers() -> bool:
        try:
            return lane.ask() == (200, "v1")
        except OSError:
            return False

    lane.server.until(answers, "HAProxy to be back", 10)
    assert time.monotonic() - began < 5


def test_with_haproxy_in_a_service_of_its_own_an_update_of_the_server_drops_nothing(
    tmp_path: Path, registry: DockerRegistry, engine_url: str
) -> None:
    """As `systemctl restart tagboat` does it, which may end all processes of that service."""
    port = free_port()
    (tmp_path / "data").mkdir(mode=0o700)
    environ = {"TAGBOAT_INGRESS": "haproxy", "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{port}"}
    with (
        ingress_run(tmp_path / "data", port) as run,
        running_server(tmp_path, engine_url, **environ) as server,
    ):
        lane = new_lane(server, port, registry.host, engine_url)
        lane.bring("v1")
        before = our_processes(run.directory)
        with asking(lane) as steady:
            for _ in range(2):
                assert server.terminate() == 0
                server.start()
            lane.bring("v2")
        assert steady.answers[-1] == "v2"
        assert our_processes(run.directory) == before
        assert (
            "the server runs and would start HAProxy again"
            in server.cli("ingress", "stop", "--yes").stderr
        )
