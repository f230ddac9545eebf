"""The words for a deploy and its state: pure functions of values."""

from datetime import datetime, timedelta

from tagboat.core.deploy import Deploy, DeployStatus, Step, StepStatus
from tagboat.web.messages import Tone

_TONES = {
    DeployStatus.QUEUED: Tone.WAIT,
    DeployStatus.RUNNING: Tone.RUN,
    DeployStatus.SUCCEEDED: Tone.OK,
    DeployStatus.FAILED: Tone.BAD,
    DeployStatus.SUPERSEDED: Tone.PLAIN,
    DeployStatus.CANCELLED: Tone.PLAIN,
}


def deploy_tone(deploy: Deploy) -> Tone:
    """Return the colour of a deploy."""
    return _TONES[deploy.status]


def running_step(deploy: Deploy) -> Step | None:
    """Return the step that is being taken, None where none is."""
    return next((step for step in deploy.steps if step.status is StepStatus.RUNNING), None)


def duration_of(deploy: Deploy, now: datetime) -> timedelta | None:
    """Return how long a deploy took, or has taken until now; None before it has begun."""
    if deploy.started_at is None:
        return None
    return (deploy.finished_at or now) - deploy.started_at
