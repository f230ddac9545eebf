"""Addresses that may be connected to: never link-local ones, private ones only if configured.

Registries' responses and callers of the webhook name hosts to which this server connects. At
link-local addresses clouds give a machine's credentials to every process that asks, so no registry
is ever there.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import AF_UNSPEC, AddressFamily

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

LINK_LOCAL = "is a link-local address, where no registry is asked for anything"
NOT_PUBLIC = (
    "is not a public address: nothing is asked there for a registry that is public, "
    "or that is not configured (tagboat registries add)"
)
"""Messages about such a host, to follow its name."""

_NAT64 = ip_network("64:ff9b::/96")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Parse an address; None for a name.

    An IPv6 address that embeds an IPv4 address (RFC 4291, 3056, 6052) is returned as the latter.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    # Else ::ffff:169.254.169.254 would lead to where 169.254.169.254 must not.
    embedded = (
        IPv4Address(int(address) & 0xFFFFFFFF)
        if address in _NAT64
        else address.ipv4_mapped or address.sixtofour
    )
    return embedded or address


@lru_cache(256)
def is_link_local(host: str) -> bool:
    """Return True for a link-local address (RFC 3927, RFC 4291). False for names."""
    address = address_of(host)
    return address is not None and address.is_link_local


@lru_cache(256)
def is_public(host: str) -> bool:
    """Return True for an address of the public Internet. False for names."""
    address = address_of(host)
    # Multicast counts as global, and no server is there.
    return address is not None and address.is_global and not address.is_multicast


@lru_cache(256)
def is_loopback(host: str) -> bool:
    """Return True for a loopback address. False for names."""
    address = address_of(host)
    return address is not None and address.is_loopback


@lru_cache(256)
def is_disguised(host: str) -> bool:
    """Return True for a name that systems may read as an IPv4 address: `2130706433`, `0x7f.1`.

    That is every name whose last part is a number (the URL Standard, "ends in a number").
    """
    last = host.removesuffix(".").rpartition(".")[2]
    return _NUMERIC_LABEL.fullmatch(last) is not None and address_of(host) is None


class NotAskedError(OSError):
    """A name has addresses, but none that may be connected to. The text follows the name."""


class Resolver(AbstractResolver):
    """The system's resolver without link-local addresses, and without private ones on request.

    The addresses checked are those that are then connected to. Literal addresses are not resolved
    and must be checked elsewhere.
    """

    def __init__(self, *, public_only: bool = False) -> None:
        self._system = ThreadedResolver()
        self._public_only = public_only

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the allowed addresses of `host`.

        Raises OSError if it has no address, NotAskedError if it has no allowed one.
        """
        # A check before the connection could be of another answer: DNS may change in between.
        found = await self._system.resolve(host, port, family)
        allowed = [entry for entry in found if not is_link_local(entry["host"])]
        if not allowed:
            raise NotAskedError(LINK_LOCAL)
        if self._public_only:
            allowed = [entry for entry in allowed if is_public(entry["host"])]
        if not allowed:
            raise NotAskedError(NOT_PUBLIC)
        return allowed

    async def close(self) -> None:
        """Close the system's resolver."""
        await self._system.close()
