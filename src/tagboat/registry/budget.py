"""Rate limits: polls on schedule leave a part of what a registry allows to people and to pulls.

Docker Hub sends `RateLimit-Limit: 100;w=21600` and `RateLimit-Remaining` (w is the window in
seconds) with responses about manifests; the drafts of the IETF
(draft-ietf-httpapi-ratelimit-headers, up to 06) add `RateLimit-Reset`, in seconds.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from tagboat.core.errors import BudgetSpentError
from tagboat.registry.endpoint import RegistryEndpoint

POLL_SHARE = 0.5
"""The part of a registry's limit that may be used up before polls on schedule stop."""
RECHECK = timedelta(minutes=10)
_DEFAULT_WINDOW = timedelta(hours=1)
_MAX_WINDOW = timedelta(hours=24)
_MAX_ALLOWANCES = 1024
_COUNT = re.compile(r"\s*([0-9]{1,9})\s*(?:[;,]|$)", re.ASCII)
_WINDOW = re.compile(r";\s*w\s*=\s*([0-9]{1,9})\b", re.ASCII | re.IGNORECASE)


class Allowance(Struct, frozen=True):
    """A registry's rate limit, as it was reported at `seen_at`.

    `remaining` of `limit` requests (at least 1) are left in the current `window`.
    """

    limit: int
    remaining: int
    window: timedelta
    seen_at: datetime

    def is_spent(self, share: float, now: datetime) -> bool:
        """Return True if `share` (0 to 1) of the limit is used up. False once it is outdated."""
        # An outdated value would stop polls for ever: without requests, no response corrects it.
        is_current = now < self.seen_at + self.window
        return is_current and self.limit - self.remaining >= self.limit * share


class Budgets:
    """The allowances of all registries, separate for each login. `share` as for POLL_SHARE."""

    def __init__(self, share: float = POLL_SHARE) -> None:
        self._share = share
        self._allowances: dict[RegistryEndpoint, Allowance] = {}

    def note(self, endpoint: RegistryEndpoint, headers: Mapping[str, str], now: datetime) -> None:
        """Keep the allowance that a response reports, if it does."""
        allowance = parse_allowance(headers, now)
        if allowance is None:
            return
        # Moved to the end: the ones not heard of for longest are dropped first.
        self._allowances.pop(endpoint, None)
        self._allowances[endpoint] = allowance
        while len(self._allowances) > _MAX_ALLOWANCES:
            del self._allowances[next(iter(self._allowances))]

    def is_spent(self, endpoint: RegistryEndpoint, now: datetime) -> bool:
        """Return True if the share of polls on schedule is used up, by any caller."""
        allowance = self._allowances.get(endpoint)
        return allowance is not None and allowance.is_spent(self._share, now)

    def expect_left(self, endpoint: RegistryEndpoint, now: datetime) -> None:
        """Raise BudgetSpentError if `is_spent`."""
        allowance = self._allowances.get(endpoint)
        if allowance is None or not allowance.is_spent(self._share, now):
            return
        hours, minutes = divmod(round(allowance.window.total_seconds() / 60), 60)
        window = f"{hours} h" if not minutes else f"{hours * 60 + minutes} min"
        raise BudgetSpentError(
            f"{endpoint.host} allows {allowance.limit} requests in {window}, "
            f"{allowance.remaining} are left, and polls on schedule leave the last "
            f"{1 - self._share:.0%} to people and to pulls; poll by hand, or wait",
            now + RECHECK,
        )


def parse_allowance(headers: Mapping[str, str], now: datetime) -> Allowance | None:
    """Parse a response's headers; None unless they have both a limit and how much remains."""
    limit = _COUNT.match(headers.get("RateLimit-Limit", ""))
    remaining = _COUNT.match(headers.get("RateLimit-Remaining", ""))
    # A limit of 0 would count as used up for ever.
    if limit is None or remaining is None or int(limit[1]) == 0:
        return None
    seconds = (
        _WINDOW.search(headers.get("RateLimit-Limit", ""))
        or _WINDOW.search(headers.get("RateLimit-Remaining", ""))
        or _COUNT.match(headers.get("RateLimit-Reset", ""))
    )
    window = timedelta(seconds=int(seconds[1])) if seconds else _DEFAULT_WINDOW
    return Allowance(
        int(limit[1]), min(int(remaining[1]), int(limit[1])), min(window, _MAX_WINDOW), now
    )
