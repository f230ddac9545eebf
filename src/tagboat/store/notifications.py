"""Commits of other servers on the same PostgreSQL database, by LISTEN and NOTIFY."""

import select
import socket
import threading
from collections.abc import Callable, Collection
from contextlib import closing
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, func
from sqlalchemy import select as query
from sqlalchemy.exc import SQLAlchemyError

from tagboat.core.ids import new_id
from tagboat.core.store_port import Topic
from tagboat.store import tables

CHANNEL = "tagboat"
CONNECTION_CHECK_S = 5.0
"""Seconds of silence after which the database is asked whether a commit was missed."""
RECONNECT_S = 1.0

log = structlog.get_logger("tagboat.store")


class CommitNotifications:
    """Notifies other servers of our commits, and calls `on_commit` with the topics of theirs.

    A connection and a thread do the latter from `start` on. Each time the connection is made again,
    and where a notification was lost, `on_commit` is called with all topics.
    """

    def __init__(self, engine: Engine, on_commit: Callable[[Collection[Topic]], None]) -> None:
        self._engine = engine
        self._on_commit = on_commit
        self._server = new_id()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._wake: socket.socket | None = None

    def start(self) -> None:
        """Begin to listen, once."""
        if self._thread is None:
            woken, self._wake = socket.socketpair()
            self._thread = threading.Thread(
                target=self._run, args=[woken], name="tagboat-listener", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Have the thread end; `join` waits for that."""
        self._closed.set()
        if self._wake is not None:
            self._wake.close()

    def join(self) -> None:
        """Return once the thread has ended."""
        if self._thread is not None:
            self._thread.join()

    def notify(self, connection: Connection, topics: Collection[Topic]) -> None:
        """Notify other servers of `topics`, if the transaction of `connection` is committed."""
        payload = " ".join((self._server, *topics))
        connection.exec_driver_sql("SELECT pg_notify(%s, %s)", (CHANNEL, payload))

    def _run(self, woken: socket.socket) -> None:
        # The driver is loaded by now only where it is in use.
        import psycopg  # noqa: PLC0415 - see above

        warned = False
        while not self._closed.is_set():
            try:
                # Detached: the pool must neither count it nor give it to others.
                pooled = self._engine.raw_connection()
                connection: Any = pooled.driver_connection
                pooled.detach()
                with closing(connection):
                    # Idle in a transaction, it would be ended, and keep VACUUM from its work.
                    connection.autocommit = True
                    connection.execute(f"LISTEN {CHANNEL}")
                    # There may have been commits before it listened.
                    self._on_commit(tuple(Topic))
                    warned = False
                    self._follow(connection, woken)
            except (SQLAlchemyError, psycopg.Error, OSError) as error:
                # Once an outage: others say how it goes on.
                if not warned:
                    reason = str(error).split("\n")[0]
                    log.warning("cannot follow other servers", action="listen", reason=reason)
                warned = True
                self._closed.wait(RECONNECT_S)
        woken.close()

    def _follow(self, connection: Any, woken: socket.socket) -> None:  # noqa: ANN401 - psycopg's
        known, heard = self._newest(connection), False
        while not self._closed.is_set():
            ready, _, _ = select.select([connection, woken], [], [], CONNECTION_CHECK_S)
            if ready:
                for notice in connection.notifies(timeout=0):
                    heard = True
                    server, *topics = notice.payload.split()
                    if server != self._server:
                        # A newer server may name topics that this one does not know.
                        known_topics = [Topic(one) for one in topics if one in set(Topic)]
                        self._on_commit(known_topics)
                continue
            newest = self._newest(connection)
            # Some poolers pass no notifications on.
            if newest != known and not heard:
                self._on_commit(tuple(Topic))
            known, heard = newest, False

    def _newest(self, connection: Any) -> int | None:  # noqa: ANN401 - psycopg's
        found = connection.execute(str(query(func.max(tables.events_table.c.id)))).fetchone()
        newest: int | None = found[0]
        return newest
