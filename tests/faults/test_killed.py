"""The server killed, by SIGKILL, at every durable write, every call of the engine and every call
of HAProxy of a deploy.

For each of the courses that a deploy can take there is a list of points in `points.py`, for
those where orders cross in `crossed_points.py`, which a test holds against what such a deploy
passes. At each point the server dies once, with people using the stage, and is started again.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults import points
from tests.faults.courses import COURSES, Course, Ran
from tests.faults.crossed_points import CROSSED_POINTS, CROSSED_QUICK, CROSSED_TWICE
from tests.faults.crossings import CROSSINGS
from tests.faults.fault_harness import FaultHarness, StageUnderTest, world
from tests.faults.points import calls_of, meant_by, stable
from tests.faults.releases import RELEASES
from tests.support.docker_registry import DockerRegistry

ALL = {**COURSES, **CROSSINGS, **RELEASES}
POINTS = {**points.POINTS, **CROSSED_POINTS}
QUICK = points.QUICK | CROSSED_QUICK
TWICE = (*points.TWICE, *CROSSED_TWICE)
CASES = [
    pytest.param(
        course,
        point,
        id=f"{course}: {point}",
        marks=[pytest.mark.quick] if (course, point) in QUICK else [],
    )
    for course, points in POINTS.items()
    for point in points
]

RESUMED = "store.write DeployRecord.resume#1 before"


@pytest.fixture(scope="module")
def stricken(
    tmp_path_factory: pytest.TempPathFactory, engine_url: str, docker_registry: DockerRegistry
) -> Iterator[FaultHarness]:
    with world(tmp_path_factory.mktemp("killed"), engine_url, docker_registry.host) as running:
        yield running


@pytest.fixture(scope="module")
def lanes() -> dict[str, StageUnderTest]:
    """Return the stages in use, by course."""
    return {}


def lane_for(
    course: Course, stricken: FaultHarness, lanes: dict[str, StageUnderTest]
) -> StageUnderTest:
    """Return a stage where the course can be run.

    A new one where there may be no instance yet, else the one of the last case.
    """
    stricken.server.start_if_left_dead()
    if course.fresh or course.name not in lanes:
        lanes[course.name] = stricken.lane(**course.stage)
        for _ in range(course.lives):
            stricken.live_from(lanes[course.name])
    return lanes.pop(course.name)


def leave(
    course: Course, stricken: FaultHarness, lane: StageUnderTest, lanes: dict[str, StageUnderTest]
) -> None:
    """Leave the stage to the next case, which finds it only after this one has come to a good
    end.
    """
    if course.fresh or course.once:
        stricken.called("DELETE", f"/api/projects/{lane.project_id}")
    else:
        lanes[course.name] = lane


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.quick] if name == "replace" else []) for name in ALL],
)
def test_the_points_listed_are_those_that_are_passed(
    name: str, stricken: FaultHarness, lanes: dict[str, StageUnderTest]
) -> None:
    course = ALL[name]
    lane = lane_for(course, stricken, lanes)
    with course.users(stricken, lane) as users:
        ran = course.run(stricken, lane)
        course.sequel(stricken, lane)
        stricken.rest(lane)
        users.goes_on()
    passed = stricken.server.passed()
    assert_well(stricken, lane, course, ran, users.failures)
    leave(course, stricken, lane, lanes)
    missed = [point for point in POINTS[name] if not {*meant_by(name, point)} & {*passed}]
    assert missed == [], "it no longer passes these points"
    listed = {*POINTS[name], *POINTS["replace"], *POINTS["recreate"]}
    if name in COURSES:
        assert set(stable(passed)) <= listed, "it passes points that are not listed"
    assert calls_of(stable(passed)) <= calls_of(
        point for some in POINTS.values() for point in some
    ), "it makes new calls"


@pytest.mark.parametrize(("name", "point"), CASES)
def test_killed(
    name: str, point: str, stricken: FaultHarness, lanes: dict[str, StageUnderTest]
) -> None:
    course, server = ALL[name], stricken.server
    lane = lane_for(course, stricken, lanes)
    with course.users(stricken, lane) as users:
        ran = course.run(stricken, lane, meant_by(name, point))
        assert server.await_death(60), f"{point} was not passed, but: {server.passed()}"
        if course.served_by_the_old_one:
            users.goes_on(5)
        server.order()
        server.start()
        course.sequel(stricken, lane)
        stricken.rest(lane)
        users.goes_on()
    assert_well(stricken, lane, course, ran, users.failures)
    assert_still(stricken, lane)
    leave(course, stricken, lane, lanes)


@pytest.mark.parametrize(
    ("name", "point", "next_point"), [pytest.param(*case, id=": ".join(case)) for case in TWICE]
)
def test_killed_and_killed_again(
    name: str, point: str, next_point: str, stricken: FaultHarness, lanes: dict[str, StageUnderTest]
) -> None:
    course, server = ALL[name], stricken.server
    lane = lane_for(course, stricken, lanes)
    with course.users(stricken, lane) as users:
        ran = course.run(stricken, lane, meant_by(name, point))
        assert server.await_death(60), f"{point} was not passed, but: {server.passed()}"
        server.order(die_at=[next_point])
        server.launch_alone()
        assert server.await_death(60), f"{next_point} was not passed, but: {server.passed()}"
        server.order()
        server.start()
        course.sequel(stricken, lane)
        stricken.rest(lane)
        users.goes_on()
    assert_well(stricken, lane, course, ran, users.failures)
    assert_still(stricken, lane)
    leave(course, stricken, lane, lanes)


@pytest.mark.parametrize(
    "point",
    [
        "beside: store.write DeployOperations._views#1 after",
        "store.write DeployRecord.record_failure#1 after",
        "store.write DeployRecord.end#1 after",
    ],
)
def test_ordered_again_after_the_death_it_is_gone_back_once(
    point: str, stricken: FaultHarness, lanes: dict[str, StageUnderTest]
) -> None:
    course, server = ALL["go back in the watch"], stricken.server
    lane = lane_for(course, stricken, lanes)
    with course.users(stricken, lane) as users:
        ran = course.run(stricken, lane, [point])
        assert server.await_death(60), f"{point} was not passed, but: {server.passed()}"
        server.order(hold_at=RESUMED)
        server.start()
        server.held_at(RESUMED)
        assert stricken.try_to("POST", f"/api/stages/{lane.stage_id}/rollback", {})
        server.let_go()
        stricken.rest(lane)
        users.goes_on()
    assert_well(stricken, lane, course, ran, users.failures)
    assert_still(stricken, lane)
    leave(course, stricken, lane, lanes)


def assert_still(stricken: FaultHarness, lane: StageUnderTest) -> None:
    """That one more restart changes nothing."""
    deploys, before = stricken.deploys(lane), stricken.memory(lane)
    stricken.server.restart()
    stricken.rest(lane)
    changed = [
        {name: (old[name], new[name]) for name in old if old[name] != new[name]}
        for old, new in zip(deploys, stricken.deploys(lane), strict=True)
        if old != new
    ]
    assert changed == [], "a second restart changed deploys"
    assert stricken.memory(lane) == before, "a second restart changed something"


def assert_well(
    stricken: FaultHarness, lane: StageUnderTest, course: Course, ran: Ran, failures: list[Any]
) -> None:
    assert failures == [] or not course.always_served
    if course.judge is not None:
        course.judge(stricken, lane, ran)
        return
    new = [deploy for deploy in stricken.deploys(lane) if deploy["id"] not in ran.known]
    if not new:  # it died before it had taken the order; who gave it was told so
        assert not ran.accepted
        stricken.assert_serves(lane, ran.before) if ran.before else None
        return
    (deploy,) = new
    assert deploy["tag"] == ran.tag
    assert (deploy["status"], course.words in deploy["reason"]) == (course.status, True), deploy
    stricken.assert_serves(lane, ran.tag if course.status == "succeeded" else ran.before)
    stricken.assert_true_of(deploy, lane)
