"""Receipts as their senders and the webhook's log have them."""

import msgspec

from tagboat.core.delivery import Named, PushResult, Receipt, SkippedEvent

__all__ = ["Named", "PushResult", "Receipt", "SkippedEvent", "encode", "shortened"]


def shortened(receipt: Receipt, most: int) -> Receipt:
    """Return the receipt with at most its first `most` pushes and skipped events.

    Its reason says how many are left out.
    """
    left = {"pushes": len(receipt.pushes) - most, "skipped events": len(receipt.skipped) - most}
    notes = [
        f"{number} more {what} are not kept here" for what, number in left.items() if number > 0
    ]
    if not notes:
        return receipt
    reason = "; ".join(filter(None, (receipt.reason, *notes)))
    return msgspec.structs.replace(
        receipt, pushes=receipt.pushes[:most], skipped=receipt.skipped[:most], reason=reason
    )


encode = msgspec.json.Encoder().encode
