"""The wellbeing of a live instance: what a look at it adds, and whether it needs a person. Pure."""

from datetime import datetime, timedelta

from tagboat.core.deploy import Instance
from tagboat.core.health import Trouble, Vitals
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadStatus

CRASHES = 3
"""Restarts in succession that make a crash loop."""
PEACE = timedelta(minutes=10)
"""Time without a restart after which the next one counts as the first."""


def observed(
    before: Vitals | None, instance: Instance, status: WorkloadStatus | None, now: datetime
) -> Vitals:
    """Return the vitals after a look that found `status`, None for no container.

    They are equal to `before` where nothing has changed.
    """
    restarts = status.restarts if status else 0
    known, crashes, crashed_at = (
        (before.restarts, before.crashes, before.crashed_at) if before else (0, 0, None)
    )
    if crashed_at is not None and now - crashed_at > PEACE:
        crashes, crashed_at = 0, None
    # The engine counts from 0 again when somebody starts the container by hand.
    more = restarts - known if restarts >= known else restarts
    if status is not None and status.ended_at is not None:
        # A swarm remembers the last few ends only: a later one is news, though they are as many.
        last = before.crashed_at if before else None
        is_new = now - status.ended_at <= PEACE and (last is None or status.ended_at > last)
        more = max(1, restarts - known) if is_new else 0
        restarts = known + more
    if more:
        crashes, crashed_at = crashes + more, (status and status.ended_at) or now
    found = Vitals(
        instance_id=instance.id,
        running=status is not None and status.running,
        restarting=status is not None and status.restarting,
        paused=status is not None and status.paused,
        restarts=restarts,
        health=status.health if status else None,
        crashes=crashes,
        crashed_at=crashed_at,
        changed_at=now,
    )
    trouble, detail = _trouble(found, instance, status)
    # A trouble that lasts keeps the time at which it began.
    since = before.changed_at if before is not None and before.trouble is trouble else now
    return replace(found, trouble=trouble, detail=detail, changed_at=since)


def _trouble(
    found: Vitals, instance: Instance, status: WorkloadStatus | None
) -> tuple[Trouble, str]:
    """Return the trouble of an instance, and words for it with what to do."""
    logs = "its log says why"
    if found.paused:
        unpause = f"docker unpause {instance.container}"
        return Trouble.PAUSED, f"paused: requests hang; let it go on with: {unpause}"
    if found.crashes >= CRASHES:
        last = ""
        if status is not None and not status.running:
            said = f" ({status.said})" if status.said else ""
            code = f", last with exit code {status.exit_code}{said}"
            last = ", last for want of memory" if status.oom_killed else code
        return Trouble.CRASH_LOOP, f"it ends again and again{last}; {logs}"
    if found.health == "unhealthy":
        said = status.health_said if status is not None else ""
        words = f": {said}" if said else f"; {logs}"
        return Trouble.UNHEALTHY, f"the image's HEALTHCHECK says unhealthy{words}"
    if not found.running and not found.restarting:
        lost = sorted({one.node for one in status.tasks if one.node_lost}) if status else []
        why = f"{', '.join(lost)} does not answer" if lost else status.waits_for if status else ""
        if status and status.wanted and why:
            # Only a cluster has either, and starts tasks itself.
            return Trouble.DOWN, f"none of its tasks runs ({why}); the swarm starts them again"
        return Trouble.DOWN, "its container does not run; it is started again once a minute"
    return Trouble.NONE, ""
