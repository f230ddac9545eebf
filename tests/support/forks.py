"""Runs of Tagboat in processes of their own, which start in a fraction of the usual time."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any

from tests.support.fork_server import MAX_ORDER

_SERVER = ("tagboat.cli.serve:leave_out", "tagboat.cli.entry", "tagboat.app")
_COMMANDS = ("", "tagboat.cli.entry", "tagboat.cli.main")
_LIMIT_S = 120.0


@dataclass
class Forked:
    """A run, used as a `subprocess.Popen` is."""

    pid: int
    forks: "Forks"
    # Readable once the process has ended.
    _end: int
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._end], [], [], 0)[0]:
            self._note_end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._end], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self._note_end()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _note_end(self) -> None:
        self.returncode = self.forks.ask({"ended": self.pid})
        os.close(self._end)


class Forks:
    """A process that forks runs; see fork_server.py. It ends with this one."""

    def __init__(self, *preloaded: str) -> None:
        self._turn = Lock()
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.support.fork_server",
                    str(theirs.fileno()),
                    *preloaded,
                ],
                cwd=Path(__file__).parents[2],
                pass_fds=[theirs.fileno()],
            )

    def start(
        self, words: Sequence[str], environ: Mapping[str, str], cwd: Path, *streams: IO[Any]
    ) -> Forked:
        """Start a run with these as its standard input, output and error, in our network."""
        order = {"words": words, "environ": dict(environ), "cwd": str(cwd)}
        with Path("/proc/thread-self/ns/net").open() as network:
            pid = self.ask(order, *(one.fileno() for one in (*streams, network)))
        return Forked(pid, self, os.pidfd_open(pid))

    def run(
        self, words: Sequence[str], environ: Mapping[str, str], cwd: Path, piped: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end, as `subprocess.run` does with its output captured."""
        with TemporaryFile("w+") as given, TemporaryFile("w+") as out, TemporaryFile("w+") as log:
            given.write(piped)
            given.seek(0)
            code = self.start(words, environ, cwd, given, out, log).wait(_LIMIT_S)
            out.seek(0)
            log.seek(0)
            return subprocess.CompletedProcess(words, code, out.read(), log.read())

    def ask(self, order: Mapping[str, object], *files: int) -> int:
        """Send an order and return the number that comes back."""
        text = json.dumps(order).encode()
        assert len(text) < MAX_ORDER
        with self._turn:
            socket.send_fds(self._link, [text], list(files))
            answer = self._link.recv(64)
        assert answer, "the process that forks has ended"
        return int(answer)


@cache
def servers() -> Forks:
    """Where `tagboat serve` is forked."""
    return Forks(*_SERVER)


@cache
def commands() -> Forks:
    """Where all other commands are forked."""
    return Forks(*_COMMANDS)
