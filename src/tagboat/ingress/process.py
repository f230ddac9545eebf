"""HAProxy as a program and as processes of a directory.

A process counts as ours only if its command line names our directory. No other is ever signalled.
"""

import asyncio
import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from msgspec import Struct

from tagboat.core.errors import IngressUnavailableError, SettingsError
from tagboat.ingress.config import CONFIG_FILE, MASTER_SOCKET, PID_FILE

# The release in Debian 12 (decision 0007).
OLDEST = (2, 6)
_TRANSIENT_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
"""What is lacking only for now."""
_RUN_S = 10.0
_END_S = 5.0
_AHEAD = 5
"""Steps of niceness by which HAProxy precedes Tagboat: about three times its share."""
_LONGEST_OUTPUT = 64 * 1024
# Debian keeps it where the PATH of an ordinary user does not look.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VERSION_LINE = re.compile(r"^HA-?Proxy version ((\d+)\.(\d+)\S*)", re.MULTILINE)


class Program(Struct, frozen=True):
    """An installed HAProxy. With `lua` it can hold requests, with `tls` speak TLS to apps."""

    path: str
    version: str
    lua: bool
    tls: bool


def parse_version_text(path: str, text: str) -> Program:
    """Read what `haproxy -vv` prints. Raises SettingsError if it is not HAProxy, or too old."""
    match = _VERSION_LINE.search(text)
    if match is None:
        raise SettingsError(f"{path} is not HAProxy: `{path} -vv` names no version")
    if (int(match[2]), int(match[3])) < OLDEST:
        raise SettingsError(
            f"{path} is HAProxy {match[1]}; Tagboat needs {OLDEST[0]}.{OLDEST[1]} or newer: "
            "please update it"
        )
    return Program(path, match[1], lua="Built with Lua" in text, tls="+OPENSSL" in text)


async def find_program(name: str) -> Program:
    """Find HAProxy by name or path, and look at its version. Raises SettingsError."""
    path = shutil.which(name) or shutil.which(name, path=PATH)
    if path is None:
        raise SettingsError(
            f"the program {name} is not found; install HAProxy {OLDEST[0]}.{OLDEST[1]} or newer"
        )
    _, text = await _run_program(path, "-vv")
    return parse_version_text(path, text)


async def check_config(program: Program, directory: Path) -> None:
    """Have HAProxy check its configuration. Raises SettingsError with its message if it refuses."""
    status, text = await _run_program(program.path, "-c", "-C", str(directory), "-f", CONFIG_FILE)
    if status != 0:
        raise SettingsError(f"HAProxy refuses its configuration in {directory}: {_complaint(text)}")


async def launch(program: Program, directory: Path) -> None:
    """Start a master that outlives Tagboat; return once it listens.

    Raises IngressUnavailableError with HAProxy's message.
    """
    with _preferred():
        status, text = await _run_program(program.path, "-D", *foreground_words(directory))
    if status != 0:
        raise IngressUnavailableError(f"HAProxy does not start: {_complaint(text)}")


async def refuse_to_launch(_program: Program, _directory: Path) -> None:
    """Start nothing, where HAProxy is for `tagboat ingress run` to start.

    Raises IngressUnavailableError always.
    """
    # With two at one address, each would get a part of the requests.
    raise IngressUnavailableError(
        "HAProxy does not run, and TAGBOAT_INGRESS_START is false: start 'tagboat ingress run', "
        "for example with 'docker compose up -d ingress'"
    )


def foreground_words(directory: Path) -> tuple[str, ...]:
    """Return the arguments of a master that works in `directory` and stays in the foreground."""
    # Names are relative to the directory: a path of any length will do.
    return (
        "-W",
        "-C",
        str(directory),
        "-f",
        CONFIG_FILE,
        "-p",
        PID_FILE,
        "-S",
        f"unix@{MASTER_SOCKET}",
    )


@contextlib.contextmanager
def _preferred() -> Iterator[None]:
    """Give what is started within precedence over Tagboat, if that is permitted.

    People wait for its answers, and deploys can wait.
    """
    own = os.getpriority(os.PRIO_PROCESS, 0)
    # Only root may lower the niceness; without that it runs like any other.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, own - _AHEAD)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, own)


def why_not_free(listen: tuple[str, int]) -> str | None:
    """Return why nobody could listen on that host and port now, None if somebody could.

    HAProxy itself would not notice another HAProxy, since both share the address by SO_REUSEPORT.
    """
    host, port = listen
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as listener:
            # Connections in TIME_WAIT do not keep an address from being used, only a listener does.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return None


def require_free_address(listen: tuple[str, int]) -> None:
    """Raise IngressUnavailableError where we cannot listen."""
    if why := why_not_free(listen):
        end = "end the program that does, or " if why == os.strerror(errno.EADDRINUSE) else ""
        raise IngressUnavailableError(
            f"the ingress cannot listen on {listen[0]}:{listen[1]} ({why});"
            f" {end}set TAGBOAT_INGRESS_LISTEN to another address"
        )


def running_master(directory: Path) -> int | None:
    """Return the process id of our running master, None without one.

    It is the one that its file names, else the parent of our workers.
    """
    try:
        pid = int((directory / PID_FILE).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        pid = 0
    # A killed master leaves its file, and its id may be another program's by now.
    if _is_our_process(pid, directory):
        return pid
    ours = our_processes(directory)
    return next((parent for parent in map(_parent, ours) if parent in ours), None)


def masters(directory: Path) -> list[int]:
    """Return those of our processes that are the children of none of them."""
    ours = our_processes(directory)
    return [pid for pid in ours if _parent(pid) not in ours]


def our_processes(directory: Path) -> list[int]:
    """Return all living HAProxy processes, masters and workers, that work in our directory."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if _is_our_process(pid, directory)]


def send_signal(pid: int, signal_number: signal.Signals, directory: Path) -> None:
    """Signal a process if it is ours."""
    if _is_our_process(pid, directory):
        try:
            os.kill(pid, signal_number)
        except ProcessLookupError:
            return
        except PermissionError:
            raise IngressUnavailableError(
                f"HAProxy (process {pid}) was started by another user; end it, "
                "or run Tagboat as that user"
            ) from None


def end_haproxy(directory: Path) -> bool:
    """End every HAProxy of `directory` with its requests; return whether there was one.

    Blocks for up to 10 s.
    """
    directory = directory.resolve()
    found = our_processes(directory)
    # SIGTERM is the hard stop (management guide, section 4); a stuck process needs SIGKILL.
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        for pid in our_processes(directory):
            send_signal(pid, signal_number, directory)
        end = time.monotonic() + _END_S
        while our_processes(directory) and time.monotonic() < end:
            time.sleep(0.02)
    return bool(found)


def _is_our_process(pid: int, directory: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError as error:
        # Else a running HAProxy would be taken for gone, and another one started.
        if error.errno in _TRANSIENT_ERRORS:
            raise
        return False
    wanted = [b"-C", os.fsencode(directory), b"-f", CONFIG_FILE.encode()]
    return any(words[at : at + len(wanted)] == wanted for at in range(len(words)))


def _parent(pid: int) -> int:
    """Return the process id of the parent, 0 if the process is gone."""
    try:
        # The name before it may have blanks and brackets in it: proc_pid_stat(5).
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


async def _run_program(path: str, *words: str) -> tuple[int, str]:
    """Run HAProxy until it exits or goes to the background; return its status and output."""
    try:
        # Into a file: the background process keeps a pipe open, which would never end.
        with tempfile.TemporaryFile() as output:
            status = await _wait_for(path, words, output)
            output.seek(0)
            return status, output.read(_LONGEST_OUTPUT).decode(errors="replace")
    except OSError as error:
        raise IngressUnavailableError(
            f"`{path} {words[0]}` cannot be run now: {error.strerror}"
        ) from None


async def _wait_for(path: str, words: Sequence[str], output: IO[bytes]) -> int:
    try:
        process = await asyncio.create_subprocess_exec(
            path,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={"PATH": PATH},  # our secrets are none of its business
            # Ctrl-C in our terminal must not reach it: it outlives us.
            start_new_session=True,
        )
    except OSError as error:
        if error.errno in _TRANSIENT_ERRORS:
            raise
        raise SettingsError(f"{path} cannot be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(_RUN_S):
            return await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise IngressUnavailableError(
            f"`{path} {words[0]}` did not end within {_RUN_S:.0f} s"
        ) from None


def _complaint(text: str) -> str:
    """Return the alerts in HAProxy's output, all of it if it has none."""
    lines = [
        line.partition(" : ")[2].strip() or line.strip()
        for line in text.splitlines()
        if "[ALERT]" in line
    ]
    return "; ".join(lines)[:1000] or text.strip()[-1000:] or "it does not say why"
