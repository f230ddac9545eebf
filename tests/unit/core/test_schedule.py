from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.errors import InvalidScheduleError
from tagboat.core.schedule import MAX_INTERVAL, MAX_LENGTH, parse_schedule

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def runs(schedule: str, start: str, count: int) -> list[str]:
    """The next `count` occurrences after `start` (UTC), as texts."""
    parsed, moment, found = parse_schedule(schedule), at(start), []
    for _ in range(count):
        moment = parsed.next_after(moment)
        assert moment.tzinfo is UTC
        found.append(moment.strftime("%Y-%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("schedule", "start", "expected"),
    [
        ("* * * * *", "2026-03-01 10:00:30", "2026-03-01 10:01"),
        ("*/15 * * * *", "2026-03-01 10:15", "2026-03-01 10:30"),
        ("5 4 * * *", "2026-03-01 10:00", "2026-03-02 04:05"),
        ("0 22 * * 1-5", "2026-03-06 22:00", "2026-03-09 22:00"),
        ("0,30 8-9 * * *", "2026-03-01 08:30", "2026-03-01 09:00"),
        ("0 8-20/4 * * *", "2026-03-01 12:00", "2026-03-01 16:00"),
        ("0 0 * * 0", "2026-03-02 00:00", "2026-03-08 00:00"),
        ("0 0 * * 7", "2026-03-02 00:00", "2026-03-08 00:00"),
        ("0 0 * * 5-7", "2026-03-07 00:00", "2026-03-08 00:00"),
        ("0 0 * * sun", "2026-03-02 00:00", "2026-03-08 00:00"),
        ("0 0 * * MON-Wed", "2026-03-02 00:00", "2026-03-03 00:00"),
        ("0 0 1 JAN,jul *", "2026-03-02 00:00", "2026-07-01 00:00"),
        ("0 0 1 mar-may/2 *", "2026-03-02 00:00", "2026-05-01 00:00"),
        ("3-3/2,50 * * * *", "2026-03-01 10:03", "2026-03-01 10:50"),
        ("50/5 * * * *", "2026-03-01 10:50", "2026-03-01 10:55"),
        ("0\t0   1 1 *", "2026-03-02 00:00", "2027-01-01 00:00"),
        ("0 0 31 * *", "2026-03-31 00:00", "2026-05-31 00:00"),
        ("0 0 29 2 *", "2026-03-01 00:00", "2028-02-29 00:00"),
        ("0 0 29 2 *", "2096-03-01 00:00", "2104-02-29 00:00"),
        ("@yearly", "2026-03-01 10:00", "2027-01-01 00:00"),
        ("@annually", "2026-03-01 10:00", "2027-01-01 00:00"),
        ("@monthly", "2026-03-01 10:00", "2026-04-01 00:00"),
        ("@weekly", "2026-03-01 10:00", "2026-03-08 00:00"),
        ("@daily", "2026-03-01 10:00", "2026-03-02 00:00"),
        ("@midnight", "2026-03-01 10:00", "2026-03-02 00:00"),
        ("@hourly", "2026-03-01 10:00", "2026-03-01 11:00"),
        ("CRON_TZ=Asia/Kolkata 30 6 * * *", "2026-03-01 00:00", "2026-03-01 01:00"),
        ("TZ=America/New_York @daily", "2026-03-01 00:00", "2026-03-01 05:00"),
        ("CRON_TZ=UTC @every 1h", "2026-03-01 00:00", "2026-03-01 01:00"),
    ],
)
def test_next(schedule: str, start: str, expected: str) -> None:
    assert runs(schedule, start, 1) == [expected]


def test_two_restricted_day_fields_are_joined_by_or() -> None:
    # March 2026: the Fridays are 6, 13, 20, 27; the 13th is one of them, and the 13th of April is a
    # Monday.
    assert runs("0 0 13 * 5", "2026-03-20 00:00", 4) == [
        "2026-03-27 00:00",
        "2026-04-03 00:00",
        "2026-04-10 00:00",
        "2026-04-13 00:00",
    ]
    assert parse_schedule("* * 13 * 5").next_after(at("2026-03-21 00:00")) == at("2026-03-27 00:00")


def test_a_day_field_that_begins_with_a_star_is_joined_by_and() -> None:
    assert runs("0 0 */2 * 5", "2026-03-01 00:00", 2) == ["2026-03-13 00:00", "2026-03-27 00:00"]


def test_a_date_that_needs_its_weekday_to_exist() -> None:
    # 30 February never comes, but OR makes every Monday of February match.
    assert runs("0 0 30 2 1", "2026-02-01 00:00", 2) == ["2026-02-02 00:00", "2026-02-09 00:00"]


def test_a_leap_day_on_a_sunday_is_found_across_the_century() -> None:
    assert runs("0 0 29 2 */7", "2080-01-01 00:00", 1) == ["2088-02-29 00:00"]
    assert runs("0 0 29 2 */7", "2088-03-01 00:00", 1) == ["2128-02-29 00:00"]


class TestBerlin:
    def test_what_falls_into_the_missing_hour_runs_right_after_it(self) -> None:
        # 2026-03-29: 02:00 CET is followed by 03:00 CEST, which is 01:00 UTC.
        assert runs("CRON_TZ=Europe/Berlin 30 2 * * *", "2026-03-28 12:00", 2) == [
            "2026-03-29 01:00",
            "2026-03-30 00:30",
        ]

    def test_what_falls_into_the_repeated_hour_runs_once(self) -> None:
        # 2026-10-25: 03:00 CEST is followed by 02:00 CET; 02:30 CEST is 00:30 UTC.
        assert runs("CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-24 12:00", 2) == [
            "2026-10-25 00:30",
            "2026-10-26 01:30",
        ]

    def test_a_star_follows_elapsed_time(self) -> None:
        assert runs("CRON_TZ=Europe/Berlin 30 * * * *", "2026-10-24 23:30", 3) == [
            "2026-10-25 00:30",
            "2026-10-25 01:30",
            "2026-10-25 02:30",
        ]
        assert runs("CRON_TZ=Europe/Berlin 30 * * * *", "2026-03-29 00:00", 2) == [
            "2026-03-29 00:30",
            "2026-03-29 01:30",
        ]

    def test_the_wall_clock_stays_across_the_change(self) -> None:
        assert runs("CRON_TZ=Europe/Berlin 0 9 * * *", "2026-03-28 00:00", 2) == [
            "2026-03-28 08:00",
            "2026-03-29 07:00",
        ]

    def test_asked_within_the_second_pass_the_answer_is_not_in_the_past(self) -> None:
        # 01:10 UTC is 02:10 CET, the second 02:10 of that night; the next 02:30 is tomorrow's.
        assert runs("CRON_TZ=Europe/Berlin 10,30 2 * * *", "2026-10-25 01:10", 1) == [
            "2026-10-26 01:10"
        ]


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        (".5h", timedelta(minutes=30)),
        ("1.h", timedelta(hours=1)),
        ("+1m", timedelta(minutes=1)),
        ("1s500ms", timedelta(milliseconds=1500)),
        ("1s1us", timedelta(seconds=1, microseconds=1)),
        ("1s1µs", timedelta(seconds=1, microseconds=1)),
        ("1s1\u03bcs", timedelta(seconds=1, microseconds=1)),
        ("1000000000ns", timedelta(seconds=1)),
        ("1000ms", timedelta(seconds=1)),
        ("8784h", timedelta(days=366)),
        ("1m1h", timedelta(minutes=61)),
    ],
)
def test_every(duration: str, expected: timedelta) -> None:
    schedule = parse_schedule(f"@every {duration}")
    assert schedule.interval == expected
    assert schedule.next_after(at("2026-03-01 10:00:07")) == at("2026-03-01 10:00:07") + expected


def test_only_every_has_an_interval() -> None:
    assert parse_schedule("*/5 * * * *").interval is None


def test_the_text_is_kept_as_written_without_the_blanks_around_it() -> None:
    assert (
        parse_schedule("  CRON_TZ=Europe/Berlin   0 4 * * MON\n").text
        == "CRON_TZ=Europe/Berlin   0 4 * * MON"
    )


def test_a_naive_moment_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="time zone"):
        parse_schedule("@hourly").next_after(datetime(2026, 3, 1))  # noqa: DTZ001 - a naive moment is the point


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("CRON_TZ=Europe/Berlin", "has 0 fields"),
        ("* * * *", "has 4 fields"),
        ("0 * * * * *", "has 6 fields"),
        ("@reboot", "@reboot"),
        ("@Hourly", "@hourly"),
        ("@every", "not a duration"),
        ("@every 5", "not a duration"),
        ("@every 5x", "not a duration"),
        ("@every .s", "not a duration"),
        ("@every 1h 30m", "not a duration"),
        ("@every -5m", "not a duration"),
        ("@every ++5m", "not a duration"),
        ("@every 0s", "out of range"),
        ("@every 100ms", "out of range"),
        ("@every 999999999ns", "out of range"),
        ("@every 8784h1s", "out of range"),
        ("@every " + "9" * 200 + "h", "out of range"),
        ("@every ٣m", "character"),
        ("60 * * * *", "minute '60'"),
        ("-5 * * * *", "minute '-5'"),
        ("*/0 * * * *", r"minute '\*/0'"),
        ("1,,2 * * * *", "minute '1,,2'"),
        ("5-1 * * * *", "minute '5-1'"),
        ("a * * * *", "minute 'a'"),
        ("* 24 * * *", "hour '24'"),
        ("* * 0 * *", "day of the month '0'"),
        ("* * 32 * *", "day of the month '32'"),
        ("* * L * *", "day of the month 'L'"),
        ("* * LW * *", "day of the month 'LW'"),
        ("* * 15W * *", "day of the month '15W'"),
        ("* * ? * *", "day of the month"),
        ("* * * 13 *", "month '13'"),
        ("* * * foo *", "month 'foo'"),
        ("* * * * 8", "day of the week '8'"),
        ("* * * * 5L", "day of the week '5L'"),
        ("* * * * 1#2", "day of the week '1#2'"),
        ("* * * * fri-sun", "day of the week"),
        ("* * * * \u017fun", "character"),
        ("* * * *\u00a0*", "character"),
        ("* * * * *\x00", "character"),
        ("* *\n* * *", "character"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        ("0 0 30,31 feb */2", "never comes"),
        ("CRON_TZ= * * * * *", "not a time zone"),
        ("CRON_TZ=Mars/Base * * * * *", "not a time zone"),
        ("CRON_TZ=Europe * * * * *", "not a time zone"),
        ("CRON_TZ=../../etc/passwd * * * * *", "not a time zone"),
        ("CRON_TZ=Europe/../Europe/Berlin * * * * *", "not a time zone"),
        ("CRON_TZ=/etc/localtime * * * * *", "not a time zone"),
        ("CRON_TZ=leapseconds * * * * *", "not a time zone"),
        ("cron_tz=Europe/Berlin * * * * *", "has 6 fields"),
        ("*" * 300, "300 characters"),
    ],
)
def test_refused_in_one_sentence(schedule: str, says: str) -> None:
    with pytest.raises(InvalidScheduleError, match=says) as caught:
        parse_schedule(schedule)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 250


def field(low: int, high: int) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high)
    spans = st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.integers(1, high)
    stepped = st.tuples(st.one_of(st.just("*"), spans), steps).map(
        lambda pair: f"{pair[0]}/{pair[1]}"
    )
    terms = st.one_of(numbers.map(str), spans, stepped)
    return st.one_of(st.just("*"), st.lists(terms, min_size=1, max_size=3).map(",".join))


crons = st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7)).map(" ".join)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds UTC
zones = st.sampled_from(
    [
        "",
        "Europe/Berlin",
        "America/New_York",
        "America/Sao_Paulo",
        "America/Havana",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
    ]
)


def expand(text: str, low: int, high: int) -> set[int]:
    """A second, naive reading of one field without names."""
    found: set[int] = set()
    for term in text.split(","):
        span, _, step = term.partition("/")
        first, _, last = span.partition("-")
        start, end = (low, high) if span == "*" else (int(first), int(last or first))
        found |= set(range(start, end + 1, int(step or 1)))
    return found


def matches(cron: str, moment: datetime) -> bool:
    minute, hour, day, month, weekday = cron.split()
    on_day = moment.day in expand(day, 1, 31)
    on_weekday = moment.isoweekday() % 7 in {number % 7 for number in expand(weekday, 0, 7)}
    both = day.startswith("*") or weekday.startswith("*")
    return (
        moment.minute in expand(minute, 0, 59)
        and moment.hour in expand(hour, 0, 23)
        and moment.month in expand(month, 1, 12)
        and ((on_day and on_weekday) if both else (on_day or on_weekday))
    )


@given(crons, moments)
def test_what_is_named_matches_by_a_naive_reading(cron: str, moment: datetime) -> None:
    found = parse_schedule(cron).next_after(moment)
    assert found > moment
    assert found.second == found.microsecond == 0
    assert matches(cron, found)


@given(crons, moments, st.integers(1, 600))
def test_nothing_is_left_out(cron: str, moment: datetime, minutes: int) -> None:
    found = parse_schedule(cron).next_after(moment)
    between = moment.replace(second=0, microsecond=0) + timedelta(minutes=minutes)
    assert between >= found or not matches(cron, between)


@given(crons, zones, moments)
def test_the_next_is_always_later_in_every_zone(cron: str, zone: str, moment: datetime) -> None:
    schedule = parse_schedule(f"CRON_TZ={zone} {cron}" if zone else cron)
    first = schedule.next_after(moment)
    assert moment < first < schedule.next_after(first)


@given(st.integers(10**9, MAX_INTERVAL // timedelta(microseconds=1) * 1000))
def test_every_reads_what_go_would_print(nanoseconds: int) -> None:
    hours, rest = divmod(nanoseconds, 3600 * 10**9)
    minutes, rest = divmod(rest, 60 * 10**9)
    text = f"@every {hours}h{minutes}m{rest // 10**9}.{rest % 10**9:09d}s"
    assert parse_schedule(text).interval == timedelta(microseconds=nanoseconds // 1000)


@given(
    st.text(max_size=MAX_LENGTH + 20)
    | st.text(alphabet="0123456789*,/-@ LWevrymonsu#.=:", max_size=40)
)
def test_any_text_gives_a_schedule_or_its_one_error(text: str) -> None:
    try:
        schedule = parse_schedule(text)
    except InvalidScheduleError:
        return
    assert schedule.text == text.strip()
    assert schedule.next_after(at("2026-03-01 10:00")) > at("2026-03-01 10:00")
