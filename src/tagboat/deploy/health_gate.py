"""The health gate: a pure verdict on what the engine, a probe and the image's own test say of a container."""

from dataclasses import dataclass
from enum import Enum, auto
from math import ceil

from tagboat.core.catalog import HEALTH_TIMEOUT_S
from tagboat.core.health import NOBODY_LISTENS, REFUSED, TestRun
from tagboat.core.image import ImageInfo
from tagboat.core.workload import WorkloadStatus

_LONGEST_GATE_S = 3600
SETTLE_S = 3.0
"""Seconds a container without a port must have been running."""


class HealthState(Enum):
    """Whether the new container may take over."""

    HEALTHY = auto()
    WAIT = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class HealthReport:
    """A verdict with its reason, in words."""

    state: HealthState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What is seen of a container: its `status`, None when it is gone, and for how many seconds it has been running.

    `probed` is what a probe of its port said (None: it answers); `tested` what its image's HEALTHCHECK came to when it was run
    by hand, None where it was not; `exit_code` that of a program which runs again by now, None where nobody knows it.
    """

    status: WorkloadStatus | None
    running_s: float
    probed: str | None = None
    tested: TestRun | None = None
    exit_code: int | None = None


def evaluate_health(signs: Signs, healthcheck: str, *, listens: bool) -> HealthReport:
    """Judge a container by its signs.

    `healthcheck` is `/path`, `image` or empty. Without one, an app that listens on nothing is healthy
    once it has been running for `SETTLE_S` seconds.
    """
    status = signs.status
    if status is None or (died := _died(status, signs.exit_code)):
        return HealthReport(
            HealthState.FAILED, died if status else "the new container was removed by somebody else"
        )
    if status.paused:
        return _wait(f"the container is paused; let it go on with: docker unpause {status.name}")
    if healthcheck == "image":
        return _by_image(status, signs)
    if healthcheck or listens:
        return (
            HealthReport(HealthState.HEALTHY, "it answers")
            if signs.probed is None
            else _wait(signs.probed)
        )
    if signs.running_s >= SETTLE_S:
        return HealthReport(HealthState.HEALTHY, f"it has been running for {SETTLE_S:.0f} s")
    return _wait(f"it has been running for {signs.running_s:.0f} s")


def gate_limit_s(health_timeout_s: int, healthcheck: str, info: ImageInfo | None) -> float:
    """How many seconds the new container has: what a person has said, else the usual, or what its HEALTHCHECK needs."""
    if healthcheck != "image" or info is None or health_timeout_s != HEALTH_TIMEOUT_S:
        return health_timeout_s
    return max(health_timeout_s, info.health_needs_s)


def why_late(
    reason: str, limit_s: float, port: int, project: str, stage: str, elsewhere: str = ""
) -> str:
    """Say that an instance was not healthy in time, for `reason`, and what may be done about that.

    `elsewhere` says that Tagboat cannot reach any instance's `port` from where it runs, empty where it can.
    """
    late = f"not healthy within {limit_s:g} s"
    if not port:
        return f"{late}: {reason}"
    if not reason.endswith((NOBODY_LISTENS, REFUSED)):
        return f"{late}: {reason} (the project's port is {port})"
    if elsewhere:
        return f"{late}: {reason}. {elsewhere}"
    said = (
        f"nothing accepted a connection on port {port}"
        if reason in {NOBODY_LISTENS, REFUSED}
        else reason
    )
    return (
        f"{late}: {said}. Does the app listen on 0.0.0.0:{port} (not on 127.0.0.1, not on another port)? Change the port with"
        f" 'tagboat projects edit {project} --port N', or allow longer with"
        f" 'tagboat stages edit {project} {stage} --health-timeout {min(ceil(2 * limit_s), _LONGEST_GATE_S)}'"
    )


def _wait(reason: str) -> HealthReport:
    return HealthReport(HealthState.WAIT, reason)


def _died(status: WorkloadStatus, exit_code: int | None) -> str:
    if status.oom_killed:
        return "the new container ran out of memory"
    if status.running and status.restarts:
        code = "" if exit_code is None else f" with code {exit_code}"
        return f"the new container exited{code}, and was restarted{_foreground(exit_code)}"
    if not status.running:
        return (
            f"the new container exited with code {status.exit_code}{_foreground(status.exit_code)}"
        )
    return ""


def _foreground(exit_code: int | None) -> str:
    if exit_code != 0:
        return ""
    return "; a program that goes to the background ends its container: run it in the foreground"


def _by_image(status: WorkloadStatus, signs: Signs) -> HealthReport:
    says = f"the image's HEALTHCHECK says {status.health}"
    if status.health is None:
        return HealthReport(
            HealthState.FAILED,
            "the project's healthcheck is 'image', but the image has no HEALTHCHECK; give it one, or set a path",
        )
    if status.health == "unhealthy":
        return HealthReport(
            HealthState.FAILED, f"{says}: {status.health_said}" if status.health_said else says
        )
    if signs.probed is not None:
        # The test runs inside: that it passes says nothing of the way in.
        return _wait(f"{says}, but {signs.probed}" if status.health == "healthy" else signs.probed)
    if signs.tested is not None and not signs.tested.passed:
        return _wait(f"the image's HEALTHCHECK fails: {signs.tested.said}")
    if signs.tested is not None and status.health == "starting":
        return HealthReport(
            HealthState.HEALTHY, "the image's HEALTHCHECK passes, and the port answers"
        )
    return HealthReport(
        HealthState.HEALTHY if status.health == "healthy" else HealthState.WAIT, says
    )
