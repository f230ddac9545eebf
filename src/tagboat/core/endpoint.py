"""Endpoints: the addresses at which the ingress and health checks reach instances."""

from collections.abc import Sequence
from ipaddress import IPv4Address

from msgspec import Struct

LOOPBACK = "127.0.0.1"


class Endpoint(Struct, frozen=True):
    """A TCP endpoint: a host name or an IPv4 address, and a port from 1 to 65535."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def is_ipv4(host: str) -> bool:
    """Return whether a host is an IPv4 address, not a name."""
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


def only_loopback(endpoints: Sequence[Endpoint]) -> Endpoint | None:
    """Return the one endpoint if it is all there is and of this machine's loopback, else None."""
    if len(endpoints) == 1 and endpoints[0].host == LOOPBACK:
        return endpoints[0]
    return None


def loopback_endpoint(port: int) -> Endpoint | None:
    """Return the endpoint of a port of this machine's loopback address, None for port 0."""
    # Published on the loopback only, so that no client reaches an instance past the ingress.
    return Endpoint(LOOPBACK, port) if port else None
