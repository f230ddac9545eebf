"""Rates, and the token buckets that hold to them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` at once, and `per_s` a second in the long run."""

    per_s: float
    burst: int


@dataclass(slots=True)
class Bucket:
    """What is left of a burst, as of `at` (seconds of a steady clock); below 0 where more was taken than there was."""

    tokens: float
    at: float = 0.0

    def wait(self, rate: Rate, now: float) -> float:
        """Fill up, and say how many seconds it is until there is a whole token."""
        if now > self.at:
            self.tokens = min(rate.burst, self.tokens + (now - self.at) * rate.per_s)
            self.at = now
        return 0.0 if self.tokens >= 1 else (1 - self.tokens) / rate.per_s
