"""A clock that tests move, and a place where things can happen between two calls to the outside."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tagboat.deploy import fence, worker
from tagboat.store import session

START = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
_sleep = asyncio.sleep


class Clock:
    """A clock that everybody shares and that sleepers move on.

    They wake at once, and the time they wanted has passed.

    `slept` are the seconds asked for, in order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slept: list[float] = []
        self._passed_s = 0.0
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(asyncio, "sleep", self._wake_at_once)
        monkeypatch.setattr(session, "database_time", lambda _: self.now())
        monkeypatch.setattr(fence, "awake_s", lambda: time.monotonic() + self._passed_s)
        monkeypatch.setattr(worker, "awake_s", lambda: time.monotonic() + self._passed_s)
        monkeypatch.setattr(
            asyncio.BaseEventLoop, "time", lambda _: time.monotonic() + self._passed_s
        )

    def now(self) -> datetime:
        """Return the time of day."""
        return START + timedelta(seconds=self._passed_s)

    def seconds(self) -> float:
        """Return seconds as time-outs count them: those slept, and those that really passed."""
        return time.monotonic() + self._passed_s

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self._passed_s += seconds

    async def _wake_at_once(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.move(seconds)
        await _sleep(0)


CHANGES = frozenset({"write", "pull", "create", "start", "stop", "remove", "apply_routes"})
"""The calls that change something outside.

Between two of them one moment to die is as good as another.
"""


class Died(BaseException):
    """The process is no more: nobody catches this, nothing is tidied up."""


class CallInterceptor:
    """Sees every call to the outside, and lets something happen just before or just after one of
    them.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._plans: dict[tuple[str, str], list[Callable[[], Awaitable[None]]]] = {}
        self._last: tuple[int, str] | None = None
        self._changes_left: int | None = None
        self._doom: tuple[str, Callable[[], Awaitable[bool]]] | None = None

    def intercept(self, thing: object, *calls: str, named: str = "") -> None:
        """Let these async methods of `thing` be called by way of here, by their own names or as
        if they were `named` so.
        """
        for call in calls:
            setattr(thing, call, partial(self._cross, named or call, getattr(thing, call)))

    def before(self, call: str, do: Callable[[], Awaitable[None]]) -> None:
        """Do something once, before the next call of that name that has nothing planned yet."""
        self._plans.setdefault(("before", call), []).append(do)

    def after(self, call: str, do: Callable[[], Awaitable[None]]) -> None:
        """Do something once, after the next call of that name that has nothing planned yet."""
        self._plans.setdefault(("after", call), []).append(do)

    def die(self, after_calls: int, when: str) -> None:
        """Die `before` or `after` the call that comes after so many others."""
        self._last = (len(self.calls) + after_calls, when)

    def die_after_changes(self, changes: int) -> None:
        """Die after so many more calls that change something; 0: before the next of them."""
        self._changes_left = changes

    def die_when(self, call: str, holds: Callable[[], Awaitable[bool]]) -> None:
        """Die after the first call of that name after which that holds.

        Finding out must not make such a call.
        """
        self._doom = (call, holds)

    def live_on(self) -> None:
        """Do not die any more."""
        self._last = self._doom = self._changes_left = None

    async def _cross(self, call: str, work: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:  # noqa: ANN401 - any call
        number = len(self.calls)
        self.calls.append(call)
        await self._reach("before", call, number)
        result = await work(*arguments)
        await self._reach("after", call, number)
        return result

    async def _reach(self, when: str, call: str, number: int) -> None:
        if self._last == (number, when) or self._comes_to_its_last_change(when, call):
            raise Died(f"{when} {call}, call {number}")
        if when == "after" and self._doom and self._doom[0] == call and await self._doom[1]():
            raise Died(f"after {call}, as was wished")
        if plans := self._plans.get((when, call)):
            await plans.pop(0)()

    def _comes_to_its_last_change(self, when: str, call: str) -> bool:
        if self._changes_left is None or call not in CHANGES:
            return False
        if when == "before":
            return self._changes_left <= 0
        self._changes_left -= 1
        return self._changes_left <= 0
