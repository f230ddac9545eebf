"""Deploys side by side, behind an outage, beside the old instance, and in their stages: over
HTTP, on real parts.

Where a test must hold a deploy up, the app's healthcheck is a page that does not exist until the
test makes it: nothing waits for a time to pass.
"""

import json
import subprocess
import threading
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.acceptance.test_push_to_running import containers, publish
from tests.support.docker_registry import DockerRegistry, docker_registry
from tests.support.images import push_image
from tests.support.server import Server, fetch

BY_HAND: Mapping[str, str] = {"tagboat.healthcheck": "/ready"}
"""Labels of an app that is healthy once `Lanes.let` was called for its deploy."""

Deploy = dict[str, Any]


def own_image(registry: DockerRegistry) -> str:
    """A repository, and so a project's name, that no other test has: the engine may be shared."""
    return f"{registry.host}/acme/app-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def image(registry: DockerRegistry) -> str:
    return own_image(registry)


@pytest.fixture
def lanes(server: Server, engine_url: str) -> "Lanes":
    return Lanes(server, engine_url)


@dataclass(frozen=True)
class Lanes:
    """What the tests below ask of a server again and again."""

    server: Server
    engine_url: str

    def project(self, image: str, **fields: Any) -> Deploy:  # noqa: ANN401 - whatever the API takes
        body = {"name": image.rpartition("/")[2], "image": image, **fields}
        status, project = self.server.call("POST", "/api/projects", body)
        assert status == 201, project
        return dict(project)

    def stage(self, project: Deploy, name: str, pattern: str, **fields: Any) -> str:  # noqa: ANN401 - as above
        body = {"name": name, "tag_pattern": pattern, **fields}
        status, stage = self.server.call("POST", f"/api/projects/{project['id']}/stages", body)
        assert status == 201, stage
        return str(stage["id"])

    def deploy(self, deploy: str) -> Deploy:
        return dict(self.server.call("GET", f"/api/deploys/{deploy}")[1])

    def running(self, **where: str) -> set[str]:
        query = "".join(f"&{name}={value}" for name, value in where.items())
        return {deploy["id"] for deploy in self.server.items(f"/api/deploys?status=running{query}")}

    def step(self, deploy: str, name: str) -> Deploy:
        return dict(next(step for step in self.deploy(deploy)["steps"] if step["name"] == name))

    def await_step(self, deploy: str, name: str, seen: Callable[[Deploy], bool]) -> None:
        self.server.until(
            lambda: seen(self.step(deploy, name)), f"the step {name} of {self.deploy(deploy)}"
        )

    def await_check(self, deploy: str) -> None:
        """Wait until its container runs and is being asked whether it is healthy."""
        self.await_step(deploy, "check", lambda step: step["status"] == "running")

    def let(self, deploy: str) -> None:
        """Make the container of that deploy healthy."""
        (container,) = self._docker(
            "ps", "-q", "--filter", f"label=tagboat.deploy={deploy}"
        ).split()
        self._docker("exec", container, "/bin/sh", "-c", "echo yes > /www/ready")

    def _docker(self, *words: str) -> str:
        done = subprocess.run(
            ["docker", "-H", self.engine_url, *words], capture_output=True, check=True, text=True
        )
        return done.stdout


@dataclass
class Requests:
    """Requests to one URL, one after the other, each on a connection of its own."""

    url: str
    answers: list[str] = field(default_factory=list)
    failures: list[tuple[datetime, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        while not self.over.is_set():
            try:
                self.answers.append(fetch(self.url))
            except (OSError, ValueError) as error:
                self.failures.append((datetime.now(UTC), str(error)))
            self.over.wait(0.01)


@contextmanager
def asking(url: str) -> Iterator[Requests]:
    """Ask `url` all through the block."""
    requests = Requests(url)
    thread = threading.Thread(target=requests.ask)
    thread.start()
    try:
        yield requests
    finally:
        requests.over.set()
        thread.join(120)


def ends(lanes: Lanes, deploy: str, status: str) -> Deploy:
    ended = lanes.server.ended(deploy)
    assert ended["status"] == status, ended
    return ended


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_stages_deploy_side_by_side_and_within_one_only_one_at_a_time(
    lanes: Lanes, image: str
) -> None:
    server, other = lanes.server, f"{image}-too"
    project = lanes.project(image)
    dev = lanes.stage(project, "dev", "dev-*")
    lanes.stage(project, "prod", "v*")
    for name, tag in ((image, "dev-1"), (image, "dev-2"), (image, "v1"), (other, "v1")):
        publish(name, tag, body=tag, labels=BY_HAND)

    held = [server.push(f"{image}:{tag}")["deploy"] for tag in ("dev-1", "v1")]
    for deploy in held:
        lanes.await_check(deploy)
    next_in_dev = server.push(f"{image}:dev-2")["deploy"]
    # That a later push of another project gets this far shows that the worker has been at the queue
    # since, and passed by.
    held.append(server.push(f"{other}:v1")["deploy"])
    lanes.await_check(held[-1])
    assert lanes.running() == set(held)
    assert lanes.running(stage=dev) == {held[0]}
    assert lanes.deploy(next_in_dev)["status"] == "queued"

    for deploy in reversed(held):
        lanes.let(deploy)
        ends(lanes, deploy, "succeeded")
    lanes.await_check(next_in_dev)
    assert lanes.running() == {next_in_dev}
    lanes.let(next_in_dev)
    second = ends(lanes, next_in_dev, "succeeded")
    assert time_of(second["started_at"]) >= time_of(lanes.deploy(held[0])["finished_at"])
    assert sorted(instance["tag"] for instance in server.live()) == ["dev-2", "v1", "v1"]


def test_the_old_one_answers_until_the_new_one_is_live(lanes: Lanes, image: str) -> None:
    server = lanes.server
    publish(image, "v1", body="old")
    server.ended(server.push(f"{image}:v1")["deploy"])
    (old,) = server.live()
    project = f"/api/projects/{old['project']['id']}"
    assert server.call("PATCH", project, {"healthcheck": "/ready"})[0] == 200
    publish(image, "v2", body="new")
    with asking(old["url"]) as requests:
        deploy = server.push(f"{image}:v2")["deploy"]
        lanes.await_check(deploy)
        so_far = len(requests.answers)
        server.until(
            lambda: len(requests.answers) >= so_far + 20, "twenty answers beside the new container"
        )
        lanes.let(deploy)
        ended = ends(lanes, deploy, "succeeded")
    switched = next(
        time_of(step["finished_at"]) for step in ended["steps"] if step["name"] == "switch"
    )
    assert set(requests.answers) == {"old"}
    assert not [failure for failure in requests.failures if failure[0] < switched]
    (new,) = server.live()
    assert (new["tag"], fetch(new["url"])) == ("v2", "new")
    assert new["url"] != old["url"]
    assert len(containers(ended["project"]["name"], lanes.engine_url)) == 1


@pytest.fixture
def own_registry() -> Iterator[DockerRegistry]:
    """A registry that a test may stop."""
    with docker_registry() as running:
        yield running


def said_again(step: Deploy) -> bool:
    return "trying again in" in step["detail"]


def waits(server: Server, deploy: str) -> list[float]:
    """The seconds that the log says were waited before each further try."""
    lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    return [line["wait_s"] for line in lines if line.get("deploy") == deploy and "wait_s" in line]


@pytest.mark.slow
def test_a_registry_that_stays_away(lanes: Lanes, own_registry: DockerRegistry) -> None:
    server, image = lanes.server, own_image(own_registry)
    publish(image, "v1", body="old")
    push = server.push(f"{image}:v1")
    server.ended(push["deploy"])
    (old,) = server.live()
    publish(image, "v2", body="new")
    own_registry.stop()
    with asking(old["url"]) as requests:
        deploy = server.push(f"{image}:v2")["deploy"]
        lanes.await_step(deploy, "resolve", said_again)
        again = server.push(f"{image}:v2")
        assert (again["outcome"], again["deploy"]) == ("merged", deploy)
        unresolved = ends(lanes, deploy, "failed")
    assert (requests.failures, set(requests.answers)) == ([], {"old"})
    assert (
        unresolved["reason"]
        == f"{own_registry.host} refused the connection; is the registry up and the URL right?"
    )
    assert lanes.step(deploy, "resolve")["status"] == "failed"
    assert waits(server, deploy) == [1.0, 3.0, 9.0]
    assert [instance["id"] for instance in server.live()] == [old["id"]]
    assert len(containers(push["project"]["name"], lanes.engine_url)) == 1


def test_a_registry_that_comes_back(lanes: Lanes, own_registry: DockerRegistry) -> None:
    server, image = lanes.server, own_image(own_registry)
    publish(image, "v1", body="old")
    push = server.push(f"{image}:v1")
    server.ended(push["deploy"])
    publish(image, "v2", body="new")
    own_registry.stop()
    deploy = server.push(f"{image}:v2")["deploy"]
    lanes.await_step(deploy, "resolve", said_again)
    own_registry.start()
    ends(lanes, deploy, "succeeded")
    (instance,) = server.live()
    assert (instance["tag"], fetch(instance["url"])) == ("v2", "new")
    assert len(containers(push["project"]["name"], lanes.engine_url)) == 1


def test_a_password_that_is_no_longer_right(lanes: Lanes) -> None:
    server, right, wrong = lanes.server, "right-until-it-was-changed", "wrong-from-then-on"
    with docker_registry(login=("ci", right)) as private:
        entry = {"name": "private", "url": private.url, "username": "ci", "password": right}
        registry = server.call("POST", "/api/registries", entry)[1]["id"]
        image = own_image(private)
        repository = image.removeprefix(f"{private.host}/")
        push_image(private.host, repository, "v1", body="old", auth=("ci", right))
        push = server.push(f"{image}:v1")
        ends(lanes, push["deploy"], "succeeded")
        assert server.call("PATCH", f"/api/registries/{registry}", {"password": wrong})[0] == 200
        push_image(private.host, repository, "v2", body="new", auth=("ci", right))
        unresolved = ends(lanes, server.push(f"{image}:v2")["deploy"], "failed")
    assert f"{private.host} denied access" in unresolved["reason"]
    assert "credentials were sent; either they are wrong" in unresolved["reason"]
    assert waits(server, unresolved["id"]) == [], "trying again is pointless"
    assert [fetch(instance["url"]) for instance in server.live()] == ["old"]
    assert len(containers(push["project"]["name"], lanes.engine_url)) == 1
    answered = json.dumps([unresolved, server.items("/api/registries")])
    for secret in (
        right,
        wrong,
        *(b64encode(f"ci:{password}".encode()).decode() for password in (right, wrong)),
    ):
        assert secret not in server.log() + server.out() + answered
        assert secret.encode() not in b"".join(
            path.read_bytes() for path in (server.directory / "data").iterdir()
        )


def test_a_push_goes_to_the_first_stage_that_matches_or_to_none(lanes: Lanes, image: str) -> None:
    server = lanes.server
    project = lanes.project(image, port=8080)
    stages = {
        "zoo": lanes.stage(project, "zoo", "v*"),
        "manual": lanes.stage(project, "manual", "rc-*", position=5, auto_deploy=False),
        "bar": lanes.stage(project, "bar", "v1.*"),
        "low": lanes.stage(project, "low", "v1.2*", position=-1),
    }
    expected = {
        "v1.2.0": ("queued", "low", "tag v1.2.0 matches v1.2*"),
        "v1.3.0": ("queued", "bar", "tag v1.3.0 matches v1.*"),
        "v2.0.0": ("queued", "zoo", "tag v2.0.0 matches v*"),
        "rc-1": (
            "waiting",
            "manual",
            "tag rc-1 matches rc-*, but auto_deploy of the stage manual is off",
        ),
        "nightly": (
            "unmatched",
            None,
            (
                "tag nightly matches no stage's pattern (tried low v1.2*, bar v1.*, zoo v*,"
                " manual rc-*)"
            ),
        ),
    }
    deploys = []
    for tag, decided in expected.items():
        publish(image, tag, body=tag)
        explained = server.call("GET", f"/api/explain?image={image}:{tag}")[1]
        push = server.push(f"{image}:{tag}")
        for told in (explained, push):
            assert (
                told["outcome"],
                told["stage"] and told["stage"]["name"],
                told["reason"],
            ) == decided
        assert (push["project"]["id"], push["project_created"]) == (project["id"], False)
        assert (push["deploy"] is not None) == (push["outcome"] == "queued")
        deploys.append(push["deploy"])
    for deploy in filter(None, deploys):
        ends(lanes, deploy, "succeeded")
    running = {instance["stage"]["name"]: instance["tag"] for instance in server.live()}
    assert running == {"low": "v1.2.0", "bar": "v1.3.0", "zoo": "v2.0.0"}
    assert server.items(f"/api/deploys?stage={stages['manual']}") == []
    assert {known["tag"] for known in server.items(f"/api/projects/{project['id']}/tags")} == set(
        expected
    )

    status, by_hand = server.call(
        "POST", f"/api/stages/{stages['manual']}/deploys", {"tag": "rc-1"}
    )
    assert (status, ends(lanes, by_hand["id"], "succeeded")["trigger"]) == (202, "manual")


def test_pushes_that_come_faster_than_they_can_be_deployed(lanes: Lanes, image: str) -> None:
    server = lanes.server
    project = lanes.project(image)
    dev = lanes.stage(project, "dev", "*")
    for tag in ("t1", "t4"):
        publish(image, tag, body=tag, labels=BY_HAND)
    first = server.push(f"{image}:t1")
    lanes.await_check(first["deploy"])
    second, third, fourth, once_more = (
        server.push(f"{image}:{tag}") for tag in ("t2", "t3", "t4", "t4")
    )
    assert [push["outcome"] for push in (first, second, third, fourth)] == ["queued"] * 4
    assert len({push["deploy"] for push in (first, second, third, fourth)}) == 4
    assert (once_more["outcome"], once_more["deploy"]) == ("merged", fourth["deploy"])
    for old, newer in ((second, "t3"), (third, "t4")):
        superseded = ends(lanes, old["deploy"], "superseded")
        assert (superseded["reason"], superseded["started_at"]) == (
            f"{newer} was pushed before it began",
            None,
        )
        assert {step["status"] for step in superseded["steps"]} == {"pending"}
    assert lanes.deploy(first["deploy"])["status"] == "running", (
        "what has begun is carried to its end"
    )

    for push in (first, fourth):
        lanes.await_check(push["deploy"])
        lanes.let(push["deploy"])
        ends(lanes, push["deploy"], "succeeded")
    assert [fetch(instance["url"]) for instance in server.live()] == ["t4"]
    assert len(containers(project["name"], lanes.engine_url)) == 1
    assert len(server.items(f"/api/deploys?stage={dev}")) == 4
