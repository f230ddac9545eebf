"""OpenID Connect: the settings of a provider, a sign-in under way, and what a provider says."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct

from tagboat.core.principal import Role

ANYBODY = "*"
"""The value of the role claim that stands for every person who has signed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """The provider that people sign in at, and the roles that its claims give.

    `issuer` is an https URL, or an http one on loopback. `client_secret` is None for a public
    client. `name` is the provider's name for people. `role_claim` names the claim that decides the
    role, with dots for a claim inside another. `roles` are pairs of a value of that claim and the
    role that it gives; `ANYBODY` stands for all values and none. `allowed_domains` are in lower
    case; without any, the e-mail address does not count.
    """

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name: str
    role_claim: str = "groups"
    roles: tuple[tuple[str, Role], ...]
    allowed_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """A sign-in between its start and the provider's answer.

    Only the browser that started it has `secret`. The values that travel through the provider are
    derived from it, and do not reveal it.
    """

    secret: str = field(repr=False)

    @classmethod
    def begin(cls) -> "SignInAttempt":
        """Return a new attempt with a random secret of 256 bits."""
        return cls(secrets.token_urlsafe(32))

    @property
    def state(self) -> str:
        """The value that binds the provider's answer to the browser (RFC 6749, section 10.12)."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """The value that binds the ID token to this attempt (OpenID Connect Core, 3.1.2.1)."""
        return self._derived("nonce")

    @property
    def code_verifier(self) -> str:
        """The value that proves who asked for the code (RFC 7636), 43 characters."""
        return self._derived("code verifier")

    def _derived(self, purpose: str) -> str:
        # One secret for three values: each needs a purpose of its own, or one would reveal another.
        digest = hmac.digest(self.secret.encode(), purpose.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")

    def owns(self, state: str) -> bool:
        """Return whether `state` is that of this attempt, in constant time."""
        # Bytes: compare_digest refuses texts that are not ASCII, and anybody may send one.
        return hmac.compare_digest(self.state.encode(), state.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAnswer:
    """The query of the browser's way back. `issuer` is its `iss` (RFC 9207), None without one."""

    code: str = field(repr=False)
    issuer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSession:
    """A person whom the provider has signed in, as its verified ID token says.

    `issuer` and `subject` together identify the person for ever. `claims` are those of the ID token
    and, if they were needed, of the endpoint userinfo. `sid` is the provider's name of the session,
    None without one; `id_token` is handed back when the person signs out.
    """

    issuer: str
    subject: str
    claims: Mapping[str, object] = field(repr=False)
    sid: str | None = None
    id_token: str = field(default="", repr=False)


class LogoutNotice(Struct, frozen=True, kw_only=True):
    """The provider's verified message that a person has signed out there.

    `sid` is the session that ended, None for all of the person; `subject` is None if only the
    session is named.
    """

    issuer: str
    subject: str | None
    sid: str | None


class IdentityProvider(Protocol):
    """The provider.

    Each call raises IdentityProviderError if the provider cannot be reached or fails, and
    IdentityRejectedError for an answer that is not valid.
    """

    async def authorization_url(self, attempt: SignInAttempt) -> str:
        """Return the URL at the provider to which the browser is sent."""

    async def redeem(self, answer: ProviderAnswer, attempt: SignInAttempt) -> ProviderSession:
        """Exchange the code for an ID token, and return the person that it names."""

    async def logout_url(self, id_token: str | None) -> str | None:
        """Return the URL that signs the browser out at the provider, None if it has none."""

    async def read_logout_token(self, token: str) -> LogoutNotice:
        """Return the content of a logout token, verified."""

    async def close(self) -> None:
        """Close all connections."""
