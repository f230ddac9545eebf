"""Answers that are remembered, so that an order sent twice with one Idempotency-Key counts once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

ANSWERS_KEPT = timedelta(hours=24)
"""How long an answer is remembered at least; it is forgotten within the hour after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedAnswer:
    """The answer to an order that bore an Idempotency-Key.

    `route` is the method and path of the order, and its caller: each may use the same key.
    `fingerprint` identifies the body of the request; `status` and `body` are the HTTP status and
    the text of the answer.
    """

    key: str
    route: str
    fingerprint: str
    status: int
    body: str
    at: datetime
