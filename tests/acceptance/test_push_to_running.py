"""From a push to a running container, over HTTP, on real parts."""

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.docker_registry import DockerRegistry, Endpoint, docker_registry
from tests.support.images import EXITS_AT_ONCE, NEVER_LISTENS, push_image
from tests.support.postgres import Postgres
from tests.support.server import TOKEN, Server, fetch, running_server


@pytest.fixture
def image(registry: DockerRegistry) -> str:
    """A repository that no other test has."""
    return f"{registry.host}/acme/app-{uuid.uuid4().hex[:8]}"


def publish(image: str, tag: str, **app: Any) -> str:  # noqa: ANN401 - whatever the sample app takes
    host, _, repository = image.partition("/")
    return push_image(host, repository, tag, **app)


def inspect(container: str, engine_url: str) -> dict[str, Any]:
    done = subprocess.run(
        ["docker", "-H", engine_url, "inspect", container], capture_output=True, check=True
    )
    return dict(json.loads(done.stdout)[0])


def containers(project: str, engine_url: str) -> list[str]:
    words = [
        "docker",
        "-H",
        engine_url,
        "ps",
        "-aq",
        "--filter",
        f"label=tagboat.project={project}",
    ]
    return subprocess.run(words, capture_output=True, check=True, text=True).stdout.split()


def test_ready_line_and_stop(server: Server) -> None:
    assert server.out() == f"tagboat ready on {server.url}\n"
    assert server.terminate() == 0


def test_the_digest_of_a_call_is_a_hint(server: Server, image: str) -> None:
    right, other = (
        publish(image, "v1", body="right"),
        publish(image, "pr-666", body="somebody else's"),
    )

    def call(tag: str) -> Any:  # noqa: ANN401 - JSON
        _, receipt = server.call(
            "POST", server.webhook_path(), {"image": f"{image}:{tag}", "digest": other}
        )
        return server.ended(receipt["pushes"][0]["deploy"])

    deploy = call("v1")
    assert (deploy["status"], deploy["digest"]) == ("succeeded", right)
    assert f"the push named {other}, which is not what the tag points to now" in deploy["reason"]
    missing = call("v9.9.9")
    assert (missing["status"], "v9.9.9" in missing["reason"]) == ("failed", True)
    (instance,) = server.live()
    assert fetch(instance["url"]) == "right"


def test_an_unknown_image_becomes_a_project_that_runs(
    server: Server, image: str, engine_url: str
) -> None:
    digest = publish(image, "v1", body="hello v1", labels={"tagboat.healthcheck": "/health"})
    push = server.push(f"{image}:v1")
    assert (push["outcome"], push["project_created"], push["stage"]["name"]) == (
        "queued",
        True,
        "dev",
    )
    deploy = server.ended(push["deploy"])
    assert (deploy["status"], deploy["digest"], deploy["trigger"]) == (
        "succeeded",
        digest,
        "webhook",
    )
    assert {step["name"]: step["status"] for step in deploy["steps"]}["check"] == "done"
    project = server.call("GET", f"/api/projects/{push['project']['id']}")[1]
    assert (project["port"], project["healthcheck"]) == (8080, "/health")
    (instance,) = server.live()
    assert fetch(instance["url"]) == "hello v1"
    found = inspect(instance["container"], engine_url)
    assert (
        found["Config"]["Labels"].items()
        >= {
            "tagboat.managed": "true",
            "tagboat.project": project["name"],
            "tagboat.stage": "dev",
            "tagboat.deploy": deploy["id"],
        }.items()
    )
    assert found["HostConfig"]["Privileged"] is False
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert any(
        option.startswith("no-new-privileges") for option in found["HostConfig"]["SecurityOpt"]
    )
    assert {
        binding["HostIp"]
        for ports in found["HostConfig"]["PortBindings"].values()
        for binding in ports
    } == {"127.0.0.1"}


def test_the_new_replaces_the_old_and_a_broken_one_does_not(
    server: Server, image: str, engine_url: str
) -> None:
    for tag in ("v1", "v2"):
        publish(image, tag, body=f"hello {tag}")
        push = server.push(f"{image}:{tag}")
        assert server.ended(push["deploy"])["status"] == "succeeded"
    publish(image, "v3", cmd=EXITS_AT_ONCE)
    broken = server.ended(server.push(f"{image}:v3")["deploy"])
    assert broken["status"] == "failed"
    assert "exited" in broken["reason"]
    assert broken["log"]
    (instance,) = server.live()
    assert (instance["tag"], fetch(instance["url"])) == ("v2", "hello v2")
    assert len(containers(push["project"]["name"], engine_url)) == 1
    again = server.ended(server.push(f"{image}:v2")["deploy"])
    assert (again["status"], again["reason"]) == ("succeeded", "already live")


def test_an_app_that_never_listens_fails_after_its_time(server: Server, image: str) -> None:
    publish(image, "v1", body="hello v1")
    push = server.push(f"{image}:v1")
    server.ended(push["deploy"])
    assert (
        server.call("PATCH", f"/api/stages/{push['stage']['id']}", {"health_timeout_s": 2})[0]
        == 200
    )
    publish(image, "v2", cmd=NEVER_LISTENS)
    failed = server.ended(server.push(f"{image}:v2")["deploy"])
    assert (failed["status"], failed["reason"].startswith("not healthy within 2 s")) == (
        "failed",
        True,
    )
    assert [instance["tag"] for instance in server.live()] == ["v1"]


def test_a_tag_that_is_not_there_fails_at_once(server: Server, image: str) -> None:
    publish(image, "v1")
    failed = server.ended(server.push(f"{image}:v9")["deploy"])
    assert (failed["status"], "v9" in failed["reason"]) == ("failed", True)
    assert "will be tried again" not in server.log()


def test_the_registrys_own_notification_deploys(server: Server) -> None:
    url = server.url + server.webhook_path()
    with docker_registry(endpoints=[Endpoint(url)]) as notifying:
        push_image(notifying.host, "acme/noticed", "v1", body="noticed")
        server.until(lambda: len(server.live()) == 1, "the notified image to be live")
        (instance,) = server.live()
        assert fetch(instance["url"]) == "noticed"


def test_a_projects_own_url_is_not_blocked_by_what_others_push(server: Server) -> None:
    """A Distribution registry repeats what is refused for ever, and tells of nothing else before
    it is taken.
    """
    made = server.call(
        "POST", "/api/projects", {"name": "own", "image": "127.0.0.1:1/acme/own", "port": 8080}
    )[1]
    server.call("POST", f"/api/projects/{made['id']}/stages", {"name": "dev", "tag_pattern": "*"})
    url = urlsplit(
        server.call("POST", f"/api/projects/{made['id']}/webhooks", {"name": "registry"})[1]["url"]
    )
    with docker_registry(endpoints=[Endpoint(server.url + url.path)]) as notifying:
        image = f"{notifying.host}/acme/own"
        assert server.call("PATCH", f"/api/projects/{made['id']}", {"image": image})[0] == 200
        push_image(notifying.host, "acme/other", "v1", body="other")
        push_image(notifying.host, "acme/own", "v1", body="own")
        server.until(lambda: len(server.live()) == 1, "its own image to be live")
        assert fetch(server.live()[0]["url"]) == "own"
        calls = server.items("/api/deliveries?limit=200")
        assert {call["status"] for call in calls} == {202}
        skipped = {one["image"] for call in calls for one in call["skipped"]}
        assert f"{notifying.host}/acme/other" in skipped


def test_polling_finds_what_is_new_and_only_that(server: Server, image: str) -> None:
    publish(image, "v1.8.0")
    project = server.call("POST", "/api/projects", {"name": "polled", "image": image})[1]
    server.call(
        "POST", f"/api/projects/{project['id']}/stages", {"name": "prod", "tag_pattern": "semver:*"}
    )
    poll = f"/api/projects/{project['id']}/poll"
    nothing = {"first_poll": False, "new_tags": [], "deploys": [], "tags": [], "error": None}
    first = server.call("POST", poll)[1]
    assert first == nothing | {"first_poll": True, "new_tags": ["v1.8.0"], "tags": first["tags"]}
    for tag in ("v1.9.0", "v1.10.0"):
        publish(image, tag, body=tag)
    report = server.call("POST", poll)[1]
    assert (report["first_poll"], sorted(report["new_tags"])) == (False, ["v1.10.0", "v1.9.0"])
    (deploy,) = report["deploys"]
    assert server.ended(deploy)["tag"] == "v1.10.0"
    publish(image, "v1.10.0", body="built again")
    (deploy,) = server.call("POST", poll)[1]["deploys"]
    assert server.ended(deploy)["status"] == "succeeded"
    assert [fetch(instance["url"]) for instance in server.live()] == ["built again"]
    assert server.terminate() == 0
    server.start()
    assert server.call("POST", poll)[1] == nothing


def test_a_private_registry(server: Server) -> None:
    password = "a-password-for-tests"
    with docker_registry(login=("ci", password)) as private:
        push_image(private.host, "acme/private", "v1", body="private", auth=("ci", password))
        entry = {"name": "private", "url": private.url, "username": "ci", "password": "wrong"}
        registry = server.call("POST", "/api/registries", entry)[1]
        assert server.call("POST", f"/api/registries/{registry['id']}/test")[1]["ok"] is False
        failed = server.ended(server.push(f"{private.host}/acme/private:v1")["deploy"])
        assert failed["status"] == "failed"
        server.call("PATCH", f"/api/registries/{registry['id']}", {"password": password})
        assert server.call("POST", f"/api/registries/{registry['id']}/test")[1]["ok"] is True
        assert (
            server.ended(server.push(f"{private.host}/acme/private:v1")["deploy"])["status"]
            == "succeeded"
        )
        assert password not in json.dumps(server.call("GET", "/api/registries")[1])
        secrets = (password, TOKEN, server.webhook_path().rpartition("/")[2])
        assert not [secret for secret in secrets if secret in server.log() + server.out()]


def test_the_command_line_on_the_servers_machine(server: Server, image: str) -> None:
    publish(image, "v1", body="hello")
    push = server.push(f"{image}:v1")
    server.ended(push["deploy"])
    name = push["project"]["name"]
    for words in (
        ["status"],
        ["projects"],
        ["doctor"],
        ["explain", f"{image}:v2"],
        ["logs", name, "dev"],
        ["poll", name],
    ):
        done = server.cli(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    done = server.cli("deploy", name, "dev", "v1", "--wait", "--force")
    assert (done.returncode, "v1 is live at http://127.0.0.1:" in done.stdout) == (0, True), (
        done.stderr
    )
    assert server.cli("deploy", name, "dev", "v9", "--wait").returncode == 1
    assert server.cli("webhook", "url").stdout.strip().endswith(server.webhook_path())


def test_on_postgresql(tmp_path: Path, engine_url: str, postgres: Postgres, image: str) -> None:
    publish(image, "v1", body="kept elsewhere")
    with running_server(
        tmp_path, engine_url, TAGBOAT_DATABASE_URL=postgres.new_database()
    ) as server:
        assert server.ended(server.push(f"{image}:v1")["deploy"])["status"] == "succeeded"
        server.kill()
        server.start()
        assert [fetch(instance["url"]) for instance in server.live()] == ["kept elsewhere"]
