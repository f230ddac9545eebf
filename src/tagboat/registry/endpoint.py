"""Registry endpoints: the URL of a registry, and the credentials for it."""

import base64
from dataclasses import dataclass, field
from functools import lru_cache

from yarl import URL

from tagboat.core.addresses import is_loopback
from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import RegistryUnreachableError
from tagboat.core.image import is_docker_hub
from tagboat.registry.failures import mark_permanent

IDENTITY_TOKEN_USER = "<token>"  # noqa: S105 - a user name that says what the password is
_DOCKER_HUB_URL = URL("https://registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A username (may be empty) and a password or token.

    By Docker's convention the username `<token>` marks an identity token as the password: it is
    good for nothing but getting other tokens.
    """

    username: str
    password: str = field(repr=False)

    @property
    def is_identity_token(self) -> bool:
        """True if the password must be exchanged for a token (OAuth 2, `refresh_token`)."""
        return self.username == IDENTITY_TOKEN_USER

    @property
    def header(self) -> str:
        """The value of `Authorization` for HTTP Basic (RFC 7617, UTF-8)."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


@dataclass(frozen=True, slots=True)
class RegistryEndpoint:
    """One registry with one login. `base` has no trailing slash; the API is below `base` + `/v2/`.

    `ca_cert`, `login_service` and `id` are those of `core.catalog.Registry`; all are empty for a
    registry that is not configured.
    """

    base: URL
    kind: RegistryKind = RegistryKind.OCI
    credentials: Credentials | None = None
    ca_cert: str = field(default="", repr=False)
    id: str = field(default="", compare=False)
    login_service: str = field(default="", compare=False)

    @property
    def is_vouched(self) -> bool:
        """True if the registry is configured, or is Docker Hub, which every short name means."""
        return bool(self.id) or self.base == _DOCKER_HUB_URL

    @property
    def host(self) -> str:
        """The host, with the port unless it is the scheme's default, as messages name it."""
        return shown_host(self.base)

    def url(self, path: str) -> URL:
        """Return the URL of `path`, which begins with `/` and needs no further encoding."""
        return URL(f"{self.base}{path}", encoded=True)


def endpoint_for(host: str, registry: Registry | None) -> RegistryEndpoint:
    """Return the endpoint for images of `host`: `registry` if it is configured, else by its name.

    Raises RegistryUnreachableError (not retryable) if the configured URL, or the host, is invalid.
    """
    if registry is None:
        return RegistryEndpoint(default_base(host))
    credentials = None
    if registry.password is not None:
        credentials = Credentials(registry.username, registry.password)
    return RegistryEndpoint(
        configured_base(registry),
        registry.kind,
        credentials,
        registry.ca_cert,
        registry.id,
        registry.login_service,
    )


@lru_cache(256)
def shown_host(url: URL) -> str:
    """Return host and explicit port of `url`, without user, path and query: fit to be shown."""
    try:
        return url.host_port_subcomponent or "?"
    except ValueError:
        return "?"


def default_base(host: str) -> URL:
    """Return the URL at which a registry named `host` is expected: plain HTTP on loopback only."""
    if is_docker_hub(host):
        return _DOCKER_HUB_URL
    try:
        name = _sent_host(URL(f"https://{host}"))
    except ValueError:
        raise mark_permanent(
            RegistryUnreachableError(f"{host!r} is not a valid registry address")
        ) from None
    # As Docker does: only loopback is spoken to without TLS.
    scheme = "http" if name == "localhost" or is_loopback(name) else "https"
    return URL(f"{scheme}://{host}").origin()


def _sent_host(url: URL) -> str:
    # Parsed a second time: some invalid hosts pass the first parser and fail when they are sent.
    return URL(str(url.origin()), encoded=True).host or ""


def configured_base(registry: Registry) -> URL:
    """Return the base URL of a configured registry. Raises RegistryUnreachableError."""
    unusable = mark_permanent(
        RegistryUnreachableError(
            f"the URL of the registry {registry.name!r} cannot be used; "
            "it should look like https://registry.example.com"
        )
    )
    try:
        url = URL(registry.url.strip())
        origin = url.origin()
        usable = origin.scheme in {"http", "https"} and bool(_sent_host(url))
        usable = usable and origin.port is not None
    except ValueError:
        raise unusable from None
    if not usable:
        raise unusable
    if is_docker_hub(origin.host or ""):
        return _DOCKER_HUB_URL
    path = url.raw_path.rstrip("/").removesuffix("/v2")
    if registry.kind is RegistryKind.GITEA:
        # Gitea under a sub-path still serves the registry at the root of its host.
        path = ""
    return URL(str(origin).rstrip("/") + path, encoded=True)
