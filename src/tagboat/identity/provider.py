"""The sign-in at a provider: authorization code with PKCE, and both ways of signing out.

The standards are OpenID Connect Core 1.0, RP-Initiated Logout 1.0 and Back-Channel Logout 1.0, with
RFC 7636 (PKCE) and RFC 9207 (the issuer in the answer).
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus, urlencode

import structlog

from tagboat.core.errors import IdentityProviderError, IdentityRejectedError
from tagboat.core.oidc import (
    LogoutNotice,
    OidcSettings,
    ProviderAnswer,
    ProviderSession,
    SignInAttempt,
)
from tagboat.core.oidc_decision import RejectedPerson, WhyNoSignIn, claim_at, decide_sign_in
from tagboat.core.proxies import NO_PROXIES, Proxies
from tagboat.identity.discovery import Discovery, ProviderMetadata
from tagboat.identity.keys import MIN_PAUSE_S, ProviderKeys
from tagboat.identity.tokens import check_id_token, check_logout_token, key_id, verified_claims
from tagboat.identity.transport import ProviderResponse, ProviderTransport

_BASIC, _POST = "client_secret_basic", "client_secret_post"
_MISSED = frozenset(
    {WhyNoSignIn.CLAIM_MISSING, WhyNoSignIn.NO_EMAIL, WhyNoSignIn.EMAIL_NOT_VERIFIED}
)
"""Reasons to refuse that the endpoint userinfo could have removed."""

log = structlog.get_logger("tagboat.identity.provider")


class OidcProvider:
    """The provider of `settings`, as `IdentityProvider`.

    `callback_url` is the address to which it sends the browser after a sign-in, `after_logout_url`
    the one after signing out. Both must be registered there.
    """

    def __init__(
        self,
        settings: OidcSettings,
        *,
        callback_url: str,
        after_logout_url: str,
        proxies: Proxies = NO_PROXIES,
        total_s: float | None = None,
        key_pause_s: float = MIN_PAUSE_S,
    ) -> None:
        self._settings = settings
        self._callback_url = callback_url
        self._after_logout_url = after_logout_url
        limits = {} if total_s is None else {"total_s": total_s}
        self._transport = ProviderTransport(settings.name, proxies, **limits)
        self._discovery = Discovery(settings.issuer, settings.name, self._transport)
        self._keys = ProviderKeys(settings.name, self._transport, key_pause_s)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def authorization_url(self, attempt: SignInAttempt) -> str:
        """Return the URL at the provider to which the browser is sent."""
        from authlib.oauth2.client import OAuth2Client  # noqa: PLC0415 - for sign-ins only

        metadata = await self._discovery.metadata()
        client = OAuth2Client(
            None,
            client_id=self._settings.client_id,
            scope=" ".join(self._settings.scopes),
            redirect_uri=self._callback_url,
            code_challenge_method="S256",
        )
        url, _ = client.create_authorization_url(
            metadata.authorization_endpoint,
            state=attempt.state,
            code_verifier=attempt.code_verifier,
            nonce=attempt.nonce,
        )
        return str(url)

    async def redeem(self, answer: ProviderAnswer, attempt: SignInAttempt) -> ProviderSession:
        """Exchange the code for an ID token, and return the person that it names."""
        metadata = await self._discovery.metadata()
        # With two providers, one could have the code of the other redeemed (RFC 9207).
        is_named = answer.issuer is not None or metadata.sends_issuer
        if is_named and answer.issuer != metadata.issuer:
            raise IdentityRejectedError("the answer comes from another provider than was asked")
        granted = await self._exchange(metadata, answer.code, attempt)
        token, access_token = granted.get("id_token"), granted.get("access_token")
        if not isinstance(token, str):
            raise IdentityProviderError(
                f"{self._settings.name} sent no ID token; the scope 'openid' must be allowed there"
            )
        access = access_token if isinstance(access_token, str) else None
        header, claims = await self._verify(token, metadata)
        subject = check_id_token(
            header,
            claims,
            issuer=metadata.issuer,
            client_id=self._settings.client_id,
            nonce=attempt.nonce,
            access_token=access,
        )
        if access and metadata.userinfo_endpoint and lacks_claims(claims, self._settings):
            more = await self._userinfo(metadata.userinfo_endpoint, access, claims)
            claims = {**more, **claims}
        sid = claims.get("sid")
        return ProviderSession(
            issuer=metadata.issuer,
            subject=subject,
            claims=claims,
            sid=sid if isinstance(sid, str) and sid else None,
            id_token=token,
        )

    async def logout_url(self, id_token: str | None) -> str | None:
        """Return the URL that signs the browser out at the provider, None if it has none."""
        metadata = await self._discovery.metadata()
        if metadata.end_session_endpoint is None:
            return None
        query = {
            "client_id": self._settings.client_id,
            "post_logout_redirect_uri": self._after_logout_url,
        }
        if id_token:
            query["id_token_hint"] = id_token
        separator = "&" if "?" in metadata.end_session_endpoint else "?"
        return f"{metadata.end_session_endpoint}{separator}{urlencode(query)}"

    async def read_logout_token(self, token: str) -> LogoutNotice:
        """Return the content of a logout token, verified."""
        metadata = await self._discovery.metadata()
        header, claims = await self._verify(token, metadata)
        return check_logout_token(
            header, claims, issuer=metadata.issuer, client_id=self._settings.client_id
        )

    async def _verify(
        self, token: str, metadata: ProviderMetadata
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        keys = await self._keys.find(metadata.jwks_uri, key_id(token))
        return verified_claims(token, keys)

    async def _exchange(
        self, metadata: ProviderMetadata, code: str, attempt: SignInAttempt
    ) -> Mapping[str, object]:
        """Return the answer of the token endpoint to the code."""
        response = None
        for method in auth_methods(self._settings, metadata):
            response = await self._ask_for_tokens(metadata.token_endpoint, method, code, attempt)
            body = response.body
            if response.status == HTTPStatus.OK and isinstance(body, Mapping):
                return body
            # Only this error leaves the code unused.
            if not (isinstance(body, Mapping) and body.get("error") == "invalid_client"):
                break
        raise token_error(self._settings.name, response)

    async def _ask_for_tokens(
        self, url: str, method: str, code: str, attempt: SignInAttempt
    ) -> ProviderResponse:
        from authlib.oauth2.auth import ClientAuth  # noqa: PLC0415
        from authlib.oauth2.rfc6749.parameters import prepare_token_request  # noqa: PLC0415

        client_id, secret = self._settings.client_id, self._settings.client_secret or ""
        if method == _BASIC:
            # Encoded like a form (RFC 6749, section 2.3.1), which Authlib leaves to its callers.
            client_id, secret = quote_plus(client_id), quote_plus(secret)
        body = prepare_token_request(
            "authorization_code",
            "",
            self._callback_url,
            code=code,
            code_verifier=attempt.code_verifier,
        )
        _, headers, form = ClientAuth(client_id, secret, method).prepare("POST", url, {}, body)
        return await self._transport.post(url, headers, form)

    async def _userinfo(
        self, url: str, access_token: str, claims: Mapping[str, object]
    ) -> dict[str, object]:
        """Return the claims that the endpoint adds to those of the ID token."""
        response = await self._transport.get(url, access_token)
        body = response.body
        if response.status != HTTPStatus.OK or not isinstance(body, Mapping):
            log.warning("userinfo not available", action="oidc", status=response.status)
            decided = decide_sign_in(claims, self._settings)
            is_missed = isinstance(decided, RejectedPerson) and decided.reason in _MISSED
            # Of another status, the decision says which claim is missing.
            if is_missed and response.status == HTTPStatus.OK:
                raise IdentityRejectedError(
                    f"the answer of {self._settings.name} at its endpoint userinfo cannot be used:"
                    " it is not a JSON object, and what decides about the sign-in is not in the ID"
                    " token. Check the provider, and any proxy in front of it"
                )
            return {}
        # Else another person's claims would count (OpenID Connect Core, section 5.3.2).
        if body.get("sub") != claims["sub"]:
            raise IdentityRejectedError("the endpoint userinfo answered about another person")
        return {str(name): value for name, value in body.items()}


def auth_methods(settings: OidcSettings, metadata: ProviderMetadata) -> list[str]:
    """Return the ways in which to prove the client to the token endpoint, the best one first."""
    if settings.client_secret is None:
        return ["none"]
    usable = [name for name in (_BASIC, _POST) if name in metadata.auth_methods]
    # A provider that lists neither may have left out the one that it was told to use.
    return usable or [_BASIC, _POST]


def lacks_claims(claims: Mapping[str, object], settings: OidcSettings) -> bool:
    """Return whether an ID token does not answer what the decision asks for."""
    lacks_role = claim_at(claims, settings.role_claim) is None
    lacks_email = (
        bool(settings.allowed_domains) and not {"email", "email_verified"} <= claims.keys()
    )
    return lacks_role or lacks_email or not {"preferred_username", "email", "name"} & claims.keys()


def token_error(who: str, response: ProviderResponse | None) -> IdentityRejectedError:
    """Return the error for an answer of the token endpoint without tokens."""
    body = response.body if response else None
    error = body.get("error") if isinstance(body, Mapping) else None
    if error == "invalid_client":
        advice = "Check TAGBOAT_OIDC_CLIENT_ID and TAGBOAT_OIDC_CLIENT_SECRET."
        return IdentityRejectedError(f"{who} does not accept Tagboat's client secret. {advice}")
    if error == "invalid_grant":
        return IdentityRejectedError(
            f"{who} does not accept the code: it was used already, or took too long. Sign in again."
        )
    shown = error if isinstance(error, str) and error.isidentifier() else "no known error"
    status = response.status if response else 0
    return IdentityRejectedError(f"{who} sent no tokens: {shown} (status {status})")
