"""What stays on a real engine of what was deployed, and what goes."""

import json
import secrets
import urllib.parse
from collections.abc import Iterator

import pytest

from tests.support.docker_registry import DockerRegistry
from tests.support.dockerd import call, remove_images_of
from tests.support.images import push_image
from tests.support.server import Server


@pytest.fixture
def repository(registry: DockerRegistry, engine_url: str) -> Iterator[str]:
    """A repository of its own, without its host."""
    yield f"acme/app-{secrets.token_hex(4)}"
    remove_images_of(engine_url, registry.host)


def push(registry: DockerRegistry, repository: str, *tags: str) -> dict[str, str]:
    """Push an image for each tag; `NAME@DIGEST` by tag."""
    digests = {
        tag: push_image(registry.host, repository, tag, body=f"{repository} {tag}") for tag in tags
    }
    return {tag: f"{registry.host}/{repository}@{digest}" for tag, digest in digests.items()}


def has(engine_url: str, image: str) -> bool:
    return b"RepoDigests" in call(engine_url, "GET", f"/images/{image}/json")


def ship(server: Server, registry: DockerRegistry, repository: str, tag: str) -> dict[str, object]:
    pushed = server.push(f"{registry.host}/{repository}:{tag}")
    ended = server.ended(pushed["deploy"])
    assert ended["status"] == "succeeded", ended["reason"]
    return pushed


@pytest.mark.slow
def test_images_of_before_go_and_come_back_with_a_rollback(
    server: Server, registry: DockerRegistry, repository: str, engine_url: str
) -> None:
    names = push(registry, repository, "v1", "v2", "v3", "v4", "person", "kept")
    call(engine_url, "POST", f"/images/create?fromImage={names['person']}")
    server.call("PATCH", "/api/settings", {"images_keep": 2})
    for tag in ("kept", "v1", "person", "v2"):
        pushed = ship(server, registry, repository, tag)
        if tag == "kept":
            name = urllib.parse.quote(f"{registry.host}/{repository}", safe="")
            call(engine_url, "POST", f"/images/{names['kept']}/tag?repo={name}&tag=mine")
    for tag in ("v3", "v4"):
        ship(server, registry, repository, tag)

    server.until(
        lambda: not (has(engine_url, names["v1"]) or has(engine_url, names["v2"])),
        "the old images to go",
    )
    left = [tag for tag in ("v3", "v4", "person", "kept") if has(engine_url, names[tag])]
    assert left == ["v3", "v4", "person", "kept"], (
        "two are kept, one was there before, one a person named"
    )
    assert has(engine_url, f"{registry.host}/{repository}:mine")

    stage = pushed["stage"]
    assert isinstance(stage, dict)
    first = next(deploy for deploy in server.items("/api/deploys") if deploy["tag"] == "v1")
    status, queued = server.call("POST", f"/api/stages/{stage['id']}/rollback", {"to": first["id"]})
    assert (status, server.ended(queued["id"])["status"]) == (202, "succeeded")
    assert has(engine_url, names["v1"])

    server.clear()
    server.until(
        lambda: not any(has(engine_url, names[tag]) for tag in ("v1", "v3", "v4")),
        "those of what was deleted to go",
    )
    assert has(engine_url, names["person"])
    assert has(engine_url, names["kept"])


def test_volumes_outlive_a_project_unless_they_shall_not(
    server: Server, registry: DockerRegistry, repository: str, engine_url: str
) -> None:
    push(registry, repository, "v1")
    for keep in (True, False):
        pushed = ship(server, registry, repository, "v1")
        project, stage = pushed["project"], pushed["stage"]
        assert isinstance(project, dict)
        assert isinstance(stage, dict)
        server.call("PATCH", f"/api/projects/{project['id']}", {"volumes": {"data": "/data"}})
        server.call("PATCH", f"/api/stages/{stage['id']}", {"strategy": "recreate"})
        server.ended(
            server.call("POST", f"/api/stages/{stage['id']}/deploys", {"tag": "v1", "force": True})[
                1
            ]["id"]
        )
        volume = f"tagboat-{stage['id']}-data"

        status, left = server.call(
            "DELETE", f"/api/projects/{project['id']}" + ("" if keep else "?volumes=delete")
        )

        assert status == 200
        assert (volume in left["volumes_kept"], volume in left["volumes_removed"]) == (
            keep,
            not keep,
        )
        assert (
            json.loads(call(engine_url, "GET", f"/volumes/{volume}")).get("Name") == volume
        ) == keep
        if keep:
            status, disk = server.call("GET", "/api/disk?usage=true")
            assert status == 200, disk
            left = [one for one in disk["taken"]["volumes"] if one["name"] == volume]
            assert [one["project"] for one in left] == [None]
            call(engine_url, "DELETE", f"/volumes/{volume}")
