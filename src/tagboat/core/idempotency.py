"""Answers that are remembered, so that an order sent twice with one Idempotency-Key counts once."""

from datetime import datetime, timedelta

from msgspec import Struct

ANSWERS_KEPT = timedelta(hours=24)
"""How long an answer is remembered at least; it is forgotten within the hour after that."""


class RememberedAnswer(Struct, frozen=True, kw_only=True):
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
