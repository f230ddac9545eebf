"""One call of the webhook URL, kept with what came of each of its pushes."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """`status` is the HTTP status it was answered with; `result` is that answer's JSON text, secrets never among it."""

    id: str
    sender: str
    status: int
    result: str
    received_at: datetime
