"""The pace of sign-ins: an address that guesses waits, and longer after each wrong guess.

Counted by account and address: nobody can lock another out who comes from another address. And by
address, so that one address cannot try one password with many names.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from tagboat.core.errors import StoreUnavailableError, TooManyAttemptsError
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


class _Guesses(Struct):
    count: int = 0
    free_at: float = 0.0
    last_at: float = 0.0


class SignInAttempts:
    """Counts attempts; `clock` is in seconds and steady. The memory ends with the process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_account: OrderedDict[tuple[str, str], _Guesses] = OrderedDict()
        self._by_address: OrderedDict[str, _Guesses] = OrderedDict()

    @contextmanager
    def attempt(self, name_key: str | None, address: str) -> Iterator[None]:
        """Count an attempt, as `begin` does, which the block carries out.

        It is taken back where the block ends in StoreUnavailableError or TooManyAttemptsError: it
        has tested nothing. Raises TooManyAttemptsError where the attempt has to wait.
        """
        if wait_s := self.begin(name_key, address):
            raise TooManyAttemptsError(
                f"too many attempts: try again in {max(1, round(wait_s))} s", wait_s
            )
        try:
            yield
        except (StoreUnavailableError, TooManyAttemptsError):
            self.take_back(name_key, address)
            raise

    def begin(self, name_key: str | None, address: str) -> float:
        """Count an attempt, and return 0; or count nothing and return the seconds to wait.

        None as the account is the sign-in at a provider, which is counted apart from passwords.
        Counted before it is known to be wrong, so that a thousand at once are not all free.
        """
        now, counted = self._clock(), self._counted(name_key, address)
        wait = max(guesses.free_at for guesses, _ in counted) - now
        if wait > 0:
            return wait
        for guesses, free in counted:
            guesses.count += 1
            guesses.last_at = now
            guesses.free_at = now + _wait_s(guesses.count, free)
        return 0.0

    def succeed(self, name_key: str | None, address: str) -> None:
        """Take back the attempt that was right, and forget the wrong ones before it."""
        if name_key is not None:
            self._by_account.pop((name_key, _network_of(address)), None)
        # Only the one: else whoever has an account could guess at others without end.
        if guesses := self._by_address.get(_address_key(name_key, address)):
            guesses.count = max(0, guesses.count - 1)
            guesses.free_at = 0.0

    def take_back(self, name_key: str | None, address: str) -> None:
        """Take back an attempt that has tested nothing; those before it still count."""
        for guesses, free in self._counted(name_key, address):
            guesses.count = max(0, guesses.count - 1)
            # Not 0: else attempts that come to nothing would end the wait of wrong guesses.
            guesses.free_at = guesses.last_at + _wait_s(guesses.count, free)

    def _counted(self, name_key: str | None, address: str) -> list[tuple[_Guesses, int]]:
        """Return the guesses that an attempt counts among, each with how many are free."""
        now = self._clock()
        from_address = _guesses(self._by_address, _address_key(name_key, address), now)
        counted = [(from_address, FREE_FOR_ADDRESS)]
        if name_key is not None:
            key = name_key, _network_of(address)
            counted.append((_guesses(self._by_account, key, now), FREE_FOR_ACCOUNT))
        return counted


def _guesses(remembered: OrderedDict[T, _Guesses], key: T, now: float) -> _Guesses:
    found = remembered.get(key)
    if found is None or now - found.last_at > FORGOTTEN_AFTER_S:
        found = remembered[key] = _Guesses(last_at=now)
    remembered.move_to_end(key)
    if len(remembered) > MOST_REMEMBERED:
        remembered.popitem(last=False)
    return found


def _wait_s(count: int, free: int) -> float:
    """Return the seconds until the next attempt after `count`, of which `free` need no wait."""
    over = count - free
    # The exponent is bounded: a float has no room for thousands.
    return 0.0 if over < 0 else min(LONGEST_WAIT_S, 2.0 ** min(over, 10))


def _address_key(name_key: str | None, address: str) -> str:
    # A provider that fails for everybody in an office must not lock their passwords out.
    return _network_of(address) if name_key is not None else f"provider {_network_of(address)}"


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
