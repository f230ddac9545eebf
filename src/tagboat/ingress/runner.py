"""HAProxy in the foreground, for a service manager: `tagboat ingress run`.

The server finds this HAProxy running, and sets its routes as it would its own's. So the server's
service can be restarted, updated or stopped with all its processes, and no request is lost.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import structlog

from tagboat.core.errors import IngressUnavailableError
from tagboat.ingress.config import ConfigInput
from tagboat.ingress.files import make_directory, remove_drafts
from tagboat.ingress.master import Master
from tagboat.ingress.process import PATH, Program, end_haproxy, foreground_words, send_signal
from tagboat.ingress.run_lock import hold_run_lock
from tagboat.ingress.supervisor import HaproxySupervisor

_STARTS_S = 10.0
_FINISHES_S = 10.0
_CHILD_POLL_S = 0.02

log = structlog.get_logger("tagboat.ingress")


async def run_haproxy(
    directory: Path, wanted: ConfigInput, ready: Callable[[], None], program: str = "haproxy"
) -> None:
    """Run HAProxy in `directory` (absolute) until SIGTERM or SIGINT; call `ready` once it answers.

    SIGHUP loads it again from disk without a lost request, as after an update of HAProxy. Told to
    stop, it finishes the requests under way, for 10 s at most. Raises SettingsError where HAProxy
    is missing, too old or refuses its configuration, IngressUnavailableError where it cannot
    listen, or has ended by itself.
    """
    make_directory(directory)
    remove_drafts(directory)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # They are for HAProxy itself. By default they would end this process, and leave it alone.
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, lambda: None)
    with hold_run_lock(directory):
        child = _Child()
        # Service managers reload by SIGHUP, HAProxy by SIGUSR2 (management guide, section 4).
        loop.add_signal_handler(
            signal.SIGHUP, lambda: send_signal(child.pid, signal.SIGUSR2, directory)
        )
        try:
            await HaproxySupervisor(directory, program, wanted, child.start).take_over()
        # Also when cancelled: the HAProxy of a failed start would keep the address.
        except BaseException:
            child.kill()
            raise
        ready()
        status = await child.ended_before(stop)
        if status is not None:
            raise IngressUnavailableError(
                f"HAProxy ended by itself (status {status}); its message is above, if it had one"
            )
        await child.finish(directory)
        log.info("HAProxy ended", action="ingress")


class _Child:
    """The HAProxy that we are the parent of."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._end: asyncio.Task[int] | None = None

    @property
    def pid(self) -> int:
        """Its process id, 0 before it is started."""
        return self._process.pid if self._process else 0

    def kill(self) -> None:
        """End it at once, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def start(self, program: Program, directory: Path) -> None:
        """Start it, and return once it answers in its directory. Raises IngressUnavailableError."""
        # Its words go where ours go. A session of its own: Ctrl-C is for us to pass on.
        process = await asyncio.create_subprocess_exec(
            program.path,
            *foreground_words(directory),
            stdin=asyncio.subprocess.DEVNULL,
            env={"PATH": PATH},
            start_new_session=True,
        )
        self._process, self._end = process, asyncio.create_task(process.wait())
        try:
            async with asyncio.timeout(_STARTS_S):
                while not await self.answers(directory):
                    if process.returncode is not None:
                        raise IngressUnavailableError(
                            f"HAProxy does not start (status {process.returncode});"
                            " it said why above"
                        )
                    await asyncio.sleep(_CHILD_POLL_S)
        except TimeoutError:
            raise IngressUnavailableError(
                f"HAProxy was started in {directory} but does not answer"
            ) from None

    async def answers(self, directory: Path) -> bool:
        """Return whether it is this one that answers in its directory, with a worker."""
        try:
            processes = await Master(directory).processes()
        except IngressUnavailableError:
            return False
        return processes.master == self.pid and processes.current is not None

    async def ended_before(self, stop: asyncio.Event) -> int | None:
        """Wait for its end, and return its exit status; None if we are told to stop before."""
        # Both can happen at once: a stop that was asked for is not a fault.
        told = asyncio.create_task(stop.wait())
        await asyncio.wait(
            {told, *([self._end] if self._end else [])}, return_when=asyncio.FIRST_COMPLETED
        )
        told.cancel()
        return None if stop.is_set() or self._end is None else self._end.result()

    async def finish(self, directory: Path) -> None:
        """Let it finish its requests, then end it, and all else that runs in its directory."""
        send_signal(self.pid, signal.SIGUSR1, directory)
        if self._end is not None and not (await asyncio.wait({self._end}, timeout=_FINISHES_S))[0]:
            log.warning("requests under way cut off", action="ingress", after_s=_FINISHES_S)
        await asyncio.to_thread(end_haproxy, directory)


def notify_ready(address: str | None) -> None:
    """Notify the service manager at `address` (NOTIFY_SOCKET, sd_notify(3)), None without one."""
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        # "@" stands for the NUL of an abstract socket's name (unix(7)).
        manager.connect("\0" + address[1:] if address.startswith("@") else os.fsencode(address))
        manager.send(b"READY=1")
