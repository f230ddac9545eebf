"""Kinds of IP addresses, as they are written in URLs: link-local, loopback, public, disguised."""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

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
