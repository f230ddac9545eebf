"""How much of what a registry allows is left, so that polls on schedule leave enough for people and for pulls.

Docker Hub says it in `RateLimit-Limit: 100;w=21600` and `RateLimit-Remaining` (w is the window in seconds), on answers about
manifests; the drafts of the IETF (draft-ietf-httpapi-ratelimit-headers, up to 06) add `RateLimit-Reset`, in seconds.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tagboat.core.errors import BudgetSpentError
from tagboat.registry.site import Site

POLL_SHARE = 0.5
"""The part of a registry's limit that may be gone before polls on schedule stop asking for what counts."""
RECHECK = timedelta(minutes=10)
_DEFAULT_WINDOW = timedelta(hours=1)
_MAX_WINDOW = timedelta(hours=24)
_MAX_KEPT = 1024
_NUMBER = re.compile(r"\s*([0-9]{1,9})\s*(?:[;,]|$)", re.ASCII)
_WINDOW = re.compile(r";\s*w\s*=\s*([0-9]{1,9})\b", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a registry said at `seen_at`: `remaining` of `limit` requests (at least 1) are left in the current `window`."""

    limit: int
    remaining: int
    window: timedelta
    seen_at: datetime

    def is_spent(self, share: float, now: datetime) -> bool:
        """Whether `share` (0 to 1) of the limit is used up. What was said a whole window ago holds no longer."""
        return (
            now < self.seen_at + self.window and self.limit - self.remaining >= self.limit * share
        )


class Budgets:
    """The allowances of all registries, for each login apart. `share` as for POLL_SHARE."""

    def __init__(self, share: float = POLL_SHARE) -> None:
        self._share = share
        self._allowances: dict[Site, Allowance] = {}

    def note(self, site: Site, headers: Mapping[str, str], now: datetime) -> None:
        """Take in what an answer says; nothing if it says nothing."""
        allowance = parse_allowance(headers, now)
        if allowance is None:
            return
        self._allowances.pop(site, None)
        self._allowances[site] = allowance
        while len(self._allowances) > _MAX_KEPT:
            del self._allowances[next(iter(self._allowances))]

    def is_spent(self, site: Site, now: datetime) -> bool:
        """Whether what polls on schedule may use of a registry's limit is used up, by whomever."""
        allowance = self._allowances.get(site)
        return allowance is not None and allowance.is_spent(self._share, now)

    def expect_left(self, site: Site, now: datetime) -> None:
        """Raise BudgetSpentError if `is_spent`."""
        allowance = self._allowances.get(site)
        if allowance is None or not allowance.is_spent(self._share, now):
            return
        raise BudgetSpentError(
            f"{site.host} allows {allowance.limit} requests in {_spoken(allowance.window)}, {allowance.remaining} are left, "
            f"and polls on schedule leave the last {1 - self._share:.0%} to people and to pulls; poll by hand, or wait",
            now + RECHECK,
        )


def parse_allowance(headers: Mapping[str, str], now: datetime) -> Allowance | None:
    """Read the headers of an answer; None where they do not say both a limit and what remains of it."""
    limit = _NUMBER.match(headers.get("RateLimit-Limit", ""))
    remaining = _NUMBER.match(headers.get("RateLimit-Remaining", ""))
    if limit is None or remaining is None or int(limit[1]) == 0:
        return None
    return Allowance(int(limit[1]), min(int(remaining[1]), int(limit[1])), _window(headers), now)


def _window(headers: Mapping[str, str]) -> timedelta:
    named = _WINDOW.search(headers.get("RateLimit-Limit", "")) or _WINDOW.search(
        headers.get("RateLimit-Remaining", "")
    )
    seconds = named or _NUMBER.match(headers.get("RateLimit-Reset", ""))
    return min(timedelta(seconds=int(seconds[1])), _MAX_WINDOW) if seconds else _DEFAULT_WINDOW


def _spoken(window: timedelta) -> str:
    hours, minutes = divmod(round(window.total_seconds() / 60), 60)
    return f"{hours} h" if not minutes else f"{hours * 60 + minutes} min"
