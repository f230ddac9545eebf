"""Polls of a real registry by the real process: what is news, what is not, and what happens when
one of them goes away.
"""

import json
import shutil
import signal
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.sample_image import Image, build_index, push
from tagboat.registry.manifests import OCI_INDEX, OCI_MANIFEST, digest_of
from tests.acceptance.test_push_to_running import containers, publish
from tests.support.docker_registry import DockerRegistry, docker_registry
from tests.support.images import listens_late
from tests.support.server import Server, fetch

NOTHING = {"first_poll": False, "new_tags": [], "deploys": [], "error": None}


@pytest.fixture
def image(registry: DockerRegistry) -> str:
    """A repository that no other test has."""
    return f"{registry.host}/acme/app-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def mortal() -> Iterator[DockerRegistry]:
    """A registry that a test may stop."""
    with docker_registry() as running:
        yield running


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """Where a call waits while the test goes on."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def add_project(server: Server, image: str, *patterns: str) -> str:
    """Make a project, named like no other on the engine, with a stage for each pattern."""
    name = f"polled-{uuid.uuid4().hex[:8]}"
    status, project = server.call(
        "POST", "/api/projects", {"name": name, "image": image, "port": 8080}
    )
    assert status == 201, project
    for number, pattern in enumerate(patterns):
        add_stage(server, project["id"], f"stage-{number}", pattern)
    return str(project["id"])


def add_stage(server: Server, project: str, name: str, pattern: str) -> None:
    status, stage = server.call(
        "POST", f"/api/projects/{project}/stages", {"name": name, "tag_pattern": pattern}
    )
    assert status == 201, stage


def poll(server: Server, project: str) -> dict[str, Any]:
    """What a poll answers, without its account of each tag: that has every tag that is new,
    every deploy, and a reason.
    """
    status, report = server.call("POST", f"/api/projects/{project}/poll")
    assert status == 200, report
    tags = report.pop("tags")
    assert sorted(tag["tag"] for tag in tags if tag["change"] == "new") == sorted(
        report["new_tags"]
    )
    assert [tag["deploy"] for tag in tags if tag["deploy"]] == report["deploys"]
    assert all(tag["reason"] for tag in tags)
    return dict(report)


def poll_error(server: Server, project: str) -> str | None:
    """What the project shows of its last poll."""
    error: str | None = server.call("GET", f"/api/projects/{project}")[1]["poll"]["error"]
    return error


def running(server: Server, project: str, engine_url: str) -> int:
    """How many containers the project has."""
    return len(containers(server.call("GET", f"/api/projects/{project}")[1]["name"], engine_url))


def deployed(server: Server, project: str) -> list[str]:
    """The tag of every deploy there ever was, the oldest first."""
    return [deploy["tag"] for deploy in reversed(server.items(f"/api/deploys?project={project}"))]


@contextmanager
def frozen(registry: DockerRegistry) -> Iterator[None]:
    """The registry takes connections but answers nothing, until the block ends."""
    process = registry._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)  # which does nothing to one that is dead


def has_unread(registry: DockerRegistry) -> bool:
    """Whether a request has reached the registry's socket that it has not read: see proc(5),
    /proc/net/tcp.
    """
    address = f"0100007F:{int(registry.host.rpartition(':')[2]):04X}"
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = [
        queues for _, local, _, state, queues, *_ in sockets if (local, state) == (address, "01")
    ]
    return any(int(queues.partition(":")[2], 16) for queues in established)


def poll_in_the_air(
    server: Server, project: str, registry: DockerRegistry, pool: ThreadPoolExecutor
) -> "Future[Any]":
    """Begin a poll at a frozen registry, and wait until the registry has been asked."""
    begun = pool.submit(poll, server, project)
    server.until(lambda: has_unread(registry), "the registry to be asked")
    return begun


def test_what_a_webhook_brought_is_not_deployed_again(server: Server, image: str) -> None:
    publish(image, "v1")
    push = server.push(f"{image}:v1")
    project = push["project"]["id"]
    server.ended(push["deploy"])
    assert {**poll(server, project), "first_poll": True} == {
        **NOTHING,
        "first_poll": True,
    }  # it may have been polled by now
    publish(image, "v2", body="built once", cmd=listens_late(2))
    deploy = server.push(f"{image}:v2")["deploy"]
    assert poll(server, project) == NOTHING
    assert server.ended(deploy)["status"] == "succeeded"
    assert poll(server, project) == NOTHING
    publish(image, "v2", body="built again")
    server.ended(server.push(f"{image}:v2")["deploy"])
    assert poll(server, project) == NOTHING
    assert deployed(server, project) == ["v1", "v2", "v2"]
    assert [fetch(instance["url"]) for instance in server.live()] == ["built again"]


def test_what_a_poll_brought_is_live_already_when_the_webhook_comes(
    server: Server, image: str, engine_url: str
) -> None:
    publish(image, "v1")
    project = add_project(server, image, "*")
    assert poll(server, project) == {**NOTHING, "first_poll": True, "new_tags": ["v1"]}
    for build in ("built once", "built again"):
        publish(image, "v2", body=build)
        (deploy,) = poll(server, project)["deploys"]
        polled = server.ended(deploy)
        assert (polled["status"], polled["trigger"], polled["reason"]) == (
            "succeeded",
            "poll",
            "v2 is live",
        )
        push = server.push(f"{image}:v2")
        again = server.ended(push["deploy"])
        assert (push["outcome"], again["status"], again["reason"]) == (
            "queued",
            "succeeded",
            "already live",
        )
    (instance,) = server.live()
    assert fetch(instance["url"]) == "built again"
    assert running(server, project, engine_url) == 1


def test_a_registry_that_goes_away_in_the_middle_of_a_poll(
    server: Server, mortal: DockerRegistry, aside: ThreadPoolExecutor
) -> None:
    image = f"{mortal.host}/acme/app"
    publish(image, "v1")
    project = add_project(server, image, "*")
    poll(server, project)
    publish(image, "v2")
    with frozen(mortal):
        begun = poll_in_the_air(server, project, mortal, aside)
        assert mortal._process is not None
        mortal._process.kill()
        mortal.stop()
    report = begun.result()
    assert report == {**NOTHING, "error": report["error"]}
    assert mortal.host in report["error"]
    assert poll_error(server, project) == report["error"]
    assert server.call("GET", "/api/health")[0] == 200
    mortal.start()
    report = poll(server, project)
    assert (report["new_tags"], report["error"], poll_error(server, project)) == (
        ["v2"],
        None,
        None,
    )
    assert server.ended(*report["deploys"])["status"] == "succeeded"
    assert deployed(server, project) == ["v2"]


def test_a_first_poll_that_failed_leaves_the_next_one_the_first(
    server: Server, mortal: DockerRegistry
) -> None:
    image = f"{mortal.host}/acme/app"
    publish(image, "v1")
    project = add_project(server, image, "*")
    mortal.stop()
    report = poll(server, project)
    assert report == {**NOTHING, "first_poll": True, "error": report["error"]}
    assert poll_error(server, project) == report["error"]
    server.kill()
    server.start()
    assert poll_error(server, project) == report["error"]
    mortal.start()
    assert poll(server, project) == {**NOTHING, "first_poll": True, "new_tags": ["v1"]}
    assert (deployed(server, project), poll_error(server, project)) == ([], None)


def test_a_server_that_was_killed_goes_on_from_its_last_poll(server: Server, image: str) -> None:
    for tag in ("v1", "v2"):
        publish(image, tag)
    project = add_project(server, image, "*")
    assert poll(server, project)["first_poll"] is True
    server.kill()
    publish(image, "v3")
    server.start()
    report = poll(server, project)
    assert (report["first_poll"], report["new_tags"], len(report["deploys"])) == (False, ["v3"], 1)
    assert server.ended(*report["deploys"])["status"] == "succeeded"
    server.kill()
    server.start()
    assert poll(server, project) == NOTHING
    assert deployed(server, project) == ["v3"]


def test_a_server_killed_right_after_a_poll_deploys_what_it_found_once(
    server: Server, image: str, engine_url: str
) -> None:
    publish(image, "v1")
    project = add_project(server, image, "*")
    poll(server, project)
    publish(image, "v2", body="hello v2")
    (deploy,) = poll(server, project)["deploys"]
    server.kill()
    server.start()
    assert poll(server, project) == NOTHING
    assert server.ended(deploy)["status"] == "succeeded"
    assert [fetch(instance["url"]) for instance in server.live()] == ["hello v2"]
    assert (deployed(server, project), running(server, project, engine_url)) == (["v2"], 1)


def test_a_server_killed_in_the_middle_of_a_poll_finds_the_news_at_the_next(
    server: Server, mortal: DockerRegistry, aside: ThreadPoolExecutor
) -> None:
    image = f"{mortal.host}/acme/app"
    publish(image, "v1")
    project = add_project(server, image, "*")
    poll(server, project)
    publish(image, "v2")
    with frozen(mortal):
        begun = poll_in_the_air(server, project, mortal, aside)
        server.kill()
    assert isinstance(begun.exception(), OSError)
    server.start()
    report = poll(server, project)
    assert (report["first_poll"], report["new_tags"]) == (False, ["v2"])
    server.ended(*report["deploys"])
    assert deployed(server, project) == ["v2"]


def test_to_a_stage_added_later_known_tags_are_no_news(server: Server, image: str) -> None:
    for tag in ("v1.0.0", "latest"):
        publish(image, tag)
    project = add_project(server, image)
    assert sorted(poll(server, project)["new_tags"]) == ["latest", "v1.0.0"]
    publish(image, "v1.1.0")
    assert poll(server, project) == {**NOTHING, "new_tags": ["v1.1.0"]}
    add_stage(server, project, "prod", "v*")
    add_stage(server, project, "edge", "latest")
    assert poll(server, project) == NOTHING
    publish(image, "v1.2.0")
    report = poll(server, project)
    assert (report["new_tags"], len(report["deploys"])) == (["v1.2.0"], 1)
    publish(image, "latest", body="moved")
    report = poll(server, project)
    assert (report["new_tags"], len(report["deploys"])) == ([], 1)
    assert server.ended(*report["deploys"])["status"] == "succeeded"
    assert deployed(server, project) == ["v1.2.0", "latest"]


def test_a_new_tag_that_is_no_image_hides_no_other(server: Server, image: str) -> None:
    publish(image, "one")
    project = add_project(server, image, "*")
    poll(server, project)
    host, _, repository = image.partition("/")
    for tag in (
        "a-cache",
        "z-cache",
    ):  # before and after the image, in whatever order the registry lists them
        push(host, repository, tag, build_index({}))
    publish(image, "two", body="hello two")
    report = poll(server, project)
    assert (sorted(report["new_tags"]), report["error"]) == (["a-cache", "two", "z-cache"], None)
    assert server.ended(*report["deploys"])["status"] == "succeeded"
    assert [fetch(instance["url"]) for instance in server.live()] == ["hello two"]
    for tag in ("b-cache", "y-cache"):
        push(host, repository, tag, build_index({}))
    assert poll(server, project) == {**NOTHING, "new_tags": ["b-cache", "y-cache"]}


def artifact(config_type: str) -> Image:
    """A manifest of something that is not an image, with a configuration of that media type."""
    blob = b"{}"
    config = {"mediaType": config_type, "digest": digest_of(blob), "size": len(blob)}
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
    return Image(json.dumps(manifest).encode(), {digest_of(blob): blob}, OCI_MANIFEST)


def build_cache() -> Image:
    """A build's cache as BuildKit exports it: an index of layers and of a configuration of its
    own.
    """
    blobs: dict[str, bytes] = {digest_of(blob): blob for blob in (b"\x1f\x8b a layer", b"{}")}
    kinds = (
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.buildkit.cacheconfig.v0",
    )
    entries = [
        {"mediaType": kind, "digest": digest, "size": len(blob)}
        for kind, (digest, blob) in zip(kinds, blobs.items(), strict=True)
    ]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return Image(json.dumps(index).encode(), blobs, OCI_INDEX)


def test_charts_and_caches_beside_an_image_do_not_take_its_place(
    server: Server, image: str
) -> None:
    publish(image, "main-1")
    project = add_project(server, image, "*")
    poll(server, project)
    host, _, repository = image.partition("/")
    push(host, repository, "main-9-chart", artifact("application/vnd.cncf.helm.config.v1+json"))
    push(host, repository, "zcache", build_cache())
    publish(image, "main-2")
    report = poll(server, project)
    assert (report["error"], poll_error(server, project)) == (None, None)
    assert [server.ended(deploy)["tag"] for deploy in report["deploys"]] == ["main-2"]
    push(host, f"{repository}-chart", "1.0.0", build_cache())
    pushed = server.push(f"{image}-chart:1.0.0")
    assert (pushed["outcome"], pushed["project"]) == ("refused", None)
    assert "is not a container image" in pushed["reason"]


def test_a_chart_pushed_to_a_project_is_refused_in_the_answer(server: Server, image: str) -> None:
    publish(image, "v1")
    project = add_project(server, image, "*")
    host, _, repository = image.partition("/")
    others = {
        "chart": artifact("application/vnd.cncf.helm.config.v1+json"),
        "cache": build_cache(),
        "attestations": build_index({}),
    }
    for tag, other in others.items():
        push(host, repository, tag, other)
        explained = server.call("GET", f"/api/explain?image={image}:{tag}")[1]
        pushed = server.push(f"{image}:{tag}")
        assert (pushed["outcome"], pushed["deploy"]) == ("refused", None)
        assert (pushed["project"]["id"], pushed["stage"]) == (project, None)
        assert "is not a container image" in pushed["reason"]
        assert (explained["outcome"], explained["reason"]) == ("refused", pushed["reason"])
    known = server.call("GET", f"/api/projects/{project}/tags")[1]["items"]
    assert {tag["tag"] for tag in known} == others.keys()
    assert server.ended(server.push(f"{image}:v1")["deploy"])["status"] == "succeeded"
    # A tag that was a chart, and is an image now.
    publish(image, "chart")
    assert server.ended(server.push(f"{image}:chart")["deploy"])["status"] == "succeeded"
    # One that the registry does not have is left to its deploy.
    assert server.push(f"{image}:missing")["outcome"] == "queued"


def test_a_poll_makes_up_for_a_lost_call_without_going_back(server: Server, image: str) -> None:
    publish(image, "v1.0.0")
    project = add_project(server, image, "semver:>=1.0.0")
    poll(server, project)
    for tag in ("v1.0.1", "v1.0.2"):
        publish(image, tag)
    server.ended(server.push(f"{image}:v1.0.2")["deploy"])
    status, report = server.call("POST", f"/api/projects/{project}/poll")
    assert (status, report["new_tags"], report["deploys"]) == (200, ["v1.0.1"], [])
    assert "but v1.0.2, which is live, is the higher version" in report["tags"][0]["reason"]
    waiting = server.push(f"{image}:v1.0.1")
    assert (waiting["outcome"], waiting["deploy"]) == ("waiting", None)
    assert [instance["tag"] for instance in server.live()] == ["v1.0.2"]


def test_what_was_pushed_while_the_server_was_stopped_is_live_soon_after_its_start(
    server: Server, image: str
) -> None:
    server.call("PATCH", "/api/settings", {"poll_schedule": "@every 24h"})
    publish(image, "v3")
    push_of_v3 = server.push(f"{image}:v3")
    server.ended(push_of_v3["deploy"])
    project = f"/api/projects/{push_of_v3['project']['id']}"
    server.until(
        lambda: bool(server.call("GET", project)[1]["poll"]["last_at"]),
        "the first poll",
        seconds=15,
    )
    server.terminate()
    publish(image, "v9", body="hello v9")
    server.start()
    server.until(
        lambda: [one["tag"] for one in server.live()] == ["v9"], "v9 to be live", seconds=60
    )
    deploy = server.items("/api/deploys")[0]
    assert (deploy["tag"], deploy["trigger"]) == ("v9", "poll")


def test_a_live_tag_that_the_registry_lists_but_lost_hides_no_other(
    server: Server, mortal: DockerRegistry
) -> None:
    image = f"{mortal.host}/acme/app"
    publish(image, "v1")
    project = server.push(f"{image}:v1")["project"]["id"]
    server.until(lambda: len(server.live()) == 1, "v1 to be live")
    poll(server, project)
    mortal.stop()
    shutil.rmtree(mortal._config.parent / "data/docker/registry/v2/blobs")
    mortal.start()
    publish(image, "v2", body="hello v2")
    report = poll(server, project)
    assert (report["new_tags"], report["error"]) == (["v2"], None)
    assert server.ended(*report["deploys"])["status"] == "succeeded"
    assert [fetch(instance["url"]) for instance in server.live()] == ["hello v2"]


def test_an_image_changed_in_the_middle_of_a_poll_has_its_own_first_poll(
    server: Server, mortal: DockerRegistry, aside: ThreadPoolExecutor
) -> None:
    old, new = f"{mortal.host}/acme/old", f"{mortal.host}/acme/new"
    publish(old, "v1")
    publish(new, "v9")
    project = add_project(server, old, "*")
    with frozen(mortal):
        begun = poll_in_the_air(server, project, mortal, aside)
        assert server.call("PATCH", f"/api/projects/{project}", {"image": new})[0] == 200
    assert "image" in begun.result()["error"]
    assert server.items(f"/api/projects/{project}/tags") == []
    assert poll(server, project) == {**NOTHING, "first_poll": True, "new_tags": ["v9"]}
    assert deployed(server, project) == []


def test_the_schedule_can_be_changed_and_outlives_the_server(server: Server, image: str) -> None:
    publish(image, "v1")
    project = add_project(server, image, "*")

    def polled() -> dict[str, Any]:
        return dict(server.call("GET", f"/api/projects/{project}")[1]["poll"])

    server.until(lambda: polled()["next_at"] is not None, "the first schedule")
    planned = polled()
    server.kill()
    server.start()
    server.until(lambda: polled()["next_at"] is not None, "the same schedule")
    assert polled() == planned == {"last_at": None, "next_at": planned["next_at"], "error": None}
    assert server.call("PATCH", "/api/settings", {"poll_schedule": "@every 1s"})[0] == 200
    server.until(lambda: polled()["last_at"] is not None, "a poll that nobody asked for")
    publish(image, "v2", body="found")
    server.until(lambda: len(server.live()) == 1, "what was found to be live")
    assert [fetch(instance["url"]) for instance in server.live()] == ["found"]
    assert deployed(server, project) == ["v2"]


def test_a_new_schedule_shows_at_once_when_the_next_poll_is(server: Server, image: str) -> None:
    project = add_project(server, image, "*")
    for hours in (100, 1) * 10:
        assert (
            server.call("PATCH", "/api/settings", {"poll_schedule": f"@every {hours}h"})[0] == 200
        )
        shown = datetime.fromisoformat(
            server.call("GET", f"/api/projects/{project}")[1]["poll"]["next_at"]
        )
        assert timedelta(hours=hours - 1) < shown - datetime.now(UTC) <= timedelta(hours=hours)


def test_each_tag_says_what_was_done_about_it_and_why_and_still_does_after_a_restart(
    server: Server, image: str
) -> None:
    publish(image, "v1.0.0")
    push = server.push(f"{image}:v1.0.0")
    project = push["project"]["id"]
    server.ended(push["deploy"])
    publish(image, "old")
    poll(server, project)
    for tag in ("v1.10.0", "v1.9.0"):
        publish(image, tag)
    status, report = server.call("POST", f"/api/projects/{project}/poll")
    assert status == 200
    (deploy,) = report["deploys"]
    server.ended(deploy)
    server.kill()
    server.start()
    known = {tag["tag"]: tag["last"] for tag in server.items(f"/api/projects/{project}/tags")}
    assert {
        tag: (last["source"], last["outcome"], last["reason"], last["deploy"])
        for tag, last in known.items()
    } == {
        "v1.0.0": ("webhook", "queued", "tag v1.0.0 matches *", push["deploy"]),
        "old": (
            "poll",
            "recorded",
            "the first poll of an image records its tags and deploys none",
            None,
        ),
        "v1.9.0": (
            "poll",
            "recorded",
            "tag v1.9.0 matches *, but v1.10.0 is the higher version and the stage dev takes one",
            None,
        ),
        "v1.10.0": ("poll", "queued", "tag v1.10.0 matches * and is the newest of 2 found", deploy),
    }
    assert [(tag["tag"], tag["reason"]) for tag in report["tags"]] == [
        (tag, known[tag]["reason"]) for tag in ("v1.9.0", "v1.10.0")
    ]
