"""One call of the webhook URL, kept with what came of each of its pushes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySummary:
    """A call without what was sent, as lists have it.

    `status` is the HTTP status it was answered with; `result` is that answer's JSON text, secrets never among it. `took_ms` is
    how many milliseconds it took to decide, once its body was read; `hook_id` is None for the global URL.
    """

    id: str
    sender: str
    status: int
    result: str
    received_at: datetime
    took_ms: float = 0.0
    hook_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(DeliverySummary):
    """A call with what was sent, as far as it is kept.

    `headers` are without credentials, names in lower case; `body` is its text. It is `truncated` where not all of it was kept.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    truncated: bool = False


MAX_BODY = 64 * 1024
"""Bytes of a call's body that are kept."""
MAX_REFUSED_BODY = 4 * 1024
"""The same of a call that was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """The part of a request that is kept; the fields are those of `Delivery`."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    truncated: bool = False
    hook_id: str | None = None

    def cut(self, most: int) -> "RecordedRequest":
        """The same with at most `most` characters of its body."""
        if len(self.body) <= most:
            return self
        return replace(self, body=self.body[:most], truncated=True)

    @property
    def size(self) -> int:
        """How many characters are kept."""
        return len(self.body) + sum(len(name) + len(value) for name, value in self.headers.items())


NOTHING_KEPT = RecordedRequest()
