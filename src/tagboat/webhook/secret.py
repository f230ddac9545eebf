"""The webhook's secret: a random UUID4, made at the first start, kept in the settings."""

import uuid
from collections.abc import Callable

from tagboat.core.config import WEBHOOK_SECRET
from tagboat.core.ports import Reader, Store, Topic, Tx


async def ensure_webhook_secret(store: Store) -> str:
    """Return the secret; make it if there is none yet."""
    return await store.write(lambda tx: stored_secret(tx) or _make(tx))


async def regenerate_webhook_secret(
    store: Store, record: Callable[[Tx], None] = lambda _tx: None
) -> str:
    """Make and return a new secret; the old one is invalid once this returns.

    `record` is called in the same transaction.
    """

    def work(tx: Tx) -> str:
        record(tx)
        return _make(tx)

    return await store.write(work)


def stored_secret(reader: Reader) -> str | None:
    """Return the secret of the global URL, None before it was made."""
    secret = reader.setting(WEBHOOK_SECRET)
    return secret if isinstance(secret, str) else None


def _make(tx: Tx) -> str:
    secret = str(uuid.uuid4())
    tx.put_setting(WEBHOOK_SECRET, secret)
    tx.announce(Topic.SETTINGS)
    return secret
