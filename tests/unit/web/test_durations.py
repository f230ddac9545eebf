from datetime import UTC, datetime, timedelta

import pytest

from tagboat.web.durations import age, exact, lasted

NOW = datetime(2026, 11, 29, 14, 2, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(0), "0 s"),
        (timedelta(seconds=14.9), "14 s"),
        (timedelta(seconds=59.9), "59 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=1), "1 h"),
        (timedelta(hours=23, minutes=59), "23 h"),
        (timedelta(days=1), "1 d"),
        (timedelta(days=99), "99 d"),
        (timedelta(days=100), "2026-08-21"),
        (timedelta(days=4000), "2015-12-17"),
    ],
)
def test_age(before: timedelta, text: str) -> None:
    assert age(NOW - before, NOW) == text


def test_the_exact_time_is_to_the_second() -> None:
    assert exact(NOW) == "2026-11-29 14:02:11 UTC"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 ms"),
        (0.011, "11 ms"),
        (0.099, "99 ms"),
        (0.1, "0.1 s"),
        (2.14, "2.1 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (64, "1 min 4 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86400, "1 d"),
        (100_000, "1 d 3 h"),
    ],
)
def test_a_duration(seconds: float, text: str) -> None:
    assert lasted(timedelta(seconds=seconds)) == text
