"""The bodies of the webhook's log."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from tagboat.api.bodies import ResponseModel
from tagboat.api.schemas import RefOut
from tagboat.core.push import Outcome


class HookRefOut(ResponseModel):
    """The webhook URL that was called."""

    id: str
    name: str | None


class PushResultOut(ResponseModel):
    """The outcome of one push."""

    image: str
    tag: str
    digest: str | None
    project: RefOut | None
    stage: RefOut | None
    project_created: bool
    outcome: Outcome
    reason: str
    deploy: str | None


class SkippedOut(ResponseModel):
    """An event of a sender that cannot be used."""

    image: str | None
    reason: str


class ReceiptOut(ResponseModel):
    """The answer to a delivery.

    `reason` is there where there is nothing to push, and where a person must fix the sender
    (`needs_you`); `skipped` where events could not be used.
    """

    delivery: str
    pushes: list[PushResultOut]
    reason: str | None = Field(default_factory=lambda: None)
    skipped: list[SkippedOut] = Field(default_factory=list)
    needs_you: bool = Field(default_factory=lambda: False)


class DeliveryOut(ResponseModel):
    """One call of a webhook URL."""

    id: str
    sender: str
    status: int
    received_at: datetime
    took_ms: float
    hook: HookRefOut | None
    outcome: str
    reason: str
    pushes: list[PushResultOut]
    skipped: list[SkippedOut]
    needs_you: bool


class DeliveryDetailOut(DeliveryOut):
    """A call of a webhook URL with its headers, body and answer."""

    headers: Mapping[str, str]
    body: str
    truncated: bool
    result: Any
