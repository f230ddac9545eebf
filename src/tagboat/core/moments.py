"""Moments as people write them, a time or how long ago it was, and as logs show them."""

import re
from datetime import UTC, datetime, timedelta

from tagboat.core.errors import InvalidValueError
from tagboat.core.excerpt import excerpt

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(d|h|ms|m|s)", re.ASCII)
_DURATION_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}


def written_at(at: datetime) -> str:
    """Return when a line was written: RFC 3339, UTC, with six decimals."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the time in `text`: RFC 3339, or a duration before `now` such as 90s, 10m or 1h30m.

    It is in UTC, as is a time without a zone. Raises InvalidValueError.
    """
    try:
        # Without hours, Python would read many other numbers as dates.
        if "-" in text:
            moment = datetime.fromisoformat(text)
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return aware.astimezone(UTC)
        parts = _DURATION.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return now - sum(
                (float(number) * _DURATION_UNITS[unit] for number, unit in parts), timedelta()
            )
    except (ValueError, OverflowError):
        pass
    raise InvalidValueError(
        f"{excerpt(text)} is neither a time such as 2026-01-31T12:00:00Z nor a duration such as"
        " 90s, 10m or 1h30m"
    )
