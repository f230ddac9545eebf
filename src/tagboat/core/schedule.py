"""Schedules: five-field cron, `@hourly` and similar words, `@every DURATION`.

The calendar follows Vixie cron as Debian ships it: 0 and 7 are Sunday; the two day fields are
joined by OR if both are restricted (one that begins with `*` is not). Around a change of clocks a
fixed time runs once: one in the missing hour runs right after it, one in the repeated hour in the
first pass. If minute or hour begin with `*`, elapsed time counts instead.
"""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from msgspec import Struct

from tagboat.core.errors import InvalidScheduleError

MAX_SCHEDULE_LENGTH = 255
MIN_INTERVAL = timedelta(seconds=1)
MAX_INTERVAL = timedelta(days=366)

_SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DURATION_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|ms|s|m|h)")
_CHARACTERS = re.compile(r"[\t !-~µ]*")
_ZONE_PREFIX = re.compile(r"(?:CRON_TZ|TZ)=(\S*)\s*(.*)")
_ZONE_NAME = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")
# Name, characters and range of each field. The characters are those of Vixie cron: cronsim would
# also take Quartz's L, LW and `#`, which other crons read differently. No weekday's name has an L.
_FIELDS = (
    ("minute", re.compile(r"[0-9*,/-]+"), "0-59"),
    ("hour", re.compile(r"[0-9*,/-]+"), "0-23"),
    ("day of the month", re.compile(r"[0-9*,/-]+"), "1-31"),
    ("month", re.compile(r"[0-9A-Za-z*,/-]+"), "1-12 or jan-dec"),
    ("day of the week", re.compile(r"[0-9A-KM-Za-km-z*,/-]+"), "0-7 or sun-sat"),
)
# `3-3/2` is 3 alone, but cronsim takes it for `3/2`: from 3 to the end in steps of 2.
_ONE_WIDE_RANGE = re.compile(r"\b([0-9a-z]+)-\1/[0-9]+\b", re.IGNORECASE)
_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)
_MAX_QUOTED = 60


class Schedule(Struct, frozen=True):
    """A recurring moment, written as `text`.

    `interval` is set for `@every` alone, `cron` and `zone` for all others.
    """

    text: str
    interval: timedelta | None = None
    cron: str = ""
    zone: ZoneInfo | None = None

    def next_after(self, moment: datetime) -> datetime:
        """Return the first occurrence later than `moment` (aware), in UTC.

        For `@every` that is one interval later; the calendar's are on whole minutes. Raises
        ValueError if `moment` is naive.
        """
        if moment.tzinfo is None:
            raise ValueError("next_after needs a moment with a time zone")
        start = moment.astimezone(UTC)
        if self.interval is not None:
            return start + self.interval
        occurrences = CronSim(self.cron, start.astimezone(self.zone or UTC))
        # In the second pass of a repeated hour cronsim still returns times of the first pass, which
        # lie in the past.
        return next(
            found for found in (local.astimezone(UTC) for local in occurrences) if found > start
        )


def parse_schedule(text: str) -> Schedule:
    """Parse `[CRON_TZ=Area/City ]` and five cron fields, `@hourly` or `@every DURATION`.

    Durations are Go's, from 1 s to 366 days. Raises InvalidScheduleError, one sentence, for
    anything else, impossible dates included.
    """
    written = text.strip()
    if not written:
        raise InvalidScheduleError(
            "the schedule is empty; five cron fields, @hourly or @every 5m are expected"
        )
    if len(written) > MAX_SCHEDULE_LENGTH:
        raise InvalidScheduleError(
            f"the schedule has {len(written)} characters; at most {MAX_SCHEDULE_LENGTH} are allowed"
        )
    plain = written.replace("\u03bc", "\u00b5")  # Go takes the Greek letter for the micro sign
    if not _CHARACTERS.fullmatch(plain):
        raise InvalidScheduleError(
            f"{_shortened(written)} is not a schedule; it has a character that none can have"
        )
    prefix = _ZONE_PREFIX.fullmatch(plain)
    zone, rule = (parse_zone(prefix[1]), prefix[2]) if prefix else (None, plain)
    words = rule.split()
    if words[:1] == ["@every"]:
        duration = " ".join(words[1:])
        microseconds = _parse_duration(duration) // 1000
        # Limited first: timedelta raises OverflowError on huge numbers.
        interval = timedelta(microseconds=min(microseconds, 10**15))
        if not MIN_INTERVAL <= interval <= MAX_INTERVAL:
            raise InvalidScheduleError(
                f"@every {_shortened(duration)} is out of range; "
                "from 1s to 8784h (366 days) is allowed"
            )
        return Schedule(written, interval=interval)
    return Schedule(written, cron=parse_cron(_SHORTHANDS.get(rule, rule)), zone=zone)


def parse_zone(name: str) -> ZoneInfo:
    """Return a time zone of the IANA database. Raises InvalidScheduleError."""
    # The name becomes a path below the zone database: the pattern keeps `../` and `/` at its
    # beginning out.
    if _ZONE_NAME.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            pass
    raise InvalidScheduleError(
        f"{_shortened(name)} is not a time zone; a name such as Europe/Berlin is expected"
    )


def _parse_duration(text: str) -> int:
    """Return the nanoseconds of a Go duration: decimal numbers, each with its unit."""
    nanoseconds, end = 0, 0
    body = text.removeprefix("+")
    while part := _DURATION_PART.match(body, end):
        whole, fraction, unit = part[1], part[2] or "", part[3]
        if not whole + fraction:
            break
        nanoseconds += int(whole + fraction) * _NANOSECONDS[unit] // 10 ** len(fraction)
        end = part.end()
    if not body or end < len(body):
        raise InvalidScheduleError(
            f"{_shortened(text)} is not a duration; "
            "one such as 90s, 5m or 1h30m is expected after @every"
        )
    return nanoseconds


def parse_cron(rule: str) -> str:
    """Check five cron fields, and return them for cronsim. Raises InvalidScheduleError."""
    if rule.startswith("@"):
        known = ", ".join(_SHORTHANDS)
        raise InvalidScheduleError(
            f"{_shortened(rule)} is not a schedule; "
            f"the words with @ are {known} and @every DURATION"
        )
    fields = rule.split()
    if len(fields) != len(_FIELDS):
        raise InvalidScheduleError(
            f"{_shortened(rule)} {wrong_count(rule, len(fields))}: "
            f"{', '.join(name for name, _, _ in _FIELDS)}"
        )
    # One by one: the error of cronsim does not say which field is wrong.
    for place, field in enumerate(fields):
        name, characters, span = _FIELDS[place]
        alone = ["*"] * len(_FIELDS)
        alone[place] = field
        is_valid = bool(characters.fullmatch(field))
        try:
            if is_valid:
                CronSim(" ".join(alone), _SOME_DAY)
        except CronSimError:
            is_valid = False
        if not is_valid:
            raise InvalidScheduleError(
                f"the {name} {_shortened(field)} cannot be used; "
                f"numbers ({span}), *, ranges, lists and steps can"
            )
    cron = " ".join(_ONE_WIDE_RANGE.sub(r"\1", field) for field in fields)
    # Such as the 30th of February. cronsim gives up after 50 years; a leap day on a given weekday
    # takes at most 40.
    try:
        next(CronSim(cron, _SOME_DAY))
    except (CronSimError, StopIteration):
        raise InvalidScheduleError(f"{_shortened(cron)} names a date that never comes") from None
    return cron


def wrong_count(rule: str, count: int) -> str:
    """Return what is wrong with a rule of `count` fields."""
    with suppress(InvalidScheduleError):
        if _parse_duration(rule) > 0:
            return (
                f"is not a schedule; did you mean '@every {rule}'? A cron schedule has five fields"
            )
    return f"has {count} field{'' if count == 1 else 's'}; a cron schedule has five"


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _MAX_QUOTED else text[:_MAX_QUOTED] + "…")
