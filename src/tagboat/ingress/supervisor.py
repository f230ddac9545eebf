"""One HAProxy for a directory: adopted, started, reloaded, replaced. It outlives Tagboat.

The fingerprint in HAProxy's `description` says which configuration it has loaded. A running one
with another fingerprint is reloaded, which loses no request; so is one whose socket is gone, since
a reload creates it again.
"""

import asyncio
import contextlib
import grp
import os
import pwd
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from tagboat.core.errors import IngressUnavailableError
from tagboat.core.values import replace
from tagboat.ingress.config import (
    CONFIG_FILE,
    MAP_FILE,
    ConfigInput,
    RenderedConfig,
    bound_port,
    pools_in,
    render_config,
)
from tagboat.ingress.files import make_directory, write_file, write_files
from tagboat.ingress.master import WORKER_S, Master, NoAnswerError, WorkerSilentError
from tagboat.ingress.pools import Layout, pools_section, section_in
from tagboat.ingress.process import (
    Program,
    check_config,
    find_program,
    launch,
    masters,
    our_processes,
    require_free_address,
    running_master,
    send_signal,
    why_not_free,
)
from tagboat.ingress.routing import map_file
from tagboat.ingress.run_lock import run_lock_holder, runs_elsewhere

_SYSTEM_USER = "haproxy"
_ANSWERS_S = 5.0
_READY_S = 0.3
_LEAVES_S = 2.0
_LEAVES_WITHIN_S = 600.0
_POLL_S = 0.02
_LOAD_TRIES = 2

Start = Callable[[Program, Path], Awaitable[None]]
"""Starts a HAProxy in a directory; returns once it listens."""

log = structlog.get_logger("tagboat.ingress")


class HaproxySupervisor:
    """Keeps a HAProxy running in `directory` with the configuration `wanted`.

    The user to run as and Lua are detected. `program` is HAProxy's name or path; `start` starts it,
    by default as a process that outlives Tagboat. Calls must not overlap.
    """

    def __init__(
        self, directory: Path, program: str, wanted: ConfigInput, start: Start = launch
    ) -> None:
        self._directory = directory
        self._program_name = program
        self._input = wanted
        self._start = start
        self._master = Master(directory)
        self._config: RenderedConfig | None = None
        self._worker: int | None = None
        self._replaced_until = 0.0

    async def is_unchanged(self) -> bool:
        """Return whether the worker that had loaded our configuration answers and still has it."""
        # One call instead of two: this is asked each second.
        if self._worker is None or self._config is None:
            return False
        try:
            return await self._master.description(self._worker) == self._config.fingerprint
        except (IngressUnavailableError, WorkerSilentError):
            return False

    @property
    def pools(self) -> int:
        """How many back ends for pools the configuration has."""
        return pools_in(self._config.fingerprint) if self._config is not None else 0

    async def save(self, layout: Layout, *, durable: bool) -> None:
        """Have any HAProxy that is started from now on begin with this.

        A layout with more back ends than there are waits for `ensure_running`. Raises
        IngressUnavailableError.
        """
        if layout.size > self.pools:
            return
        make_directory(self._directory)
        files = {MAP_FILE: map_file(layout.routes)}
        if layout.size and self._config is not None:
            # First: where it is lost in between, the map must not name a pool that is not there.
            text = self._config.files[CONFIG_FILE]
            text = text.removesuffix(section_in(text)) + pools_section(layout)
            files = {CONFIG_FILE: text, **files}

        def write() -> None:
            for name, content in files.items():
                write_file(self._directory, name, content, durable=durable)

        await asyncio.to_thread(write)

    async def ensure_running(self, layout: Layout | None) -> None:
        """Return once a HAProxy with our configuration answers; at once if one does already.

        One that must be started or reloaded begins with `layout`, None for what is on disk. One
        with fewer back ends for pools is reloaded. Raises SettingsError where HAProxy is missing,
        too old or refuses its configuration, and IngressUnavailableError where it cannot listen or
        does not answer.
        """
        await self._end_replaced()
        loaded = await self._loaded()
        is_large = layout is None or layout.size <= self.pools
        if self._config is not None and loaded == self._config.fingerprint and is_large:
            return
        program = await find_program(self._program_name)
        self._config = config = self._rendered(program, layout)
        if loaded == config.fingerprint:
            log.info("HAProxy runs already", action="ingress", pid=running_master(self._directory))
            return
        self._require_address()
        await self._put_files(program, config, layout)
        if loaded is None and running_master(self._directory) is None:
            if not (runner := run_lock_holder(self._directory)):
                await self._start_fresh(program, config)
                return
            # While that process holds the lock HAProxy is its to start: a second one would get a
            # part of the requests.
            if not await self._comes_up():
                raise IngressUnavailableError(
                    f"'tagboat ingress run' (process {runner}) runs, but its HAProxy does not"
                    " answer"
                )
        if await self._reload(config):
            return
        if run_lock_holder(self._directory) and await self._comes_up():
            # `tagboat ingress run` has just begun, and has put its own settings in place of ours.
            await self._put_files(program, config, layout)
            if await self._reload(config):
                return
        before = await self._start_beside(program, config.fingerprint)
        log.warning(
            "HAProxy did not answer; a new one was started next to it",
            action="ingress",
            before=before,
        )

    async def take_over(self) -> None:
        """Start a HAProxy with the routes on disk; a running one finishes its requests and ends.

        Raises as `ensure_running` does.
        """
        program = await find_program(self._program_name)
        config = self._rendered(program, None)
        self._require_address()
        await self._put_files(program, config, None)
        if running_master(self._directory) is None:
            await self._clear_orphans()
            require_free_address(self._input.listen)
        # A server that runs may have had it reloaded with other settings by now.
        before = await self._start_beside(program, None)
        log.info(
            "HAProxy started",
            action="ingress",
            listen=self._listen,
            version=program.version,
            replaced=before,
        )

    @property
    def _listen(self) -> str:
        return "{}:{}".format(*self._input.listen)

    def _require_address(self) -> None:
        """Raise unless a running HAProxy may change to the wanted address.

        It would share an address with another HAProxy, and each would get a part of the requests.
        """
        try:
            in_force = (self._directory / CONFIG_FILE).read_text()
        except OSError:
            return
        if bound_port(in_force) not in {None, self._input.listen[1]}:
            require_free_address(self._input.listen)

    def _rendered(self, program: Program, layout: Layout | None) -> RenderedConfig:
        pools = pools_section(layout) if layout is not None else ""
        if layout is None:
            # Those of the last run: what they lead to runs on.
            with contextlib.suppress(OSError):
                pools = section_in((self._directory / CONFIG_FILE).read_text())
        wanted = replace(self._input, run_as=_system_user(), lua=program.lua, tls=program.tls)
        return render_config(wanted, pools)

    async def _put_files(
        self, program: Program, config: RenderedConfig, layout: Layout | None
    ) -> None:
        make_directory(self._directory)
        files = dict(config.files)
        # Without routes of this process, those that served last are better than none.
        if layout is not None or not (self._directory / MAP_FILE).exists():
            files[MAP_FILE] = map_file(layout.routes if layout is not None else {})
        await asyncio.to_thread(write_files, self._directory, files)
        await check_config(program, self._directory)

    async def _loaded(self, *, tries: int = _LOAD_TRIES, limit_s: float = WORKER_S) -> str | None:
        """Return the fingerprint that the current worker has loaded, None if none answers."""
        for _ in range(tries):
            try:
                processes = await self._master.processes()
                if processes.current is not None:
                    self._worker = processes.current
                    return await self._master.description(processes.current, limit_s)
            except (NoAnswerError, WorkerSilentError):
                pass  # it may be busy
            except IngressUnavailableError:
                return None
            await asyncio.sleep(_POLL_S)
        return None

    async def _start_fresh(self, program: Program, config: RenderedConfig) -> None:
        await self._clear_orphans()
        require_free_address(self._input.listen)
        await self._start(program, self._directory)
        if not await self._comes_up(config.fingerprint):
            raise IngressUnavailableError(
                f"HAProxy was started in {self._directory} but does not answer"
            )
        log.info("HAProxy started", action="ingress", listen=self._listen, version=program.version)

    async def _clear_orphans(self) -> None:
        """Wait for the workers of a killed master to end, and kill those that hang."""
        orphans = our_processes(self._directory)
        if not orphans:
            return
        await _until(lambda: why_not_free(self._input.listen) is None, _LEAVES_S)
        if why_not_free(self._input.listen):
            for pid in orphans:
                send_signal(pid, signal.SIGKILL, self._directory)
            await _until(lambda: why_not_free(self._input.listen) is None, _LEAVES_S)

    async def _reload(self, config: RenderedConfig) -> bool:
        """Reload the configuration; return whether it is in force. A deleted socket comes back."""
        master = running_master(self._directory)
        if master is not None:
            # SIGUSR2 makes the master start again, with a new worker (management guide, section 4).
            send_signal(master, signal.SIGUSR2, self._directory)
        elif runs_elsewhere(self._directory):
            await self._master.reload()
        else:
            return False
        if not await self._comes_up(config.fingerprint):
            return False
        log.info("HAProxy reloaded", action="ingress", pid=master)
        return True

    async def _start_beside(self, program: Program, wanted: str | None) -> list[int]:
        """Replace the running HAProxy and return its processes; both share the address at first.

        The new one has taken over once it answers with the fingerprint `wanted`, None for any.
        """
        if runs_elsewhere(self._directory):
            # Two would share the address for good: the other one cannot be ended from here.
            raise IngressUnavailableError(
                "HAProxy of 'tagboat ingress run' in another container does not answer; "
                "restart that container"
            )
        before = our_processes(self._directory)
        await self._start(program, self._directory)
        if not await self._comes_up(wanted):
            raise IngressUnavailableError(
                f"HAProxy was started in {self._directory} but does not answer"
            )
        # SIGUSR1 is the soft stop (management guide, section 4): requests under way are finished.
        for pid in before:
            send_signal(pid, signal.SIGUSR1, self._directory)
        self._replaced_until = time.monotonic() + _LEAVES_WITHIN_S
        return before

    async def _end_replaced(self) -> None:
        """Tell all masters once more to leave but the one that answers.

        One that was frozen may take the reload after the soft stop: both would go on, one of them
        with old routes. Not for ever: each time the end of what it still carries is put off.
        """
        if time.monotonic() >= self._replaced_until:
            return
        with contextlib.suppress(IngressUnavailableError):
            answering = (await self._master.processes()).master
            for pid in masters(self._directory):
                if pid != answering:
                    send_signal(pid, signal.SIGUSR1, self._directory)

    async def _comes_up(self, wanted: str | None = None) -> bool:
        """Return whether a worker with this fingerprint, or any, answers within seconds."""
        end = time.monotonic() + _ANSWERS_S
        while time.monotonic() < end:
            # HAProxy 3.2 never answers a question to a worker that is not ready: ask again soon.
            loaded = await self._loaded(tries=1, limit_s=_READY_S)
            if loaded is not None and wanted in {None, loaded}:
                return True
            await asyncio.sleep(_POLL_S)
        return False


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(_POLL_S)


def _system_user() -> str | None:
    """Return the user that HAProxy's package creates; None if we may not become it."""
    # Only root can become another user; anybody else's HAProxy runs as its owner.
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(_SYSTEM_USER)
        grp.getgrnam(_SYSTEM_USER)
    except KeyError:
        return None
    return _SYSTEM_USER
