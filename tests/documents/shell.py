"""A shell that runs commands as a reader types them: `tagboat` runs in this process."""

import contextlib
import io
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tagboat.cli.entry import run

YES = "y\n"
"""Confirms what a command asks; anything else is piped in, such as a password."""
_LIMIT_S = 60.0
_CLIENT = Path(__file__).with_name("client.py")
_PROGRAMS = {
    # They read the rule, and say what it would be, without changing the machine's.
    "iptables": 'exec /usr/sbin/iptables-translate "$@"',
    "ip6tables": 'exec /usr/sbin/ip6tables-translate "$@"',
    "tagboat": f'exec "{sys.executable}" -IS "{_CLIENT}" "$@"',
    # Who runs a test is no other user, and need not become one.
    "sudo": '[ "$1" = -u ] && shift 2\nexec env "$@"',
    # What it would do: whether there is such a target.
    "make": f'exec /usr/bin/make --dry-run --directory "{Path(__file__).parents[2]}" "$@"',
}


@dataclass(frozen=True)
class Done:
    """A command that has ended; `said` is its output and its errors."""

    code: int
    said: str


class Terminal(io.TextIOWrapper):
    """A standard input at which a person sits."""

    def isatty(self) -> bool:
        return True


class Shell:
    """Runs commands in `folder`, with a home, programs and variables of their own."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.home = folder.with_name(f"{folder.name}-home")
        programs = self.home / "bin"
        programs.mkdir(parents=True)
        for name, text in _PROGRAMS.items():
            (programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (programs / name).chmod(0o755)
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        path = f"{programs}:{os.environ['PATH']}"
        self.environ = kept | {"HOME": str(self.home), "PATH": path} | dict(environ)

    def run(self, text: str, typed: str = "") -> Done:
        """Run one command; `typed` is what its reader answers where it asks."""
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            (self.home / "said").open("w+b") as said,
            (self.home / "typed").open("w+b") as stdin,
        ):
            stdin.write(typed.encode())
            stdin.seek(0)
            port = listener.getsockname()[1]
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=self.folder,
                env=self.environ | {"DOCUMENTS_PORT": str(port)},
                stdin=stdin,
                stdout=said,
                stderr=said,
            )
            try:
                self._serve(listener, process, asks=typed == YES)
            finally:
                process.kill()
                process.wait()
            said.seek(0)
            return Done(process.returncode, said.read().decode())

    def _serve(
        self, listener: socket.socket, process: "subprocess.Popen[bytes]", *, asks: bool
    ) -> None:
        """Run each `tagboat` of the command until it has ended."""
        ends = time.monotonic() + _LIMIT_S
        with open(os.pidfd_open(process.pid), "rb") as ended:  # noqa: PTH123 - a descriptor
            watched = (listener.fileno(), ended.fileno())
            while process.poll() is None:
                ready, _, _ = select.select(watched, (), (), max(0, ends - time.monotonic()))
                if not ready:
                    raise TimeoutError(f"not done within {_LIMIT_S:.0f} s: {process.args!r}")
                if watched[0] in ready:
                    caller, _ = listener.accept()
                    with caller, caller.makefile("rwb") as stream:
                        answer = _run_here(json.loads(stream.read()), asks=asks)
                        stream.write(json.dumps(answer).encode())


def _run_here(asked: Mapping[str, Any], *, asks: bool) -> Mapping[str, object]:
    """Run a command line in this process, as `tagboat` would; a person sits there if it asks."""
    code, piped = 0, io.BytesIO(asked["piped"].encode("latin-1"))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with (
            patch.dict(os.environ, asked["environ"], clear=True),
            patch.object(sys, "argv", ["tagboat", *asked["words"]]),
            patch.object(sys, "stdin", Terminal(piped) if asks else io.TextIOWrapper(piped)),
            contextlib.chdir(asked["folder"]),
            # Copies, because a command may lead its own to nowhere.
            open(os.dup(out.fileno()), "w") as stdout,  # noqa: PTH123 - a descriptor
            open(os.dup(err.fileno()), "w") as stderr,  # noqa: PTH123
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            try:
                run()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
        written = [(stream.seek(0), stream.read().decode("latin-1"))[1] for stream in (out, err)]
    return {"code": code, "out": written[0], "err": written[1]}
