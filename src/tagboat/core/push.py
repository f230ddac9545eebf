"""Push: the notification that a tag of an image exists. Every source produces this one value."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from tagboat.core.image import ImageRef


class Source(StrEnum):
    """The origin of a push; also the `trigger` of its deploy and the `source` of its tag."""

    WEBHOOK = "webhook"
    POLL = "poll"
    MANUAL = "manual"


class Outcome(StrEnum):
    """The result of a push. A tag that a poll finds may also be `recorded` and nothing more."""

    QUEUED = "queued"
    MERGED = "merged"
    WAITING = "waiting"
    UNMATCHED = "unmatched"
    REFUSED = "refused"
    RECORDED = "recorded"


class Push(Struct, frozen=True):
    """An image that exists, as reported by `source`."""

    image: ImageRef
    source: Source


class PushVerdict(Struct, frozen=True, kw_only=True):
    """The result of a push, its time (UTC), and the reason: one sentence that names the rule.

    `deploy` is the id of the deploy that was queued or merged into.
    """

    at: datetime
    source: Source
    outcome: Outcome
    reason: str
    deploy: str | None = None
