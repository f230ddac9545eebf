"""Events: the record of what has changed, in the order in which it was committed."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

from tagboat.core.catalog import Project, Registry, Stage
from tagboat.core.delivery import Delivery
from tagboat.core.deploy import Deploy, Instance
from tagboat.core.health import Vitals
from tagboat.core.polling import PollState
from tagboat.core.receipt import DeployReceipt

EVENTS_KEPT = timedelta(days=7)
"""How long an event is kept at most."""
MOST_EVENTS = 100_000
"""Events that are kept at most; every write adds some, so there may be more for a while."""


class EventTopic(StrEnum):
    """Kinds of events."""

    DEPLOY = "deploy"
    STEP = "step"
    LOG = "log"
    INSTANCE = "instance"
    STAGE = "stage"
    PROJECT = "project"
    REGISTRY = "registry"
    DELIVERY = "delivery"
    POLL = "poll"
    SETTING = "setting"


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is about to be committed: an event without its id.

    `subject` is the id of what changed, or a setting's name; `project_id`, `stage_id` and
    `deploy_id` say what it belongs to, None where it belongs to none. `state` is the small part of
    the new state that a follower needs, as JSON values; it never holds a secret.
    """

    # A struct of msgspec and not a dataclass: the webhook path makes two of these for each call.
    topic: EventTopic
    subject: str
    project_id: str | None = None
    stage_id: str | None = None
    deploy_id: str | None = None
    state: Mapping[str, object] = {}
    at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A committed change. `id` rises, with gaps; the other fields are as in `StateChange`."""

    id: int
    topic: EventTopic
    subject: str
    at: datetime
    project_id: str | None
    stage_id: str | None
    deploy_id: str | None
    state: Mapping[str, object]


def deploy_changes(old: Deploy | None, new: Deploy) -> Iterator[StateChange]:
    """Yield the changes between two versions of a deploy; `old` is None for a new one.

    The steps come first, so that a follower has seen them all when the deploy itself ends.
    """
    if old is not None:
        for before, after in zip(old.steps, new.steps, strict=True):
            # Identity first: this runs at each write, and nearly all steps are unchanged.
            if before is not after and (before.status, before.detail) != (
                after.status,
                after.detail,
            ):
                step = {"name": after.name, "status": after.status, "detail": after.detail}
                yield _of_deploy(EventTopic.STEP, new, step)
        if old.log != new.log:
            # A log only grows; one that was replaced is told whole.
            added = new.log.removeprefix(old.log).removeprefix("\n")
            yield _of_deploy(EventTopic.LOG, new, {"text": added})
        if (old.status, old.reason, old.digest, old.cancelling) == (
            new.status,
            new.reason,
            new.digest,
            new.cancelling,
        ):
            return
    yield _of_deploy(EventTopic.DEPLOY, new, _deploy_state(new))


def receipt_change(deploy: Deploy, receipt: DeployReceipt) -> StateChange:
    """Return the change of a deploy whose receipt has changed."""
    sides = {"old": receipt.old, "new": receipt.new}
    # By the names that the API gives them: a page shows either without knowing which it has.
    numbers = {
        **{
            name: msgspec.structs.asdict(side) | {"requests": side.requests}
            for name, side in sides.items()
        },
        **{
            name: value
            for name, value in msgspec.structs.asdict(receipt).items()
            if name not in sides
        },
        "requests": receipt.requests,
        "failed": receipt.failed,
    }
    state = {**_deploy_state(deploy), "receipt": numbers}
    return _of_deploy(EventTopic.DEPLOY, deploy, state)


def _deploy_state(deploy: Deploy) -> dict[str, object]:
    return {
        "status": deploy.status,
        "reason": deploy.reason,
        "tag": deploy.tag,
        "digest": deploy.digest,
        "trigger": deploy.trigger,
    }


def _of_deploy(topic: EventTopic, deploy: Deploy, state: Mapping[str, object]) -> StateChange:
    return StateChange(
        topic=topic,
        subject=deploy.id,
        project_id=deploy.project_id,
        stage_id=deploy.stage_id,
        deploy_id=deploy.id,
        state=state,
    )


def instance_change(instance: Instance, vitals: Vitals | None = None) -> StateChange:
    """Return the change of an instance; `vitals` is what the engine reports, None if not new."""
    state: dict[str, object] = {
        "state": instance.state,
        "tag": instance.tag,
        "digest": instance.digest,
        "container": instance.container,
        "url": instance.url,
    }
    # Without a new report followers keep the last one.
    if vitals is not None:
        state |= {"trouble": vitals.trouble, "detail": vitals.detail}
    return StateChange(
        topic=EventTopic.INSTANCE,
        subject=instance.id,
        project_id=instance.project_id,
        stage_id=instance.stage_id,
        deploy_id=instance.deploy_id,
        state=state,
    )


def stage_change(stage: Stage, *, deleted: bool = False) -> StateChange:
    """Return the change of a stage."""
    return StateChange(
        topic=EventTopic.STAGE,
        subject=stage.id,
        project_id=stage.project_id,
        stage_id=stage.id,
        state={
            "name": stage.name,
            "held": stage.held,
            "stopped": stage.stopped,
            "deleted": deleted,
        },
    )


def project_change(project: Project, *, deleted: bool = False) -> StateChange:
    """Return the change of a project."""
    return StateChange(
        topic=EventTopic.PROJECT,
        subject=project.id,
        project_id=project.id,
        state={"name": project.name, "deleted": deleted},
    )


def registry_change(registry: Registry, *, deleted: bool = False) -> StateChange:
    """Return the change of a registry."""
    return StateChange(
        topic=EventTopic.REGISTRY,
        subject=registry.id,
        state={"name": registry.name, "deleted": deleted},
    )


def setting_change(name: str) -> StateChange:
    """Return the change of a setting, without its value, which may be a secret."""
    return StateChange(topic=EventTopic.SETTING, subject=name)


def delivery_change(delivery: Delivery) -> StateChange:
    """Return the change that a new delivery is."""
    return StateChange(
        topic=EventTopic.DELIVERY,
        subject=delivery.id,
        state={"sender": delivery.sender, "status": delivery.status},
    )


def poll_change(state: PollState) -> StateChange:
    """Return the change that a finished poll is."""
    return StateChange(
        topic=EventTopic.POLL,
        subject=state.project_id,
        project_id=state.project_id,
        state={"error": state.error},
    )
