"""One call of the webhook URL, kept with the outcome of each of its pushes."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from tagboat.core.push import Outcome
from tagboat.core.values import replace

# These four are structs of msgspec and not dataclasses: the sender of a call is answered with them
# as they are, and the webhook path makes some for each call.


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
    """An event of a sender that cannot be used.

    `image` is as the sender writes it, None where it names none.
    """

    image: str | None
    reason: str


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one delivery.

    `reason` is given where there is nothing to push, where the call was refused, and where a person
    has to mend the sender; in that case `needs_you` is set.
    """

    delivery: str
    pushes: tuple[PushResult, ...]
    reason: str | None = None
    skipped: tuple[SkippedEvent, ...] = ()
    needs_you: bool = False


class PastPush(msgspec.Struct, frozen=True):
    """A push of a project's image; `stage` is where it went, None if no stage matched."""

    tag: str
    stage: Named | None
    at: datetime


class DeliverySummary(msgspec.Struct, frozen=True, kw_only=True):
    """A call without its content, for lists.

    `status` is the HTTP status of its answer; `receipt` is its outcome, without
    secrets, with a limited number of pushes.
    `took_ms` is the number of milliseconds from the complete body to the decision; `hook_id` is
    None for the global URL.
    """

    id: str
    sender: str
    status: int
    receipt: Receipt
    received_at: datetime
    took_ms: float = 0.0
    hook_id: str | None = None


class Delivery(DeliverySummary, frozen=True, kw_only=True):
    """A call with its content, as far as that is kept.

    `headers` are without credentials, names in lower case; `body` is its text. `truncated` means
    that not all of it was kept.
    """

    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: str = ""
    truncated: bool = False


class DeliveryOutcome(StrEnum):
    """A result by which calls are looked for: of one of its pushes, or of the call itself."""

    QUEUED = "queued"
    MERGED = "merged"
    WAITING = "waiting"
    UNMATCHED = "unmatched"
    REFUSED = "refused"
    NOTHING = "nothing to push"
    FAILED = "failed"


class DeliveryFilter(msgspec.Struct, frozen=True):
    """Limits the log to the calls of a sender, with an outcome, or both. None: any."""

    sender: str | None = None
    outcome: DeliveryOutcome | None = None


ALL_DELIVERIES = DeliveryFilter()
FIRST_REFUSAL = 400
"""The lowest status of an answer that refuses a call."""

# Bytes of a call's body that are kept; the second value is for refused calls.
MAX_BODY = 64 * 1024
MAX_REFUSED_BODY = 4 * 1024


class RecordedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a request that is kept; the fields are those of `Delivery`."""

    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: str = ""
    truncated: bool = False
    hook_id: str | None = None

    def cut(self, most: int) -> "RecordedRequest":
        """Return the request with at most `most` characters of its body."""
        if len(self.body) <= most:
            return self
        return replace(self, body=self.body[:most], truncated=True)

    @property
    def size(self) -> int:
        """The number of characters that are kept."""
        return len(self.body) + sum(len(name) + len(value) for name, value in self.headers.items())


NOTHING_KEPT = RecordedRequest()
