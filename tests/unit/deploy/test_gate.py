"""The health gate's verdicts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.deploy import ContainerStatus
from tagboat.deploy.gate import SETTLE_S, Verdict, judge

RUNNING = ContainerStatus(
    id="c",
    name="app-dev-1",
    running=True,
    restarting=False,
    restarts=0,
    exit_code=0,
    oom_killed=False,
    health=None,
    labels={},
    host_port=40000,
)
REFUSED = "connection refused"


def saying(health: str) -> ContainerStatus:
    return replace(RUNNING, health=health)


@pytest.mark.parametrize(
    ("status", "healthcheck", "port", "probed", "running_s", "verdict", "reason"),
    [
        # A path or a port: what the probe says.
        (RUNNING, "/ok", 80, None, 0.1, Verdict.HEALTHY, "it answers"),
        (RUNNING, "/ok", 80, "it answers 503", 50, Verdict.WAIT, "it answers 503"),
        (RUNNING, "", 80, None, 0.1, Verdict.HEALTHY, "it answers"),
        (RUNNING, "", 80, REFUSED, 50, Verdict.WAIT, REFUSED),
        (saying("unhealthy"), "/ok", 80, None, 1, Verdict.HEALTHY, "it answers"),  # the project says what counts
        # The image's own HEALTHCHECK, whatever the port says.
        (saying("healthy"), "image", 80, REFUSED, 1, Verdict.HEALTHY, "the image's HEALTHCHECK says healthy"),
        (saying("starting"), "image", 80, None, 1, Verdict.WAIT, "the image's HEALTHCHECK says starting"),
        (saying("unhealthy"), "image", 80, None, 1, Verdict.FAILED, "the image's HEALTHCHECK says unhealthy"),
        (RUNNING, "image", 80, None, 1, Verdict.FAILED, "has no HEALTHCHECK"),
        # Neither: that it runs for a while.
        (RUNNING, "", 0, None, SETTLE_S - 0.01, Verdict.WAIT, "it has been running for"),
        (RUNNING, "", 0, None, SETTLE_S, Verdict.HEALTHY, "it has been running for 3 s"),
        # Dead is dead, even if something answers on its port.
        (None, "", 80, None, 9, Verdict.FAILED, "removed by somebody else"),
        (replace(RUNNING, oom_killed=True), "/ok", 80, None, 9, Verdict.FAILED, "out of memory"),
        (replace(RUNNING, oom_killed=True, running=False, exit_code=137), "", 0, None, 9, Verdict.FAILED, "out of memory"),
        (replace(RUNNING, running=False, exit_code=3), "/ok", 80, None, 9, Verdict.FAILED, "exited with code 3"),
        (replace(RUNNING, running=False, restarting=True, exit_code=1), "", 80, None, 9, Verdict.FAILED, "exited with code 1"),
        (replace(RUNNING, restarts=1, exit_code=0), "", 0, None, 9, Verdict.FAILED, "was restarted"),
        (replace(saying("healthy"), running=False), "image", 0, None, 9, Verdict.FAILED, "exited with code 0"),
    ],
)
def test_a_verdict(
    status: ContainerStatus | None,
    healthcheck: str,
    port: int,
    probed: str | None,
    running_s: float,
    verdict: Verdict,
    reason: str,
) -> None:
    judgement = judge(status, healthcheck, port, probed, running_s)
    assert judgement.verdict is verdict
    assert reason in judgement.reason


STATUSES = st.builds(
    ContainerStatus,
    id=st.just("c"),
    name=st.just("app"),
    running=st.booleans(),
    restarting=st.booleans(),
    restarts=st.integers(0, 2),
    exit_code=st.integers(0, 255),
    oom_killed=st.booleans(),
    health=st.sampled_from([None, "starting", "healthy", "unhealthy"]),
    labels=st.just({}),
    host_port=st.just(0),
).filter(lambda status: not (status.running and status.restarting))  # the engine room says one or the other


@given(
    status=st.none() | STATUSES,
    healthcheck=st.sampled_from(["", "/ok", "image"]),
    port=st.sampled_from([0, 80]),
    probed=st.none() | st.just(REFUSED),
    running_s=st.floats(0, 100),
)
def test_nothing_dead_or_restarted_ever_takes_over_and_every_verdict_has_its_reason(
    status: ContainerStatus | None, healthcheck: str, port: int, probed: str | None, running_s: float
) -> None:
    judgement = judge(status, healthcheck, port, probed, running_s)
    assert judgement.reason
    if judgement.verdict is Verdict.HEALTHY:
        assert status is not None
        assert status.running
        assert (status.restarts, status.oom_killed) == (0, False)
        assert probed is None or healthcheck == "image" or (port == 0 and not healthcheck)
