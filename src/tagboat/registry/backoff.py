"""For how long a registry that fails is left alone."""

from dataclasses import replace
from datetime import datetime, timedelta

from tagboat.core.errors import RegistryError, RegistryRateLimitedError
from tagboat.core.polling import RegistryBackoff

FIRST_S = 5.0
LONGEST_S = 600.0


def next_backoff(backoff: RegistryBackoff, error: RegistryError, now: datetime) -> RegistryBackoff:
    """One outage more: wait twice as long as last time, or as long as the registry asks, if that is any time at all.

    What fails before that wait is over belongs to the same outage: one cycle asks a registry for many projects at a time.
    """
    asked = error.retry_at if isinstance(error, RegistryRateLimitedError) else None
    refused_until = asked if asked and asked > now else None
    goes_on = backoff.retry_at is not None and backoff.retry_at > now
    if goes_on and refused_until is None:
        return replace(backoff, error=str(error))
    failures = backoff.failures + (not goes_on)
    wait = min(FIRST_S * 2 ** min(failures - 1, 10), LONGEST_S)
    return RegistryBackoff(
        host=backoff.host,
        failures=failures,
        error=str(error),
        retry_at=refused_until or now + timedelta(seconds=wait),
        refused_until=refused_until,
    )
