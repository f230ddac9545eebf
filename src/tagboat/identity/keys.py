"""The provider's public keys (RFC 7517), read when a token names one that is not known yet."""

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from tagboat.core.errors import IdentityProviderError, IdentityRejectedError
from tagboat.identity.discovery import FRESH_S
from tagboat.identity.transport import ProviderTransport

if TYPE_CHECKING:
    from joserfc.jwk import Key

MIN_PAUSE_S = 10.0
"""Seconds between two readings: tokens of strangers must not make the server ask all the time."""
_MAX_KEYS = 100
_KEY_KINDS = frozenset({"RSA", "EC", "OKP"})

log = structlog.get_logger("tagboat.identity.keys")


class _PublicKey(Struct, frozen=True):
    kid: str | None
    key: "Key"


class ProviderKeys:
    """The keys of the provider named `who`; a key that it has withdrawn is dropped in an hour."""

    def __init__(
        self, who: str, transport: ProviderTransport, min_pause_s: float = MIN_PAUSE_S
    ) -> None:
        self._who = who
        self._transport = transport
        self._min_pause_s = min_pause_s
        self._keys: list[_PublicKey] = []
        self._read_at: float | None = None
        self._failure: IdentityProviderError | None = None
        self._lock = asyncio.Lock()

    async def find(self, url: str, kid: str | None) -> list["Key"]:
        """Return the keys with this id; all of them for None.

        `url` is the provider's `jwks_uri`. Raises IdentityProviderError if keys cannot be read, and
        IdentityRejectedError if there is no such key.
        """
        found = self._with_id(kid)
        # Without the lock, in which a reading may wait long for the provider.
        if found and self._age() <= FRESH_S:
            return found
        async with self._lock:
            found = self._with_id(kid)
            if self._age() > (FRESH_S if found else self._min_pause_s):
                await self._refresh(url)
                found = self._with_id(kid)
        if not found and self._failure:
            raise self._failure
        if not found:
            raise IdentityRejectedError(
                f"the token is signed with a key that {self._who} does not publish"
            )
        return found

    def _with_id(self, kid: str | None) -> list["Key"]:
        # A key without an id can have signed any token.
        return [one.key for one in self._keys if kid is None or one.kid in {kid, None}]

    def _age(self) -> float:
        return float("inf") if self._read_at is None else time.monotonic() - self._read_at

    async def _refresh(self, url: str) -> None:
        try:
            self._keys, self._failure = public_keys(await self._read(url)), None
        except IdentityProviderError as error:
            self._failure = error
            log.warning("keys not read again", action="oidc", reason=str(error))
        # After a failure too: it must not be asked again at once.
        self._read_at = time.monotonic()

    async def _read(self, url: str) -> Mapping[str, object]:
        response = await self._transport.get(url)
        if response.status != HTTPStatus.OK or not isinstance(response.body, Mapping):
            raise IdentityProviderError(
                f"{self._who} does not return its keys (status {response.status})"
            )
        return response.body


def public_keys(document: Mapping[str, object]) -> list[_PublicKey]:
    """Return the usable keys of a key set: public keys of known kinds that are for signatures."""
    from joserfc.errors import JoseError  # noqa: PLC0415 - 20 MB that only sign-ins need
    from joserfc.jwk import JWKRegistry  # noqa: PLC0415

    entries = document.get("keys")
    found = []
    for entry in entries[:_MAX_KEYS] if isinstance(entries, list) else []:
        # A shared key in a public list is nobody's secret.
        if not isinstance(entry, dict) or entry.get("kty") not in _KEY_KINDS:
            continue
        if entry.get("use", "sig") != "sig":
            continue
        kid = entry.get("kid")
        try:
            key = JWKRegistry.import_key(entry)
        except (JoseError, ValueError, TypeError, KeyError):
            # One that is not understood hides no other.
            continue
        found.append(_PublicKey(kid if isinstance(kid, str) else None, key))
    return found
