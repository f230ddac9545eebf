"""The one behind a call: found by its token, or by the session of its browser."""

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

from starlette.types import Scope

from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.core.values import replace
from tagboat.http.client_address import ClientAddress
from tagboat.http.rate_limits import Throttle
from tagboat.http.session_cookie import CSRF, SessionCookie, csrf_token

PRINCIPAL = "tagboat.principal"
"""The key of the `Principal` that calls, in the scope of a call (ASGI)."""
LOOKUPS_PER_S = 500
"""Lookups a second of credentials that were never right before, while there are many of them."""
_MOST_KNOWN = 10_000


class FindCredential(Protocol):
    """Finds the principal of a token or session."""

    async def __call__(
        self, secret: str, address: str, /, *, note_use: bool = True
    ) -> Principal | None:
        """Return the principal of a secret, None for an unknown one, and put its use on record."""


class FixedTokens:
    """The tokens that hold as long as the process: only their hashes are kept."""

    def __init__(self, tokens: Iterable[tuple[str, Principal]]) -> None:
        self._known = [(_hash(token.encode()), principal) for token, principal in tokens]

    def find(self, token: bytes) -> Principal | None:
        """Return the principal of a token, None for an unknown one; in constant time."""
        hashed, found = _hash(token), None
        # All are compared, whichever matches: the time says nothing about their number or place.
        for known, principal in self._known:
            if hmac.compare_digest(hashed, known):
                found = principal
        return found


class Authenticator:
    """Finds the one behind a call, for the API and the pages.

    `find_token` and `find_session` look in the database at each call: what was deleted there, by
    whichever server, opens nothing from the next call on. Both may raise StoreUnavailableError.
    """

    def __init__(
        self,
        fixed: FixedTokens,
        find_token: FindCredential,
        find_session: FindCredential,
        cookie: SessionCookie,
        addresses: ClientAddress,
    ) -> None:
        self.cookie = cookie
        self.addresses = addresses
        self._fixed = fixed
        self._find_token = find_token
        self._find_session = find_session
        self._throttle = Throttle(LOOKUPS_PER_S)
        self._known: OrderedDict[bytes, None] = OrderedDict()

    async def identify(self, scope: Scope, *, note_use: bool = True) -> Principal | None:
        """Return the one that calls, and put it into `scope`; None for a stranger.

        With a session, the token of its forms is put there too. With `note_use` the use is put on
        record. Raises StoreUnavailableError.
        """
        address = self.addresses.find(scope)
        token = bearer_token(scope)
        if token is not None:
            found = self._fixed.find(token)
            if found is not None:
                found = replace(found, address=address)
            else:
                text = token.decode("latin-1")
                found = await self._look_up(self._find_token, text, address, note_use)
        elif secret := self.cookie.read(scope):
            found = await self._look_up(self._find_session, secret, address, note_use)
            if found is not None:
                scope[CSRF] = csrf_token(secret)
        else:
            found = None
        if found is not None:
            scope[PRINCIPAL] = found
        return found

    async def _look_up(
        self, find: FindCredential, secret: str, address: str, note_use: bool
    ) -> Principal | None:
        key = _hash(secret.encode())
        # Strangers who make secrets up must not keep the database busy for all others.
        if key not in self._known and (wait_s := self._throttle.wait(time.monotonic())):
            await asyncio.sleep(wait_s)
        found = await find(secret, address, note_use=note_use)
        if found is None:
            self._known.pop(key, None)
        else:
            self._known[key] = None
            self._known.move_to_end(key)
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return found


def bearer_token(scope: Scope) -> bytes | None:
    """Return the token of the header Authorization, None if the call has none.

    The header of a front that has its own passwords, such as `Basic`, is not for us.
    """
    for name, value in scope["headers"]:
        if name == b"authorization":
            # The scheme's case does not count (RFC 9110, section 11.1); blanks may be around.
            scheme, _, offered = value.partition(b" ")
            if scheme.lower() == b"bearer":
                return bytes(offered.strip())
    return None


def fixed_principal(kind: PrincipalKind, name: str) -> Principal:
    """Return the admin that a token of the process stands for."""
    return Principal(kind=kind, name=name, role=Role.ADMIN)


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
