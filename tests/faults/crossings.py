"""Courses in which one order crosses another.

What is under way is gone back from, called off, cut short or pushed anew.
"""

import subprocess
from collections.abc import Sequence
from functools import partial

from tests.faults.courses import Course, Ran
from tests.faults.fault_harness import FaultHarness, Json, StageUnderTest
from tests.support.images import DEFAULT_CMD, EXITS_AT_ONCE

SICK_AT_A_WORD = (
    "/bin/sh",
    "-c",
    (
        "httpd -p $PORT -h /www; while [ ! -e /www/sick ]; do sleep 0.1; done; echo 'out "
        "of luck'; exit 4"
    ),
)
"""Healthy until somebody makes the file `/www/sick`."""
_LATE_WATCH_S = 6
_LONG_WATCH_S = 60
_LOOKED_UP = "store.write DeployRecord.settle_digest#1 before"
_FAILING = "store.write DeployRecord.record_failure#1 after"
_ASKED = "runtime.status#2 before"


def push_until_the_watch(
    world: FaultHarness, lane: StageUnderTest, cmd: Sequence[str] = DEFAULT_CMD
) -> None:
    tag = world.publish(lane, cmd=cmd)
    deploy = world.push(lane, tag)
    world.server.until(lambda: step_of(world, deploy, "watch") == "running", f"the watch of {tag}")


def step_of(world: FaultHarness, deploy: str, name: str) -> str:
    steps = world.called("GET", f"/api/deploys/{deploy}")["steps"]
    return str(next(step["status"] for step in steps if step["name"] == name))


def new_deploys(world: FaultHarness, lane: StageUnderTest, ran: Ran) -> list[Json]:
    """Return those that came about since the course began, oldest first."""
    return [deploy for deploy in world.deploys(lane) if deploy["id"] not in ran.known][::-1]


# Back while it is watched


def go_back(world: FaultHarness, lane: StageUnderTest) -> tuple[str, bool]:
    return world.live(lane)["tag"], world.try_to(
        "POST", f"/api/stages/{lane.stage_id}/rollback", {}
    )


def judge_flight(world: FaultHarness, lane: StageUnderTest, ran: Ran) -> None:
    """`ran.tag` is what was fled from."""
    fled, *back = new_deploys(world, lane, ran)
    stage = world.called("GET", f"/api/stages/{lane.stage_id}")
    if not back:  # it died before it had taken the order
        assert not ran.accepted
        assert (fled["status"], stage["held"]) == ("succeeded", False), fled
        world.assert_serves(lane, ran.tag)
        return
    (gone_back,) = back
    assert (fled["status"], fled["reason"]) == ("cancelled", "cancelled"), fled
    assert (gone_back["status"], gone_back["tag"], gone_back["trigger"]) == (
        "succeeded",
        ran.before,
        "rollback",
    ), gone_back
    assert stage["held"]
    assert {one["state"] for one in world.instances(lane) if one["tag"] == ran.tag} == {"failed"}
    world.assert_serves(lane, ran.before)
    world.called(
        "POST", f"/api/stages/{lane.stage_id}/release", {}
    )  # for the next who is tried here


# Called off, with pushes before and after


def push_held(
    world: FaultHarness, lane: StageUnderTest, point: str, cmd: Sequence[str] = DEFAULT_CMD
) -> None:
    """Push a fresh tag, whose deploy is held at the point."""
    tag = world.publish(lane, cmd=cmd)
    world.server.order(hold_at=point)
    world.push(lane, tag)
    world.server.held_at(point)


def cancel_and_push(world: FaultHarness, lane: StageUnderTest) -> tuple[str, bool]:
    deploy = world.deploys(lane)[0]
    if not world.try_to("POST", f"/api/deploys/{deploy['id']}/cancel"):
        return deploy["tag"], False
    accepted = world.try_to_push(lane, deploy["tag"])
    world.server.let_go()
    return deploy["tag"], accepted


def merge_cancel_and_push(world: FaultHarness, lane: StageUnderTest) -> tuple[str, bool]:
    tag = world.deploys(lane)[0]["tag"]
    return cancel_and_push(world, lane) if world.try_to_push(lane, tag) else (tag, False)


def judge_cancelled(world: FaultHarness, lane: StageUnderTest, ran: Ran) -> None:
    first, *others = new_deploys(world, lane, ran)
    assert first["status"] in {"cancelled", "succeeded"}, first
    assert [one["status"] for one in others] in ([], ["succeeded"]), others
    assert others or not ran.accepted, "a push that was accepted has come to nothing"
    came = first["status"] == "succeeded" or others
    world.assert_serves(lane, ran.tag if came else ran.before)


# Pushed anew while it fails


def push_it_mended(world: FaultHarness, lane: StageUnderTest) -> tuple[str, bool]:
    tag = world.deploys(lane)[0]["tag"]
    world.publish(lane, tag)
    accepted = world.try_to_push(lane, tag)
    world.server.let_go()
    return tag, accepted


def judge_mended(world: FaultHarness, lane: StageUnderTest, ran: Ran) -> None:
    first, *others = new_deploys(world, lane, ran)
    assert [one["status"] for one in others] in ([], ["succeeded"]), others
    if others:
        assert first["status"] == "failed", first
        world.assert_serves(lane, ran.tag)
        return
    assert not ran.accepted
    assert first["status"] == "failed", first
    world.assert_serves(lane, ran.before)


# Cut short, and then sick


def push_what_fails_behind(world: FaultHarness, lane: StageUnderTest) -> tuple[str, bool]:
    tag = world.publish(lane, cmd=EXITS_AT_ONCE)
    return tag, world.try_to_push(lane, tag)


def sicken(world: FaultHarness, lane: StageUnderTest) -> None:
    """Once the newer one has failed, make sick what was not watched to the end."""

    def ready() -> bool:
        return world.deploys(lane)[0]["status"] not in {"queued", "running"} or is_watched(
            world, lane
        )

    world.server.until(ready, "the newer deploy to end")
    container = world.live(lane)["container"]
    subprocess.run(
        ["docker", "-H", world.engine_url, "exec", container, "/bin/sh", "-c", ": > /www/sick"],
        check=True,
    )


def is_watched(world: FaultHarness, lane: StageUnderTest) -> bool:
    """Return whether the newest deploy there is is the one that was to be cut short.

    Nobody has heard of the other.
    """
    newest = world.deploys(lane)[0]
    return any(step["name"] == "watch" and step["status"] == "running" for step in newest["steps"])


def judge_cut_short(world: FaultHarness, lane: StageUnderTest, ran: Ran) -> None:
    sick, *others = new_deploys(world, lane, ran)
    assert sick["status"] == "failed", sick
    assert "it was healthy and live, and then" in sick["reason"] or "exited" in sick["reason"], sick
    assert "out of luck" in sick["log"], sick
    assert [one["status"] for one in others] in ([], ["failed"]), others
    assert others or not ran.accepted
    world.assert_serves(lane, ran.before)


_ALL = (
    Course(
        "go back in the watch",
        1,
        "",
        "",
        go_back,
        {"watch_s": _LATE_WATCH_S},
        prepare=push_until_the_watch,
        judge=judge_flight,
    ),
    Course(
        "cancel and push",
        1,
        "",
        "",
        cancel_and_push,
        prepare=partial(push_held, point=_ASKED),
        hold=_ASKED,
        judge=judge_cancelled,
    ),
    Course(
        "merge, cancel and push",
        1,
        "",
        "",
        merge_cancel_and_push,
        prepare=partial(push_held, point=_LOOKED_UP),
        hold=_LOOKED_UP,
        judge=judge_cancelled,
    ),
    Course(
        "push what fails again",
        1,
        "",
        "",
        push_it_mended,
        prepare=partial(push_held, point=_FAILING, cmd=EXITS_AT_ONCE),
        hold=_FAILING,
        judge=judge_mended,
    ),
    Course(
        "cut short, then sick",
        1,
        "",
        "",
        push_what_fails_behind,
        {"watch_s": _LONG_WATCH_S},
        always_served=False,
        prepare=partial(push_until_the_watch, cmd=SICK_AT_A_WORD),
        sequel=sicken,
        judge=judge_cut_short,
    ),
)
CROSSINGS = {course.name: course for course in _ALL}
