"""Identifiers that sort by the time they were made."""

import secrets
import time


def new_id() -> str:
    """Return a new opaque id: 16 hex digits of the time in nanoseconds, then 8 random ones."""
    return f"{time.time_ns():016x}{secrets.token_hex(4)}"


def short_id(full: str) -> str:
    """Return the random part of an id, to end a name with."""
    return full[-8:]
