"""The socket that the server listens on."""

import contextlib
import os
import socket
from collections.abc import Iterator

from tagboat.core.errors import TagboatError
from tagboat.http.server import BACKLOG
from tagboat.settings import Settings


@contextlib.contextmanager
def bind_listener(settings: Settings) -> Iterator[socket.socket]:
    """Yield the bound socket: before anything is built, so that a port in use is one clear line.

    Raises TagboatError where it cannot be bound.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server(
            (settings.host, settings.port), family=family, backlog=BACKLOG
        )
    except OSError as error:
        raise TagboatError(
            f"cannot listen on {settings.host}:{settings.port} ({_why_not_bound(error)}); "
            "set TAGBOAT_HOST or TAGBOAT_PORT"
        ) from None
    with listener:
        yield listener


def _why_not_bound(error: OSError) -> str:
    # str(error) would repeat the address.
    if isinstance(error, socket.gaierror):
        return "the name cannot be resolved"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
