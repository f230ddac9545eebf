"""The webhook's secret: a random UUID4, made at first launch, kept in the settings."""

import hmac
import uuid

from tagboat.core.config import WEBHOOK_SECRET
from tagboat.core.ports import Reader, Store, Topic, Tx


async def ensure_webhook_secret(store: Store) -> str:
    """Return the secret, making it when there is none yet."""
    return await store.write(lambda tx: _read(tx) or _make(tx))


async def regenerate_webhook_secret(store: Store) -> str:
    """Make and return a new secret; the old one is worth nothing once this returns."""
    return await store.write(_make)


class SecretCheck:
    """Compares secrets with the one in force, which is remembered only where nobody else can change it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listening = False
        self._known: bytes | None = None
        self._changes = 0

    async def accepts(self, offered: str) -> bool:
        """Whether `offered` is the secret; the time taken says nothing of how much of it is right."""
        known = self._known or await self._load()
        return hmac.compare_digest(known, offered.encode("utf-8", "surrogateescape"))

    async def _load(self) -> bytes:
        if not self._listening:
            self._store.listen(Topic.SETTINGS, self._forget)
            self._listening = True
        changes = self._changes
        # A store that has no secret yet accepts nothing: a fresh one is compared with, and thrown away.
        known = (await self._store.read(_read) or str(uuid.uuid4())).encode()
        if self._store.exclusive and changes == self._changes:  # else what was read may be the old one
            self._known = known
        return known

    def _forget(self) -> None:
        self._known = None
        self._changes += 1


def _read(reader: Reader) -> str | None:
    secret = reader.setting(WEBHOOK_SECRET)
    return secret if isinstance(secret, str) else None


def _make(tx: Tx) -> str:
    secret = str(uuid.uuid4())
    tx.put_setting(WEBHOOK_SECRET, secret)
    tx.announce(Topic.SETTINGS)
    return secret
