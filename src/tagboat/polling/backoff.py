"""Backoff: how long a registry that fails is left alone, and when it counts as failing."""

from collections import defaultdict
from datetime import datetime, timedelta

from tagboat.core.catalog import Project
from tagboat.core.errors import (
    BudgetSpentError,
    RegistryError,
    RegistryRateLimitedError,
    RegistryUnreachableError,
)
from tagboat.core.polling import RegistryBackoff
from tagboat.core.values import replace

FIRST_BACKOFF_S = 5.0
LONGEST_BACKOFF_S = 600.0
MIN_FAILING = 3
"""Repositories in a row that must fail before their registry is backed off; one may be broken."""


class RegistryOutages:
    """The backoff of each registry host, and the projects whose polls there have just failed."""

    def __init__(self) -> None:
        self._backoffs: dict[str, RegistryBackoff] = {}
        self._failing: defaultdict[str, set[str]] = defaultdict(set)
        self._sizes: dict[str, int] = {}

    def backoff(self, host: str) -> RegistryBackoff:
        """Return the backoff in force; one without failures if none is known."""
        return self._backoffs.get(host) or RegistryBackoff(host=host)

    def set_backoff(self, backoff: RegistryBackoff) -> None:
        """Keep the backoff of a host, as it is on record."""
        self._backoffs[backoff.host] = backoff

    def set_size(self, host: str, projects: int) -> None:
        """Keep how many projects are polled at a host."""
        self._sizes[host] = projects

    def note_size(self, host: str, projects: int) -> None:
        """Keep how many projects are polled at a host, if that is not known yet."""
        self._sizes.setdefault(host, projects)

    def end(self, host: str) -> None:
        """Forget all failures of a host: it has answered."""
        self._failing.pop(host, None)
        self._backoffs[host] = RegistryBackoff(host=host)

    def is_outage(self, project: Project, error: RegistryError) -> bool:
        """Return True if the registry as a whole fails, and not only for this project's repository.

        Counts the failure.
        """
        if isinstance(error, RegistryRateLimitedError):
            # A spent budget stops the requests that count; listing tags and HEAD may go on.
            return not isinstance(error, BudgetSpentError)
        if not isinstance(error, RegistryUnreachableError):
            return False
        # A set: a project that is polled again and again does not make an outage.
        failing = self._failing[project.image.host]
        failing.add(project.id)
        return len(failing) >= min(MIN_FAILING, self._sizes.get(project.image.host, 1))


def next_backoff(backoff: RegistryBackoff, error: RegistryError, now: datetime) -> RegistryBackoff:
    """Return the backoff after one more failure.

    It lasts twice as long as the previous one, or until the registry's `Retry-After`.
    """
    asked = error.retry_at if isinstance(error, RegistryRateLimitedError) else None
    refused_until = asked if asked and asked > now else None
    goes_on = backoff.retry_at is not None and backoff.retry_at > now
    # One cycle asks for many projects at a time: all their failures are one outage.
    if goes_on and refused_until is None:
        return replace(backoff, error=str(error))
    failures = backoff.failures + (not goes_on)
    # The exponent is limited too: 2 to the power of thousands is no float.
    wait_s = min(FIRST_BACKOFF_S * 2 ** min(failures - 1, 10), LONGEST_BACKOFF_S)
    return RegistryBackoff(
        host=backoff.host,
        failures=failures,
        error=str(error),
        retry_at=refused_until or now + timedelta(seconds=wait_s),
        refused_until=refused_until,
    )
