"""Which addresses a new network gets.

Small shares of one range, for the engine's own defaults last for some thirty networks.

Each share is halved: the engine gives out addresses of its lower half as it likes, and those of the
upper half are given to containers that have to keep theirs.
"""

import hashlib
import random
from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

SHARE_BITS = 25
"""The prefix of a share: 61 containers with any address, and 62 that keep theirs.

10.112.0.0/14 has 2,048 of them.
"""
_ROUTES = Path("/proc/net/route")


def shares(pool: IPv4Network, name: str, taken: Collection[IPv4Network]) -> Iterator[IPv4Network]:
    """Return the shares of `pool` that overlap none of `taken`, from a start by `name`.

    Two who make the same network at once are so refused by the engine: it does not give one share
    twice.
    """
    count = 2 ** (SHARE_BITS - pool.prefixlen)
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % count
    # Found in a set, so that a thousand networks do not mean a thousand comparisons a share.
    small = {network for network in taken if network.prefixlen >= SHARE_BITS}
    large = [network for network in taken if network.prefixlen < SHARE_BITS]
    used = {network.supernet(new_prefix=SHARE_BITS) for network in small}
    for number in range(count):
        address = int(pool.network_address) + ((first + number) % count) * 2 ** (32 - SHARE_BITS)
        share = IPv4Network((address, SHARE_BITS))
        if share not in used and not any(share.overlaps(network) for network in large):
            yield share


def lower_half(share: IPv4Network) -> IPv4Network:
    """Return the addresses that the engine gives out by itself."""
    return next(share.subnets(1))


def kept_address(share: IPv4Network, taken: Collection[str]) -> str | None:
    """Return an address of the upper half that is not `taken`, None where all are.

    By chance: others may be choosing just now.
    """
    *_, upper = share.subnets(1)
    free = [str(address) for address in upper.hosts() if str(address) not in taken]
    return random.choice(free) if free else None  # noqa: S311 - it need not be a secret


def local_routes(pool: IPv4Network, table: Path = _ROUTES) -> list[IPv4Network]:
    """Return the routes of this machine within `pool`, none where they cannot be read.

    Those addresses are somebody's already.

    Wider ones, such as a VPN's to all of 10.0.0.0/8, are left out: they say too little.
    """
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split()
        # The kernel writes them in hexadecimal, in the byte order of the machine.
        address, mask = (
            IPv4Address(int.from_bytes(bytes.fromhex(fields[at]), "little")) for at in (1, 7)
        )
        route = IPv4Network(f"{address}/{mask}")
        if route.prefixlen >= pool.prefixlen and route.overlaps(pool):
            found.append(route)
    return found
