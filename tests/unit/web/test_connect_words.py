from datetime import UTC, datetime, timedelta

from tagboat.core.delivery import DeliverySummary, Receipt
from tagboat.core.principal import Role
from tagboat.operations.queries.deliveries import DeliveryRow, read_row
from tagboat.web.connect_words import url_for, wait_words, why_no_url
from tagboat.web.messages import Tone

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def a_row(sender: str, ago_s: float) -> DeliveryRow:
    summary = DeliverySummary(
        id=sender,
        sender=sender,
        status=202,
        receipt=Receipt("d", (), "it is a ping"),
        received_at=NOW - timedelta(seconds=ago_s),
    )
    return read_row(summary, {})


def test_the_url_of_senders_without_a_host_names_their_registry() -> None:
    assert url_for("http://x/1", "") == "http://x/1"
    assert url_for("http://x/1", "a b/c") == "http://x/1?registry=a%20b%2Fc"


def test_who_does_not_see_the_url_is_told_why() -> None:
    assert why_no_url(Role.VIEWER).startswith("You are a viewer: ")


def test_the_test_waits() -> None:
    said = wait_words([], NOW)
    assert (said.tone, said.sentence) == (Tone.RUN, "Waiting for a call.")


def test_the_test_says_who_called_first_and_when() -> None:
    calls = [a_row("quay", 2), a_row("gitea", 7)]
    said = wait_words(calls, NOW - timedelta(seconds=10))
    assert said.sentence == "gitea called after 3 s."
    assert said.more == "The call pushed nothing: it is a ping. 1 more came since."
