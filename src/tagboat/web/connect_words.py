"""The sentences of the page that connects senders."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from msgspec import Struct

from tagboat.core.principal import Role
from tagboat.operations.queries.deliveries import DeliveryRow
from tagboat.web.delivery_words import call_sentence, call_tone
from tagboat.web.durations import age
from tagboat.web.messages import Tone


class WaitWords(Struct, frozen=True):
    """The words of the test of the webhook: a sentence, and what to do or to know."""

    tone: Tone
    sentence: str
    more: str


def url_for(url: str, registry: str) -> str:
    """Return the webhook URL for senders that do not name their host; "" for all others."""
    return f"{url}?registry={quote(registry, safe='')}" if registry else url


def why_no_url(role: Role) -> str:
    """Return why somebody does not see the webhook URL."""
    return f"You are a {role}: the URL is a secret that only an admin sees. Ask one for it."


def wait_words(calls: Sequence[DeliveryRow], began: datetime) -> WaitWords:
    """Return what the test says; `calls` came since it `began`, newest first."""
    if not calls:
        return WaitWords(
            Tone.RUN,
            "Waiting for a call.",
            "Push an image, or let your sender send a test. A call with a wrong URL is answered "
            "404 and leaves no trace here.",
        )
    first = calls[-1]
    others = len(calls) - 1
    more = f" {others} more came since." if others else ""
    return WaitWords(
        call_tone(first),
        f"{first.delivery.sender} called after {age(began, first.delivery.received_at)}.",
        f"{call_sentence(first)}{more}",
    )
