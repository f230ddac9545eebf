"""The lock of `tagboat ingress run`, which keeps HAProxy in the foreground for a directory."""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tagboat.core.errors import IngressUnavailableError
from tagboat.ingress.process import end_haproxy

LOCK_FILE = "run.lock"
_TRIES, _PAUSE_S = 5, 0.02
_RUNNER_ENDS_WITHIN_S = 20.0


@contextlib.contextmanager
def hold_run_lock(directory: Path) -> Iterator[None]:
    """Hold the lock. Raises IngressUnavailableError where another process holds it."""
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Several tries: a server that looks who holds the lock takes it for a moment.
        for attempt in range(_TRIES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if attempt == _TRIES - 1:
                raise IngressUnavailableError(
                    f"'tagboat ingress run' runs for {directory} already "
                    f"(process {_pid(descriptor)}); stop it first"
                )
            time.sleep(_PAUSE_S)
        # The lock goes with the process, however it ends; a file with its id alone would stay.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {_namespace()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def run_lock_holder(directory: Path) -> int | None:
    """Return the id of that process, None where there is none."""
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # Shared: two servers that look at the same time do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def end_ingress(directory: Path) -> None:
    """End `tagboat ingress run`, if it runs, and every HAProxy of the directory.

    Raises IngressUnavailableError as `end_runner`: then nothing has ended.
    """
    if runner := run_lock_holder(directory):
        end_runner(runner, directory)
    # After its runner, which would start it again.
    end_haproxy(directory)


def end_runner(pid: int, directory: Path) -> None:
    """End `tagboat ingress run`, which would start HAProxy again, and wait until it has ended.

    Raises IngressUnavailableError where it belongs to another user, or runs in another container.
    """
    require_runner_here(directory)
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise IngressUnavailableError(
            f"'tagboat ingress run' (process {pid}) belongs to another user. Run this as that "
            "user, or stop its service with 'sudo systemctl stop tagboat-ingress'"
        ) from None
    deadline = time.monotonic() + _RUNNER_ENDS_WITHIN_S
    while run_lock_holder(directory) and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)


def require_runner_here(directory: Path) -> None:
    """Raise IngressUnavailableError where `tagboat ingress run` runs in another container."""
    # Its process id is that of any other process here.
    if runs_elsewhere(directory):
        raise IngressUnavailableError(
            "HAProxy runs in another container, by 'tagboat ingress run'. Stop that container, "
            "for example with 'docker compose stop ingress'"
        )


def runs_elsewhere(directory: Path) -> bool:
    """Return whether that process runs in another container, where ids of processes differ.

    Nothing there can be seen or signalled from here; HAProxy's socket answers all the same.
    """
    if run_lock_holder(directory) is None:
        return False
    _, _, namespace = (directory / LOCK_FILE).read_text().partition(" ")
    # A lock of an older version names none.
    return namespace not in {"", _namespace()}


def _namespace() -> str:
    # pid_namespaces(7): equal for processes that see one another.
    return str(Path("/proc/self/ns/pid").readlink())


def _pid(descriptor: int) -> int:
    text = os.pread(descriptor, 64, 0).partition(b" ")[0]
    return int(text) if text.isdigit() else 0
