"""Rates, and token buckets that enforce them."""

from msgspec import Struct


class Rate(Struct, frozen=True):
    """A rate: `burst` at once, and `per_s` a second on average."""

    per_s: float
    burst: int


class Bucket(Struct):
    """The tokens left at the time `at` (seconds of a monotonic clock); below 0 if overdrawn."""

    tokens: float
    at: float = 0.0

    def wait(self, rate: Rate, now: float) -> float:
        """Fill up, and return the seconds until there is a whole token."""
        # A caller may have read the clock a moment before the last one.
        if now > self.at:
            self.tokens = min(rate.burst, self.tokens + (now - self.at) * rate.per_s)
            self.at = now
        return 0.0 if self.tokens >= 1 else (1 - self.tokens) / rate.per_s
