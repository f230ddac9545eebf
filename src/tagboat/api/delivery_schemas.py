"""The webhook's log, field by field."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from tagboat.api.bodies import Answer
from tagboat.api.schemas import Named
from tagboat.core.push import Outcome


class HookNamed(Answer):
    """The webhook URL that was called. `name` is null once it is revoked."""

    id: str
    name: str | None


class PushResult(Answer):
    """What became of one push. `deploy` is the id of the deploy that was queued or merged into."""

    image: str
    tag: str
    digest: str | None
    project: Named | None
    stage: Named | None
    project_created: bool
    outcome: Outcome
    reason: str
    deploy: str | None


class Skipped(Answer):
    """What a sender told of and cannot be used. `image` is as the sender writes it, null where it names none."""

    image: str | None
    reason: str


class Receipt(Answer):
    """What came of a delivery, as its sender is told.

    `reason` is there where there is nothing to push, and where a person has to mend the sender (`needs_you`); `skipped` where
    something could not be used.
    """

    delivery: str
    pushes: list[PushResult]
    reason: str | None = Field(default_factory=lambda: None)
    skipped: list[Skipped] = Field(default_factory=list)
    needs_you: bool = Field(default_factory=lambda: False)


class Delivery(Answer):
    """One call of a webhook URL.

    `status` is the HTTP status it was answered with; `took_ms` how many milliseconds it took to decide; `hook` is null for
    the global URL. `outcome` is a word or two (`queued`, `2 queued, 1 unmatched`, `nothing to push`, `failed`), `reason` the
    sentence that says why; `needs_you` is set where it says what a person has to do about the sender.
    """

    id: str
    sender: str
    status: int
    received_at: datetime
    took_ms: float
    hook: HookNamed | None
    outcome: str
    reason: str
    pushes: list[PushResult]
    skipped: list[Skipped]
    needs_you: bool


class DeliveryShown(Delivery):
    """A call with all that is kept of it.

    `headers` are without credentials, long ones cut short. `body` is `truncated` where not all of it was kept: at most 64 KiB
    are, 4 KiB of a call that was refused, none where its URL has brought too much of late. `result` is the JSON of the answer.
    """

    headers: Mapping[str, str]
    body: str
    truncated: bool
    result: Any
