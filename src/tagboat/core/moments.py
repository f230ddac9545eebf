"""Moments: times that people write, as a date, a time or a duration before now."""

import re
from datetime import UTC, datetime, timedelta

from tagboat.core.errors import InvalidValueError
from tagboat.core.excerpt import excerpt

_DURATION_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_BEFORE_NOW = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)

Moment = datetime | timedelta
"""A time, or a duration before now."""


def parse_moment(text: str) -> Moment:
    """Return the time of `2026-11-29` or `2026-11-29T08:30:00Z`, or the duration of `7d`.

    Units are s, m, h, d and w. A time without a zone is UTC. Raises InvalidValueError.
    """
    try:
        if found := _BEFORE_NOW.fullmatch(text):
            return timedelta(**{_DURATION_UNITS[found[2]]: int(found[1])})
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidValueError(
            f"{excerpt(text)} is not a time such as 2026-11-29T08:30:00Z, a date such as"
            " 2026-11-29, or a duration before now such as 90m, 12h or 7d"
        ) from None


def time_at(moment: Moment, now: datetime) -> datetime:
    """Return the time of a moment. One before all calendars is the first of them."""
    if isinstance(moment, datetime):
        return moment
    try:
        return now - moment
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
