"""The receipt of a deploy, in words and as a table."""

from collections.abc import Mapping
from typing import Any

from tagboat.cli import show


def receipt_sentence(receipt: Mapping[str, Any]) -> str:
    """Return one line: how many requests the instances got, how many failed, and the downtime."""
    number, old, new = receipt["requests"], receipt["old"]["requests"], receipt["new"]["requests"]
    parts = [f"{number} request{'s' if number != 1 else ''}"]
    if number:
        parts[0] += f" ({old} to the old instance, {new} to the new one)"
    parts.append(f"{receipt['failed']} failed")
    downtime_s = receipt["downtime_s"]
    parts.append(f"requests waited {downtime_s:.1f} s" if downtime_s else "no downtime")
    if not receipt["complete"]:
        parts.append(f"not complete: {receipt['reason']}")
    return "; ".join(parts)


def show_receipt_table(receipt: Mapping[str, Any]) -> None:
    """Print what each side answered, and the sentence."""
    show.table(
        ("instance", "requests", "answered", "5xx", "aborted", "by client", "in flight"),
        (
            (
                side,
                receipt[side]["requests"],
                receipt[side]["answered"],
                receipt[side]["failed_5xx"],
                receipt[side]["aborted"],
                receipt[side]["left_by_client"],
                receipt[side]["in_flight"],
            )
            for side in ("old", "new")
        ),
    )
    if receipt["longest_drain_s"] is not None:
        show.line(f"last request on the old instance: {receipt['longest_drain_s']:.1f} s after")
    if receipt["turned_away"]:
        show.line(f"met no instance: {receipt['turned_away']}")
    show.line(receipt_sentence(receipt))
