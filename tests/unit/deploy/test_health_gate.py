"""The health gate's verdicts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.endpoint import loopback_endpoint
from tagboat.core.health import CLOSED, NOBODY_LISTENS, REFUSED, TestRun
from tagboat.core.image import ImageInfo
from tagboat.core.values import replace
from tagboat.core.workload import TaskStatus, WorkloadStatus
from tagboat.deploy.health_gate import (
    SETTLE_S,
    HealthReport,
    HealthState,
    Signs,
    evaluate_health,
    gate_limit_s,
    why_late,
)

RUNNING = WorkloadStatus(
    id="c",
    name="app-dev-1",
    tasks=(TaskStatus(id="c", running=True, endpoint=loopback_endpoint(40000)),),
    labels={},
)
FOREGROUND = "; a program that goes to the background ends its container: run it in the foreground"


def saying(health: str) -> WorkloadStatus:
    return RUNNING.with_tasks(health=health)


@pytest.mark.parametrize(
    ("status", "healthcheck", "port", "probed", "running_s", "verdict", "reason"),
    [
        # A path or a port: what the probe says.
        (RUNNING, "/ok", 80, None, 0.1, HealthState.HEALTHY, "it answers"),
        (RUNNING, "/ok", 80, "it answers 503", 50, HealthState.WAIT, "it answers 503"),
        (RUNNING, "", 80, None, 0.1, HealthState.HEALTHY, "it answers"),
        (RUNNING, "", 80, REFUSED, 50, HealthState.WAIT, REFUSED),
        (
            saying("unhealthy"),
            "/ok",
            80,
            None,
            1,
            HealthState.HEALTHY,
            "it answers",
        ),  # the project says what counts
        # The image's own HEALTHCHECK, and the port, of which it knows nothing.
        (
            saying("healthy"),
            "image",
            80,
            None,
            1,
            HealthState.HEALTHY,
            "the image's HEALTHCHECK says healthy",
        ),
        (
            saying("healthy"),
            "image",
            0,
            None,
            1,
            HealthState.HEALTHY,
            "the image's HEALTHCHECK says healthy",
        ),
        (
            saying("healthy"),
            "image",
            80,
            REFUSED,
            1,
            HealthState.WAIT,
            f"the image's HEALTHCHECK says healthy, but {REFUSED}",
        ),
        (saying("starting"), "image", 80, REFUSED, 1, HealthState.WAIT, REFUSED),
        (
            saying("unhealthy"),
            "image",
            80,
            REFUSED,
            1,
            HealthState.FAILED,
            "the image's HEALTHCHECK says unhealthy",
        ),
        (
            replace(saying("unhealthy"), health_said="curl: not found"),
            *(
                "image",
                80,
                None,
                1,
                HealthState.FAILED,
                "the image's HEALTHCHECK says unhealthy: curl: not found",
            ),
        ),
        (
            saying("starting"),
            "image",
            80,
            None,
            1,
            HealthState.WAIT,
            "the image's HEALTHCHECK says starting",
        ),
        (
            saying("unhealthy"),
            "image",
            80,
            None,
            1,
            HealthState.FAILED,
            "the image's HEALTHCHECK says unhealthy",
        ),
        (RUNNING, "image", 80, None, 1, HealthState.FAILED, "has no HEALTHCHECK"),
        # Neither: that it runs for a while.
        (RUNNING, "", 0, None, SETTLE_S - 0.01, HealthState.WAIT, "it has been running for"),
        (RUNNING, "", 0, None, SETTLE_S, HealthState.HEALTHY, "it has been running for 3 s"),
        # Paused: it keeps its connections, and answers nobody.
        (
            replace(RUNNING, paused=True),
            "",
            80,
            None,
            50,
            HealthState.WAIT,
            "docker unpause app-dev-1",
        ),
        (
            replace(saying("healthy"), paused=True),
            "image",
            80,
            None,
            50,
            HealthState.WAIT,
            "the container is paused",
        ),
        (
            replace(RUNNING, paused=True),
            "",
            0,
            None,
            50,
            HealthState.WAIT,
            "the container is paused",
        ),
        # Dead is dead, even if something answers on its port.
        (None, "", 80, None, 9, HealthState.FAILED, "removed by somebody else"),
        (
            RUNNING.with_tasks(oom_killed=True),
            "/ok",
            80,
            None,
            9,
            HealthState.FAILED,
            "out of memory",
        ),
        (
            RUNNING.with_tasks(oom_killed=True, running=False, exit_code=137),
            "",
            0,
            None,
            9,
            HealthState.FAILED,
            "out of memory",
        ),
        (
            RUNNING.with_tasks(running=False, exit_code=3),
            "/ok",
            80,
            None,
            9,
            HealthState.FAILED,
            "exited with code 3",
        ),
        (
            RUNNING.with_tasks(running=False, restarting=True, exit_code=1),
            "",
            80,
            None,
            9,
            HealthState.FAILED,
            "exited with code 1",
        ),
        (
            replace(RUNNING, restarts=1),
            "",
            0,
            None,
            9,
            HealthState.FAILED,
            "was restarted",
        ),
        (
            saying("healthy").with_tasks(running=False),
            "image",
            0,
            None,
            9,
            HealthState.FAILED,
            "exited with code 0",
        ),
        (
            RUNNING.with_tasks(running=False, exit_code=0),
            "",
            80,
            None,
            9,
            HealthState.FAILED,
            "run it in the foreground",
        ),
    ],
)
def test_a_verdict(
    status: WorkloadStatus | None,
    healthcheck: str,
    port: int,
    probed: str | None,
    running_s: float,
    verdict: HealthState,
    reason: str,
) -> None:
    report = evaluate_health(
        Signs(status=status, probed=probed, running_s=running_s), healthcheck, listens=bool(port)
    )
    assert report.state is verdict
    assert reason in report.reason


@pytest.mark.parametrize(
    ("health", "passed", "probed", "verdict", "reason"),
    [
        (
            "starting",
            True,
            None,
            HealthState.HEALTHY,
            "the image's HEALTHCHECK passes, and the port answers",
        ),
        ("starting", False, None, HealthState.WAIT, "the image's HEALTHCHECK fails: no such table"),
        ("starting", True, REFUSED, HealthState.WAIT, REFUSED),
        ("healthy", False, None, HealthState.WAIT, "the image's HEALTHCHECK fails: no such table"),
        ("unhealthy", True, None, HealthState.FAILED, "the image's HEALTHCHECK says unhealthy"),
    ],
)
def test_a_run_by_hand_tells_sooner_than_the_engine(
    health: str, passed: bool, probed: str | None, verdict: HealthState, reason: str
) -> None:
    run = TestRun(passed=passed, said="no such table")
    signs = Signs(status=saying(health), probed=probed, tested=run, running_s=1)
    assert evaluate_health(signs, "image", listens=True) == HealthReport(verdict, reason)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (7, "the new container exited with code 7, and was restarted"),
        (None, "the new container exited, and was restarted"),
        (0, f"the new container exited with code 0, and was restarted{FOREGROUND}"),
    ],
)
def test_the_exit_code_is_told_also_where_it_runs_again(code: int | None, reason: str) -> None:
    signs = Signs(status=replace(RUNNING, restarts=2), exit_code=code, running_s=1)
    assert evaluate_health(signs, "", listens=True) == HealthReport(HealthState.FAILED, reason)


@pytest.mark.parametrize(
    ("set_s", "healthcheck", "needs_s", "limit_s"),
    [
        (60, "image", 15 * 60, 15 * 60),
        (60, "image", 20, 60),
        (60, "/up", 15 * 60, 60),  # nobody waits for what is not asked
        (10, "image", 15 * 60, 10),  # a person has said so
        (1800, "image", 15 * 60, 1800),
    ],
)
def test_how_long_the_gate_waits(
    set_s: int, healthcheck: str, needs_s: float, limit_s: float
) -> None:
    info = ImageInfo(has_healthcheck=True, health_needs_s=needs_s)
    assert gate_limit_s(set_s, healthcheck, info) == limit_s
    assert gate_limit_s(set_s, healthcheck, None) == set_s


TASKS = st.builds(
    TaskStatus,
    id=st.just("c"),
    running=st.booleans(),
    restarting=st.booleans(),
    exit_code=st.integers(0, 255),
    oom_killed=st.booleans(),
    health=st.sampled_from([None, "starting", "healthy", "unhealthy"]),
    node_lost=st.booleans(),
).filter(
    lambda task: not (task.running and task.restarting)
)  # the engine room says one or the other
STATUSES = st.builds(
    WorkloadStatus,
    id=st.just("c"),
    name=st.just("app"),
    tasks=st.lists(TASKS, max_size=3).map(tuple),
    wanted=st.integers(1, 3),
    restarts=st.integers(0, 2),
    labels=st.just({}),
    paused=st.booleans(),
)


@given(
    status=st.none() | STATUSES,
    healthcheck=st.sampled_from(["", "/ok", "image"]),
    port=st.sampled_from([0, 80]),
    probed=st.none() | st.just(REFUSED),
    running_s=st.floats(0, 100),
)
def test_nothing_dead_or_restarted_ever_takes_over_and_every_verdict_has_its_reason(
    status: WorkloadStatus | None,
    healthcheck: str,
    port: int,
    probed: str | None,
    running_s: float,
) -> None:
    report = evaluate_health(
        Signs(status=status, probed=probed, running_s=running_s), healthcheck, listens=bool(port)
    )
    assert report.reason
    if report.state is HealthState.HEALTHY:
        assert status is not None
        assert sum(one.running for one in status.known_tasks) >= status.wanted
        assert (status.restarts, status.oom_killed, status.paused) == (0, False, False)
        assert probed is None or (port == 0 and not healthcheck)


@pytest.mark.parametrize("probed", [NOBODY_LISTENS, REFUSED])
def test_where_nobody_listens_it_is_said_what_may_be_done(probed: str) -> None:
    assert why_late(probed, 60, 3000, "shop", "dev") == (
        "not healthy within 60 s: nothing accepted a connection on port 3000. Does the "
        "app listen on 0.0.0.0:3000 (not on"
        " 127.0.0.1, not on another port)? Change the port with 'tagboat projects edit "
        "shop --port N', or allow longer with"
        " 'tagboat stages edit shop dev --health-timeout 120'"
    )
    # The engine's proxy takes a connection that nobody else takes, and hangs up.
    assert "answer. Does the app listen on 0.0.0.0:3000" in why_late(
        CLOSED, 60, 3000, "shop", "dev"
    )
    assert why_late(
        f"the HEALTHCHECK says healthy, but {probed}", 60, 3000, "shop", "dev"
    ).startswith(
        f"not healthy within 60 s: the HEALTHCHECK says healthy, but {probed}. Does "
        f"the app listen on 0.0.0.0:3000"
    )


def test_where_tagboat_itself_is_elsewhere_the_app_is_not_blamed() -> None:
    late = why_late(REFUSED, 60, 3000, "shop", "dev", "Tagboat runs in a container")
    assert late == "not healthy within 60 s: connection refused. Tagboat runs in a container"


def test_what_else_keeps_an_instance_from_being_healthy_is_told_with_its_port() -> None:
    assert why_late("answered HTTP 404", 3, 80, "shop", "dev") == (
        "not healthy within 3 s: answered HTTP 404 (the project's port is 80)"
    )
    assert (
        why_late("it ran for 1 s", 2.5, 0, "shop", "dev")
        == "not healthy within 2.5 s: it ran for 1 s"
    )


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (
            {"exit_code": 128, "began": False, "said": "unable to find user x"},
            "the new container on n1 could not be started: unable to find user x",
        ),
        (
            {"exit_code": 0, "said": "perhaps its HEALTHCHECK failed"},
            "the new container on n1 exited with code 0: perhaps its HEALTHCHECK failed",
        ),
    ],
)
def test_the_words_of_a_swarm_for_an_end_are_in_the_reason(
    task: dict[str, Any], reason: str
) -> None:
    status = RUNNING.with_tasks(running=False, node="n1", **task)
    found = evaluate_health(Signs(status=status, running_s=1), "image", listens=True)
    assert (found.state, found.reason) == (HealthState.FAILED, reason)
