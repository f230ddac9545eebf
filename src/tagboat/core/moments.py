"""Moments as people write them: a date, a time, or a duration before now."""

import re
from datetime import UTC, datetime, timedelta

from tagboat.core.errors import InvalidValueError
from tagboat.core.excerpt import excerpt

_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|[wdhms])", re.ASCII)
_DURATION_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}

Moment = datetime | timedelta
"""A time, or a duration before now."""


def parse_moment(text: str) -> Moment:
    """Return the time of `2026-11-29` or `2026-11-29T08:30:00Z`, or the duration of `1h30m`.

    Units are w, d, h, m, s and ms. A time without a zone is UTC. Raises InvalidValueError.
    """
    try:
        # Without hyphens, Python would read many other numbers as dates.
        if "-" in text:
            time = datetime.fromisoformat(text)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        parts = _PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return sum(
                (float(number) * _DURATION_UNITS[unit] for number, unit in parts), timedelta()
            )
    except (ValueError, OverflowError):
        pass
    raise InvalidValueError(
        f"{excerpt(text)} is not a time such as 2026-11-29T08:30:00Z, a date such as"
        " 2026-11-29, or a duration before now such as 90s, 1h30m or 7d"
    )


def time_at(moment: Moment, now: datetime) -> datetime:
    """Return the time of a moment. One before all calendars is the first of them."""
    if isinstance(moment, datetime):
        return moment
    try:
        return now - moment
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
