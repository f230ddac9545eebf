"""Identifiers that sort by the time they were made."""

import random
import time


def new_id() -> str:
    """Return a new opaque id: 16 hex digits of the time in nanoseconds, then 8 random ones."""
    # Ids need to differ, not to be secret; asking the system for random bytes is a switch of threads on the hottest path.
    return f"{time.time_ns():016x}{random.getrandbits(32):08x}"


def short_id(full: str) -> str:
    """Return the random part of an id, to end a name with."""
    return full[-8:]
