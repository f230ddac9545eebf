"""Push: the news that a tag of an image exists. Every source produces this one value."""

from dataclasses import dataclass
from enum import StrEnum

from tagboat.core.image import ImageRef


class Source(StrEnum):
    """Who brought the news; also the `trigger` of the deploy it causes and the `source` of the tag it makes known."""

    WEBHOOK = "webhook"
    POLL = "poll"
    MANUAL = "manual"


class Outcome(StrEnum):
    """What came of a push."""

    QUEUED = "queued"
    MERGED = "merged"
    WAITING = "waiting"
    UNMATCHED = "unmatched"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Push:
    """`image` exists, says `source`."""

    image: ImageRef
    source: Source
