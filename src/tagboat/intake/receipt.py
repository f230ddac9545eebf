"""What came of a call or a poll, in the shape of CONTRACT section 3."""

import msgspec

from tagboat.core.push import Outcome


class Named(msgspec.Struct, frozen=True):
    """A project or stage, by id and name."""

    id: str
    name: str


class PushResult(msgspec.Struct, frozen=True, kw_only=True):
    """One push and its outcome. `deploy` is the id of the deploy that was queued or merged into."""

    image: str
    tag: str
    digest: str | None
    project: Named | None = None
    stage: Named | None = None
    project_created: bool = False
    outcome: Outcome
    reason: str
    deploy: str | None = None


class SkippedEvent(msgspec.Struct, frozen=True):
    """What a sender told of and cannot be used. `image` is as the sender writes it, None where it names none."""

    image: str | None
    reason: str


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one delivery. `reason` is given where there is nothing to push, and where a person has to mend the sender.

    In that case `needs_you` is set.
    """

    delivery: str
    pushes: tuple[PushResult, ...]
    reason: str | None = None
    skipped: tuple[SkippedEvent, ...] = ()
    needs_you: bool = False


def shortened(receipt: Receipt, most: int) -> Receipt:
    """The receipt with no more than its first `most` pushes and skipped events; its reason says how many are left out."""
    left = {"pushes": len(receipt.pushes) - most, "skipped events": len(receipt.skipped) - most}
    said = [
        f"{number} more {what} are not kept here" for what, number in left.items() if number > 0
    ]
    if not said:
        return receipt
    reason = "; ".join(filter(None, (receipt.reason, *said)))
    return msgspec.structs.replace(
        receipt, pushes=receipt.pushes[:most], skipped=receipt.skipped[:most], reason=reason
    )


encode = msgspec.json.Encoder().encode
