"""Use of each webhook URL in the recent past, so that nobody who knows one can fill the disk.

The limits are far above what any forge and CI send. The least needed goes first: the bodies of
calls, then the record of refused ones. Only a caller that queues ever more deploys is told to
wait.
"""

import time
from collections.abc import Callable

from msgspec import Struct, field

from tagboat.core.rate import Bucket, Rate

BYTES = Rate(per_s=16 * 1024, burst=8 * 1024 * 1024)
"""Bytes of calls and answers that are kept in full."""
REFUSED_CALLS = Rate(per_s=5, burst=300)
"""Refused calls that are kept."""
DEPLOYS = Rate(per_s=100, burst=200_000)
"""Deploys that are queued, each of which stays on record."""


class _Usage(Struct):
    bytes: Bucket = field(default_factory=lambda: Bucket(BYTES.burst))
    refused: Bucket = field(default_factory=lambda: Bucket(REFUSED_CALLS.burst))
    deploys: Bucket = field(default_factory=lambda: Bucket(DEPLOYS.burst))


class Ledger:
    """Counts for each URL: None is the global one, others go by the ids of their webhooks.

    `now` returns the seconds of a monotonic clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._usages: dict[str | None, _Usage] = {}

    def keeps_whole(self, hook_id: str | None) -> bool:
        """Return True where one more call is kept with its body."""
        return not self._usage(hook_id).bytes.wait(BYTES, self._now())

    def kept(self, hook_id: str | None, size: int) -> None:
        """Count `size` bytes of a call that was kept."""
        self._count(self._usage(hook_id).bytes, BYTES, size)

    def keeps_refused(self, hook_id: str | None) -> bool:
        """Return True where one more refused call is kept, and count it then."""
        bucket = self._usage(hook_id).refused
        if bucket.wait(REFUSED_CALLS, self._now()):
            return False
        self._count(bucket, REFUSED_CALLS, 1)
        return True

    def queued(self, hook_id: str | None, deploys: int) -> None:
        """Count deploys that a call has queued."""
        self._count(self._usage(hook_id).deploys, DEPLOYS, deploys)

    def wait_s(self, hook_id: str | None) -> float:
        """Return the seconds until calls of the URL may queue more deploys; 0 for now."""
        return self._usage(hook_id).deploys.wait(DEPLOYS, self._now())

    def _count(self, bucket: Bucket, rate: Rate, number: int) -> None:
        # Called for its effect: it fills the bucket up first.
        bucket.wait(rate, self._now())
        bucket.tokens -= number

    def _usage(self, hook_id: str | None) -> _Usage:
        return self._usages.setdefault(hook_id, _Usage())
