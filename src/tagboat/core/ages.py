"""Lengths of time in words."""

from datetime import timedelta

_AGE_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def in_words(age: timedelta) -> str:
    """Return a length of time in its largest unit, such as `3 days`; at least a second."""
    seconds = max(1, int(age.total_seconds()))
    size, unit = next((size, unit) for size, unit in _AGE_UNITS if seconds >= size)
    count = seconds // size
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
