"""A relay before the engine's socket that hangs up and goes away on demand.

The engine, and what it runs, notice nothing.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Look = Callable[[bytes, threading.Event], None]
_CHUNK = 1 << 16


class Relay:
    """Listens at `path` for the engine whose socket is `engine`.

    After `cut(words)` the next request whose first line holds all of `words` reaches the engine,
    and as soon as its answer begins the relay is `away`: every connection is closed without it. It
    comes back with `open`.
    """

    def __init__(self, path: Path, engine: Path) -> None:
        self.path = path
        self.url = f"unix://{path}"
        self.away = threading.Event()
        self._engine = engine
        self._wanted: tuple[str, ...] = ()
        self._sockets: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.open()

    def open(self) -> None:
        self.away.clear()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen()
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Go away: nobody listens, and every connection ends."""
        self.away.set()
        listener, self._listener = self._listener, None
        if listener is not None:
            self.path.unlink()
            _hang_up(listener)
        for one in tuple(self._sockets):
            _hang_up(one)

    def cut(self, *words: str) -> None:
        self._wanted = words

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(str(self._engine))
                self._sockets |= {client, engine}
                struck = threading.Event()
                for way in ((client, engine, self._look), (engine, client, self._refuse)):
                    threading.Thread(target=self._carry, args=(*way, struck), daemon=True).start()

    def _look(self, chunk: bytes, struck: threading.Event) -> None:
        """Watch requests for the one that is wanted."""
        first = chunk.partition(b"\r\n")[0].decode(errors="replace")
        if self._wanted and all(word in first for word in self._wanted):
            self._wanted = ()
            struck.set()

    def _refuse(self, _: bytes, struck: threading.Event) -> None:
        """Let no answer to that one through."""
        if struck.is_set():
            self.close()
            raise ConnectionAbortedError

    def _carry(
        self, source: socket.socket, target: socket.socket, look: Look, struck: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK):
                look(chunk, struck)
                target.sendall(chunk)
        for end in (source, target):
            _hang_up(end)
            self._sockets.discard(end)


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def engine_relay(path: Path, engine: Path) -> Iterator[Relay]:
    relay = Relay(path, engine)
    try:
        yield relay
    finally:
        relay.close()
