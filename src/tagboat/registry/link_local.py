"""Addresses of one wire only, where clouds hand their machines' credentials to whoever asks: never a registry's.

A registry's answers, and whoever may call the webhook, name hosts that are asked from here.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from socket import AF_UNSPEC, AddressFamily

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver


@lru_cache(256)
def is_link_local(host: str) -> bool:
    """Whether `host` is such an address (RFC 3927, RFC 4291), also one written as IPv6. Names are none."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_link_local


class Resolver(AbstractResolver):
    """The system's, without link-local addresses."""

    def __init__(self) -> None:
        self._system = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC) -> list[ResolveResult]:
        """The addresses of `host`. Raises OSError if it has none, or only link-local ones."""
        found = [entry for entry in await self._system.resolve(host, port, family) if not is_link_local(entry["host"])]
        if not found:
            raise OSError(None, "only link-local addresses")
        return found

    async def close(self) -> None:
        """Nothing is kept open."""
        await self._system.close()
