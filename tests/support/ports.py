"""Loopback ports for what tests start."""

import fcntl
import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

FIRST, LAST = 10000, 19999
"""Below the ports that the kernel gives to connections and to listeners on port 0, and below those
of containers: between the choice of a port and its use, nobody else gets it by chance.
"""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on.

    All test processes of a user take ports in turn, so that each is given once in thousands.
    """
    with (Path(tempfile.gettempdir()) / f"tagboat-tests-ports-{os.geteuid()}").open("a+") as last:
        fcntl.flock(last, fcntl.LOCK_EX)
        last.seek(0)
        before = int(last.read() or LAST)
        for offset in range(1, LAST + 2 - FIRST):
            port = FIRST + (before - FIRST + offset) % (LAST + 1 - FIRST)
            with suppress(OSError), socket.create_server(("127.0.0.1", port)):
                last.truncate(0)
                last.write(str(port))
                return port
    raise RuntimeError(f"no port of 127.0.0.1 between {FIRST} and {LAST} is free")
