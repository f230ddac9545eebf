"""Calls at a steady pace: `python paced.py PORT FILE`, the file holding the request.

Prints `ready`; at SIGTERM, what it saw. A process of its own, so that nothing else it does can make
an answer look late. Each connection has a timetable and keeps it: the time of a call counts from
the moment at which it was due, so a standstill is seen in full.
"""

import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

PER_S = 200
CONNECTIONS = 8
ADDRESSES = ("127.0.0.1", "127.0.0.2")
"""Where the connections come from, by turns."""
_LIMIT_S = 15.0
Call = tuple[float, float, int]
"""A call: when it was due (monotonic, s), its time from then (s), its status (0 for none)."""


def main() -> int:
    """Call until SIGTERM, then print every Call as JSON."""
    port, request = int(sys.argv[1]), Path(sys.argv[2]).read_bytes()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    calls: list[Call] = []
    began = time.monotonic()
    callers = [
        threading.Thread(
            target=_keep_calling, args=(port, request, number, began, stopping.is_set, calls.append)
        )
        for number in range(CONNECTIONS)
    ]
    for caller in callers:
        caller.start()
    print("ready", flush=True)
    for caller in callers:
        caller.join()
    print(json.dumps(calls), flush=True)
    return 0


def _keep_calling(
    port: int,
    request: bytes,
    number: int,
    began: float,
    is_over: Callable[[], bool],
    tell: Callable[[Call], None],
) -> None:
    due = began + number / PER_S
    connection: socket.socket | None = None
    while not is_over():
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            connection = connection or _connect(port, ADDRESSES[number % len(ADDRESSES)])
            connection.sendall(request)
            status = _receive(connection)
        except OSError:
            connection, status = None, 0
        tell((due, time.monotonic() - due, status))
        due += CONNECTIONS / PER_S
    if connection:
        connection.close()


def _connect(port: int, address: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), _LIMIT_S, source_address=(address, 0))


def _receive(connection: socket.socket) -> int:
    """Read one whole answer; its status. Raises OSError where it breaks off."""
    answer, head = b"", -1
    while head < 0 or len(answer) < head + 4 + _length(answer[:head]):
        part = connection.recv(65536)
        if not part:
            raise ConnectionError("closed before the end of the answer")
        answer += part
        head = answer.find(b"\r\n\r\n")
    return int(answer.split(b" ", 2)[1])


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next(
        (int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0
    )


if __name__ == "__main__":
    sys.exit(main())
