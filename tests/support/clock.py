"""A clock for tests."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """A time that stands still until it is moved."""

    def __init__(self, now: datetime = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
