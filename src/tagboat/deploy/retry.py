"""Retries: for how long to try again when the cause of a failure may pass by itself."""

from collections.abc import Iterator
from datetime import datetime

from tagboat.core.errors import (
    DiskFullError,
    EngineUnavailableError,
    IngressUnavailableError,
    RegistryRateLimitedError,
    StoreUnavailableError,
    TagboatError,
)

LONGEST_RATE_LIMIT_S = 300.0
_REGISTRY_S = (1.0, 3.0, 9.0)
_DISK_S = (5.0, 15.0, 30.0)
_ENGINE_S = (0.5, 1.0, 2.0, *(5.0,) * 24)
"""Two minutes, for an engine that restarts, or a service manager that has to notice first."""


def delays(error: TagboatError, now: datetime) -> Iterator[float]:
    """Return the seconds to wait before each further try, none where another try is pointless."""
    if not error.retryable:
        return iter(())
    if isinstance(error, RegistryRateLimitedError) and error.retry_at is not None:
        wait = (error.retry_at - now).total_seconds()
        return iter((max(wait, 0.0) + 0.5,) if wait <= LONGEST_RATE_LIMIT_S else ())
    if isinstance(error, EngineUnavailableError | IngressUnavailableError | StoreUnavailableError):
        return iter(_ENGINE_S)
    return iter(_DISK_S if isinstance(error, DiskFullError) else _REGISTRY_S)
