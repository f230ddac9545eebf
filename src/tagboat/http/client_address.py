"""The address of a caller, also of one that comes through a front."""

import ipaddress
from collections.abc import Sequence

from starlette.types import Scope

_FORWARDED_FOR = b"x-forwarded-for"


class ClientAddress:
    """Finds the IP address of a caller. `trusted` are the networks (CIDR) of our fronts.

    A front appends the address that it was called from to `X-Forwarded-For`: read from the end, the
    first address that is not a front's is the caller's. What comes before it, anybody can write.
    """

    def __init__(self, trusted: Sequence[str]) -> None:
        self._trusted = [ipaddress.ip_network(one) for one in trusted]

    def find(self, scope: Scope) -> str:
        """Return the address of the caller, empty where it has none."""
        found = scope["client"][0] if scope.get("client") else ""
        hops = ",".join(
            value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED_FOR
        )
        for hop in reversed(hops.split(",") if hops else []):
            caller = read_address(found)
            if caller is None or not any(caller in network for network in self._trusted):
                break
            try:
                found = str(ipaddress.ip_address(hop.strip()))
            except ValueError:
                break
        return str(found)


def read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a text is, None for any other text."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket for both families reports IPv4 callers as ::ffff:127.0.0.1 (RFC 4291, 2.5.5.2).
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
