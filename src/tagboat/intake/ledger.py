"""How much each webhook URL has brought of late, so that whoever knows one does not fill the disk.

The limits are far above what any forge and CI send. What is least needed goes first: the bodies of calls, then the record of
those that were refused; only who has ever more deployed is told to come back later.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tagboat.core.rate import Bucket, Rate

BYTES = Rate(per_s=16 * 1024, burst=8 * 1024 * 1024)
"""Bytes of calls and answers that are kept whole."""
REFUSED = Rate(per_s=5, burst=300)
"""Calls on record that were refused."""
DEPLOYS = Rate(per_s=100, burst=200_000)
"""Deploys queued, each of which stays on record."""


@dataclass(slots=True)
class _Account:
    bytes: Bucket = field(default_factory=lambda: Bucket(BYTES.burst))
    refused: Bucket = field(default_factory=lambda: Bucket(REFUSED.burst))
    deploys: Bucket = field(default_factory=lambda: Bucket(DEPLOYS.burst))


class Ledger:
    """Counts for each URL: None is the global one, others go by the ids of their hooks. `now` is a steady clock's seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._accounts: dict[str | None, _Account] = {}

    def keeps_whole(self, hook_id: str | None) -> bool:
        """Whether one more call is kept with its body."""
        return not self._account(hook_id).bytes.wait(BYTES, self._now())

    def kept(self, hook_id: str | None, size: int) -> None:
        """Count `size` bytes of a call that was kept."""
        self._count(self._account(hook_id).bytes, BYTES, size)

    def keeps_refused(self, hook_id: str | None) -> bool:
        """Whether one more call that was refused is kept; counted where it is."""
        bucket = self._account(hook_id).refused
        if bucket.wait(REFUSED, self._now()):
            return False
        self._count(bucket, REFUSED, 1)
        return True

    def queued(self, hook_id: str | None, deploys: int) -> None:
        """Count deploys that a call has queued."""
        self._count(self._account(hook_id).deploys, DEPLOYS, deploys)

    def wait_s(self, hook_id: str | None) -> float:
        """Seconds until calls of the URL may have more deployed; 0 for now."""
        return self._account(hook_id).deploys.wait(DEPLOYS, self._now())

    def _count(self, bucket: Bucket, rate: Rate, number: int) -> None:
        bucket.wait(rate, self._now())  # fills it up first
        bucket.tokens -= number

    def _account(self, hook_id: str | None) -> _Account:
        return self._accounts.setdefault(hook_id, _Account())
