"""A relay on loopback that falls silent or is cut on demand.

Silent, connections stay, and new ones are taken, but nothing comes through. Cut, there are none.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_CHUNK = 1 << 16


class SilentRelay:
    """Listens at `port` for the server at `behind`. Between `fall_silent` or `cut`, and `speak`,
    it carries nothing.
    """

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._speaking = threading.Event()
        self._speaking.set()
        self._cut = False
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self) -> None:
        self._speaking.clear()

    def cut(self) -> None:
        """End each connection, those that come until `speak` as well."""
        self._cut = True
        self._end(list(self._sockets))

    def speak(self) -> None:
        self._cut = False
        self._speaking.set()

    def close(self) -> None:
        self._speaking.set()
        self._end([self._listener, *self._sockets])

    def _end(self, sockets: list[socket.socket]) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._cut:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._behind))
                self._sockets += [client, server]
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := one.recv(_CHUNK):
                self._speaking.wait()
                other.sendall(chunk)
        # One that was killed resets its connection, and the other end hears of it too.
        self._speaking.wait()
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)


@contextmanager
def silent_relay(behind: int) -> Iterator[SilentRelay]:
    relay = SilentRelay(behind)
    try:
        yield relay
    finally:
        relay.close()
