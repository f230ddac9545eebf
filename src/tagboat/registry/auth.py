"""Logins at registries: which of the offered ways to take, and tokens kept while they are valid.

Follows the token authentication of the distribution project (its documents "token", "scope" and,
for identity tokens, "oauth") and RFC 7617.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

from msgspec import Struct

from tagboat.core.errors import (
    RegistryDeniedError,
    RegistryProtocolError,
    RegistryUnreachableError,
)
from tagboat.core.values import replace
from tagboat.registry import gitea
from tagboat.registry.challenges import Challenge
from tagboat.registry.endpoint import RegistryEndpoint
from tagboat.registry.login_service import Bearer, LoginService, Pin, keep_newest
from tagboat.registry.transport import Clock, RegistryTransport

MARGIN = timedelta(seconds=10)
"""Time before a token expires from which it is not used any more."""
MAX_TOKENS = 8192
"""Most registries give a token for one repository: fewer would not last for a cycle of polls."""


class Basic(Struct, frozen=True):
    """Send username and password with every request."""


LoginMethod = Bearer | Basic


@dataclass(frozen=True, slots=True)
class Grant:
    """A value for `Authorization`, valid until `expires`. `fresh` if it was fetched just now.

    `service` is the origin of the login service that gave it, empty if none was asked.
    """

    header: str = field(repr=False)
    method: LoginMethod
    expires: datetime | None = None
    fresh: bool = True
    service: str = ""


class _TokenKey(Struct, frozen=True):
    """An endpoint and a scope; one token is kept for each."""

    endpoint: RegistryEndpoint
    scope: str


class LoginCache:
    """The logins of all registries. Concurrent calls that need the same token fetch it once."""

    def __init__(self, transport: RegistryTransport, clock: Clock, pin: Pin | None = None) -> None:
        self._clock = clock
        self._service = LoginService(transport, pin)
        self._methods: dict[RegistryEndpoint, LoginMethod] = {}
        self._tokens: dict[_TokenKey, Grant] = {}
        self._locks: WeakValueDictionary[_TokenKey, asyncio.Lock] = WeakValueDictionary()

    async def grant(self, endpoint: RegistryEndpoint, scope: str) -> Grant | None:
        """Return the login to send with a first request, as the registry demanded last time.

        None if it has not demanded one yet.
        """
        method = self._methods.get(endpoint)
        # A first request without a login costs less than asking for the API's root before.
        if method is None:
            return None
        if isinstance(method, Basic):
            return basic_grant(endpoint)
        key = token_key(endpoint, scope)
        async with self._lock(key):
            return self._valid_token(key) or await self._fetch_again(key, scope, method)

    async def renew(
        self,
        endpoint: RegistryEndpoint,
        scope: str,
        challenges: Sequence[Challenge],
        refused: Grant | None,
        *,
        inside: bool,
    ) -> Grant | None:
        """Log in as a 401 demands. `refused` was sent with the request, `inside` as for Bearer.

        None if there is nothing left to try, so that no refusal leads to an endless exchange.
        """
        had_token = refused is not None and isinstance(refused.method, Bearer)
        if had_token and gitea.is_gitea(endpoint) and gitea.is_denied_read(challenges):
            return None
        methods = login_methods(endpoint, challenges, inside=inside)
        was_final = refused is not None and (refused.fresh or not had_token)
        if not methods or (refused and refused.method == methods[0] and was_final):
            return None
        key = token_key(endpoint, scope)
        async with self._lock(key):
            kept = self._valid_token(key)
            # Another call has fetched a token while this one waited for the lock.
            if kept and (refused is None or kept.header != refused.header):
                return kept
            # A method that is refused ends it, or a wrong password would be sent twice.
            for method in methods:
                if isinstance(method, Basic):
                    keep_newest(self._methods, endpoint, method)
                    return basic_grant(endpoint)
                try:
                    return await self._fetch(key, scope, method)
                except (RegistryUnreachableError, RegistryProtocolError):
                    if method is methods[-1]:
                        raise
        return None

    async def replace(
        self,
        endpoint: RegistryEndpoint,
        scope: str,
        challenges: Sequence[Challenge],
        refused: Grant,
    ) -> Grant | None:
        """Return a new token for a kept one that was refused.

        None for any other login, so that it is done once.
        """
        if refused.fresh or not isinstance(refused.method, Bearer):
            return None
        if gitea.is_gitea(endpoint) and challenges and gitea.is_denied_read(challenges):
            return None
        key = token_key(endpoint, scope)
        async with self._lock(key):
            kept = self._valid_token(key)
            if kept and kept.header != refused.header:
                return kept
            self._tokens.pop(key, None)
            return await self._fetch_again(key, scope, refused.method)

    def forget(self, endpoint: RegistryEndpoint) -> None:
        """Drop everything known about a registry, so that the next call logs in from the start."""
        self._service.forget(endpoint)
        self._methods.pop(endpoint, None)
        for key in [key for key in self._tokens if key.endpoint == endpoint]:
            del self._tokens[key]

    def _lock(self, key: _TokenKey) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    def _valid_token(self, key: _TokenKey) -> Grant | None:
        kept = self._tokens.get(key)
        return kept if kept and (kept.expires is None or kept.expires > self._clock()) else None

    async def _fetch_again(self, key: _TokenKey, scope: str, method: Bearer) -> Grant | None:
        """Fetch a token as last time. None if that works no more: ask the registry without one."""
        try:
            return await self._fetch(key, scope, method)
        except (RegistryUnreachableError, RegistryProtocolError):
            self._methods.pop(key.endpoint, None)
            return None
        except RegistryDeniedError:
            self._methods.pop(key.endpoint, None)
            raise

    async def _fetch(self, key: _TokenKey, scope: str, method: Bearer) -> Grant:
        # The lifetime counts from when the service made the token, which is before it arrives.
        asked_at = self._clock()
        token = await self._service.fetch_token(key.endpoint, scope, method)
        expires = asked_at + token.lifetime - min(MARGIN, token.lifetime / 2)
        grant = Grant(f"Bearer {token.value}", method, expires, service=token.service)
        # Kept as not fresh: a later refusal may mean that it was revoked.
        keep_newest(self._tokens, key, replace(grant, fresh=False), MAX_TOKENS)
        keep_newest(self._methods, key.endpoint, method)
        return grant


def basic_grant(endpoint: RegistryEndpoint) -> Grant | None:
    """Return the login by HTTP Basic, None without credentials."""
    if endpoint.credentials is None:
        return None
    return Grant(endpoint.credentials.header, Basic(), fresh=False)


def token_key(endpoint: RegistryEndpoint, scope: str) -> _TokenKey:
    """Return the key under which a token is kept."""
    # Gitea's tokens are the user's and open everything that the user may read.
    return _TokenKey(endpoint, "" if gitea.is_gitea(endpoint) else scope)


def login_methods(
    endpoint: RegistryEndpoint, challenges: Sequence[Challenge], *, inside: bool
) -> list[LoginMethod]:
    """Return the possible methods, the best first: a token, then the password if there is one."""
    bearers: list[LoginMethod] = [
        Bearer(challenge.params["realm"], challenge.params.get("service"), inside)
        for challenge in challenges
        if challenge.scheme == "bearer" and challenge.params.get("realm")
    ]
    has_password = endpoint.credentials is not None and not endpoint.credentials.is_identity_token
    if has_password and any(challenge.scheme == "basic" for challenge in challenges):
        return [*bearers[:1], Basic()]
    return bearers[:1]
