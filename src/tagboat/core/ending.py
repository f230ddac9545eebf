"""How the time of an instance as the live one ended."""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from tagboat.core.deploy import (
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
    StepStatus,
    TakenBack,
    Trigger,
)


class EndingKind(StrEnum):
    """How it ended: `serving` where it has not; `retired` where nothing replaced it."""

    SERVING = "serving"
    REPLACED = "replaced"
    ROLLED_BACK = "rolled_back"
    FAILED_WATCH = "failed_watch"
    CANCELLED = "cancelled"
    RETIRED = "retired"


class Ending(Struct, frozen=True):
    """How the time of an instance as the live one ended, in a sentence without a name.

    `by` is the deploy that ended it, None where none did.
    """

    kind: EndingKind
    reason: str
    by: Deploy | None = None


def how_it_ended(
    instance: Instance, own: Deploy, successor: Deploy | None, taken_back: Sequence[TakenBack]
) -> Ending:
    """Return how the time of `instance`, which was live once, as the live one ended.

    `own` is its deploy, `successor` the one that replaced it, None if that is not on record;
    `taken_back` are the versions that were taken back in its stage.
    """
    if instance.state is InstanceState.LIVE:
        return Ending(EndingKind.SERVING, "serves now")
    if instance.state is InstanceState.FAILED:
        return _taken_back(instance, own, taken_back)
    # Before the notes: a rollback leaves one too, and does not say who came next.
    if successor is not None and successor.trigger is Trigger.ROLLBACK:
        return Ending(EndingKind.ROLLED_BACK, f"rolled back to {successor.tag}", successor)
    if successor is not None:
        return Ending(EndingKind.REPLACED, f"replaced by {successor.tag}", successor)
    if back := _note_end(instance, taken_back):
        return Ending(EndingKind.ROLLED_BACK, back.reason)
    return Ending(EndingKind.RETIRED, "retired: nothing replaced it")


def _taken_back(instance: Instance, own: Deploy, taken_back: Sequence[TakenBack]) -> Ending:
    if own.status is DeployStatus.CANCELLED:
        # A rollback in the middle of a deploy cancels it; without one, a person only cancelled.
        if back := _note_end(instance, taken_back):
            return Ending(EndingKind.ROLLED_BACK, back.reason, own)
        return Ending(EndingKind.CANCELLED, "the deploy was cancelled", own)
    reason = own.reason or "taken back"
    if own.step(StepName.WATCH).status is StepStatus.FAILED:
        return Ending(EndingKind.FAILED_WATCH, reason, own)
    if own.status is DeployStatus.SUPERSEDED:
        return Ending(EndingKind.REPLACED, reason, own)
    # Live and then failed: without another cause on record, the watch is what ended it.
    return Ending(EndingKind.FAILED_WATCH, reason, own)


def _note_end(instance: Instance, taken_back: Sequence[TakenBack]) -> TakenBack | None:
    version = instance.version
    return next((one for one in taken_back if (one.digest, one.fingerprint) == version), None)
