"""The demo's running programs, recorded in its folder, so that `stop` ends only these."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from demo.show import DemoError

_STOP_TIMEOUT_S = 20.0
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """A process.

    `began` is its start in the kernel's clock ticks: with it, a number used again is no mistake.
    """

    pid: int
    began: int

    @property
    def is_alive(self) -> bool:
        """Return whether it runs; an ended process that was not collected does not."""
        return _began(self.pid) == self.began


class Processes:
    """Starts programs detached and remembers them in `folder`/processes.json, each under a name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "processes.json"
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def log(self, name: str) -> Path:
        """Return the file with the program's output."""
        return self._folder / f"{name}.log"

    def start(
        self, name: str, command: Sequence[str], environ: Mapping[str, str] | None = None
    ) -> Running:
        """Start `command` in the demo's folder, so that it outlives the demo.

        Raises DemoError if there is no such program.
        """
        with self.log(name).open("ab") as log:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    env=environ,
                    start_new_session=True,
                )
            except OSError as error:
                raise DemoError(f"{command[0]} cannot be started: {error.strerror}") from None
        self._children[name] = process
        began = _began(process.pid)
        running = Running(process.pid, -1 if began is None else began)
        self._remember(name, running)
        return running

    def get(self, name: str) -> Running | None:
        """The process of that name that runs, None if there is none."""
        running = self._read().get(name)
        return running if running and running.is_alive else None

    def end(self, name: str, limit_s: float = _STOP_TIMEOUT_S) -> bool:
        """End the process of that name and wait for it; whether there was one.

        One that runs on for `limit_s` after the polite signal is killed. Raises DemoError if it
        does not end.
        """
        running = self.get(name)
        if running:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.kill(running.pid, number)
                if _await_end(running, limit_s):
                    break
            else:
                raise DemoError(f"{name} (process {running.pid}) does not end")
        if child := self._children.pop(name, None):
            child.wait()
        self._remember(name, None)
        return running is not None

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines that the program wrote."""
        written = self.log(name).read_text(errors="replace") if self.log(name).exists() else ""
        return "\n".join(written.splitlines()[-lines:])

    def _remember(self, name: str, running: Running | None) -> None:
        kept = {other: process for other, process in self._read().items() if other != name}
        if running:
            kept[name] = running
        draft = self._file.with_suffix(".new")
        draft.write_text(
            json.dumps({name: [process.pid, process.began] for name, process in kept.items()})
        )
        draft.rename(self._file)

    def _read(self) -> dict[str, Running]:
        if not self._file.exists():
            return {}
        return {
            name: Running(*numbers) for name, numbers in json.loads(self._file.read_text()).items()
        }


def _began(pid: int) -> int | None:
    """When the process began, None when it has ended. Fields 3 and 22 of proc_pid_stat(5)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def _await_end(running: Running, limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while running.is_alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True
