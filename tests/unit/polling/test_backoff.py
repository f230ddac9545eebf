"""For how long a registry that fails is left alone."""

from datetime import UTC, datetime, timedelta

import pytest

from tagboat.core.errors import RegistryError, RegistryRateLimitedError, RegistryUnreachableError
from tagboat.core.polling import RegistryBackoff
from tagboat.polling.backoff import FIRST_BACKOFF_S, LONGEST_BACKOFF_S, next_backoff

NOW = datetime(2026, 11, 28, tzinfo=UTC)
BEFORE = RegistryBackoff(host="git.example.com")
DOWN = RegistryUnreachableError("down")
BUSY = RegistryRateLimitedError("too many requests")


def busy_for(seconds: float) -> RegistryRateLimitedError:
    return RegistryRateLimitedError("too many requests", NOW + timedelta(seconds=seconds))


def waits(backoff: RegistryBackoff, now: datetime = NOW) -> float:
    assert backoff.retry_at is not None
    return (backoff.retry_at - now).total_seconds()


@pytest.mark.parametrize("error", [DOWN, BUSY, busy_for(0), busy_for(-1)])
def test_each_outage_doubles_the_wait(error: RegistryError) -> None:
    backoff, now, found = BEFORE, NOW, []
    for _ in range(9):
        backoff = next_backoff(backoff, error, now)
        assert backoff.refused_until is None
        found.append(waits(backoff, now))
        assert backoff.retry_at is not None
        now = backoff.retry_at
    assert found == [FIRST_BACKOFF_S * 2**count for count in range(7)] + [LONGEST_BACKOFF_S] * 2


@pytest.mark.parametrize("error", [DOWN, BUSY, busy_for(0), busy_for(60)])
def test_what_many_repositories_meet_at_a_time_is_one_outage(error: RegistryError) -> None:
    first = next_backoff(BEFORE, error, NOW)
    backoff = first
    for _ in range(24):
        backoff = next_backoff(backoff, error, NOW)
    assert backoff == first
    assert backoff.failures == 1


def test_it_is_left_alone_for_as_long_as_it_asks() -> None:
    backoff = next_backoff(next_backoff(BEFORE, DOWN, NOW), busy_for(90), NOW)
    assert (waits(backoff), backoff.refused_until) == (90, backoff.retry_at)
    assert next_backoff(backoff, DOWN, NOW).refused_until == backoff.refused_until
