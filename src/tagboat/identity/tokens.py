"""Tokens of the provider: the signature and every claim are verified, by Authlib."""

import contextlib
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from tagboat.core.errors import IdentityRejectedError
from tagboat.core.oidc import LogoutNotice

if TYPE_CHECKING:
    from joserfc.jwk import Key
    from joserfc.jws import JWSRegistry

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519"),
)
"""Signatures by the provider's private key only: not `none`, and no HMAC, whose key others have."""
SKEW_S = 60
"""Seconds by which the provider's clock may differ from ours."""
MAX_TOKEN = 64 * 1024
_MAX_HEADER = 16 * 1024
_MAX_SUBJECT = 255
_MAX_LOGOUT_AGE_S = 600
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


def _registry() -> "JWSRegistry":
    from joserfc.jws import JWSRegistry  # noqa: PLC0415

    # Providers add headers of their own, which must be ignored (RFC 7515, section 4), and chains of
    # certificates. `crit` is observed all the same.
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    registry.max_header_length = _MAX_HEADER
    return registry


def key_id(token: str) -> str | None:
    """Return the id of the key that a token names, None without one.

    Raises IdentityRejectedError if it is not a signed token of an accepted algorithm.
    """
    from joserfc import jws  # noqa: PLC0415 - 20 MB that only users of OpenID Connect need
    from joserfc.errors import JoseError  # noqa: PLC0415

    header: Mapping[str, object] = {}
    if len(token) <= MAX_TOKEN:
        with contextlib.suppress(JoseError, ValueError, TypeError, RecursionError):
            header = jws.extract_compact(token.encode(), registry=_registry()).headers()
    if header.get("alg") not in ALGORITHMS:
        raise IdentityRejectedError("the provider's token is not signed in an accepted way")
    kid = header.get("kid")
    return kid if isinstance(kid, str) else None


def verified_claims(token: str, keys: Collection["Key"]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token that one of the keys has signed.

    Raises IdentityRejectedError if none of them has.
    """
    from joserfc import jwt  # noqa: PLC0415
    from joserfc.errors import JoseError  # noqa: PLC0415

    for key in keys:
        try:
            read = jwt.decode(token, key, registry=_registry())
        except (JoseError, ValueError, TypeError, RecursionError):
            continue
        return dict(read.header), read.claims
    raise IdentityRejectedError("the signature of the provider's token is not valid")


def check_id_token(
    header: Mapping[str, Any],
    claims: Mapping[str, Any],
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    access_token: str | None,
) -> str:
    """Return the subject of an ID token whose signature is verified.

    Checks issuer, audience, authorized party, times, nonce and the hash of the access token
    (OpenID Connect Core, section 3.1.3.7). Raises IdentityRejectedError.
    """
    from authlib.oidc.core import CodeIDToken  # noqa: PLC0415
    from joserfc.errors import JoseError  # noqa: PLC0415

    expected = CodeIDToken(
        dict(claims),
        dict(header),
        options={
            "iss": {"essential": True, "value": issuer},
            "aud": {"essential": True, "value": client_id},
            "sub": {"essential": True},
        },
        params={"nonce": nonce, "client_id": client_id, "access_token": access_token},
    )
    try:
        expected.validate(now=int(time.time()), leeway=SKEW_S)
    except (JoseError, ValueError, TypeError) as error:
        raise IdentityRejectedError(
            f"the provider's ID token is not valid: {_fault(error)}"
        ) from None
    return _subject(claims)


def check_logout_token(
    header: Mapping[str, Any], claims: Mapping[str, Any], *, issuer: str, client_id: str
) -> LogoutNotice:
    """Return the content of a logout token whose signature is verified.

    The rules are those of OpenID Connect Back-Channel Logout 1.0, section 2.6. Raises
    IdentityRejectedError.
    """
    from joserfc.errors import JoseError  # noqa: PLC0415
    from joserfc.jwt import JWTClaimsRegistry  # noqa: PLC0415

    now = int(time.time())
    registry = JWTClaimsRegistry(
        now,
        SKEW_S,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        iat={"essential": True},
        jti={"essential": True},
    )
    try:
        registry.validate(dict(claims))
    except (JoseError, ValueError, TypeError) as error:
        raise IdentityRejectedError(f"the logout token is not valid: {_fault(error)}") from None
    events, sid = claims.get("events"), claims.get("sid")
    is_event = isinstance(events, Mapping) and isinstance(events.get(_LOGOUT_EVENT), Mapping)
    # With a nonce it would be an ID token, which any client can get.
    if not is_event or "nonce" in claims or header.get("typ", "").lower() == "id_token+jwt":
        raise IdentityRejectedError("the logout token is not valid: it is another kind of token")
    # Not each provider gives them an end.
    if claims["iat"] < now - _MAX_LOGOUT_AGE_S:
        raise IdentityRejectedError("the logout token is not valid: it is too old")
    subject = _subject(claims) if "sub" in claims else None
    if sid is not None and not isinstance(sid, str):
        raise IdentityRejectedError("the logout token is not valid: sid is not a string")
    if not (subject or sid):
        raise IdentityRejectedError("the logout token is not valid: it names nobody")
    return LogoutNotice(issuer=issuer, subject=subject, sid=sid or None)


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT:
        raise IdentityRejectedError(f"the subject has not 1 to {_MAX_SUBJECT} characters")
    return subject


def _fault(error: Exception) -> str:
    # Claims of the token itself are not repeated.
    claim = getattr(error, "claim", None)
    return f"{claim} is missing or wrong" if isinstance(claim, str) else type(error).__name__
