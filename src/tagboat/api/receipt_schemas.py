"""Receipts of deploys as the API shows them."""

from datetime import datetime

from tagboat.api.bodies import ResponseModel
from tagboat.core.receipt import DeployReceipt, SideCounts


class SideCountsOut(ResponseModel):
    """Requests that the old or the new instances got during a deploy."""

    requests: int
    answered: int
    failed_5xx: int
    aborted: int
    left_by_client: int
    in_flight: int


class DeployReceiptOut(ResponseModel):
    """The requests during a deploy, as the ingress counted them."""

    requests: int
    failed: int
    old: SideCountsOut
    new: SideCountsOut
    longest_drain_s: float | None
    downtime_s: float
    turned_away: int
    complete: bool
    reason: str | None
    since: datetime
    until: datetime | None


def show_receipt(receipt: DeployReceipt | None) -> DeployReceiptOut | None:
    """Return a receipt, None for a deploy without one."""
    if receipt is None:
        return None
    return DeployReceiptOut(
        requests=receipt.requests,
        failed=receipt.failed,
        old=_show_counts(receipt.old),
        new=_show_counts(receipt.new),
        longest_drain_s=receipt.longest_drain_s,
        downtime_s=receipt.downtime_s,
        turned_away=receipt.turned_away,
        complete=receipt.complete,
        reason=receipt.reason,
        since=receipt.since,
        until=receipt.until,
    )


def _show_counts(side: SideCounts) -> SideCountsOut:
    return SideCountsOut(
        requests=side.requests,
        answered=side.answered,
        failed_5xx=side.failed_5xx,
        aborted=side.aborted,
        left_by_client=side.left_by_client,
        in_flight=side.in_flight,
    )
