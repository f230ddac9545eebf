"""The settings `TAGBOAT_OIDC_*` and `TAGBOAT_LOCAL_SIGN_IN`, and which of them go together."""

import re
from urllib.parse import urlsplit

from tagboat.core.accounts import has_only_visible
from tagboat.core.errors import SettingsError
from tagboat.core.oidc import ANYBODY, OidcSettings
from tagboat.core.principal import Role
from tagboat.core.proxies import is_loopback_host
from tagboat.setting_values import parse_http_url
from tagboat.variables import Variables

_ISSUER = "TAGBOAT_OIDC_ISSUER"
_WELL_KNOWN = "/.well-known/openid-configuration"
_GIVEN = (Role.VIEWER, Role.DEPLOYER, Role.ADMIN)
# Anybody can make an account there, so that a role for everybody would be one for the whole world.
_PUBLIC_HOSTS = frozenset(
    {
        *("accounts.google.com", "appleid.apple.com", "gitlab.com", "codeberg.org", "gitea.com"),
        *("www.linkedin.com", "slack.com", "login.yahoo.com", "api.login.yahoo.com"),
    }
)
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
_SCOPE = re.compile(r"[!#-\[\]-~]+")
_MAX_PROVIDER_NAME = 40


def read_oidc(variables: Variables) -> OidcSettings | None:
    """Return the provider's settings, None without one; raise SettingsError for unusable ones."""
    if _ISSUER not in variables.values:
        # A client without a provider is a setting that was forgotten.
        given = sorted(name for name in variables.values if name.startswith("TAGBOAT_OIDC_"))
        if given:
            raise SettingsError(f"{given[0]} is set, but {_ISSUER} is not; set both or none")
        return None
    for name, example in (
        ("TAGBOAT_OIDC_CLIENT_ID", "the client id that the provider gave to Tagboat"),
        ("TAGBOAT_OIDC_ROLES", "who gets which role, such as 'admins=admin,devs=deployer'"),
    ):
        if name not in variables.values:
            raise SettingsError(f"{_ISSUER} is set, but {name} is not; set it to {example}")
    issuer = variables.parse(_ISSUER, parse_issuer, default="")
    host = urlsplit(issuer).hostname or ""
    settings = OidcSettings(
        issuer=issuer,
        client_id=variables.parse("TAGBOAT_OIDC_CLIENT_ID", _one_line, default=""),
        client_secret=variables.parse_secret("TAGBOAT_OIDC_CLIENT_SECRET", _one_line),
        scopes=variables.parse("TAGBOAT_OIDC_SCOPES", parse_scopes, default="profile email"),
        name=variables.parse(
            "TAGBOAT_OIDC_NAME", parse_provider_name, default=host[:_MAX_PROVIDER_NAME]
        ),
        role_claim=variables.parse("TAGBOAT_OIDC_ROLE_CLAIM", _one_line, default="groups"),
        roles=variables.parse("TAGBOAT_OIDC_ROLES", parse_roles, default=""),
        allowed_domains=variables.parse("TAGBOAT_OIDC_ALLOWED_DOMAINS", parse_domains, default=""),
    )
    of_anybody = any(value == ANYBODY for value, _ in settings.roles)
    if of_anybody and host in _PUBLIC_HOSTS and not settings.allowed_domains:
        raise SettingsError(
            f"TAGBOAT_OIDC_ROLES gives a role to everybody ({ANYBODY}), and anybody can have an "
            f"account at {host}; set TAGBOAT_OIDC_ALLOWED_DOMAINS, or name who has a role"
        )
    return settings


def read_local_sign_in(variables: Variables, oidc: OidcSettings | None) -> bool:
    """Return whether people may sign in with a name and password of Tagboat's own."""
    allowed = variables.parse("TAGBOAT_LOCAL_SIGN_IN", parse_boolean, default="true")
    if not allowed and oidc is None:
        raise SettingsError(
            f"TAGBOAT_LOCAL_SIGN_IN is false, but {_ISSUER} is not set: nobody could sign in"
        )
    return allowed


def parse_issuer(text: str) -> str:
    """Return the URL of an issuer as written, without the path of its metadata."""
    url = text.removesuffix(_WELL_KNOWN)
    parsed = parse_http_url(url)
    parts = urlsplit(parsed)
    # Tokens name the tenant there, so that these would fit none.
    if "{" in url or parts.path.rstrip("/") in {"/common/v2.0", "/organizations/v2.0"}:
        raise ValueError(
            "the issuer of one tenant is expected, with the tenant's id, such as "
            "https://login.microsoftonline.com/TENANT-ID/v2.0"
        )
    if parts.scheme != "https" and not is_loopback_host(parts.hostname or ""):
        raise ValueError("https is expected, or http on loopback only")
    # The slash at the end is part of an issuer's name.
    return url


def parse_scopes(text: str) -> tuple[str, ...]:
    """Return scopes from a list separated by blanks or commas; `openid` is always one."""
    scopes = [scope for scope in re.split(r"[\s,]+", text) if scope]
    if not all(_SCOPE.fullmatch(scope) for scope in scopes):
        raise ValueError("scopes separated by blanks are expected, such as 'profile email groups'")
    return tuple(dict.fromkeys(["openid", *scopes]))


def parse_roles(text: str) -> tuple[tuple[str, Role], ...]:
    """Return pairs of claim value and role from a list `VALUE=ROLE,VALUE=ROLE`."""
    pairs = []
    for part in text.split(","):
        # From the right: names in directories have equal signs.
        value, separator, role = part.strip().rpartition("=")
        value, role = value.strip(), role.strip()
        if not (separator and value) or role not in set(_GIVEN):
            raise ValueError(
                "VALUE=ROLE,VALUE=ROLE is expected with the roles viewer, deployer and admin, "
                f"such as 'admins=admin,devs=deployer,{ANYBODY}=viewer'"
            )
        pairs.append((value, Role(role)))
    return tuple(pairs)


def parse_domains(text: str) -> tuple[str, ...]:
    """Return domains in lower case from a list separated by commas or blanks."""
    parts = [part for part in re.split(r"[\s,]+", text.lower()) if part]
    domains = tuple(part.removeprefix("@") for part in parts)
    if not all(_DOMAIN.fullmatch(domain) for domain in domains):
        raise ValueError("domains separated by commas are expected, such as example.com")
    return domains


def parse_boolean(text: str) -> bool:
    """Return the boolean `true` or `false`."""
    if text.lower() not in {"true", "false"}:
        raise ValueError("true or false is expected")
    return text.lower() == "true"


def parse_provider_name(text: str) -> str:
    """Return the provider's name for people, at most 40 characters."""
    if not (text.isprintable() and has_only_visible(text)) or len(text) > _MAX_PROVIDER_NAME:
        raise ValueError(f"a name of at most {_MAX_PROVIDER_NAME} characters is expected")
    return text.strip()


def _one_line(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("one line without blanks around it is expected")
    return text
