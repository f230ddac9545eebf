"""Tagboat's settings, read once from the environment.

The server also reads `.env` in the working directory. A variable of the environment wins over
`.env`; an empty one counts as not set. `NAME_FILE` names the file that contains a secret. In
`.env`, values are taken literally, without `${…}`; a relative path is relative to the working
directory. Each error is a SettingsError of one line that names the variable, and never repeats the
value of a secret.
"""

import ipaddress
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from tagboat.core.errors import SettingsError
from tagboat.core.oidc import OidcSettings
from tagboat.core.proxies import Proxies, Proxy, parse_exemptions, parse_proxy
from tagboat.core.run import EngineKind
from tagboat.core.schedule import parse_schedule
from tagboat.oidc_settings import parse_boolean, read_local_sign_in, read_oidc
from tagboat.setting_values import (
    DEFAULT_POOL,
    choice_of,
    http_url,
    is_ip_address,
    parse_admin_token,
    parse_base_domain,
    parse_bearer_token,
    parse_bind_roots,
    parse_database_url,
    parse_docker_host,
    parse_docker_hosts,
    parse_hosts,
    parse_http_url,
    parse_listen_address,
    parse_listen_host,
    parse_network_pool,
    parse_networks,
    parse_port,
)
from tagboat.variables import Variables

IN_THE_CLEAR = (
    "the engine is on another host and used without TLS: passwords and secrets cross the network "
    "unencrypted, and anybody who reaches its port is root there; "
    "set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use ssh://USER@HOST"
)
NO_HAPROXY = (
    "HAProxy is not installed: stages have no addresses that stay, and deploys are not switched, "
    "watched or taken back under traffic. Install it (sudo apt install haproxy) and restart "
    "Tagboat, or set TAGBOAT_INGRESS=none to run without it"
)
_LOCAL_ENGINE = "unix:///var/run/docker.sock"
# Debian installs haproxy in a directory that is not on a user's PATH.
_SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"


class IngressKind(StrEnum):
    """The program that routes traffic to the stages."""

    HAPROXY = "haproxy"
    NONE = "none"


class LogFormat(StrEnum):
    """The format of log lines: `console` for people, `json` (one object a line) for programs."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The lowest level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """The level's number in Python's logging."""
        return logging.getLevelNamesMapping()[self.name]


class DockerEndpoint(Struct, frozen=True, kw_only=True):
    """The engine's address: `unix:///PATH`, `tcp://HOST[:PORT]` or `ssh://[USER@]HOST[:PORT]`.

    `tls_verify` means that tcp uses TLS; `cert_path` is the directory with `ca.pem`, `cert.pem` and
    `key.pem` for it, None for the system's certificates. `others` are the addresses of a swarm's
    further managers.
    """

    url: str
    others: tuple[str, ...] = ()
    tls_verify: bool = False
    cert_path: Path | None = None

    @property
    def is_exposed(self) -> bool:
        """True if the connection to the engine, secrets included, crosses a network unencrypted."""
        return not self.tls_verify and any(map(_crosses_a_network, (self.url, *self.others)))


def _crosses_a_network(url: str) -> bool:
    """Return whether the address is `tcp://`, and not of the loopback."""
    host = urlsplit(url).hostname or ""
    local = host == "localhost" or (is_ip_address(host) and ipaddress.ip_address(host).is_loopback)
    return url.startswith("tcp://") and not local


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the server.

    `port` is 1 to 65535; `data_dir` is absolute; `database_url` is `postgresql://…`, None for
    SQLite in `data_dir`; `public_url` has no trailing slash;
    `hosts` are further names of this server, in lower case; `ingress_listen` is host and port;
    `ingress_trusted` are the networks (CIDR) of proxies whose X-Forwarded-* headers are trusted;
    `base_domain` is in lower case; `poll_schedule` is the text of a valid schedule. `network_pool`
    is the address range for networks. `engine_id` is the id of the engine that everything has moved
    to, empty for none. `bind_roots` are absolute paths of the engine's host that
    containers may use, with everything below them. `proxies` are those of the environment, for
    registries and the OpenID provider. `starts_ingress` is false where only `tagboat ingress run`
    may start HAProxy. `ingress_is_default` means that neither ingress nor listen
    address is set; `ingress_is_missing` that there is no ingress only because HAProxy is not
    installed. `oidc` is the OpenID provider, None without one; `local_sign_in` says that people may
    sign in with a name and password.
    """

    host: str
    port: int
    data_dir: Path
    database_url: str | None = field(repr=False)
    engine: EngineKind
    docker: DockerEndpoint
    proxies: Proxies
    public_url: str
    hosts: tuple[str, ...]
    admin_token: str | None = field(repr=False)
    ingress: IngressKind
    ingress_is_default: bool
    ingress_is_missing: bool
    ingress_listen: tuple[str, int]
    starts_ingress: bool
    ingress_trusted: tuple[str, ...]
    base_domain: str
    bind_roots: tuple[str, ...]
    network_pool: ipaddress.IPv4Network
    engine_id: str
    poll_schedule: str
    log_format: LogFormat
    log_level: LogLevel
    oidc: OidcSettings | None
    local_sign_in: bool

    @property
    def why_no_ingress(self) -> str:
        """A sentence for people, for when `ingress` is none."""
        return (
            NO_HAPROXY
            if self.ingress_is_missing
            else "TAGBOAT_INGRESS is none: instances answer at their own loopback ports"
        )

    @property
    def listen_url(self) -> str:
        """The URL `http://HOST:PORT` for a browser."""
        return http_url(self.host, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettings:
    """The server for the command line, None for the one on this host.

    `url` has no trailing slash.
    """

    url: str | None
    token: str | None = field(repr=False)


def load_settings(
    environ: Mapping[str, str], *, cwd: Path, is_tty: bool, dotenv: bool = True
) -> Settings:
    """Read the server's settings; raise SettingsError for an invalid one.

    `is_tty` says whether stderr is a terminal. Without `dotenv`, the file `.env` is not read:
    the author of a file in some directory must not decide where the command line sends its token.
    """
    variables = Variables.read(environ, cwd, dotenv=dotenv)
    host = variables.parse("TAGBOAT_HOST", parse_listen_host, default="127.0.0.1")
    port = variables.parse("TAGBOAT_PORT", parse_port, default="7070")
    ingress = _choose_ingress(variables)
    oidc = read_oidc(variables)
    base_domain = variables.parse("TAGBOAT_BASE_DOMAIN", parse_base_domain, default="localhost")
    engine = variables.parse("TAGBOAT_ENGINE", choice_of(EngineKind), default="docker")
    return Settings(
        host=host,
        port=port,
        data_dir=variables.parse(
            "TAGBOAT_DATA_DIR", variables.path, default="~/.local/share/tagboat"
        ),
        database_url=variables.parse_secret("TAGBOAT_DATABASE_URL", parse_database_url),
        engine=engine,
        docker=_read_docker(variables, engine),
        proxies=_read_proxies(variables),
        public_url=variables.parse(
            "TAGBOAT_PUBLIC_URL", parse_http_url, default=http_url(host, port)
        ),
        hosts=_read_hosts(variables, base_domain),
        admin_token=variables.parse_secret("TAGBOAT_ADMIN_TOKEN", parse_admin_token),
        ingress=ingress,
        ingress_is_default=not {"TAGBOAT_INGRESS", "TAGBOAT_INGRESS_LISTEN"}
        & variables.values.keys(),
        ingress_is_missing=ingress is IngressKind.NONE
        and "TAGBOAT_INGRESS" not in variables.values,
        ingress_listen=variables.parse(
            "TAGBOAT_INGRESS_LISTEN", parse_listen_address, default="127.0.0.1:7080"
        ),
        starts_ingress=variables.parse("TAGBOAT_INGRESS_START", parse_boolean, default="true"),
        ingress_trusted=variables.parse(
            "TAGBOAT_INGRESS_TRUSTED", parse_networks, default="127.0.0.0/8,::1"
        ),
        base_domain=base_domain,
        bind_roots=variables.parse("TAGBOAT_BIND_ROOTS", parse_bind_roots, default=""),
        network_pool=variables.parse(
            "TAGBOAT_NETWORK_POOL", parse_network_pool, default=DEFAULT_POOL
        ),
        engine_id=variables.parse("TAGBOAT_ENGINE_ID", str, default=""),
        poll_schedule=variables.parse(
            "TAGBOAT_POLL_SCHEDULE", lambda text: parse_schedule(text).text, default="@every 5m"
        ),
        log_format=variables.parse(
            "TAGBOAT_LOG_FORMAT", choice_of(LogFormat), default="console" if is_tty else "json"
        ),
        log_level=variables.parse("TAGBOAT_LOG_LEVEL", choice_of(LogLevel), default="info"),
        oidc=oidc,
        local_sign_in=read_local_sign_in(variables, oidc),
    )


def load_remote_settings(environ: Mapping[str, str], *, cwd: Path) -> RemoteSettings:
    """Read the settings of the command line only, never from `.env`; raise SettingsError."""
    variables = Variables.read(environ, cwd, dotenv=False)
    return RemoteSettings(
        url=variables.parse(
            "TAGBOAT_URL", lambda text: parse_http_url(text).removesuffix("/api"), default=""
        )
        or None,
        token=variables.parse_secret("TAGBOAT_TOKEN", parse_bearer_token),
    )


def _read_hosts(variables: Variables, base_domain: str) -> tuple[str, ...]:
    hosts = variables.parse("TAGBOAT_HOSTS", parse_hosts, default="")
    for host in hosts:
        # Apps answer there: their pages would count as pages of the same site as ours.
        if host.endswith(f".{base_domain}"):
            raise SettingsError(
                f"TAGBOAT_HOSTS cannot be used: {host} is below TAGBOAT_BASE_DOMAIN"
                f" ({base_domain}), where the stages have their addresses"
            )
    return hosts


def _read_docker(variables: Variables, engine: EngineKind) -> DockerEndpoint:
    name = "TAGBOAT_DOCKER_HOST" if "TAGBOAT_DOCKER_HOST" in variables.values else "DOCKER_HOST"
    several = engine is EngineKind.SWARM
    parse = parse_docker_hosts if several else lambda text: (parse_docker_host(text),)
    url, *others = variables.parse(name, parse, default=_LOCAL_ENGINE)
    # As in Docker's own client, any value enables TLS; unlike there, the server's certificate is
    # always verified.
    wants_tls = "DOCKER_TLS_VERIFY" in variables.values or "DOCKER_CERT_PATH" in variables.values
    if not (url.startswith("tcp://") and wants_tls):
        return DockerEndpoint(url=url, others=tuple(others))
    directory = variables.parse("DOCKER_CERT_PATH", variables.path, default="~/.docker")
    is_given = "DOCKER_CERT_PATH" in variables.values or (directory / "ca.pem").exists()
    return DockerEndpoint(
        url=url,
        others=tuple(others),
        tls_verify=True,
        cert_path=directory if is_given else None,
    )


def _read_proxies(variables: Variables) -> Proxies:
    # As in Go programs, such as the engine, upper case wins over lower case.

    def proxy(name: str) -> Proxy | None:
        return variables.parse(
            name if name in variables.values else name.lower(), parse_proxy, default=""
        )

    exempt_all, exempt = parse_exemptions(
        variables.values.get("NO_PROXY") or variables.values.get("no_proxy", "")
    )
    return Proxies(proxy("HTTP_PROXY"), proxy("HTTPS_PROXY"), exempt_all, exempt)


def _choose_ingress(variables: Variables) -> IngressKind:
    path = variables.values.get("PATH", os.defpath)
    found = shutil.which("haproxy", path=f"{path}{os.pathsep}{_SYSTEM_PROGRAMS}")
    kind = variables.parse(
        "TAGBOAT_INGRESS", choice_of(IngressKind), default="haproxy" if found else "none"
    )
    if kind is IngressKind.HAPROXY and not found:
        raise SettingsError(
            "TAGBOAT_INGRESS cannot be used: the program haproxy is not found; "
            "install it, or set TAGBOAT_INGRESS=none"
        )
    return kind
