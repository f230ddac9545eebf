"""Versions that turn out bad once they are live, as CI and people meet them: the real process,
HAProxy and engine.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_push_to_running import publish
from tests.acceptance.test_switching import DIES_SOON, SERVE, Lane, asking, behind, lane, new_lane
from tests.support.docker_registry import DockerRegistry
from tests.support.images import DEFAULT_CMD, NEVER_LISTENS
from tests.support.ports import free_port
from tests.support.server import running_server

__all__ = ["behind", "lane"]
_AT_ONCE_S = 1.0
_SLOW = (
    "#!/bin/sh\\nuntil [ -e /go ]; do sleep 0.1; done; "
    "printf 'Content-Type: text/plain\\\\n\\\\nslow'"
)
ALSO_SLOW = (
    "/bin/sh",
    "-c",
    (
        f'mkdir -p /www/cgi-bin; printf "{_SLOW}" > /www/cgi-bin/slow; chmod 755 /www/'
        f"cgi-bin/slow; exec {SERVE}"
    ),
)
"""It answers `/cgi-bin/slow` once there is a file `/go`."""


def push(lane: Lane, tag: str) -> str:
    return str(lane.server.push(f"{lane.image}:{tag}")["deploy"])


def until_live(lane: Lane, tag: str) -> None:
    lane.server.until(lambda: tag in lane.live(), f"{tag} to be live")


def until_rest(lane: Lane) -> None:
    """Wait until nothing is to be done any more: one container, and no open deploy."""

    def quiet() -> bool:
        open_ones = [one for one in deploys(lane) if one["status"] in {"queued", "running"}]
        return not open_ones and len(lane.containers()) == 1

    lane.server.until(quiet, "rest", 90)


def deploys(lane: Lane) -> list[dict[str, str]]:
    return lane.server.items(f"/api/deploys?stage={lane.stage}")


def is_served_at_once(lane: Lane, body: str) -> bool:
    """Wait until the stage answers that; whether that took no longer than it may."""
    began = time.monotonic()
    lane.server.until(lambda: lane.ask() == (200, body), f"{body} to be back")
    return time.monotonic() - began < _AT_ONCE_S


@pytest.mark.slow
def test_one_bad_build_under_two_tags_does_not_replace_the_good_one(lane: Lane) -> None:
    lane.change(watch_s=10)
    lane.bring("sha-1")
    for tag in ("sha-2", "latest"):
        publish(lane.image, tag, body="bad", cmd=DIES_SOON)
    first = push(lane, "sha-2")
    until_live(lane, "sha-2")
    second = push(lane, "latest")
    ended = lane.server.ended(first)
    assert (ended["status"], ended["reason"].split(":")[0]) == (
        "failed",
        "it was healthy and live, and then",
    )
    again = lane.server.ended(second)
    assert (again["status"], "taken back in the stage dev" in again["reason"]) == (
        "cancelled",
        True,
    )
    until_rest(lane)
    assert (lane.live(), lane.ask()) == (["sha-1"], (200, "sha-1"))


@pytest.mark.slow
def test_two_bad_pushes_close_together_leave_the_good_one(lane: Lane) -> None:
    lane.change(watch_s=5, health_timeout_s=6)
    lane.bring("v1")
    publish(lane.image, "v2", body="bad", cmd=DIES_SOON)
    publish(lane.image, "v3", body="worse", cmd=NEVER_LISTENS)
    first = push(lane, "v2")
    until_live(lane, "v2")
    second = push(lane, "v3")
    assert lane.server.ended(second)["status"] == "failed"
    until_rest(lane)
    assert (lane.live(), lane.ask()) == (["v1"], (200, "v1"))
    assert lane.server.ended(first)["status"] == "failed", "it was live, and did not stay healthy"


def test_a_good_one_pushed_in_the_watch_is_live_before_that_has_ended(lane: Lane) -> None:
    lane.bring("v1")
    lane.change(watch_s=300)
    for tag in ("v2", "v3", "v4", "v5"):
        publish(lane.image, tag, body=tag)
    with asking(lane):
        first = push(lane, "v2")
        until_live(lane, "v2")
        push(lane, "v3")
        until_live(lane, "v3")
        assert "a newer deploy waits" in next(
            step["detail"] for step in lane.server.ended(first)["steps"] if step["name"] == "watch"
        )
        assert len(lane.containers()) == 3, "v1, which was watched to the end, is kept"
    tags = ["v4", "v5"]  # for another try: the machine may be busy elsewhere
    lane.post(f"/api/stages/{lane.stage}/rollback")
    while not is_served_at_once(lane, "v2"):
        assert tags, "it took too long each time"
        lane.change(held=False)
        push(lane, tags[0])
        until_live(lane, tags.pop(0))
        lane.post(f"/api/stages/{lane.stage}/rollback")
    lane.change(watch_s=1, held=False)


@pytest.mark.parametrize("when", ["check", "watch", "drain"])
def test_rolled_back_it_is_as_it_was_within_a_second(lane: Lane, when: str) -> None:
    lane.change(drain_timeout_s=120, health_timeout_s=120)
    lane.bring("v1")
    lane.bring("v2", cmd=ALSO_SLOW)
    lane.change(watch_s=0 if when == "drain" else 120)
    # More than one for another try: the machine may be busy elsewhere.
    assert any(is_back_at_once(lane, when, tag) for tag in ("v3", "v4", "v5"))


def is_back_at_once(lane: Lane, when: str, tag: str) -> bool:
    """Push a version over v2, roll back in that step; whether v2 served at once again."""
    lane.change(held=False)
    publish(lane.image, tag, body=tag, cmd=NEVER_LISTENS if when == "check" else DEFAULT_CMD)
    with slow_request(lane) if when == "drain" else contextlib.nullcontext():
        deploy = push(lane, tag)
        lane.server.until(lambda: running_step(lane, deploy) == when, f"the step {when}")
        status, back = lane.post(f"/api/stages/{lane.stage}/rollback")
        assert (status, back["tag"]) == (202, "v2")
        assert lane.post(f"/api/stages/{lane.stage}/rollback")[1]["id"] == back["id"], (
            "ordered twice, it goes back once"
        )
        at_once = is_served_at_once(lane, "v2")
    assert lane.server.ended(deploy)["status"] == "cancelled"
    assert (lane.server.ended(back["id"])["status"], lane.live()) == ("succeeded", ["v2"])
    until_rest(lane)
    assert lane.ask() == (200, "v2")
    return at_once


def running_step(lane: Lane, deploy: str) -> str:
    steps = lane.server.call("GET", f"/api/deploys/{deploy}")[1]["steps"]
    return next((str(step["name"]) for step in steps if step["status"] == "running"), "")


@contextlib.contextmanager
def slow_request(lane: Lane) -> Iterator[None]:
    """A request that is under way all through the block, and ends well."""
    answers: list[tuple[int, str]] = []
    asking_slowly = threading.Thread(target=lambda: answers.append(lane.ask(path="/cgi-bin/slow")))
    asking_slowly.start()
    (container,) = lane.containers()
    lane.server.until(lambda: "/bin/sh slow" in lane.docker("top", container), "the app to have it")
    try:
        yield
    finally:
        lane.docker("exec", container, "/bin/sh", "-c", ": > /go")
        asking_slowly.join(60)
        lane.docker("exec", container, "/bin/sh", "-c", "/bin/busybox rm /go")
    assert answers == [(200, "slow")]


def test_a_container_that_somebody_renamed_is_replaced_and_retired(lane: Lane) -> None:
    lane.bring("v1")
    (name,) = lane.containers()
    lane.docker("rename", name, f"{name}-mine")
    with asking(lane):
        lane.bring("v2")
    until_rest(lane)
    assert (lane.live(), lane.ask()) == (["v2"], (200, "v2"))


def test_a_copy_that_somebody_made_of_a_container_is_left_alone(lane: Lane) -> None:
    lane.bring("v1")
    (name,) = lane.containers()
    copy = f"{name}-copy"
    image = lane.docker("commit", name)
    try:
        lane.docker("run", "-d", "--name", copy, image)
        lane.bring("v2")
        assert lane.docker("inspect", "-f", "{{.State.Running}}", copy) == "true"
    finally:
        lane.docker("rm", "-f", copy)
        lane.docker("rmi", "-f", image)


def test_a_restart_waits_for_a_release_command(
    tmp_path: Path, engine_url: str, registry: DockerRegistry
) -> None:
    with behind_its_own(tmp_path, engine_url, registry) as lane:
        lane.bring("v1")
        script = (
            "echo begin | tee -a /data/log; sleep 4; echo end >> /data/log; tail -n +2 /data/log"
        )
        lane.change(
            volumes={"data": "/data"}, strategy="rolling", release_command=["/bin/sh", "-c", script]
        )
        publish(lane.image, "v2", body="v2")
        deploy = push(lane, "v2")
        lane.server.until(lambda: "begin" in begun(lane), "the release command")
        assert lane.server.terminate() == 0
        lane.server.start()
        ended = lane.server.ended(deploy)
        assert (ended["status"], ended["log"].split()) == ("succeeded", ["begin", "end"])


@pytest.mark.slow
def test_an_orderly_stop_in_mid_recreate_leaves_the_old_one_serving(
    tmp_path: Path, engine_url: str, registry: DockerRegistry
) -> None:
    with behind_its_own(tmp_path, engine_url, registry) as lane:
        lane.change(strategy="recreate", health_timeout_s=60)
        lane.bring("v1")
        publish(lane.image, "v2", body="v2", cmd=NEVER_LISTENS)
        deploy = push(lane, "v2")
        lane.server.until(lambda: running_step(lane, deploy) == "check", "the step check")
        began = time.monotonic()
        assert lane.server.terminate() == 0
        assert time.monotonic() - began < 10
        assert lane.ask() == (200, "v1")
        assert len(lane.containers()) == 1
        lane.server.start()
        lane.server.until(lambda: running_step(lane, deploy) == "check", "it to be gone on with")
        assert lane.post(f"/api/deploys/{deploy}/cancel")[0] == 200
        assert lane.server.ended(deploy)["status"] == "cancelled"
        assert lane.ask() == (200, "v1")


def begun(lane: Lane) -> str:
    """What the release command has said so far."""
    name = lane.docker(
        "ps",
        "--filter",
        "label=tagboat.role=release",
        "--filter",
        f"name={lane.name}",
        "--format",
        "{{.Names}}",
    )
    return lane.docker("logs", name) if name else ""


@contextlib.contextmanager
def behind_its_own(directory: Path, engine_url: str, registry: DockerRegistry) -> Iterator[Lane]:
    """A stage of a server that the test may stop."""
    port = free_port()
    environ = {"TAGBOAT_INGRESS": "haproxy", "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{port}"}
    with running_server(directory, engine_url, **environ) as server:
        yield new_lane(server, port, registry.host, engine_url)
