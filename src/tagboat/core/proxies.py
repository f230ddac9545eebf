"""HTTP proxies: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as curl, Docker and Go programs read them."""

import base64
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from msgspec import Struct

_SCHEME_PORTS = {"http": 80, "https": 443}
_EXPECTED = (
    "http://HOST:PORT or http://USER:PASSWORD@HOST:PORT is expected "
    "(SOCKS, and TLS to the proxy, are not supported)"
)


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. `host` has no brackets; `username` and `password` may be empty."""

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Exemption(Struct, frozen=True):
    """An entry of NO_PROXY: a network, or a name; `port` is None for all ports.

    A name includes all names below it; with a leading dot it is only those.
    """

    name: str = ""
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None

    def covers(self, host: str, port: int) -> bool:
        """Return True if it exempts `host` (lower case) at `port`."""
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            try:
                return ip_address(host) in self.network
            except ValueError:
                return False
        return host == self.name or host.endswith(
            self.name if self.name.startswith(".") else f".{self.name}"
        )


class Proxies(Struct, frozen=True):
    """The proxies for plain HTTP and for TLS, None for none, and the hosts reached without them."""

    http: Proxy | None = None
    https: Proxy | None = None
    exempt_all: bool = False
    exempt: tuple[Exemption, ...] = ()

    def of(self, scheme: str, host: str, port: int | None = None) -> Proxy | None:
        """Return the proxy for `host` (a name, or an address without brackets); None: directly.

        This machine is always reached directly, by any name or address of its loopback.
        """
        proxy = self.https if scheme == "https" else self.http
        host = host.lower().removesuffix(".")
        # For a proxy, localhost is another machine.
        if proxy is None or self.exempt_all or is_loopback_host(host):
            return None
        port = port or _SCHEME_PORTS[scheme]
        return None if any(exemption.covers(host, port) for exemption in self.exempt) else proxy


NO_PROXIES = Proxies()


def parse_proxy(text: str) -> Proxy | None:
    """Parse HTTP_PROXY or HTTPS_PROXY, None if it is empty.

    Raises ValueError that does not repeat it: it may hold a password.
    """
    text = text.strip()
    if not text:
        return None
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        # The cause is left out: it would repeat the password.
        raise ValueError(_EXPECTED) from None
    # `hostname` accepts what can never be resolved, such as a host with a space.
    if parts.scheme != "http" or not host or port == 0 or not host.isprintable() or " " in host:
        raise ValueError(_EXPECTED)
    return Proxy(
        host,
        port or _SCHEME_PORTS["http"],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


def parse_exemptions(text: str) -> tuple[bool, tuple[Exemption, ...]]:
    """Parse NO_PROXY: whether it exempts everything (`*`), and its entries.

    Entries are names (with all below them), `.names` (only those below), addresses and networks
    (CIDR), each with or without a port. Invalid entries are skipped, as other programs do.
    """
    entries = [entry for entry in re.split(r"[,\s]+", text.lower()) if entry]
    return "*" in entries, tuple(
        found for entry in entries if (found := parse_exemption(entry)) is not None
    )


def parse_exemption(entry: str) -> Exemption | None:
    """Parse an entry of NO_PROXY, None if it is invalid."""
    try:
        return Exemption(network=ip_network(entry, strict=False))
    except ValueError:
        pass
    # Without brackets, the end of an IPv6 address looks like a port; the first attempt took those.
    name, port = entry, None
    before, colon, digits = entry.rpartition(":")
    if colon and digits.isascii() and digits.isdigit():
        name, port = before, int(digits)
    name = name.removeprefix("[").removesuffix("]")
    try:
        return Exemption(network=ip_network(name, strict=False), port=port)
    except ValueError:
        pass
    # `*.example.com` is not standard, but common.
    name = name.removeprefix("*").removesuffix(".")
    return Exemption(name=name, port=port) if name.strip(".") else None


def is_loopback_host(host: str) -> bool:
    """Return True for a name or an address of this machine's loopback."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    # ::ffff:127.0.0.1 is this machine too, and not to is_loopback in every Python.
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def proxy_login(proxy: Proxy | None) -> dict[str, str]:
    """Return the header that logs in at the proxy, none if it needs no login."""
    if proxy is None or not (proxy.username or proxy.password):
        return {}
    pair = f"{proxy.username}:{proxy.password}".encode()
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}
