"""For how long a registry that fails is left alone."""

from dataclasses import replace
from datetime import datetime, timedelta

from tagboat.core.errors import RegistryError, RegistryRateLimitedError
from tagboat.core.polling import RegistryBackoff

FIRST_S = 5.0
LONGEST_S = 600.0


def next_backoff(backoff: RegistryBackoff, error: RegistryError, now: datetime) -> RegistryBackoff:
    """One outage more: wait twice as long as last time, or as long as the registry asks.

    What fails before that wait is over belongs to the same outage: one cycle asks a registry for many projects.
    """
    if not isinstance(error, RegistryRateLimitedError) and backoff.retry_at and backoff.retry_at > now:
        return replace(backoff, error=str(error))
    failures = backoff.failures + 1
    wait = min(FIRST_S * 2 ** min(failures - 1, 10), LONGEST_S)
    refused_until = error.retry_at if isinstance(error, RegistryRateLimitedError) else None
    return RegistryBackoff(
        host=backoff.host,
        failures=failures,
        error=str(error),
        retry_at=refused_until or now + timedelta(seconds=wait),
        refused_until=refused_until,
    )
