"""The words for a deploy and its state: pure functions of values."""

from datetime import datetime, timedelta

from msgspec import Struct

from tagboat.core.deploy import Deploy, DeployStatus, Step, StepName, StepStatus, Trigger
from tagboat.operations.queries.deploy_page import SurroundedDeploy
from tagboat.web.messages import Tone

_TONES = {
    DeployStatus.QUEUED: Tone.WAIT,
    DeployStatus.RUNNING: Tone.RUN,
    DeployStatus.SUCCEEDED: Tone.OK,
    DeployStatus.FAILED: Tone.BAD,
    DeployStatus.SUPERSEDED: Tone.PLAIN,
    DeployStatus.CANCELLED: Tone.PLAIN,
}
_DOING = {
    StepName.RESOLVE: "Looking the tag up",
    StepName.PULL: "Pulling the image",
    StepName.START: "Starting the new container",
    StepName.CHECK: "Waiting until it is healthy",
    StepName.SWITCH: "Switching traffic",
    StepName.WATCH: "Watching",
    StepName.DRAIN: "Waiting for open requests",
    StepName.RETIRE: "Stopping the old container",
}
_FROM = {
    Trigger.WEBHOOK: "from webhook",
    Trigger.POLL: "from polling",
    Trigger.MANUAL: "by hand",
    Trigger.PROMOTE: "promoted",
    Trigger.ROLLBACK: "rolled back",
}


def trigger_words(trigger: Trigger) -> str:
    """Return what caused a deploy, in a few words."""
    return _FROM[trigger]


def step_sentence(deploy: Deploy) -> str:
    """Return what a deploy is doing now, such as `Watching: healthy for 6 s of 10 s`."""
    # Its steps are all pending, and say nothing.
    if deploy.status is DeployStatus.QUEUED:
        return "Queued"
    if deploy.cancelling:
        return "Cancelling: what served before serves again"
    step = running_step(deploy)
    if step is None:
        # The worker records one step before it begins the next.
        failed = deploy.failed_step
        return f"Taking it back: {failed.name} failed" if failed else "Between two steps"
    doing = _DOING[step.name]
    return f"{doing}: {step.detail}" if step.detail else doing


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


class StepWords(Struct, frozen=True):
    """A step as it is shown. `lasted` is None before it has begun."""

    name: str
    status: StepStatus
    tone: Tone
    detail: str
    lasted: timedelta | None


_STEP_TONES = {
    StepStatus.PENDING: Tone.PLAIN,
    StepStatus.RUNNING: Tone.RUN,
    StepStatus.DONE: Tone.OK,
    StepStatus.FAILED: Tone.BAD,
    StepStatus.SKIPPED: Tone.PLAIN,
}


def step_words(step: Step, now: datetime) -> StepWords:
    """Return the words of a step."""
    # A step that was skipped has times, but took no time.
    begun = step.started_at is not None and step.status is not StepStatus.SKIPPED
    lasted = (step.finished_at or now) - step.started_at if step.started_at and begun else None
    return StepWords(step.name, step.status, _STEP_TONES[step.status], step.detail, lasted)


def deploy_title(page: SurroundedDeploy) -> str:
    """Return the heading of a deploy: what it replaces, and what it brings."""
    tag = page.view.deploy.tag
    return f"{page.before.tag} → {tag}" if page.before and page.before.tag != tag else tag


def deploy_sentence(page: SurroundedDeploy) -> str:
    """Return what has become of a deploy, what serves, and what comes next."""
    deploy = page.view.deploy
    # All states are here, so that the type checker finds one that is added.
    match deploy.status:
        case DeployStatus.QUEUED:
            turn = f"waits for its turn in {page.view.stage.name}."
            waits = f"is queued: {_ended(deploy.reason)}" if deploy.reason else turn
            return f"{deploy.tag} {waits} {serves(page)}"
        case DeployStatus.RUNNING:
            return _running_sentence(page)
        case DeployStatus.SUCCEEDED:
            return _succeeded_sentence(page)
        case DeployStatus.FAILED:
            reason = deploy.reason or "no reason is on record"
            return f"{deploy.tag} failed: {_ended(reason)} {serves(page)}"
        case DeployStatus.CANCELLED:
            return f"{deploy.tag} was cancelled. {serves(page)}"
        case DeployStatus.SUPERSEDED:
            reason = deploy.reason or "a newer one came"
            return f"{deploy.tag} was not deployed: {_ended(reason)} {serves(page)}"


def serves(page: SurroundedDeploy) -> str:
    """Return the sentence that says which tags serve now."""
    # One tag can have two instances for a moment, while one replaces the other.
    tags = list(dict.fromkeys(one.tag for one in page.serving))
    if not tags:
        return "Nothing serves."
    return f"{tags[0]} serves." if len(tags) == 1 else f"{', '.join(tags)} serve."


def _running_sentence(page: SurroundedDeploy) -> str:
    deploy, old = page.view.deploy, page.before
    step = running_step(deploy)
    if deploy.cancelling or deploy.failed_step is not None:
        return f"{step_sentence(deploy)}. {serves(page)}"
    if step is not None and step.name is StepName.WATCH:
        kept = f" {old.tag} is kept until then." if old else ""
        return (
            f"{deploy.tag} is live and being watched: {_ended(step.detail or 'just begun')}{kept}"
        )
    # From the switch on the new one serves, whatever step follows.
    if page.is_live:
        return f"{deploy.tag} is live. {_ended(step_sentence(deploy))}"
    return f"{_ended(step_sentence(deploy))} {serves(page)}"


def _succeeded_sentence(page: SurroundedDeploy) -> str:
    deploy = page.view.deploy
    if page.is_live:
        return f"{deploy.tag} is live in {page.view.stage.name}."
    if page.instance is None:
        # It found its version live already, and started nothing.
        return f"{_ended(f'{deploy.tag}: {deploy.reason}' if deploy.reason else deploy.tag)}"
    return f"{deploy.tag} was live, and has been replaced. {serves(page)}"


def _ended(text: str) -> str:
    # After a command a full stop would be copied with it.
    return text if text.endswith((".", "!", "?", "`")) else f"{text}."
