"""Durable state. SQLAlchemy lives here and nowhere else."""

from tagboat.store.store import SqlStore, open_store

__all__ = ["SqlStore", "open_store"]
