"""The health gate: evaluates what runtime, probe and HEALTHCHECK say of an instance. Pure."""

from enum import Enum, auto
from math import ceil

from msgspec import Struct

from tagboat.core.catalog import HEALTH_TIMEOUT_S
from tagboat.core.health import CLOSED, NOBODY_LISTENS, REFUSED, TestRun
from tagboat.core.image import ImageInfo
from tagboat.core.workload import WorkloadStatus

_LONGEST_GATE_S = 3600
SETTLE_S = 3.0
"""Seconds that a container without a port must have been running."""


class HealthState(Enum):
    """The state of a new container: it may take over, has to be waited for, or has failed.

    `short`: fewer of its tasks run than are wanted, without a failure of any, so that the runtime
    starts others. The machine of a task may be lost.
    """

    HEALTHY = auto()
    WAIT = auto()
    SHORT = auto()
    FAILED = auto()


class HealthReport(Struct, frozen=True):
    """A state with its reason, for a person."""

    state: HealthState
    reason: str


class Signs(Struct, frozen=True, kw_only=True):
    """The signs of a container: its `status`, None when it is gone, and for how long it runs.

    `probed` is the answer of a probe, of the first of several that fails (None: all answer).
    `tested` is a run of its HEALTHCHECK by hand, None without one. `exit_code` is that of a program
    which runs again, None if not known.
    """

    status: WorkloadStatus | None
    running_s: float
    probed: str | None = None
    tested: TestRun | None = None
    exit_code: int | None = None


def evaluate_health(signs: Signs, healthcheck: str, *, listens: bool) -> HealthReport:
    """Evaluate the signs of a container.

    `healthcheck` is `/path`, `image` or empty. Without one, an app that listens on nothing is
    healthy once it has been running for `SETTLE_S` seconds.
    """
    status = signs.status
    if status is None:
        return _failed("the new container was removed by somebody else")
    ended = [one for one in status.known_tasks if not one.running]
    died = ""
    # Before the exit code: the kernel's kill shows there as well, but says less.
    if status.oom_killed:
        died = "ran out of memory"
    elif status.running and status.restarts:
        code = "" if signs.exit_code is None else f" with code {signs.exit_code}"
        died = f"exited{code}, and was restarted{_foreground(signs.exit_code)}"
    elif ended:
        why = f": {status.said}" if status.said else _foreground(status.exit_code)
        how = f"exited with code {status.exit_code}" if status.began else "could not be started"
        died = f"{how}{why}"
    if died:
        where = f" on {ended[0].node}" if ended and ended[0].node else ""
        return _failed(f"the new container{where} {died}")
    if (delayed := _delayed(status)) is not None:
        return delayed
    if healthcheck == "image":
        return _by_image(status, signs)
    if healthcheck or listens:
        return _wait(signs.probed) if signs.probed is not None else _healthy("it answers")
    settled = signs.running_s >= SETTLE_S
    words = f"it has been running for {min(signs.running_s, SETTLE_S):.0f} s"
    return _healthy(words) if settled else _wait(words)


def gate_limit_s(health_timeout_s: int, healthcheck: str, info: ImageInfo | None) -> float:
    """Return the seconds that a new container has: as set, else the default or what it needs.

    `info` is the image's description, None where it is not known.
    """
    # Any other value than the default was set by a person, and counts even if it is too short.
    if healthcheck != "image" or info is None or health_timeout_s != HEALTH_TIMEOUT_S:
        return health_timeout_s
    return max(health_timeout_s, info.health_needs_s)


def why_late(
    reason: str, limit_s: float, port: int, project: str, stage: str, elsewhere: str = ""
) -> str:
    """Return words for an instance that was not healthy in time because of `reason`.

    They end with what to do about it. `elsewhere` says that Tagboat cannot reach the `port` of any
    instance from where it runs, empty where it can.
    """
    late = f"not healthy within {limit_s:g} s"
    if not port:
        return f"{late}: {reason}"
    if not reason.endswith((NOBODY_LISTENS, REFUSED, CLOSED)):
        return f"{late}: {reason} (the project's port is {port})"
    if elsewhere:
        # Then the app and its port are not to blame.
        return f"{late}: {reason}. {elsewhere}"
    said = (
        f"nothing accepted a connection on port {port}"
        if reason in {NOBODY_LISTENS, REFUSED}
        else reason
    )
    longer_s = min(ceil(2 * limit_s), _LONGEST_GATE_S)
    return (
        f"{late}: {said}. Does the app listen on 0.0.0.0:{port} (not on 127.0.0.1, not on another"
        f" port)? Change the port with 'tagboat projects edit {project} --port N', or allow longer"
        f" with 'tagboat stages edit {project} {stage} --health-timeout {longer_s}'"
    )


def _healthy(reason: str) -> HealthReport:
    return HealthReport(HealthState.HEALTHY, reason)


def _wait(reason: str) -> HealthReport:
    return HealthReport(HealthState.WAIT, reason)


def _failed(reason: str) -> HealthReport:
    return HealthReport(HealthState.FAILED, reason)


def _delayed(status: WorkloadStatus) -> HealthReport | None:
    """Return what has to come before it can be asked anything, None for nothing."""
    if status.paused:
        # Not a failure: somebody has paused it, and can let it go on.
        return _wait(f"the container is paused; let it go on with: docker unpause {status.name}")
    if len(status.known_tasks) >= status.wanted:
        return None
    lost = ", ".join(sorted({one.node for one in status.tasks if one.node_lost}))
    words = (
        f"{len(status.known_tasks)} of {status.wanted} tasks run",
        f"{lost} does not answer" if lost else "",
        status.waits_for,
    )
    return HealthReport(HealthState.SHORT, "; ".join(filter(None, words)))


def _foreground(exit_code: int | None) -> str:
    if exit_code != 0:
        return ""
    return "; a program that goes to the background ends its container: run it in the foreground"


def _by_image(status: WorkloadStatus, signs: Signs) -> HealthReport:
    """Evaluate a container by the HEALTHCHECK of its image, and by its port."""
    says = f"the image's HEALTHCHECK says {status.health}"
    if status.health is None:
        return _failed(
            "the project's healthcheck is 'image', but the image has no HEALTHCHECK; give it one,"
            " or set a path"
        )
    if status.health == "unhealthy":
        return _failed(f"{says}: {status.health_said}" if status.health_said else says)
    if signs.probed is not None:
        # The test runs inside the container: it passes even where nothing gets in from outside.
        return _wait(f"{says}, but {signs.probed}" if status.health == "healthy" else signs.probed)
    if signs.tested is not None and not signs.tested.passed:
        return _wait(f"the image's HEALTHCHECK fails: {signs.tested.said}")
    if signs.tested is not None and status.health == "starting":
        return _healthy("the image's HEALTHCHECK passes, and the port answers")
    return _healthy(says) if status.health == "healthy" else _wait(says)
