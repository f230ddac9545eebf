"""The callers that the server knows, and the names that it is called by, from its settings."""

import structlog

from tagboat.core.errors import ConflictError
from tagboat.core.principal import PrincipalKind
from tagboat.http.client_address import ClientAddress
from tagboat.http.identification import Authenticator, FixedTokens, fixed_principal
from tagboat.http.own_hosts import OwnHosts, names_of
from tagboat.http.session_cookie import SessionCookie
from tagboat.identity.provider import OidcProvider
from tagboat.operations.operations import Operations
from tagboat.operations.services import OidcService
from tagboat.settings import Settings
from tagboat.web.visits import OIDC_CALLBACK, SIGN_IN

log = structlog.get_logger("tagboat.app")


def build_authenticator(
    settings: Settings, operations: Operations, addresses: ClientAddress, local_token: str
) -> Authenticator:
    """Return what finds the one behind a call; `local_token` is that of the data directory."""
    fixed = [(local_token, fixed_principal(PrincipalKind.LOCAL, "the server's command line"))]
    # Fixed tokens are compared before the database is asked: they open also when it is away.
    if settings.admin_token:
        known_as = fixed_principal(PrincipalKind.ADMIN_TOKEN, "TAGBOAT_ADMIN_TOKEN")
        fixed.append((settings.admin_token, known_as))
    return Authenticator(
        FixedTokens(fixed),
        operations.tokens.find,
        operations.sessions.find,
        SessionCookie(secure=settings.public_url.startswith("https://")),
        addresses,
    )


def build_oidc(settings: Settings) -> OidcService | None:
    """Return the OpenID provider of the settings, None without one; it is not asked anything."""
    if settings.oidc is None:
        return None
    # Paths to which the provider sends browsers: both are registered there.
    provider = OidcProvider(
        settings.oidc,
        callback_url=f"{settings.public_url}{OIDC_CALLBACK}",
        after_logout_url=f"{settings.public_url}{SIGN_IN}",
        proxies=settings.proxies,
    )
    return OidcService(settings.oidc, provider)


async def end_sessions_with_passwords(operations: Operations) -> None:
    """End the sessions that began with a password, because that is switched off."""
    if ended := await operations.single_sign_on.end_local_sessions():
        log.warning(
            "sessions ended, because TAGBOAT_LOCAL_SIGN_IN is false", action="start", sessions=ended
        )


def own_hosts(settings: Settings) -> OwnHosts:
    """Return the names under which this server may be called."""
    return OwnHosts(
        settings.public_url, names_of((settings.host, *settings.hosts)), settings.base_domain
    )


async def offer_setup(operations: Operations) -> None:
    """Log the set-up link until there is an account."""
    try:
        link = await operations.accounts.new_setup_link()
    # There is an account: its owner makes the others.
    except ConflictError:
        return
    # In the event itself, not in a field of its own: the masks of log lines look at both.
    said = (
        f"there is no account yet: open {link.url} to make the first admin, within 24 hours; "
        "'tagboat users setup-link' makes a new link"
    )
    log.warning(said, action="start")
