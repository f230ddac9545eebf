"""A relay on loopback that falls silent on demand: connections stay, and new ones are taken, but
nothing comes through.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_CHUNK = 1 << 16


class SilentRelay:
    """Listens at `port` for the server at `behind`. Between `fall_silent` and `speak` it carries
    nothing.
    """

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._speaking = threading.Event()
        self._speaking.set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self) -> None:
        self._speaking.clear()

    def speak(self) -> None:
        self._speaking.set()

    def close(self) -> None:
        self._speaking.set()
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._behind))
                self._sockets += [client, server]
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := one.recv(_CHUNK):
                self._speaking.wait()
                other.sendall(chunk)
            other.shutdown(socket.SHUT_WR)


@contextmanager
def silent_relay(behind: int) -> Iterator[SilentRelay]:
    relay = SilentRelay(behind)
    try:
        yield relay
    finally:
        relay.close()
