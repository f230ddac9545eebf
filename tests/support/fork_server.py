"""A process that has imported a program of Tagboat, and forks each run of it.

Importing takes most of the time of a start. A run is a process as any other: with its own
environment, directory, streams, signals and end. `Forks` in forks.py speaks to this one.
"""

import ctypes
import gc
import json
import os
import runpy
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

MAX_ORDER = 128 * 1024


def orders(link: socket.socket) -> dict[str, Any]:
    """Fork a process for each order to start one; return in that, with the order."""
    while True:
        text, files, _, _ = socket.recv_fds(link, MAX_ORDER, 4)
        if not text:
            sys.exit()
        order = json.loads(text)
        if "ended" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["ended"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                link.close()
                *files, network = files
                enter(network)
                for stream, file in enumerate(files):
                    os.dup2(file, stream)
                    os.close(file)
                return dict(order)
            for file in files:
                os.close(file)
        link.send(str(answer).encode())


def enter(network: int) -> None:
    """Enter the network namespace of that file, which is the one of the test."""
    if os.fstat(network).st_ino != Path("/proc/self/ns/net").stat().st_ino:
        assert ctypes.CDLL(None).setns(network, 0) == 0
    os.close(network)


def main() -> None:
    """Import the modules that are named, then fork."""
    link = socket.socket(fileno=int(sys.argv[1]))
    before_import, *modules = sys.argv[2:]
    if before_import:
        module, _, name = before_import.partition(":")
        getattr(import_module(module), name)()
    for module in modules:
        import_module(module)
    # Forked processes share these objects as long as nobody writes to them.
    gc.freeze()
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
    order = orders(link)
    signal.signal(signal.SIGINT, interrupted)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environ"])
    sys.argv = order["words"]
    if order["words"][0].endswith(".py"):
        sys.path.insert(0, os.path.dirname(order["words"][0]))  # noqa: PTH120 - as Python itself
        runpy.run_path(order["words"][0], run_name="__main__")
    else:
        import_module("tagboat.cli.entry").run()


if __name__ == "__main__":
    main()
