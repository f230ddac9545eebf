"""Durable state. SQLAlchemy lives here and nowhere else."""

from tagboat.store.rotation import rotate_encryption_key
from tagboat.store.store import SqlStore, is_prepared, open_store

__all__ = ["SqlStore", "is_prepared", "open_store", "rotate_encryption_key"]
