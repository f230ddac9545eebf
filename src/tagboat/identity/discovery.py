"""The provider's metadata (OpenID Connect Discovery 1.0), read and checked once an hour."""

import time
from collections.abc import Mapping
from http import HTTPStatus

import structlog
from msgspec import Struct

from tagboat.core.errors import IdentityProviderError
from tagboat.identity.transport import ProviderTransport, expect_safe_url
from tagboat.shared_calls import SharedCalls

WELL_KNOWN = "/.well-known/openid-configuration"
FRESH_S = 3600.0
"""Seconds for which metadata is used without asking again."""
_RETRY_S = 60.0

log = structlog.get_logger("tagboat.identity")


class ProviderMetadata(Struct, frozen=True, kw_only=True):
    """The endpoints of a provider; None for those that it does not have.

    `auth_methods` are the ways in which a client proves itself to `token_endpoint`. `sends_issuer`
    says that each answer to the browser has the parameter `iss` (RFC 9207).
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    auth_methods: tuple[str, ...]
    sends_issuer: bool


class Discovery:
    """The metadata of one issuer, kept for an hour, and longer while the provider is down."""

    def __init__(self, issuer: str, who: str, transport: ProviderTransport) -> None:
        self._issuer = issuer
        self._who = who
        self._transport = transport
        self._known: ProviderMetadata | None = None
        self._ask_at = 0.0
        self._readings = SharedCalls[ProviderMetadata]()

    async def metadata(self) -> ProviderMetadata:
        """Return the metadata. Raises IdentityProviderError if it was never read."""
        if self._known is not None and time.monotonic() < self._ask_at:
            return self._known
        # One reading for all who come at the same time, and one failure.
        return await self._readings.call("metadata", self._renew)

    async def _renew(self) -> ProviderMetadata:
        try:
            self._known = await self._read()
            self._ask_at = time.monotonic() + FRESH_S
        except IdentityProviderError as error:
            if self._known is None:
                raise
            # Endpoints change rarely: the known ones are better than none.
            self._ask_at = time.monotonic() + _RETRY_S
            log.warning("provider not asked again", action="oidc", reason=str(error))
        return self._known

    async def _read(self) -> ProviderMetadata:
        response = await self._transport.get(self._issuer.rstrip("/") + WELL_KNOWN)
        if response.status != HTTPStatus.OK or not isinstance(response.body, Mapping):
            raise IdentityProviderError(
                f"{self._who} has no OpenID Connect metadata at {self._issuer.rstrip('/')}"
                f"{WELL_KNOWN} (status {response.status}). Check TAGBOAT_OIDC_ISSUER."
            )
        return read_metadata(response.body, self._issuer, self._who)


def read_metadata(document: Mapping[str, object], issuer: str, who: str) -> ProviderMetadata:
    """Return the metadata in a discovery document. Raises IdentityProviderError if it is unusable.

    A slash at the end of the issuer does not count when it is compared with `issuer`.
    """
    named = document.get("issuer")
    # Else a provider could answer in the name of another (OpenID Connect Discovery, section 4.3).
    if not isinstance(named, str) or named.rstrip("/") != issuer.rstrip("/"):
        shown = named if isinstance(named, str) and named.isprintable() else "none"
        raise IdentityProviderError(
            f"{who} says that its issuer is {shown[:200]}, but TAGBOAT_OIDC_ISSUER is {issuer}. "
            "Set it to the issuer that the provider names, if that is your provider."
        )
    methods = document.get("token_endpoint_auth_methods_supported")
    # Without the field only this method may be assumed (OpenID Connect Discovery, section 3).
    names = methods if isinstance(methods, list) else ["client_secret_basic"]
    return ProviderMetadata(
        issuer=named,
        authorization_endpoint=_endpoint(document, "authorization_endpoint", who),
        token_endpoint=_endpoint(document, "token_endpoint", who),
        jwks_uri=_endpoint(document, "jwks_uri", who),
        userinfo_endpoint=_optional_endpoint(document, "userinfo_endpoint", who),
        end_session_endpoint=_optional_endpoint(document, "end_session_endpoint", who),
        auth_methods=tuple(name for name in names if isinstance(name, str)),
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _endpoint(document: Mapping[str, object], name: str, who: str) -> str:
    url = _optional_endpoint(document, name, who)
    if url is None:
        raise IdentityProviderError(f"the OpenID Connect metadata of {who} has no {name}")
    return url


def _optional_endpoint(document: Mapping[str, object], name: str, who: str) -> str | None:
    url = document.get(name)
    if url is None:
        return None
    if not isinstance(url, str) or not (url.isascii() and url.isprintable()) or " " in url:
        raise IdentityProviderError(f"the {name} in the metadata of {who} is not a URL")
    expect_safe_url(url, who)
    return url
