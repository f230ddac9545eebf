"""Through which proxy a host is asked: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as curl, Docker and Go programs read them."""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urlsplit

_SCHEME_PORTS = {"http": 80, "https": 443}
_EXPECTED = "http://HOST:PORT or http://USER:PASSWORD@HOST:PORT is expected (SOCKS, and TLS to the proxy, are not supported)"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. `host` is without brackets; `username` and `password` are empty where it wants no login."""

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Exemption:
    """An entry of NO_PROXY: a network, or a name (a leading dot: only what is below it); `port` None for all ports."""

    name: str = ""
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None

    def covers(self, host: str, port: int) -> bool:
        """Whether it exempts `host` (lower case) at `port`."""
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


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies for plain HTTP and for TLS, None for none, and what is asked without them."""

    http: Proxy | None = None
    https: Proxy | None = None
    exempt_all: bool = False
    exempt: tuple[Exemption, ...] = ()

    def of(self, scheme: str, host: str, port: int | None = None) -> Proxy | None:
        """The proxy through which `host` (a name, or an address without brackets) is asked; None: directly.

        This machine is always asked directly, by whatever name of its loopback.
        """
        proxy = self.https if scheme == "https" else self.http
        host = host.lower().removesuffix(".")
        if proxy is None or self.exempt_all or _is_this_machine(host):
            return None
        port = port or _SCHEME_PORTS[scheme]
        return None if any(exemption.covers(host, port) for exemption in self.exempt) else proxy


NO_PROXIES = Proxies()


def parse_proxy(text: str) -> Proxy | None:
    """Read HTTP_PROXY or HTTPS_PROXY, None if it is empty. Raises ValueError, which does not repeat it."""
    text = text.strip()
    if not text:
        return None
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_EXPECTED) from None
    if parts.scheme != "http" or not host or port == 0 or not host.isprintable() or " " in host:
        raise ValueError(_EXPECTED)
    return Proxy(
        host,
        port or _SCHEME_PORTS["http"],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


def parse_exemptions(text: str) -> tuple[bool, tuple[Exemption, ...]]:
    """Read NO_PROXY: whether it exempts everything (`*`), and what it exempts else.

    Entries are names (with all below them), `.names` (what is below alone), addresses and networks (CIDR), each with a port
    or without. What is none of these is passed over, as everybody does.
    """
    entries = [entry for entry in re.split(r"[,\s]+", text.lower()) if entry]
    return "*" in entries, tuple(
        found for entry in entries if (found := _exemption(entry)) is not None
    )


def _exemption(entry: str) -> Exemption | None:
    try:
        return Exemption(network=ip_network(entry, strict=False))
    except ValueError:
        pass
    name, port = _split_port(entry)
    try:
        return Exemption(network=ip_network(name, strict=False), port=port)
    except ValueError:
        pass
    name = name.removeprefix("*").removesuffix(".")
    return Exemption(name=name, port=port) if name.strip(".") else None


def _split_port(entry: str) -> tuple[str, int | None]:
    name, colon, port = entry.rpartition(":")
    if colon and port.isascii() and port.isdigit():
        return name.removeprefix("[").removesuffix("]"), int(port)
    return entry.removeprefix("[").removesuffix("]"), None


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
