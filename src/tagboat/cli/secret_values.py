"""Values of secrets, read where the command runs: from variables, files and commands."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tagboat.core.errors import TagboatError
from tagboat.core.secret_refs import RefKind, SecretRef

COMMAND_LIMIT_S = 60.0
"""Seconds in which a command ends, and a pipe has been read."""
_MAX_VALUE = 512 * 1024
# A character has up to four bytes.
_MAX_BYTES = 4 * _MAX_VALUE


def read_secret(
    ref: SecretRef, environ: Mapping[str, str], folder: Path, *, is_file: bool
) -> str | None:
    """Return the value of a reference, None where it is to stay. Raises TagboatError.

    Paths are relative to `folder`, and commands run in it. Line feeds at the end are not part of a
    value, unless it is that of a file.
    """
    match ref.kind:
        case None:
            return None
        case RefKind.ENV:
            value = environ.get(ref.target)
            if value is None and ref.or_keep:
                return None
            if value is None:
                raise TagboatError(f"the variable {ref.target} is not set")
            return value
        case RefKind.FILE:
            path = folder / Path(ref.target).expanduser()
            content = _read_file(path)
        case RefKind.EXEC:
            content = _run(ref.target, folder)
    too_long = TagboatError(f"the value is longer than {_MAX_VALUE} characters")
    # Cut off, it may end in the middle of a character.
    if len(content) > _MAX_BYTES:
        raise too_long
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise TagboatError("the value is not UTF-8 text") from None
    if len(text) > _MAX_VALUE:
        raise too_long
    return text if is_file else text.rstrip("\r\n")


def read_in_time(descriptor: int, end: float) -> bytes:
    """Return what can be read until its end, but little more than a value may have.

    Raises TimeoutError if that takes longer than until `end`, by the monotonic clock, and OSError.
    """
    content, waiting = bytearray(), select.poll()
    waiting.register(descriptor, select.POLLIN)
    while len(content) <= _MAX_BYTES:
        left = end - time.monotonic()
        if left <= 0 or not waiting.poll(left * 1000):
            raise TimeoutError
        # Others may have read it between the two.
        with suppress(BlockingIOError):
            chunk = os.read(descriptor, _MAX_BYTES + 1 - len(content))
            if not chunk:
                break
            content += chunk
    return bytes(content)


def _read_file(path: Path) -> bytes:
    """Return the content of a file, or what comes out of a pipe, such as `/dev/stdin`."""
    try:
        # Else the opening of a pipe that has no writer would wait for one without end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            if os.isatty(descriptor):
                raise TagboatError(f"{path} is a terminal: name a file, or use env:NAME")
            return read_in_time(descriptor, time.monotonic() + COMMAND_LIMIT_S)
        finally:
            os.close(descriptor)
    except TimeoutError:
        raise TagboatError(
            f"{path} is not a file, and did not end within {COMMAND_LIMIT_S:.0f} s: does another"
            " program write to it, and close it? Or name a file"
        ) from None
    except OSError as error:
        raise TagboatError(f"{path} cannot be read ({error.strerror})") from None


def _run(command: str, folder: Path) -> bytes:
    try:
        # By the shell, as people write it there. Its errors go to the terminal.
        process = subprocess.Popen(  # noqa: S603 - the file's writer runs the command
            ["/bin/sh", "-c", command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # A group of its own, so that what it has started can be ended with it.
            process_group=0,
        )
    except (OSError, ValueError) as error:
        raise TagboatError(f"the command cannot be run ({error})") from None
    end = time.monotonic() + COMMAND_LIMIT_S
    try:
        with process, in_foreground(process.pid):
            try:
                content = read_in_time(process.stdout.fileno() if process.stdout else -1, end)
                if len(content) > _MAX_BYTES:
                    return content
                code = process.wait(max(end - time.monotonic(), 0.1))
            finally:
                # Not one that has ended: its background processes may be meant to stay.
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
    except (TimeoutError, subprocess.TimeoutExpired):
        raise TagboatError(f"the command did not end within {COMMAND_LIMIT_S:.0f} s") from None
    if code == -signal.SIGINT:
        raise KeyboardInterrupt
    if code:
        raise TagboatError(f"the command failed with exit code {code}")
    # A password manager that finds nothing may end well: the stored value must not go for it.
    if not content.strip(b"\r\n"):
        raise TagboatError(
            "the command printed nothing; for an empty secret use env:NAME with an empty variable"
        )
    return content


@contextmanager
def in_foreground(group: int) -> Iterator[None]:
    """Let a process group have the terminal, if there is one, until the block ends.

    A password manager may ask there. In the background it would be stopped for that.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield
        return
    # Who takes the terminal back from the background is stopped otherwise.
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    own = os.getpgrp()
    is_ours = os.tcgetpgrp(terminal) == own
    try:
        # It may have ended already.
        with suppress(OSError):
            if is_ours:
                os.tcsetpgrp(terminal, group)
                # It may have asked before, and been stopped.
                os.killpg(group, signal.SIGCONT)
        yield
    finally:
        with suppress(OSError):
            if is_ours:
                os.tcsetpgrp(terminal, own)
        os.close(terminal)
        signal.signal(signal.SIGTTOU, before)
