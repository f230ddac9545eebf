"""The webhook's secret: a random UUID4, made at the first start, kept in the settings."""

import uuid
from collections.abc import Callable

from tagboat.core.config import WEBHOOK_SECRET
from tagboat.core.ports import Store, Topic, Tx


async def ensure_webhook_secret(store: Store) -> None:
    """Make the secret if there is none yet."""
    # Asked by its hash: the secret itself is decrypted only for who is to see it.
    await store.write(lambda tx: tx.webhook_secret_hash() or _make(tx))


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


def _make(tx: Tx) -> str:
    secret = str(uuid.uuid4())
    tx.put_setting(WEBHOOK_SECRET, secret)
    tx.announce(Topic.SETTINGS)
    return secret
