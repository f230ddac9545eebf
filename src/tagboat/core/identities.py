"""Identities: accounts that belong to people at an OpenID provider, and their sessions there."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from msgspec import Struct


class Identity(Struct, frozen=True, kw_only=True):
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


class IdentityReader(Protocol):
    """The part of the store that has people at a provider, and sessions that come from there."""

    def identity(self, issuer: str, subject: str) -> Identity | None:
        """Return a person, None for an unknown one."""

    def session_origin(self, session_id: str) -> SessionOrigin | None:
        """Return where a session comes from, None for a sign-in with a password."""

    def sessions_from(self, issuer: str, subject: str | None, sid: str | None) -> list[str]:
        """Return the ids of the sessions from a person, or a provider's session; None is any."""


class IdentityWriter(IdentityReader, Protocol):
    """Changes of these. An account takes its identities with it, a session its origin."""

    def put_identity(self, identity: Identity) -> None:
        """Add a person, or replace the one of that issuer and subject."""

    def add_session_origin(self, origin: SessionOrigin) -> None:
        """Put on record where a session comes from."""

    def delete_sessions_without_origin(self) -> int:
        """End the sessions that began with a password; return how many."""
