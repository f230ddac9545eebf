"""Parsers of the settings' values.

Each raises ValueError with a sentence about what is expected, which never repeats the value.
"""

import ipaddress
import re
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit

from tagboat.core.image import clean_path
from tagboat.core.naming import MAX_BASE_DOMAIN

DEFAULT_POOL = "10.112.0.0/14"
# Prefix lengths. Each project's network takes a /25.
_WIDEST_POOL, _SMALLEST_POOL = 8, 24
# Characters. Wrong tokens are slowed down, but a short one could still be guessed.
_SHORTEST_ADMIN_TOKEN = 20
_LOWER_CASE_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_BASE_DOMAIN = re.compile(rf"(?=.{{1,253}}$){_LOWER_CASE_LABEL}(?:\.{_LOWER_CASE_LABEL})*")
_VISIBLE = re.compile(r"[!-~]+")
# Split like SQLAlchemy does, so that no part of a password is taken for a host or port and shown
# in an error.
_DATABASE_ADDRESS = re.compile(
    r"(?:[^:/]*(?::[^@]*)?@)?(?:\[[^/?@]*\]|[^/:?@\[]*)(?::[0-9]{1,5})?(?:[/?].*)?"
)

EnumChoice = TypeVar("EnumChoice", bound=StrEnum)


def parse_listen_host(text: str) -> str:
    """Return a host name or IP address to listen on, without brackets."""
    # People write IPv6 addresses in brackets, as in URLs.
    host = text.removeprefix("[").removesuffix("]") if ":" in text else text
    if not (is_ip_address(host) or _BASE_DOMAIN.fullmatch(host.lower())):
        raise ValueError("a host name or an IP address to listen on is expected, such as 127.0.0.1")
    return host


def parse_port(text: str) -> int:
    """Return a TCP port from 1 to 65535."""
    if not (re.fullmatch("[0-9]{1,5}", text) and 0 < int(text) < 65536):  # noqa: PLR2004 - of TCP
        raise ValueError("a port from 1 to 65535 is expected")
    return int(text)


def parse_listen_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`."""
    host, _, port = text.rpartition(":")
    try:
        return parse_listen_host(host), parse_port(port)
    except ValueError:
        raise ValueError("HOST:PORT is expected, such as 127.0.0.1:7080") from None


def parse_hosts(text: str) -> tuple[str, ...]:
    """Return names and addresses in lower case from a list separated by commas; none if empty."""
    try:
        # The port does not count, but people copy it along.
        given = [re.sub(r"(?<=[^:]):[0-9]+$", "", part.strip()) for part in text.split(",")]
        return tuple(parse_listen_host(one).lower() for one in given if one)
    except ValueError:
        raise ValueError(
            "host names or addresses separated by commas are expected, such as"
            " tagboat.lan,192.168.1.5"
        ) from None


def parse_networks(text: str) -> tuple[str, ...]:
    """Return networks in CIDR notation from a list separated by commas."""
    try:
        return tuple(
            str(ipaddress.ip_network(part.strip(), strict=False)) for part in text.split(",")
        )
    except ValueError:
        raise ValueError(
            "networks or addresses separated by commas are expected, such as 127.0.0.1,10.1.0.0/16"
        ) from None


def parse_network_pool(text: str) -> ipaddress.IPv4Network:
    """Return a range of private IPv4 addresses for networks."""
    expected = (
        f"a range of private addresses from /{_WIDEST_POOL} to /{_SMALLEST_POOL} is expected, "
        f"such as {DEFAULT_POOL}"
    )
    try:
        pool = ipaddress.IPv4Network(text)
    except ValueError:
        raise ValueError(expected) from None
    usable = pool.is_private and not (pool.is_loopback or pool.is_link_local)
    if not (usable and _WIDEST_POOL <= pool.prefixlen <= _SMALLEST_POOL):
        raise ValueError(expected)
    return pool


def parse_bind_roots(text: str) -> tuple[str, ...]:
    """Return absolute, clean paths from a list separated by colons."""
    roots = [part for part in text.split(":") if part]
    if not all(
        root.startswith("/") and root == clean_path(root)
        for root in (one.rstrip("/") or "/" for one in roots)
    ):
        raise ValueError(
            "absolute paths without '..', separated by colons, are expected, such as "
            "/srv/data:/dev/dri"
        )
    return tuple(root.rstrip("/") or "/" for root in roots)


def parse_http_url(text: str) -> str:
    """Return an http(s) URL without trailing slash; empty stays empty."""
    if not text:
        return text
    expected = ValueError(
        "a URL such as https://tagboat.example.com is expected, without user, query and fragment"
    )
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        raise expected from None
    if (
        not usable
        or "@" in parts.netloc
        or "?" in text
        or "#" in text
        or not _VISIBLE.fullmatch(text)
    ):
        raise expected
    # Schemes have no case, and all that reads the URL later looks for one in lower case.
    return f"{parts.scheme}{text[len(parts.scheme) :]}".rstrip("/")


def parse_docker_host(text: str) -> str:
    """Return the address of a Docker engine: `unix://`, `tcp://` or `ssh://`."""
    if re.search(r",\s*[a-z]+://", text):
        raise ValueError("several addresses are for TAGBOAT_ENGINE=swarm: name one")
    expected = ValueError("unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST is expected")
    try:
        parts = urlsplit(text)
        is_socket = parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/")
        is_address = (
            parts.scheme in {"tcp", "ssh"}
            and parts.hostname
            and parts.port != 0
            and parts.path in {"", "/"}
        )
    except ValueError:
        raise expected from None
    if not (is_socket or is_address) or parts.password or not _VISIBLE.fullmatch(text):
        raise expected
    return f"{parts.scheme}{text[len(parts.scheme) :]}"


def parse_docker_hosts(text: str) -> tuple[str, ...]:
    """Return the addresses of the managers of a swarm, which are separated by commas."""
    return tuple(dict.fromkeys(parse_docker_host(one.strip()) for one in text.split(",")))


def parse_database_url(text: str) -> str:
    """Return a PostgreSQL URL with the scheme `postgresql://`."""
    scheme, separator, rest = text.partition("://")
    if scheme.lower() not in {"postgresql", "postgres"} or not separator or not rest:
        raise ValueError(
            "postgresql://USER:PASSWORD@HOST/DATABASE is expected; "
            "without it an SQLite file in the data directory is used"
        )
    if not _DATABASE_ADDRESS.fullmatch(rest):
        raise ValueError(
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE is expected, "
            "with %40 for an @ in the password"
        )
    return f"postgresql://{rest}"


def parse_bearer_token(text: str) -> str:
    """Return a token of visible ASCII characters."""
    if not _VISIBLE.fullmatch(text):
        raise ValueError("ASCII letters, digits and punctuation without spaces are expected")
    return text


def parse_admin_token(text: str) -> str:
    """Return a token that is long enough for an administrator."""
    if len(text) < _SHORTEST_ADMIN_TOKEN:
        raise ValueError(
            f"at least {_SHORTEST_ADMIN_TOKEN} characters are expected; "
            "'openssl rand -hex 24' makes such a token"
        )
    return parse_bearer_token(text)


def parse_base_domain(text: str) -> str:
    """Return a domain in lower case, short enough for the stages' hosts below it."""
    domain = text.lower().removesuffix(".")
    # With a numeric last label it would look like an IPv4 address.
    if not _BASE_DOMAIN.fullmatch(domain) or domain.rpartition(".")[2].isdigit():
        raise ValueError("a domain name is expected, such as apps.example.com")
    if len(domain) > MAX_BASE_DOMAIN:
        raise ValueError(
            f"a domain of at most {MAX_BASE_DOMAIN} characters is expected: "
            "the stages' names are put before it"
        )
    return domain


def choice_of(kind: type[EnumChoice]) -> Callable[[str], EnumChoice]:
    """Return a parser for the values of `kind`."""

    def parse(text: str) -> EnumChoice:
        if text not in set(kind):
            *others, last = kind
            raise ValueError(f"{', '.join(others)} or {last} is expected")
        return kind(text)

    return parse


def is_ip_address(text: str) -> bool:
    """Return whether `text` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def http_url(host: str, port: int) -> str:
    """Return `http://HOST:PORT`, an IPv6 address in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
