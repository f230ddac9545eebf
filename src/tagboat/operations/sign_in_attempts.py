"""The pace of sign-ins: an address that guesses waits, and longer after each wrong guess.

Counted by account and address: nobody can lock another out who comes from another address. And by
address, so that one address cannot try one password with many names.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from tagboat.core.generics import T

FREE_FOR_ACCOUNT = 5
"""Attempts from one address at one account before the next one has to wait."""
FREE_FOR_ADDRESS = 30
"""Attempts from one address, at whatever account, before the next one has to wait."""
LONGEST_WAIT_S = 300.0
FORGOTTEN_AFTER_S = 3600.0
MOST_REMEMBERED = 10_000
"""Pairs, and addresses, that are remembered; the one that was seen first goes first."""
_IPV6_NETWORK = 64


@dataclass(slots=True)
class _Guesses:
    count: int = 0
    free_at: float = 0.0
    last_at: float = 0.0


class SignInAttempts:
    """Counts attempts; `clock` is in seconds and steady. The memory ends with the process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_account: OrderedDict[tuple[str, str], _Guesses] = OrderedDict()
        self._by_address: OrderedDict[str, _Guesses] = OrderedDict()

    def begin(self, name_key: str, address: str) -> float:
        """Count an attempt, and return 0; or count nothing and return the seconds to wait.

        Counted before it is known to be wrong, so that a thousand at once are not all free.
        """
        now, network = self._clock(), _network_of(address)
        at_account = _guesses(self._by_account, (name_key, network), now)
        from_address = _guesses(self._by_address, network, now)
        wait = max(at_account.free_at, from_address.free_at) - now
        if wait > 0:
            return wait
        _count(at_account, FREE_FOR_ACCOUNT, now)
        _count(from_address, FREE_FOR_ADDRESS, now)
        return 0.0

    def succeed(self, name_key: str, address: str) -> None:
        """Take back the attempt that was right, and forget the wrong ones before it."""
        network = _network_of(address)
        self._by_account.pop((name_key, network), None)
        # Only the one: else whoever has an account could guess at others without end.
        if guesses := self._by_address.get(network):
            guesses.count = max(0, guesses.count - 1)
            guesses.free_at = 0.0


def _guesses(remembered: OrderedDict[T, _Guesses], key: T, now: float) -> _Guesses:
    found = remembered.get(key)
    if found is None or now - found.last_at > FORGOTTEN_AFTER_S:
        found = remembered[key] = _Guesses(last_at=now)
    remembered.move_to_end(key)
    if len(remembered) > MOST_REMEMBERED:
        remembered.popitem(last=False)
    return found


def _count(guesses: _Guesses, free: int, now: float) -> None:
    guesses.count += 1
    guesses.last_at = now
    if (over := guesses.count - free) >= 0:
        # The exponent is bounded: a float has no room for thousands.
        guesses.free_at = now + min(LONGEST_WAIT_S, 2.0 ** min(over, 10))


def _network_of(address: str) -> str:
    """Return what one guesser has: an IPv4 address, or the /64 that an IPv6 host can roam in."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), _IPV6_NETWORK), strict=False))
    return address
