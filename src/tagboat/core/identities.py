"""Identities: accounts that belong to people at an OpenID provider, and their sessions there."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person at a provider, and the account of that person.

    Issuer and subject together are the person, for ever; names and e-mail addresses can change
    hands. `email` is empty if the provider has not verified it.
    """

    issuer: str
    subject: str
    account_id: str
    email: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOrigin:
    """The provider's session from which one of ours comes.

    `sid` is the provider's name of it, None without one. `id_token` is handed back there when the
    person signs out.
    """

    session_id: str
    issuer: str
    subject: str
    sid: str | None
    id_token: str = field(repr=False)
