"""What is run as an image's HEALTHCHECK, and how long that may take."""

from typing import Any

import pytest

from tagboat.core.health import TestRun
from tagboat.runtime.docker.healthtest import HealthTest, health_test, last_said, needs_s, outcome

SECOND = 1_000_000_000


def config(*test: str, **check: Any) -> dict[str, Any]:  # noqa: ANN401 - as the engine says it
    return {"Healthcheck": {"Test": list(test), **check}}


@pytest.mark.parametrize(
    ("of", "test"),
    [
        (config("CMD", "/check", "-v"), HealthTest(("/check", "-v"), 30)),
        (config("CMD-SHELL", "a && b"), HealthTest(("/bin/sh", "-c", "a && b"), 30)),
        (
            config("CMD-SHELL", "a && b") | {"Shell": ["/bin/bash", "-euc"]},
            HealthTest(("/bin/bash", "-euc", "a && b"), 30),
        ),
        (config("CMD", "/check", Timeout=2 * SECOND), HealthTest(("/check",), 2)),
        (config("NONE"), None),
        (config(), None),
        (config("CMD"), None),
        ({}, None),
        ({"Healthcheck": None}, None),
    ],
)
def test_its_forms(of: dict[str, Any], test: HealthTest | None) -> None:
    assert health_test(of) == test


@pytest.mark.parametrize(
    ("of", "seconds"),
    [
        (config("CMD", "x"), 90),
        (config("CMD", "x", Interval=300 * SECOND), 900),
        (config("CMD", "x", Interval=5 * SECOND, Retries=2, StartPeriod=120 * SECOND), 130),
        (config("NONE", Interval=300 * SECOND), 0),
        ({}, 0),
    ],
)
def test_how_long_a_verdict_takes(of: dict[str, Any], seconds: float) -> None:
    assert needs_s(of) == seconds


def test_the_last_line_of_the_last_run_is_told() -> None:
    log = [{"Output": "fine"}, {"Output": "  % Total\n\x1b[31mcurl: (7) refused\x1b[0m\n\n"}]
    assert last_said({"Health": {"Log": log}}) == "curl: (7) refused"
    assert last_said({"Health": {"Log": None}}) == ""
    assert last_said({}) == ""


def test_any_other_code_than_0_is_a_failure() -> None:
    assert outcome(0, "ok\n") == TestRun(passed=True, said="ok")
    assert outcome(1, "no such table") == TestRun(passed=False, said="no such table")
    assert outcome(2, "") == TestRun(passed=False, said="its command ended with code 2")
    assert not outcome(None, "").passed
