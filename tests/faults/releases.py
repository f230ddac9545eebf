"""Courses of a deploy with a command that is to be run once before a new version starts, such as
a migration.
"""

import subprocess

from tests.faults.courses import Course, Ran
from tests.faults.crossings import new_deploys
from tests.faults.fault_harness import FaultHarness, StageUnderTest

_SAYS = "echo begin $WHO >> /data/said; sleep 2; echo end $WHO >> /data/said; exit ${WHO_FAILS:-0}"
_STAGE = {
    "strategy": "rolling",
    "volumes": {"data": "/data"},
    "release_command": ["/bin/sh", "-c", _SAYS],
}


def said(world: FaultHarness, lane: StageUnderTest) -> list[str]:
    """Return what release commands have said in the stage's volume."""
    ask = [
        "docker",
        "-H",
        world.engine_url,
        "exec",
        world.live(lane)["container"],
        "cat",
        "/data/said",
    ]
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.splitlines()


def push_with_release(world: FaultHarness, lane: StageUnderTest) -> tuple[str, bool]:
    return _push(world, lane, {})


def push_with_failing_release(world: FaultHarness, lane: StageUnderTest) -> tuple[str, bool]:
    return _push(world, lane, {"WHO_FAILS": "3"})


def _push(world: FaultHarness, lane: StageUnderTest, env: dict[str, str]) -> tuple[str, bool]:
    tag = f"{world.live(lane)['tag']}-{len(world.deploys(lane))}"
    world.publish(lane, tag, env={"WHO": tag, **env})
    return tag, world.try_to_push(lane, tag)


def judge_released(world: FaultHarness, lane: StageUnderTest, ran: Ran) -> None:
    (deploy,) = new_deploys(world, lane, ran)
    assert (deploy["status"], deploy["reason"]) == ("succeeded", f"{ran.tag} is live"), deploy
    assert [line for line in said(world, lane) if line.endswith(f" {ran.tag}")] == [
        f"begin {ran.tag}",
        f"end {ran.tag}",
    ]
    world.assert_serves(lane, ran.tag)


def judge_failed(world: FaultHarness, lane: StageUnderTest, ran: Ran) -> None:
    (deploy,) = new_deploys(world, lane, ran)
    reason = "the release command exited with code 3; what is live is unchanged"
    assert (deploy["status"], deploy["reason"]) == ("failed", reason), deploy
    assert [line for line in said(world, lane) if line.endswith(f" {ran.tag}")] == [
        f"begin {ran.tag}",
        f"end {ran.tag}",
    ]
    world.assert_serves(lane, ran.before)


_ALL = (
    Course("release", 1, "", "", push_with_release, _STAGE, judge=judge_released),
    Course("release fails", 1, "", "", push_with_failing_release, _STAGE, judge=judge_failed),
)
RELEASES = {course.name: course for course in _ALL}
