from datetime import UTC, datetime, timedelta

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.core.moments import parse_moment, time_at

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
    assert time_at(parse_moment(text), NOW) == moment


@pytest.mark.parametrize(
    "text",
    ["", " ", "m", "10", "10 m", "10m ago", "-10m", "20260501", "10:00", "1e5s"],
)
def test_neither(text: str) -> None:
    with pytest.raises(InvalidValueError, match="a duration before now such as 90s"):
        parse_moment(text)


def test_a_moment_before_all_calendars_is_the_first_of_them() -> None:
    assert time_at(parse_moment("9" * 9 + "d"), NOW) == datetime.min.replace(tzinfo=UTC)
