"""Waiting for something to come true, never for ever."""

import socket
import time
from collections.abc import Callable
from typing import TypeVar

from demo.show import DemoError

T = TypeVar("T")
_LOOK_EVERY_S = 0.05


def await_value(look: Callable[[], T | None], limit_s: float, what: str, remedy: str = "") -> T:
    """Return the first value of `look` that is not None; raise DemoError after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while (value := look()) is None:
        if time.monotonic() > deadline:
            raise DemoError(f"{what} took longer than {limit_s:.0f} s", remedy)
        time.sleep(_LOOK_EVERY_S)
    return value


def free_port(wanted: int = 0) -> int:
    """Return `wanted` if that port of 127.0.0.1 is free, else another that is."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            if wanted == 0:
                raise
            return free_port()
        port: int = probe.getsockname()[1]
        return port
