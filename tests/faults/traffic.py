"""People who use a stage all the while.

Over the ingress, on fresh connections and on one that is kept.
"""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

_PAUSE_S = 0.02
_PATIENCE_S = 100.0
"""Longer than HAProxy holds the requests of a stage that restarts."""
_LONGEST_WAIT_S = 60.0


@dataclass
class Traffic:
    """What the requests came to: bodies of 200s in order, and everything else with its time."""

    port: int
    host: str
    pause_s: float = _PAUSE_S
    answers: list[str] = field(default_factory=list)
    failures: list[tuple[datetime, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def ask_on_fresh_connections(self) -> None:
        while not self.over.wait(self.pause_s):
            self._ask(self._connection(), keep=False)

    def ask_on_one_connection(self) -> None:
        connection = self._connection()
        while not self.over.wait(self.pause_s):
            self._ask(connection, keep=True)
        connection.close()

    def goes_on(self, answers: int = 20) -> str:
        """Wait for so many more answers; the last one."""
        enough = len(self.answers) + answers
        end = time.monotonic() + _LONGEST_WAIT_S
        while len(self.answers) < enough:
            assert time.monotonic() < end, (
                f"{self.host} does not answer any more: {self.failures[-3:]}"
            )
            time.sleep(0.02)
        return self.answers[-1]

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S)

    def _ask(self, connection: http.client.HTTPConnection, *, keep: bool) -> None:
        try:
            connection.request("GET", "/", headers={"Host": self.host})
            answer = connection.getresponse()
            body = answer.read().decode().strip()
            if answer.status == 200:
                self.answers.append(body)
            else:
                self.failures.append((datetime.now(UTC), f"status {answer.status}"))
        except (OSError, http.client.HTTPException) as error:
            self.failures.append((datetime.now(UTC), repr(error)))
            keep = False
        if not keep:
            connection.close()


@contextmanager
def traffic(port: int, host: str, pause_s: float = _PAUSE_S) -> Iterator[Traffic]:
    """Ask all through the block, with a pause after each answer."""
    asked = Traffic(port, host, pause_s)
    askers: list[Callable[[], None]] = [asked.ask_on_fresh_connections, asked.ask_on_one_connection]
    threads = [threading.Thread(target=asker) for asker in askers]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        asked.over.set()
        for thread in threads:
            thread.join(_PATIENCE_S)


def page(port: int, host: str) -> tuple[int, str]:
    """Status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/", headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()
    finally:
        connection.close()
