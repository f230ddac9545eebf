"""Running an image's HEALTHCHECK by hand: the engine's own first run may be minutes away.

What to run is pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from tagboat.core.health import TestRun
from tagboat.runtime.docker.loglines import last_line

# The engine's own defaults, which it applies to 0 as well (Docker Engine API, HealthConfig).
DEFAULT_TIMEOUT_S = 30.0
_DEFAULT_INTERVAL_S = 30.0
_DEFAULT_RETRIES = 3
_DEFAULT_SHELL = ("/bin/sh", "-c")
# Durations of the API are in nanoseconds, as Go's are.
_SECOND = 1_000_000_000

ConfigJson = Mapping[str, Any]


class HealthTest(Struct, frozen=True):
    """A HEALTHCHECK's command line, and how many seconds one run may take."""

    command: tuple[str, ...]
    timeout_s: float


def health_test(config: ConfigJson) -> HealthTest | None:
    """Return the test of a container's or an image's `Config`, None without one.

    Its forms are those of the Engine API.
    """
    check: ConfigJson = config.get("Healthcheck") or {}
    # `["NONE"]` switches a HEALTHCHECK off; an empty list is what an image has that sets none.
    form, *words = check.get("Test") or ["NONE"]
    if form == "CMD" and words:
        return HealthTest(tuple(words), _to_seconds(check, "Timeout") or DEFAULT_TIMEOUT_S)
    if form == "CMD-SHELL" and words:
        shell = config.get("Shell") or _DEFAULT_SHELL
        return HealthTest((*shell, words[0]), _to_seconds(check, "Timeout") or DEFAULT_TIMEOUT_S)
    return None


def needs_s(config: ConfigJson) -> float:
    """Return how many seconds the engine may take to come to a verdict.

    Start period, and interval times retries; 0 without one.
    """
    if health_test(config) is None:
        return 0.0
    check: ConfigJson = config.get("Healthcheck") or {}
    interval = _to_seconds(check, "Interval") or _DEFAULT_INTERVAL_S
    return _to_seconds(check, "StartPeriod") + interval * (
        int(check.get("Retries") or 0) or _DEFAULT_RETRIES
    )


def last_said(state: ConfigJson) -> str:
    """One line of what the last run wrote by a container's `State`, empty where there was none."""
    runs: Sequence[ConfigJson] = (state.get("Health") or {}).get("Log") or []
    return last_line(str(runs[-1].get("Output") or "")) if runs else ""


def outcome(exit_code: int | None, written: str) -> TestRun:
    """Return what a run came to that ended with that code.

    The engine too takes any other than 0 for a failure.
    """
    said = last_line(written)
    return TestRun(passed=exit_code == 0, said=said or f"its command ended with code {exit_code}")


def _to_seconds(check: ConfigJson, name: str) -> float:
    return float(check.get(name) or 0) / _SECOND
