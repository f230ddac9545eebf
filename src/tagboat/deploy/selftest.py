"""Runs of an image's HEALTHCHECK about each second: the engine's first may be minutes away."""

import asyncio
import contextlib

from tagboat.core.errors import EngineError
from tagboat.core.health import TestRun
from tagboat.core.runtime import Runtime

_WAIT_FOR_RUN_S = 1.0
"""Seconds for which one look waits for a run; a later look reports one that takes longer."""
_FIRST_RUN_PAUSE_S = 0.1
_LONGEST_RUN_PAUSE_S = 1.0


class SelfTest:
    """Runs the test of one container, one at a time.

    With `presumed` it counts as passed until `failures_needed` runs in a row have failed.
    """

    def __init__(
        self, runtime: Runtime, container: str, *, presumed: bool, failures_needed: int
    ) -> None:
        self._runtime = runtime
        self._container = container
        self.presumed = presumed
        self._last = TestRun(passed=True) if presumed else None
        self._needed = failures_needed
        self._failures = 0
        self._running: asyncio.Task[TestRun | None] | None = None
        self._next_at = 0.0
        self._pause = _FIRST_RUN_PAUSE_S

    async def look(self) -> TestRun | None:
        """Return the last outcome, None as long as no run has ended."""
        clock = asyncio.get_running_loop().time
        if self._running is None and clock() >= self._next_at:
            self._running = asyncio.create_task(self._runtime.run_healthcheck(self._container))
            self._next_at, self._pause = (
                clock() + self._pause,
                min(2 * self._pause, _LONGEST_RUN_PAUSE_S),
            )
        # Not a time-out around the run, which would break it off: the next look waits for it again.
        if (
            self._running is not None
            and (await asyncio.wait([self._running], timeout=_WAIT_FOR_RUN_S))[0]
        ):
            ended, self._running = self._running, None
            with contextlib.suppress(EngineError):  # the status shows what is wrong
                run = ended.result()
                if run is not None:
                    self._failures = 0 if run.passed else self._failures + 1
                    if run.passed or self._failures >= self._needed:
                        self._last = run
        return self._last

    async def aclose(self) -> None:
        """Break off the run that is under way."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
