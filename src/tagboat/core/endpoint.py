"""Endpoints: the addresses at which the ingress and health checks reach instances."""

from dataclasses import dataclass

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A TCP endpoint: a host name or an IPv4 address, and a port from 1 to 65535."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def loopback_endpoint(port: int) -> Endpoint | None:
    """Return the endpoint of a port of this machine's loopback address, None for port 0."""
    # Published on the loopback only, so that no client reaches an instance past the ingress.
    return Endpoint(LOOPBACK, port) if port else None
