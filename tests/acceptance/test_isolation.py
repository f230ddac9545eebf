"""What apps, images and people on the machine can do to one another: networks, rights, labels,
ownership, secrets.
"""

import subprocess
import uuid
from collections.abc import Iterator

import pytest

from tests.acceptance.test_push_to_running import inspect, publish
from tests.support.docker_registry import DockerRegistry
from tests.support.server import Server

TELLS = ("/bin/sh", "-c", "env; exit 3")


@pytest.fixture
def image(registry: DockerRegistry) -> str:
    return f"{registry.host}/acme/app-{uuid.uuid4().hex[:8]}"


def docker(engine_url: str, *words: str) -> str:
    return subprocess.run(
        ["docker", "-H", engine_url, *words], capture_output=True, check=True, text=True
    ).stdout.strip()


@pytest.fixture
def person(engine_url: str) -> Iterator[str]:
    """The name of a container, and of an image, that a person makes."""
    name = f"person-{uuid.uuid4().hex[:8]}"
    yield name
    docker(engine_url, "rm", "-f", name)
    docker(engine_url, "rmi", "-f", name)


def networks(engine_url: str, project: str) -> list[str]:
    return docker(
        engine_url, "network", "ls", "--filter", f"name=tagboat-{project}", "--format", "{{.Name}}"
    ).split()


def test_an_app_is_on_its_project_s_network_with_few_rights_and_none_of_its_image_s_labels(
    server: Server, image: str, engine_url: str
) -> None:
    publish(image, "v1", labels={"traefik.enable": "true", "org.opencontainers.image.title": "App"})
    push = server.push(f"{image}:v1")
    project = push["project"]["id"]
    assert server.ended(push["deploy"])["status"] == "succeeded"
    (live,) = server.live()
    seen = inspect(live["container"], engine_url)
    assert (
        list(seen["NetworkSettings"]["Networks"])
        == networks(engine_url, project)
        == [f"tagboat-{project}"]
    )
    assert seen["HostConfig"]["CapDrop"] == [
        "NET_RAW",
        "MKNOD",
        "AUDIT_WRITE",
        "SYS_CHROOT",
        "SETFCAP",
    ]
    labels = seen["Config"]["Labels"]
    assert (labels["traefik.enable"], labels["org.opencontainers.image.title"]) == ("", "App")
    server.call(
        "PATCH",
        f"/api/stages/{push['stage']['id']}",
        {"image_labels": True, "cap_add": ["NET_RAW"]},
    )
    publish(image, "v2", body="two", labels={"traefik.enable": "true"})
    server.ended(server.push(f"{image}:v2")["deploy"])
    (live,) = server.live()
    seen = inspect(live["container"], engine_url)
    assert seen["Config"]["Labels"]["traefik.enable"] == "true"
    assert "NET_RAW" not in seen["HostConfig"]["CapDrop"]
    server.call("DELETE", f"/api/projects/{project}")
    assert networks(engine_url, project) == []


def test_what_a_person_makes_from_a_committed_image_is_left_alone_and_a_true_orphan_is_not(
    server: Server, image: str, engine_url: str, person: str
) -> None:
    publish(image, "v1")
    push = server.push(f"{image}:v1")
    server.ended(push["deploy"])
    (old,) = server.live()
    docker(engine_url, "commit", old["container"], person)
    docker(engine_url, "run", "-d", "--name", person, person)
    assert inspect(person, engine_url)["Config"]["Labels"]["tagboat.deploy"] == push["deploy"]
    publish(image, "v2", body="two")
    deploy = server.push(f"{image}:v2")["deploy"]
    server.until(
        lambda: server.call("GET", f"/api/deploys/{deploy}")[1]["steps"][2]["status"] != "pending",
        "the start",
    )
    server.kill()  # what it has made, and has not put on record yet, is found by the next one
    server.start()
    assert server.ended(deploy)["status"] == "succeeded"
    project = push["project"]["name"]
    ours = docker(
        engine_url,
        "ps",
        "-a",
        "--filter",
        f"label=tagboat.project={project}",
        "--format",
        "{{.Names}}",
    ).split()
    (new,) = server.live()
    assert set(ours) == {new["container"], person}
    assert inspect(person, engine_url)["State"]["Running"]


def test_secrets_are_in_no_log_that_is_kept_or_shown(
    server: Server, image: str, engine_url: str
) -> None:
    assert engine_url
    publish(image, "v1")
    push = server.push(f"{image}:v1")
    server.ended(push["deploy"])
    server.call(
        "PATCH", f"/api/stages/{push['stage']['id']}", {"secrets": {"DB_PASSWORD": "S3CR3T-needle"}}
    )
    publish(image, "v2", body="two", cmd=TELLS)
    project = push["project"]["name"]
    done = server.cli("deploy", project, push["stage"]["name"], "v2", "--wait")
    assert done.returncode == 1
    assert "| DB_PASSWORD=***" in done.stderr
    assert "S3CR3T-needle" not in done.stdout + done.stderr + server.log()
    assert b"S3CR3T-needle" not in b"".join(
        file.read_bytes() for file in (server.directory / "data").glob("tagboat.db*")
    )
