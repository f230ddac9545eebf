from datetime import UTC, datetime, timedelta

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.core.moments import parse_moment, written_at

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", NOW - timedelta(minutes=10)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("1.5h", NOW - timedelta(minutes=90)),
        ("2d", NOW - timedelta(days=2)),
        ("250ms", NOW - timedelta(milliseconds=250)),
        ("0s", NOW),
        ("2026-05-01T11:00:00Z", NOW - timedelta(hours=1)),
        ("2026-05-01T13:00:00.5+02:00", NOW - timedelta(hours=1) + timedelta(seconds=0.5)),
        ("2026-05-01 11:00", NOW - timedelta(hours=1)),
        ("2026-05-01", NOW - timedelta(hours=12)),
    ],
)
def test_times_and_durations(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "m",
            "10",
            "10 m",
            "10m ago",
            "-10m",
            "20260501",
            "10:00",
            "1e5s",
            "9" * 9 + "d",
        ),
        *("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"),
    ],
)
def test_neither(text: str) -> None:
    with pytest.raises(InvalidValueError, match="a duration such as 90s, 10m or 1h30m"):
        parse_moment(text, NOW)


@pytest.mark.parametrize("microsecond", [0, 5, 123_456])
def test_when_a_line_was_written_always_has_six_decimals(microsecond: int) -> None:
    at = NOW.replace(microsecond=microsecond)
    assert written_at(at) == f"2026-05-01T12:00:00.{microsecond:06}Z"
    assert parse_moment(written_at(at), NOW) == at
