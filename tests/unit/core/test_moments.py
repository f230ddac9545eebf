from datetime import UTC, datetime, timedelta

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.core.moments import Moment, parse_moment, time_at

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-29T12:00:00Z", NOON),
        ("2026-11-29T14:00:00+02:00", NOON),
        ("2026-11-29T12:00", NOON),
        ("2026-11-29", NOON - timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        ("0s", timedelta()),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
    ],
)
def test_times_dates_and_durations_are_moments(text: str, moment: Moment) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    "text",
    ["", "7", "d", "-7d", "7 d", "7D", "7y", "\u0667d", "999999999w", "yesterday", "2026-13-01",
     "0001-01-01T00:00:00+14:00", "9" * 400 + "d", "7d\n"],
)  # fmt: skip
def test_other_texts_are_refused_in_words(text: str) -> None:
    with pytest.raises(InvalidValueError, match="is not a time such as") as refused:
        parse_moment(text)
    assert len(str(refused.value)) < 300


def test_a_duration_counts_back_from_now() -> None:
    assert time_at(timedelta(days=1), NOON) == datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert time_at(NOON, datetime.now(UTC)) == NOON
    assert time_at(timedelta(days=999_999_999), NOON).year == 1
