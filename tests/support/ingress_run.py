"""`tagboat ingress run` as a process of its own, as a service manager runs it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tagboat.ingress.process import end_haproxy
from tests.support.forks import Forked, commands

_READY_S = 120.0


class IngressRun:
    """Started in the data directory `data`, to listen on `port` of 127.0.0.1. `log` is what it
    and HAProxy said.
    """

    def __init__(self, data: Path, port: int) -> None:
        self.data = data
        self.port = port
        self.directory = data / "ingress"
        self._log = data.parent / "ingress.log"
        self.process: Forked | None = None

    def variables(self) -> dict[str, str]:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith("TAGBOAT_")
        }
        own = {
            "TAGBOAT_DATA_DIR": str(self.data),
            "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{self.port}",
        }
        return {**clean, **own}

    def start(self) -> None:
        """Start it, and return once it has said that HAProxy answers."""
        said = len(self.log())
        words = ("tagboat", "ingress", "run")
        with Path(os.devnull).open("r+") as nothing, self._log.open("ab") as log:
            self.process = commands().start(
                words, self.variables(), self.data.parent, nothing, nothing, log
            )
        end = time.monotonic() + _READY_S
        while "HAProxy started" not in self.log()[said:]:
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.02)

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        return commands().run(("tagboat", "ingress", *words), self.variables(), self.data.parent)


@contextmanager
def ingress_run(data: Path, port: int) -> Iterator[IngressRun]:
    """One that is started; at the end it is ended, and HAProxy with it."""
    running = IngressRun(data, port)
    running.start()
    try:
        yield running
    finally:
        running.stop()
        end_haproxy(running.directory)
