"""Stores on PostgreSQL, which hear of the commits of others."""

import asyncio

from tagboat.core.ports import Store, Topic
from tagboat.store import SqlStore


async def at_rest(store: Store) -> None:
    """Let a new store that others write to make up for what it may have missed so far."""
    assert isinstance(store, SqlStore)
    listener = store._notifications
    if listener is not None and listener._thread is None:
        heard = asyncio.Event()
        store.listen(Topic.EVENTS, heard.set)
        await asyncio.wait_for(heard.wait(), 60)
