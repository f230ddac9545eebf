"""Tagboat's settings: read once from the environment, by the server also from `.env` in the working directory.

A variable of the real environment wins over `.env`; an empty one counts as not set. `NAME_FILE` gives a secret by the file it
is in. In `.env` values are taken literally, without `${…}`; a relative path is relative to the working directory.
Every complaint is a SettingsError of one line that names the variable, and never repeats the value of a secret.
"""

import ipaddress
import logging
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from tagboat.core.errors import SettingsError
from tagboat.core.image import clean_path
from tagboat.core.naming import MAX_BASE_DOMAIN
from tagboat.core.proxies import Proxies, Proxy, parse_exemptions, parse_proxy
from tagboat.core.schedule import parse_schedule
from tagboat.variables import Variables

IN_THE_CLEAR = (
    "the engine is on another machine and spoken to without TLS: passwords and secrets cross the network in the clear, and "
    "whoever reaches its port is root there; set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use ssh://USER@HOST"
)
NO_HAPROXY = (
    "HAProxy is not installed: stages have no addresses, and no deploy is switched, watched or taken back under traffic. "
    "Install it (sudo apt install haproxy) and restart Tagboat, or set TAGBOAT_INGRESS=none to run without it"
)
_LOCAL_ENGINE = "unix:///var/run/docker.sock"
DEFAULT_POOL = "10.112.0.0/14"
_WIDEST_POOL, _SMALLEST_POOL = 8, 24
_SHORTEST_ADMIN_TOKEN = 20
# Debian keeps haproxy where the PATH of an ordinary user does not look.
_SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_VISIBLE = re.compile(r"[!-~]+")
# As SQLAlchemy cuts it, so that no part of a password is ever taken for a host or a port and told in an error.
_DATABASE_ADDRESS = re.compile(
    r"(?:[^:/]*(?::[^@]*)?@)?(?:\[[^/?@]*\]|[^/:?@\[]*)(?::[0-9]{1,5})?(?:[/?].*)?"
)


class IngressKind(StrEnum):
    """Who leads traffic to the stages."""

    HAPROXY = "haproxy"
    NONE = "none"


class LogFormat(StrEnum):
    """`console` is for eyes, `json` one object a line for programs."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The least important lines that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """That of Python's logging."""
        return logging.getLevelNamesMapping()[self.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerEndpoint:
    """Where the engine is: `unix:///PATH`, `tcp://HOST[:PORT]` or `ssh://[USER@]HOST[:PORT]`.

    `tls_verify`: tcp is spoken over TLS; `cert_path` is the directory with `ca.pem`, `cert.pem` and `key.pem` for that,
    None for the system's certificates.
    """

    url: str
    tls_verify: bool = False
    cert_path: Path | None = None

    @property
    def is_exposed(self) -> bool:
        """Whether what is said to the engine, secrets included, goes over a network in the clear."""
        host = urlsplit(self.url).hostname or ""
        local = host == "localhost" or (
            _is_ip_address(host) and ipaddress.ip_address(host).is_loopback
        )
        return self.url.startswith("tcp://") and not self.tls_verify and not local


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the server runs with.

    `port` is 1 to 65535; `data_dir` is absolute; `database_url` is `postgresql://…`, None for SQLite in `data_dir`;
    `public_url` has no trailing slash; `ingress_listen` is host and port; `ingress_trusted` are the networks (CIDR) of fronts
    whose X-Forwarded-* headers are believed; `base_domain` is in lower case; `poll_schedule` is
    the text of a valid schedule. `network_pool` is the range of addresses that networks are made from. `bind_roots` are
    absolute paths of the engine's machine that containers may be given, with what is below them. `proxies` are those of the
    environment, for registries. `ingress_is_default`: nobody has said which ingress, or where it listens;
    `ingress_is_missing`: there is none only because HAProxy is not installed.
    """

    host: str
    port: int
    data_dir: Path
    database_url: str | None = field(repr=False)
    docker: DockerEndpoint
    proxies: Proxies
    public_url: str
    admin_token: str | None = field(repr=False)
    ingress: IngressKind
    ingress_is_default: bool
    ingress_is_missing: bool
    ingress_listen: tuple[str, int]
    ingress_trusted: tuple[str, ...]
    base_domain: str
    bind_roots: tuple[str, ...]
    network_pool: ipaddress.IPv4Network
    poll_schedule: str
    log_format: LogFormat
    log_level: LogLevel

    @property
    def why_no_ingress(self) -> str:
        """A sentence for a person, where `ingress` is none."""
        return (
            NO_HAPROXY
            if self.ingress_is_missing
            else "TAGBOAT_INGRESS is none: instances answer at their own loopback ports"
        )

    @property
    def listen_url(self) -> str:
        """`http://HOST:PORT` as a browser takes it."""
        return _http_url(self.host, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettings:
    """Which server the command line speaks to, None for the one on this machine; `url` has no trailing slash."""

    url: str | None
    token: str | None = field(repr=False)


def load_settings(
    environ: Mapping[str, str], *, cwd: Path, is_tty: bool, dotenv: bool = True
) -> Settings:
    """Read the server's settings; `is_tty` says whether stderr is a terminal. Raise SettingsError for what cannot be used.

    Without `dotenv` the file `.env` is left alone: whoever has written that of some directory is not to say where the command
    line finds its server, and sends its token.
    """
    variables = Variables.read(environ, cwd, dotenv=dotenv)
    host = variables.parse("TAGBOAT_HOST", _parse_host, default="127.0.0.1")
    port = variables.parse("TAGBOAT_PORT", _parse_port, default="7070")
    ingress = _ingress(variables)
    return Settings(
        host=host,
        port=port,
        data_dir=variables.parse(
            "TAGBOAT_DATA_DIR", variables.path, default="~/.local/share/tagboat"
        ),
        database_url=variables.parse_secret("TAGBOAT_DATABASE_URL", _parse_database_url),
        docker=_docker(variables),
        proxies=_proxies(variables),
        public_url=variables.parse(
            "TAGBOAT_PUBLIC_URL", _parse_http_url, default=_http_url(host, port)
        ),
        admin_token=variables.parse_secret("TAGBOAT_ADMIN_TOKEN", _parse_admin_token),
        ingress=ingress,
        ingress_is_default=not {"TAGBOAT_INGRESS", "TAGBOAT_INGRESS_LISTEN"}
        & variables.values.keys(),
        ingress_is_missing=ingress is IngressKind.NONE
        and "TAGBOAT_INGRESS" not in variables.values,
        ingress_listen=variables.parse(
            "TAGBOAT_INGRESS_LISTEN", _parse_listen, default="127.0.0.1:7080"
        ),
        ingress_trusted=variables.parse(
            "TAGBOAT_INGRESS_TRUSTED", _parse_networks, default="127.0.0.0/8,::1"
        ),
        base_domain=variables.parse("TAGBOAT_BASE_DOMAIN", _parse_domain, default="localhost"),
        bind_roots=variables.parse("TAGBOAT_BIND_ROOTS", _parse_bind_roots, default=""),
        network_pool=variables.parse("TAGBOAT_NETWORK_POOL", _parse_pool, default=DEFAULT_POOL),
        poll_schedule=variables.parse(
            "TAGBOAT_POLL_SCHEDULE", lambda text: parse_schedule(text).text, default="@every 5m"
        ),
        log_format=variables.parse(
            "TAGBOAT_LOG_FORMAT", _choice(LogFormat), default="console" if is_tty else "json"
        ),
        log_level=variables.parse("TAGBOAT_LOG_LEVEL", _choice(LogLevel), default="info"),
    )


def load_remote_settings(environ: Mapping[str, str], *, cwd: Path) -> RemoteSettings:
    """Read what only the command line uses, never from `.env`; the server's settings are not judged. Raise SettingsError."""
    variables = Variables.read(environ, cwd, dotenv=False)
    return RemoteSettings(
        url=variables.parse(
            "TAGBOAT_URL", lambda text: _parse_http_url(text).removesuffix("/api"), default=""
        )
        or None,
        token=variables.parse_secret("TAGBOAT_TOKEN", _parse_token),
    )


def _docker(variables: Variables) -> DockerEndpoint:
    name = "TAGBOAT_DOCKER_HOST" if "TAGBOAT_DOCKER_HOST" in variables.values else "DOCKER_HOST"
    url = variables.parse(name, _parse_docker_host, default=_LOCAL_ENGINE)
    # As with Docker's own client, any value switches TLS on; unlike there, the server's certificate is always verified.
    wants_tls = "DOCKER_TLS_VERIFY" in variables.values or "DOCKER_CERT_PATH" in variables.values
    if not (url.startswith("tcp://") and wants_tls):
        return DockerEndpoint(url=url)
    directory = variables.parse("DOCKER_CERT_PATH", variables.path, default="~/.docker")
    is_given = "DOCKER_CERT_PATH" in variables.values or (directory / "ca.pem").exists()
    return DockerEndpoint(url=url, tls_verify=True, cert_path=directory if is_given else None)


def _proxies(variables: Variables) -> Proxies:
    """HTTP_PROXY and its kin. As for Go programs, the engine among them, the upper case counts before the lower."""

    def proxy(name: str) -> Proxy | None:
        return variables.parse(
            name if name in variables.values else name.lower(), parse_proxy, default=""
        )

    exempt_all, exempt = parse_exemptions(
        variables.values.get("NO_PROXY") or variables.values.get("no_proxy", "")
    )
    return Proxies(proxy("HTTP_PROXY"), proxy("HTTPS_PROXY"), exempt_all, exempt)


def _ingress(variables: Variables) -> IngressKind:
    path = variables.values.get("PATH", os.defpath)
    found = shutil.which("haproxy", path=f"{path}{os.pathsep}{_SYSTEM_PROGRAMS}")
    kind = variables.parse(
        "TAGBOAT_INGRESS", _choice(IngressKind), default="haproxy" if found else "none"
    )
    if kind is IngressKind.HAPROXY and not found:
        raise SettingsError(
            "TAGBOAT_INGRESS cannot be used: the program haproxy is not found; install it, or set none"
        )
    return kind


def _parse_host(text: str) -> str:
    host = text.removeprefix("[").removesuffix("]") if ":" in text else text
    if not (_is_ip_address(host) or _DOMAIN.fullmatch(host.lower())):
        raise ValueError("a host name or an IP address to listen on is expected, such as 127.0.0.1")
    return host


def _parse_port(text: str) -> int:
    if not (re.fullmatch("[0-9]{1,5}", text) and 0 < int(text) < 65536):  # noqa: PLR2004 - TCP's own limit
        raise ValueError("a port from 1 to 65535 is expected")
    return int(text)


def _parse_listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    try:
        return _parse_host(host), _parse_port(port)
    except ValueError:
        raise ValueError("HOST:PORT is expected, such as 127.0.0.1:7080") from None


def _parse_networks(text: str) -> tuple[str, ...]:
    try:
        return tuple(
            str(ipaddress.ip_network(part.strip(), strict=False)) for part in text.split(",")
        )
    except ValueError:
        raise ValueError(
            "networks or addresses with commas between them are expected, such as 127.0.0.1,10.1.0.0/16"
        ) from None


def _parse_pool(text: str) -> ipaddress.IPv4Network:
    expected = f"a range of private addresses from /{_WIDEST_POOL} to /{_SMALLEST_POOL} is expected, such as {DEFAULT_POOL}"
    try:
        pool = ipaddress.IPv4Network(text)
    except ValueError:
        raise ValueError(expected) from None
    usable = pool.is_private and not (pool.is_loopback or pool.is_link_local)
    if not (usable and _WIDEST_POOL <= pool.prefixlen <= _SMALLEST_POOL):
        raise ValueError(expected)
    return pool


def _parse_bind_roots(text: str) -> tuple[str, ...]:
    roots = [part for part in text.split(":") if part]
    if not all(
        root.startswith("/") and root == clean_path(root)
        for root in (one.rstrip("/") or "/" for one in roots)
    ):
        raise ValueError(
            "absolute paths without '..', with colons between them, are expected, such as /srv/data:/dev/dri"
        )
    return tuple(root.rstrip("/") or "/" for root in roots)


def _parse_http_url(text: str) -> str:
    if not text:
        return text
    expected = ValueError(
        "an address such as https://tagboat.example.com is expected, without user, query and fragment"
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
    return text.rstrip("/")


def _parse_docker_host(text: str) -> str:
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
    return text


def _parse_database_url(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if scheme not in {"postgresql", "postgres"} or not separator or not rest:
        raise ValueError(
            "postgresql://USER:PASSWORD@HOST/DATABASE is expected; without it an SQLite file in the data directory is used"
        )
    if not _DATABASE_ADDRESS.fullmatch(rest):
        raise ValueError(
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE is expected, with %40 for an @ in the password"
        )
    return f"postgresql://{rest}"


def _parse_token(text: str) -> str:
    if not _VISIBLE.fullmatch(text):
        raise ValueError("ASCII letters, digits and punctuation without blanks are expected")
    return text


def _parse_admin_token(text: str) -> str:
    if len(text) < _SHORTEST_ADMIN_TOKEN:
        raise ValueError(
            f"at least {_SHORTEST_ADMIN_TOKEN} characters are expected, such as 'openssl rand -hex 24' makes"
        )
    return _parse_token(text)


def _parse_domain(text: str) -> str:
    domain = text.lower().removesuffix(".")
    if not _DOMAIN.fullmatch(domain) or domain.rpartition(".")[2].isdigit():
        raise ValueError("a domain name is expected, such as apps.example.com")
    if len(domain) > MAX_BASE_DOMAIN:
        raise ValueError(
            f"a domain of at most {MAX_BASE_DOMAIN} characters is expected: the stages' names go before it"
        )
    return domain


Choice = TypeVar("Choice", bound=StrEnum)


def _choice(kind: type[Choice]) -> Callable[[str], Choice]:
    def parse(text: str) -> Choice:
        if text not in set(kind):
            *others, last = kind
            raise ValueError(f"{', '.join(others)} or {last} is expected")
        return kind(text)

    return parse


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _http_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
