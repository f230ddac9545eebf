"""Push: the news that a tag of an image exists. Every source produces this one value."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tagboat.core.image import ImageRef


class Source(StrEnum):
    """Who brought the news; also the `trigger` of the deploy it causes and the `source` of the tag it makes known."""

    WEBHOOK = "webhook"
    POLL = "poll"
    MANUAL = "manual"


class Outcome(StrEnum):
    """What came of a push. Of what a poll finds it may also be `recorded`: made known, and no more."""

    QUEUED = "queued"
    MERGED = "merged"
    WAITING = "waiting"
    UNMATCHED = "unmatched"
    REFUSED = "refused"
    RECORDED = "recorded"


@dataclass(frozen=True, slots=True)
class Push:
    """`image` exists, says `source`."""

    image: ImageRef
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class PushVerdict:
    """What was done about a push, at what time (UTC), and why, in one sentence that names the rule.

    `deploy` is the id of the deploy that was queued or merged into.
    """

    at: datetime
    source: Source
    outcome: Outcome
    reason: str
    deploy: str | None = None
