"""Choosing the loopback port on which a container is published."""

import random
import socket
from collections.abc import Collection
from contextlib import suppress

from tagboat.core.errors import EngineError

FIRST, LAST = 20000, 31999
"""Below the ports of outgoing connections on Linux, so that a port is free after a restart."""


def free_loopback_port(taken: Collection[int]) -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on and that is not among `taken`.

    Raises EngineError if there is none. Another program may still come first: the answer of the
    engine decides.
    """
    # Not the lowest free one, so that two servers on one machine seldom choose the same.
    count = LAST + 1 - FIRST
    start = random.randrange(count)  # noqa: S311 - a port is not a secret
    for offset in range(count):
        port = FIRST + (start + offset) % count
        if port in taken:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # Connections in TIME_WAIT, which outlive a container, do not keep its port from being
            # free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise EngineError(
        f"no port of 127.0.0.1 between {FIRST} and {LAST} is free; stop something that listens"
        " there"
    )
