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


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one delivery. `reason` is given where there is nothing to push, and where something was left out."""

    delivery: str
    pushes: tuple[PushResult, ...]
    reason: str | None = None


def shortened(receipt: Receipt, most: int) -> Receipt:
    """The receipt with no more than its first `most` pushes; its reason says how many are left out."""
    left = len(receipt.pushes) - most
    if left <= 0:
        return receipt
    reason = f"{left} more pushes are not kept here"
    reasons = (receipt.reason, reason)
    return msgspec.structs.replace(receipt, pushes=receipt.pushes[:most], reason="; ".join(filter(None, reasons)))


encode = msgspec.json.Encoder().encode
