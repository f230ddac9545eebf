"""Which addresses are asked: never those of one wire only, and private ones not for whoever comes from outside.

A registry's answers, and whoever may call the webhook, name hosts that are asked from here. At link-local addresses clouds
hand their machines' credentials to whoever asks: they are never a registry's.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import AF_UNSPEC, AddressFamily

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

LINK_LOCAL = "is a link-local address, where no registry is asked for anything"
NOT_PUBLIC = (
    "is not a public address: nothing is asked there for a registry that is public, or that nobody has added "
    "(tagboat registries add)"
)
"""What messages say of such a host, after its name."""

_NAT64 = ip_network("64:ff9b::/96")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address that `host` is, None for a name. One that only carries an IPv4 address (RFC 4291, 3056, 6052) is that."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    carried = (
        IPv4Address(int(address) & 0xFFFFFFFF)
        if address in _NAT64
        else address.ipv4_mapped or address.sixtofour
    )
    return carried or address


@lru_cache(256)
def is_link_local(host: str) -> bool:
    """Whether `host` is an address of one wire only (RFC 3927, RFC 4291). Names are none."""
    address = address_of(host)
    return address is not None and address.is_link_local


@lru_cache(256)
def is_public(host: str) -> bool:
    """Whether `host` is an address that anybody in the world may have: none of a private network or of this machine."""
    address = address_of(host)
    return address is not None and address.is_global and not address.is_multicast


@lru_cache(256)
def is_loopback(host: str) -> bool:
    """Whether `host` is an address of this machine alone. Names are none."""
    address = address_of(host)
    return address is not None and address.is_loopback


@lru_cache(256)
def is_disguised(host: str) -> bool:
    """Whether systems may read `host` as an IPv4 address though it is not written as one: `2130706433`, `0x7f.1`, `127.1`.

    That is every name whose last part is a number (the URL Standard, "ends in a number").
    """
    last = host.removesuffix(".").rpartition(".")[2]
    return _NUMBER.fullmatch(last) is not None and address_of(host) is None


class NotAskedError(OSError):
    """A name has addresses, and none of them is to be asked. The text goes on after the name."""


class Resolver(AbstractResolver):
    """The system's, without link-local addresses and, if `public_only`, without any that `is_public` denies.

    Names are judged by the very addresses that are connected to. Literal addresses do not come here.
    """

    def __init__(self, *, public_only: bool = False) -> None:
        self._system = ThreadedResolver()
        self._public_only = public_only

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of `host` that may be asked. Raises OSError if it has none, NotAskedError if only others."""
        found = await self._system.resolve(host, port, family)
        asked = [entry for entry in found if not is_link_local(entry["host"])]
        if not asked:
            raise NotAskedError(LINK_LOCAL)
        if self._public_only:
            asked = [entry for entry in asked if is_public(entry["host"])]
        if not asked:
            raise NotAskedError(NOT_PUBLIC)
        return asked

    async def close(self) -> None:
        """Nothing is kept open."""
        await self._system.close()
