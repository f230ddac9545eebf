"""Rate limits by token buckets, for each address and for all, and a throttle for refusals."""

from collections import OrderedDict

from tagboat.core.rate import Bucket, Rate

MAX_ADDRESSES = 10_000
"""Addresses that are remembered; the one that was silent longest is forgotten first."""

MAX_WAIT_S = 1.0
"""The longest wait in a throttle, however many callers wait."""


class Limiter:
    """Counts calls against a rate for each address and one for all together."""

    def __init__(self, each: Rate, together: Rate) -> None:
        self._each = each
        self._together = together
        self._all = Bucket(together.burst)
        self._by_address: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, address: str, now: float) -> float:
        """Count one call at `now` (seconds of a steady clock).

        Return 0 if it is within the rates, else the seconds until one will be.
        """
        bucket = self._by_address.get(address)
        if bucket is None:
            bucket = self._by_address[address] = Bucket(self._each.burst, now)
            if len(self._by_address) > MAX_ADDRESSES:
                self._by_address.popitem(last=False)
        else:
            self._by_address.move_to_end(address)
        wait, wait_together = bucket.wait(self._each, now), self._all.wait(self._together, now)
        if wait or wait_together:
            return max(wait, wait_together)
        bucket.tokens -= 1
        self._all.tokens -= 1
        return 0.0


class Throttle:
    """Lets single callers through at once, and of a crowd `per_s` a second, one by one.

    Callers wait for an answer before they call again, so a few that flood are slowed down and
    leave the processor to others.
    """

    def __init__(self, per_s: float) -> None:
        self._each_s = 1 / per_s
        self._free_at = 0.0

    def wait(self, now: float) -> float:
        """Queue up at `now` (seconds of a steady clock); return the wait in s, up to `MAX_WAIT_S`."""
        turn = min(max(self._free_at, now), now + MAX_WAIT_S)
        self._free_at = turn + self._each_s
        return turn - now
