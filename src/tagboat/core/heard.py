"""Calls that were heard, pushes that only polls found, and senders that are silent."""

from datetime import datetime, timedelta

from msgspec import Struct

from tagboat.core.delivery import FIRST_REFUSAL, DeliverySummary
from tagboat.core.values import replace

SILENCE_SHOWN = timedelta(days=7)
"""For how long after the last missed push a silent registry is reported."""
BETWEEN_MISSES = timedelta(minutes=10)
"""Two finds of polls closer than this count as one occasion."""


class HeardCall(Struct, frozen=True, kw_only=True):
    """The last call of a sender about images of one registry host.

    `host` is empty for calls that pushed nothing to a project. The delivery may be deleted by now.
    """

    host: str
    sender: str
    at: datetime
    delivery_id: str


class PollFinds(Struct, frozen=True, kw_only=True):
    """The pushes of a registry host that polls found since its last call; the first and last."""

    host: str
    first_at: datetime
    last_at: datetime
    pushes: int


class Silence(Struct, frozen=True, kw_only=True):
    """A registry host that does not report its pushes.

    `last_call` is None if it never called. `pushes` is how many polls found, the first of them
    at `since`.
    """

    host: str
    last_call: datetime | None
    since: datetime
    pushes: int


def calls_heard(delivery: DeliverySummary) -> list[HeardCall]:
    """Return the hosts of which a delivery that was accepted tells, none if it was refused."""
    if delivery.status >= FIRST_REFUSAL:
        return []
    # Of images without a project a caller can name any host: these count for none.
    hosts = {push.image.partition("/")[0] for push in delivery.receipt.pushes if push.project}
    return [
        HeardCall(
            host=host, sender=delivery.sender, at=delivery.received_at, delivery_id=delivery.id
        )
        for host in sorted(hosts) or [""]
    ]


def found_more(
    before: PollFinds | None, host: str, last_call: datetime | None, pushes: int, now: datetime
) -> PollFinds:
    """Return the finds of polls of `host` with `pushes` more; a call in between starts anew."""
    if before is None or (last_call is not None and last_call >= before.first_at):
        return PollFinds(host=host, first_at=now, last_at=now, pushes=pushes)
    return replace(before, last_at=max(before.last_at, now), pushes=before.pushes + pushes)


def find_silence(
    host: str,
    last_call: datetime | None,
    called_from: datetime | None,
    finds: PollFinds | None,
    now: datetime,
) -> Silence | None:
    """Return the silence of a registry host, None if there is none or nobody expects its calls.

    `called_from` is when a webhook URL was made for one of its projects, None without one.
    """
    expected_from = last_call or called_from
    if finds is None or expected_from is None or finds.first_at <= expected_from:
        return None
    # Pushes while the server was down reach no webhook, and are found by one poll after the start.
    if finds.last_at - finds.first_at < BETWEEN_MISSES or now - finds.last_at > SILENCE_SHOWN:
        return None
    return Silence(host=host, last_call=last_call, since=finds.first_at, pushes=finds.pushes)
