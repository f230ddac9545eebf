"""Times as people read them: ages, durations, and the exact time in UTC."""

from datetime import datetime, timedelta

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
# Beyond it nobody counts days any more.
_OLD_DAYS = 100


def age(then: datetime, now: datetime) -> str:
    """Return how long ago `then` was, such as `14 s`, `12 min`, `2 h`, `9 d`; else the date.

    Times to come count as `0 s`: clocks of servers differ a little.
    """
    seconds = max(0, int((now - then).total_seconds()))
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h"
    if seconds < _OLD_DAYS * _DAY:
        return f"{seconds // _DAY} d"
    return f"{then:%Y-%m-%d}"


def exact(then: datetime) -> str:
    """Return a time to the second, such as `2026-11-29 14:02:11 UTC`."""
    return f"{then:%Y-%m-%d %H:%M:%S} UTC"


def lasted(duration: timedelta) -> str:
    """Return a duration, such as `11 ms`, `2.1 s`, `14 s`, `1 min 4 s`, `2 h 5 min`."""
    seconds = max(0.0, duration.total_seconds())
    if seconds < 0.1:  # noqa: PLR2004 - below it, milliseconds say more
        return f"{round(seconds * 1000)} ms"
    if seconds < 9.95:  # noqa: PLR2004 - from there on it would round to 10.0
        return f"{seconds:.1f} s"
    # Rounded once, so that no minute has 60 seconds.
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _two(whole // _MINUTE, "min", whole % _MINUTE, "s")
    if whole < _DAY:
        return _two(whole // _HOUR, "h", whole % _HOUR // _MINUTE, "min")
    return _two(whole // _DAY, "d", whole % _DAY // _HOUR, "h")


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large} {unit} {small} {small_unit}" if small else f"{large} {unit}"
