"""`tagboat edge` as a process of its own, with the HAProxy that it leaves running."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tagboat.ingress.process import end_haproxy
from tests.support.forks import Forked, servers
from tests.support.ports import free_port

_READY_S = 120.0


@dataclass
class EdgeRun:
    """An edge in a directory of its own, with the database at `url`, listening on `port`."""

    directory: Path
    url: str
    port: int = field(default_factory=free_port)
    process: Forked | None = None

    @property
    def ingress(self) -> Path:
        return self.directory / "data" / "ingress"

    def variables(self) -> dict[str, str]:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith("TAGBOAT_")
        }
        own = {
            "TAGBOAT_DATA_DIR": str(self.directory / "data"),
            "TAGBOAT_DATABASE_URL": self.url,
            "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{self.port}",
        }
        return {**clean, **own}

    def launch(self) -> None:
        """Start it, and do not wait for anything."""
        with (
            Path(os.devnull).open() as nothing,
            (self.directory / "out").open("wb") as out,
            (self.directory / "log").open("ab") as log,
        ):
            self.process = servers().start(
                ("tagboat", "edge"), self.variables(), self.directory, nothing, out, log
            )

    def start(self) -> None:
        """Start it, and return once it has said that it is ready."""
        self.launch()
        self.until_said(f"ready on http://127.0.0.1:{self.port}", "out")

    def until_said(self, words: str, where: str = "log", before: int = 0) -> None:
        """Return once `words` are in its log, or its output, after so many characters."""
        end = time.monotonic() + _READY_S
        while words not in (self.directory / where).read_text()[before:]:
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < end, f"waited for {words!r}\n{self.log()[-4000:]}"
            time.sleep(0.02)

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)

    def terminate(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def run_edge_to_end(environ: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `tagboat edge` that is expected to end by itself."""
    return servers().run(("tagboat", "edge"), environ, cwd)


@contextmanager
def running_edge(directory: Path, url: str) -> Iterator[EdgeRun]:
    """One that is started; at the end it is ended, and HAProxy with it."""
    edge = EdgeRun(directory, url)
    try:
        edge.start()
        yield edge
        if edge.process is not None and edge.process.poll() is None:
            assert edge.terminate() == 0
    finally:
        if edge.process is not None and edge.process.poll() is None:
            edge.kill()
        end_haproxy(edge.ingress)
