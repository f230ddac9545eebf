"""Where a registry is, and with which credentials it is asked."""

import base64
from dataclasses import dataclass, field
from functools import lru_cache

from yarl import URL

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import RegistryUnreachableError
from tagboat.core.image import is_docker_hub
from tagboat.registry.addresses import is_loopback
from tagboat.registry.failures import for_good

IDENTITY_TOKEN = "<token>"  # noqa: S105 - a user name that says what the password is
_DOCKER_HUB = URL("https://registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A username (may be empty) and a password or token.

    The username `<token>` says that the password is an identity token: one that only buys others. (Docker's convention.)
    """

    username: str
    password: str = field(repr=False)

    @property
    def is_identity_token(self) -> bool:
        """Whether the password is to be exchanged (OAuth 2, `refresh_token`), and is good for nothing else."""
        return self.username == IDENTITY_TOKEN

    @property
    def header(self) -> str:
        """The value of `Authorization` that carries them (RFC 7617, UTF-8)."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


@dataclass(frozen=True, slots=True)
class Site:
    """One registry as one caller sees it. `base` has no trailing slash; the API is below `base` + `/v2/`.

    `ca_cert` and `login_service` as in core.catalog.Registry, whose `id` it is; that is empty where nobody configured one.
    """

    base: URL
    kind: RegistryKind = RegistryKind.OCI
    credentials: Credentials | None = None
    ca_cert: str = field(default="", repr=False)
    id: str = field(default="", compare=False)
    login_service: str = field(default="", compare=False)

    @property
    def is_vouched(self) -> bool:
        """Whether a person has named this registry, or it is the one that everybody means."""
        return bool(self.id) or self.base == _DOCKER_HUB

    @property
    def host(self) -> str:
        """Host and, where it is not the scheme's own, port: the name by which messages call the registry."""
        return shown_host(self.base)

    def url(self, path: str) -> URL:
        """The URL of `path`, which begins with `/` and needs no further encoding."""
        return URL(f"{self.base}{path}", encoded=True)


def site_of(host: str, registry: Registry | None) -> Site:
    """Return where images of `host` are: at `registry` if somebody configured one, else where the host's name leads.

    Raises RegistryUnreachableError (not retryable) if the configured URL, or the host, cannot be used.
    """
    if registry is None:
        return Site(_default_base(host))
    return Site(
        _configured_base(registry),
        registry.kind,
        _credentials(registry),
        registry.ca_cert,
        registry.id,
        registry.login_service,
    )


@lru_cache(256)
def shown_host(url: URL) -> str:
    """Host and explicit port of `url`, without user, path and query: fit to be shown."""
    try:
        return url.host_port_subcomponent or "?"
    except ValueError:
        return "?"


def _default_base(host: str) -> URL:
    if is_docker_hub(host):
        return _DOCKER_HUB
    try:
        name = _host_of(URL(f"https://{host}"))
    except ValueError:
        raise for_good(
            RegistryUnreachableError(f"{host!r} is not an address at which a registry can be")
        ) from None
    return URL(
        f"http://{host}" if name == "localhost" or is_loopback(name) else f"https://{host}"
    ).origin()


def _host_of(url: URL) -> str:
    """The host's name alone. Read from what will be sent: some bad hosts pass the first reading and fail the second."""
    return URL(str(url.origin()), encoded=True).host or ""


def _configured_base(registry: Registry) -> URL:
    try:
        url = URL(registry.url.strip())
        origin = url.origin()
        usable = (
            origin.scheme in {"http", "https"} and bool(_host_of(url)) and origin.port is not None
        )
    except ValueError:
        raise _unusable(registry) from None
    if not usable:
        raise _unusable(registry)
    if is_docker_hub(origin.host or ""):
        return _DOCKER_HUB
    # Gitea under a sub-path still serves the registry at the root of its host.
    path = (
        "" if registry.kind is RegistryKind.GITEA else url.raw_path.rstrip("/").removesuffix("/v2")
    )
    return URL(str(origin).rstrip("/") + path, encoded=True)


def _unusable(registry: Registry) -> RegistryUnreachableError:
    return for_good(
        RegistryUnreachableError(
            f"the URL of the registry {registry.name!r} cannot be used; it should look like https://registry.example.com"
        )
    )


def _credentials(registry: Registry) -> Credentials | None:
    if registry.password is None:
        return None
    return Credentials(registry.username, registry.password)
