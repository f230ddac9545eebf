"""The HTTP server: uvicorn, with limits on slow callers, long heads and the number of connections.

Uvicorn is pinned, because `Connection` extends its protocol class: decision 0020.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import structlog
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import Server

from tagboat.http.connection import Connection
from tagboat.loops import wait_at_most

REQUESTS_GRACE_S = 2
BACKLOG = 4096
TICK_S = 1.0
MOST_CONNECTIONS = 100_000
LEAST_CONNECTIONS = 16
RESERVED_FILES = 120
"""Files kept free for the database, the engine, HAProxy and ssh."""

log = structlog.get_logger("tagboat.http")


def most_connections(open_files: int) -> int:
    """Return how many connections to accept where `open_files` may be open (-1: no limit)."""
    if open_files < 0:
        return MOST_CONNECTIONS
    # A quarter, where there are many: each connection of a deploy, poll or stream is a file, too.
    room = open_files - max(RESERVED_FILES, open_files // 4)
    return max(LEAST_CONNECTIONS, min(MOST_CONNECTIONS, room))


class HttpServer:
    """Serves `app` until `stop`; calls `on_ready` once it answers, `on_stop` as it stops.

    Beyond `most_connections`, the connection that has been silent longest is closed. `faulty` is
    True where a background task broke down and stopped the server.
    """

    def __init__(self, app: ASGIApp, most_connections: int = MOST_CONNECTIONS) -> None:
        self.on_ready: Callable[[], None] = lambda: None
        self.on_stop: Callable[[], None] = lambda: None
        self.faulty = False
        self._stopping = asyncio.Event()
        self._uvicorn = Server(
            Config(
                app,
                http=cast("type[asyncio.Protocol]", partial(Connection, most_connections)),
                loop="none",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=REQUESTS_GRACE_S,
            )
        )

    async def serve(self, listeners: Sequence[socket.socket]) -> None:
        """Serve until stopped, then finish requests for `REQUESTS_GRACE_S` seconds."""
        # Not uvicorn's own serve(): it would take over the signals, and raise them again at the
        # end, which changes the exit code; and it wakes up ten times a second.
        server, sockets = self._uvicorn, list(listeners)
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup(sockets)
        self.on_ready()
        while not await server.on_tick(0):  # renews the date that answers carry
            await wait_at_most(self._stopping, TICK_S)
        await server.shutdown(sockets)

    def stop(self) -> None:
        """Stop accepting requests."""
        self._uvicorn.should_exit = True
        self.on_stop()  # streams have no end of their own that could be waited for
        self._stopping.set()

    def stop_after_fault(self, task: "asyncio.Task[None]") -> None:
        """Stop when a background task ends: an API whose deploys do not run would mislead."""
        if not task.cancelled():
            log.critical(
                "a part of the server broke down", action="stop", exc_info=task.exception()
            )
            self.faulty = True
            self.stop()
