"""A way to an engine behind ssh, by the means every Docker client uses.

`ssh HOST docker system dial-stdio`.
"""

import asyncio
import contextlib
import errno
import os
import shutil
import socket
import tempfile
from pathlib import Path

from tagboat.runtime.docker.address import EngineAddress

_ALIVE = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3")
"""Options by which ssh ends 45 s after the far side has fallen silent, idle connections too."""

# BatchMode: nobody is there to answer a question of ssh. VERBOSE: it then reports its login, see
# `_LET_IN`.
_OPTIONS = (
    "-T",
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=15",
    *_ALIVE,
    "-o",
    "LogLevel=VERBOSE",
)
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "KRB5CCNAME")
"""What ssh needs of our environment.

Our own settings, with secrets among them, are none of its business.
"""
_SAID_LIMIT = 2000
_LAST_WORDS_S = 1.0

_MOST_STARTING = 6
"""Connections that may be starting at once.

sshd drops connections once ten are not logged in yet (MaxStartups, counted by host). A verbose ssh
reports its login; one that does not has had its time after `_STARTING_S`.
"""
_STARTING_S = 5.0
_LET_IN = b"Authenticated to "
_CHATTER = ("Authenticated to ", "Transferred: ", "Bytes per second: ", "debug1: ")

_LOGGED_IN = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.ECONNABORTED,
        errno.EAGAIN,
        errno.EINTR,
    }
)
"""Why a connection cannot be taken now, and can be in a moment."""
_AGAIN_S = 0.5

_CHANGED_KEY = "REMOTE HOST IDENTIFICATION HAS CHANGED"
_NO_DOCKER = "the command docker must be installed there"
_HINTS = (
    (
        _CHANGED_KEY,
        (
            "its key is not the one that is known here; if it was changed on purpose, remove the"
            " old one with ssh-keygen -R"
        ),
    ),
    (
        "Host key verification failed",
        (
            "its key is not known here; run ssh to it once, as the user that runs Tagboat, and"
            " confirm the key"
        ),
    ),
    (
        "Permission denied (",
        (
            "it lets this user in by no key that works without a question; add the public key to"
            " its authorized_keys"
        ),
    ),
    ("docker: command not found", _NO_DOCKER),
    ("docker: not found", _NO_DOCKER),
)


def explained(said: str) -> str:
    """Return the words of ssh on one line, with what to do about the usual causes."""
    words = " ".join(
        " ".join(line for line in said.splitlines() if not line.startswith(_CHATTER)).split()
    )
    hint = next((hint for cause, hint in _HINTS if cause in words), "")
    if _CHANGED_KEY in words:  # it says so in fifteen lines
        words = "Host key verification failed."
    return f"{words} ({hint})" if hint else words


class _Start:
    """One of the connections that are being made.

    `over`, or time, gives its place to the next, once.
    """

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(
            _STARTING_S, self.over
        )

    def over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._places.release()


class SshTunnel:
    """A local Unix socket.

    Every connection to it gets its own `ssh` process, which speaks to the far engine.
    """

    def __init__(self, address: EngineAddress) -> None:
        far_socket = ["--host", f"unix://{address.socket}"] if address.socket else []
        self._command = (
            "ssh",
            *_OPTIONS,
            *address.ssh_destination,
            "docker",
            *far_socket,
            "system",
            "dial-stdio",
        )
        # For our user alone (mkdtemp makes it 0700): a connection to the engine is as good as root.
        self._directory = Path(tempfile.mkdtemp(prefix="tagboat-ssh-"))
        self.path = self._directory / "docker.sock"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._watches: dict[asyncio.Task[None], asyncio.subprocess.Process] = {}
        self._last_words = ""
        self._places = asyncio.Semaphore(_MOST_STARTING)
        self._accepting = asyncio.create_task(self._accept())

    @property
    def passable(self) -> bool:
        """Readiness for connections: the socket is served and still exists.

        The system may have tidied the socket away, as a temporary file.
        """
        return not self._accepting.done() and self.path.is_socket()

    async def last_words(self) -> str:
        """Return what ssh said when it failed last, empty if nothing.

        Waits a moment for one that is just ending.
        """
        if self._watches:
            await asyncio.wait(self._watches, timeout=_LAST_WORDS_S)
        return self._last_words

    async def close(self) -> None:
        """Close the socket and end the ssh processes."""
        # First, so that no more ssh processes are started while these end.
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._listener.close()
        for process in self._watches.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        await asyncio.gather(*self._watches)
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                self._last_words = f"the way to ssh is blocked: {error.strerror}"
                if error.errno not in _LOGGED_IN:
                    return  # the socket is gone: the next use makes another
                await asyncio.sleep(_AGAIN_S)
                continue
            with connection:
                # ssh inherits the open file description and expects it to block.
                connection.setblocking(True)  # noqa: FBT003 - the socket module's own signature
                await self._places.acquire()
                await self._dial(connection, _Start(self._places))

    async def _dial(self, connection: socket.socket, start: _Start) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=connection.fileno(),
                stdout=connection.fileno(),
                stderr=asyncio.subprocess.PIPE,
                # Handed on as it is.
                env={
                    name: os.environ[name]  # noqa: TID251
                    for name in _INHERITED
                    if name in os.environ  # noqa: TID251
                },
            )
        except OSError as error:
            self._last_words = f"ssh cannot be run: {error.strerror}"
            start.over()
            return
        watch = asyncio.create_task(self._watch(process, start))
        self._watches[watch] = process
        watch.add_done_callback(self._watches.pop)

    async def _watch(self, process: asyncio.subprocess.Process, start: _Start) -> None:
        assert process.stderr is not None  # noqa: S101 - it was asked for as a pipe
        said = b""
        while chunk := await process.stderr.read(_SAID_LIMIT):
            said = (said + chunk)[-_SAID_LIMIT:]
            if _LET_IN in said:
                start.over()
        # One that was never let in has ended: its place is for the next, too.
        start.over()
        if await process.wait() != 0 and (words := explained(said.decode(errors="replace"))):
            self._last_words = words
