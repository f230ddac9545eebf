"""The health gate: a pure verdict on what the engine and a probe say of a new container."""

from dataclasses import dataclass
from enum import Enum, auto

from tagboat.core.deploy import ContainerStatus

SETTLE_S = 3.0
"""Seconds a container without a port must have been running."""


class Verdict(Enum):
    """Whether the new container may take over."""

    HEALTHY = auto()
    WAIT = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason, in words."""

    verdict: Verdict
    reason: str


def judge(status: ContainerStatus | None, healthcheck: str, port: int, probed: str | None, running_s: float) -> Judgement:
    """Judge a container by its `status`, by what a probe of its port said (None: it answers) and by how long it runs.

    `healthcheck` is `/path`, `image` or empty; without any, `port` 0 asks that it runs for `SETTLE_S` seconds.
    """
    if died := _died(status):
        return Judgement(Verdict.FAILED, died)
    if healthcheck == "image":
        return _by_image(status.health if status else None)
    if healthcheck or port:
        return Judgement(Verdict.HEALTHY, "it answers") if probed is None else Judgement(Verdict.WAIT, probed)
    if running_s >= SETTLE_S:
        return Judgement(Verdict.HEALTHY, f"it has been running for {SETTLE_S:.0f} s")
    return Judgement(Verdict.WAIT, f"it has been running for {running_s:.0f} s")


def _died(status: ContainerStatus | None) -> str | None:
    if status is None:
        return "the new container was removed by somebody else"
    if status.oom_killed:
        return "the new container ran out of memory"
    if status.running and status.restarts:  # the engine has forgotten the exit code by then
        return "the new container exited, and was restarted"
    if not status.running:
        return f"the new container exited with code {status.exit_code}"
    return None


def _by_image(health: str | None) -> Judgement:
    if health is None:
        return Judgement(
            Verdict.FAILED,
            "the project's healthcheck is 'image', but the image has no HEALTHCHECK; give it one, or set a path",
        )
    if health == "unhealthy":
        return Judgement(Verdict.FAILED, "the image's HEALTHCHECK says unhealthy")
    return Judgement(Verdict.HEALTHY if health == "healthy" else Verdict.WAIT, f"the image's HEALTHCHECK says {health}")
