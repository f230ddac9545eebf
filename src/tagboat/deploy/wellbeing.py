"""What becomes known of a live instance by a look at its container, and whether that needs a person. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from tagboat.core.deploy import Instance
from tagboat.core.health import Trouble, Vitals
from tagboat.core.workload import WorkloadStatus

CRASHES = 3
"""So many restarts that follow one another are a crash loop."""
PEACE = timedelta(minutes=10)
"""Without a restart for so long, the next one follows none."""


def observed(
    before: Vitals | None, instance: Instance, status: WorkloadStatus | None, now: datetime
) -> Vitals:
    """What is known after a look that found `status` (None: no container); equal to `before` where nothing has changed."""
    crashes, crashed_at = _crashes(before, status, now)
    found = Vitals(
        instance_id=instance.id,
        running=status is not None and status.running,
        restarting=status is not None and status.restarting,
        paused=status is not None and status.paused,
        restarts=status.restarts if status else 0,
        health=status.health if status else None,
        crashes=crashes,
        crashed_at=crashed_at,
        changed_at=now,
    )
    trouble, detail = _trouble(found, instance, status)
    since = before.changed_at if before is not None and before.trouble is trouble else now
    return replace(found, trouble=trouble, detail=detail, changed_at=since)


def _crashes(
    before: Vitals | None, status: WorkloadStatus | None, now: datetime
) -> tuple[int, datetime | None]:
    """How many restarts followed one another, and when the last of them was seen."""
    restarts = status.restarts if status else 0
    known, crashes, crashed_at = (
        (before.restarts, before.crashes, before.crashed_at) if before else (0, 0, None)
    )
    if crashed_at is not None and now - crashed_at > PEACE:
        crashes, crashed_at = 0, None
    more = (
        restarts - known if restarts >= known else restarts
    )  # the engine counts anew when somebody starts it by hand
    return (crashes + more, now) if more else (crashes, crashed_at)


def _trouble(
    found: Vitals, instance: Instance, status: WorkloadStatus | None
) -> tuple[Trouble, str]:
    logs = "its log says why"
    if found.paused:
        return (
            Trouble.PAUSED,
            f"paused: requests hang; let it go on with: docker unpause {instance.container}",
        )
    if found.crashes >= CRASHES:
        return Trouble.CRASH_LOOP, f"it ends again and again{_last_end(status)}; {logs}"
    if found.health == "unhealthy":
        said = (
            f": {status.health_said}" if status is not None and status.health_said else f"; {logs}"
        )
        return Trouble.UNHEALTHY, f"the image's HEALTHCHECK says unhealthy{said}"
    if not found.running and not found.restarting:
        return Trouble.DOWN, "its container does not run; it is started again once a minute"
    return Trouble.NONE, ""


def _last_end(status: WorkloadStatus | None) -> str:
    if status is None or status.running:
        return ""
    return (
        ", last for want of memory"
        if status.oom_killed
        else f", last with exit code {status.exit_code}"
    )
