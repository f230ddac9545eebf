"""Clocks for tests."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest


class FakeClock:
    """A time that stands still until it is moved."""

    def __init__(self, now: datetime = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class LoopTime:
    """The time of event loops: it passes by itself, and tests can let more of it pass at once.

    So a limit can be as generous as in earnest, and a test that it holds need not wait for it.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._passed_s = 0.0
        patch.setattr(asyncio.BaseEventLoop, "time", lambda _: time.monotonic() + self._passed_s)

    def move(self, seconds: float) -> None:
        self._passed_s += seconds


class SleepersTime:
    """Stands for the module `time`: time passes for those who sleep, and only so."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
