"""Leading traffic with HAProxy. Implements `tagboat.core.ports.Ingress`.

One HAProxy for each data directory, which outlives Tagboat. A map says which host leads to which loopback port; a switch
changes one entry of it, without a reload. docs/decisions/0007-haproxy-by-map.md tells why it is built so.
"""

import asyncio
import contextlib
import grp
import os
import pwd
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path
from typing import TypeVar

import structlog

from tagboat.core.catalog import Project, Stage
from tagboat.core.errors import IngressUnavailableError, SettingsError, TagboatError
from tagboat.core.route import Route
from tagboat.ingress.address import StageAddresses
from tagboat.ingress.config import HOLD_S, MAP_FILE, TRUSTED_FRONTS, ConfigInput, RenderedConfig, render
from tagboat.ingress.files import make_directory, write_files
from tagboat.ingress.master import WORKER_S, Master, WorkerSilentError
from tagboat.ingress.process import (
    Program,
    check_config,
    end_haproxy,
    find_program,
    launch,
    our_processes,
    require_free_address,
    running_master,
    tell,
    why_not_free,
)
from tagboat.ingress.routing import RoutingMap, map_file, routing_map

T = TypeVar("T")

_SYSTEM_USER = "haproxy"
_WATCH_S = 1.0
_PAUSE_S = 0.2
_ANSWERS_S = 5.0
_READY_S = 0.3
_LOOK_AGAIN_S = 0.02
_LEAVES_S = 2.0
_TRIES = 3

log = structlog.get_logger("tagboat.ingress")


class HaproxyIngress:
    """Runs HAProxy in `directory` (made if missing), adopting one that runs there.

    `listen` is host and port for plain HTTP; `base_domain` and `public_url` make the stages' addresses; `trusted` are the
    networks (CIDR) of the fronts whose X-Forwarded-* headers are believed; `program` is HAProxy's name or path; `hold_s` is
    how many seconds a held request waits at most. Call `start` first, and let `run` work beside; neither ends HAProxy.
    """

    def __init__(
        self,
        directory: Path,
        *,
        listen: tuple[str, int],
        base_domain: str,
        public_url: str = "",
        trusted: tuple[str, ...] = TRUSTED_FRONTS,
        program: str = "haproxy",
        hold_s: int = HOLD_S,
    ) -> None:
        self._directory = directory.resolve()
        self._listen = listen
        self._addresses = StageAddresses(base_domain=base_domain, port=listen[1], public_url=public_url)
        self._trusted = trusted
        self._program_name = program
        self._hold_s = hold_s
        self._master = Master(self._directory)
        self._turn = asyncio.Lock()
        self._look_now = asyncio.Event()
        self._wanted: RoutingMap | None = None
        self._config: RenderedConfig | None = None

    def address(self, project: Project, stage: Stage) -> str | None:
        """The URL at which the stage answers, whether or not it has a live instance."""
        return self._addresses.of(project.name, stage.name)

    async def start(self) -> None:
        """Adopt the HAProxy that runs, or start one with the routes it had last; returns once it listens.

        Raises SettingsError where HAProxy is missing, too old or refuses its configuration, and IngressUnavailableError
        where it cannot listen.
        """
        async with self._turn:
            await self._ensure_running()

    async def run(self) -> None:
        """Keep HAProxy alive and on the routes wanted, until cancelled: look each second, and at once after a failed call."""
        trouble = ""
        while True:
            try:
                await self._look_after()
                trouble = ""
            except TagboatError as error:
                if str(error) != trouble:
                    log.warning("HAProxy cannot be kept running", action="ingress", error=str(error))
                trouble = str(error)
            await self._next_look()

    async def lead(self, routes: Collection[Route]) -> None:
        """Make traffic follow exactly `routes`. Raises InvalidValueError for a host that is none or named twice."""
        wanted = routing_map(routes)
        async with self._turn, self._waking():
            make_directory(self._directory)
            # On disk first: whoever starts HAProxy from now on starts it with these routes.
            await asyncio.to_thread(write_files, self._directory, {MAP_FILE: map_file(wanted)})
            self._wanted = wanted
            await self._ensure_running()
            await self._follow(wanted)

    async def in_flight(self, port: int) -> int:
        """Requests between their routing and their last byte, WebSockets included, in the old workers too."""
        async with self._turn, self._waking():
            return sum(await self._of_each_worker(lambda worker: self._master.in_flight(worker, port)))

    async def stop(self) -> None:
        """End HAProxy, with all that it carries. Tagboat's own stop does not call this."""
        async with self._turn:
            await asyncio.to_thread(end_haproxy, self._directory)

    async def _look_after(self) -> None:
        async with self._turn:
            await self._ensure_running()
            if self._wanted is not None:
                await self._follow(self._wanted)

    async def _next_look(self) -> None:
        await asyncio.sleep(_PAUSE_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WATCH_S - _PAUSE_S):
                await self._look_now.wait()
        self._look_now.clear()

    @contextlib.asynccontextmanager
    async def _waking(self) -> AsyncIterator[None]:
        """Let the watch look at once when HAProxy fails; what stops a start is here a reason to try again later."""
        try:
            yield
        except SettingsError as error:
            self._look_now.set()
            raise IngressUnavailableError(str(error)) from None
        except IngressUnavailableError:
            self._look_now.set()
            raise

    async def _follow(self, wanted: RoutingMap) -> None:
        for changed in await self._of_each_worker(lambda worker: self._master.follow(worker, wanted)):
            if changed:
                log.debug("routes changed", action="ingress", changes=changed)

    async def _of_each_worker(self, ask: Callable[[int], Awaitable[T]]) -> list[T]:
        """Ask the worker in charge and the old ones. If one ends meanwhile, who runs is asked again."""
        said = "HAProxy has no worker"
        for _ in range(_TRIES):
            processes = await self._master.processes()
            if processes.current is None:
                break
            try:
                return [await ask(worker) for worker in processes.workers]
            except WorkerSilentError as error:
                said = f"{error}; if this lasts, end that process"
            await asyncio.sleep(_LOOK_AGAIN_S)
        raise IngressUnavailableError(said)

    async def _ensure_running(self) -> None:
        loaded = await self._loaded()
        if loaded is not None and self._config is not None and loaded == self._config.fingerprint:
            return
        program = await find_program(self._program_name)
        self._config = config = self._rendered(program)
        if loaded == config.fingerprint:
            log.info("HAProxy runs already", action="ingress", pid=running_master(self._directory))
            return
        await self._put_config(program, config)
        if loaded is None and running_master(self._directory) is None:
            await self._start_fresh(program, config)
        elif not await self._reload(config):
            await self._start_beside(program, config)

    def _rendered(self, program: Program) -> RenderedConfig:
        return render(
            ConfigInput(
                listen=self._listen, trusted=self._trusted, run_as=_system_user(), lua=program.lua, hold_s=self._hold_s
            )
        )

    async def _put_config(self, program: Program, config: RenderedConfig) -> None:
        make_directory(self._directory)
        known_map = self._directory / MAP_FILE
        routes = {MAP_FILE: map_file(self._wanted)} if self._wanted is not None else {}
        if not routes and not known_map.exists():
            routes = {MAP_FILE: ""}
        await asyncio.to_thread(write_files, self._directory, {**config.files, **routes})
        await check_config(program, self._directory)

    async def _loaded(self, *, tries: int = _TRIES, limit_s: float = WORKER_S) -> str | None:
        """The fingerprint of the configuration that the worker in charge has loaded, None where none answers."""
        for _ in range(tries):
            try:
                processes = await self._master.processes()
                if processes.current is not None:
                    return await self._master.description(processes.current, limit_s)
            except IngressUnavailableError:
                return None
            except WorkerSilentError:
                pass
            await asyncio.sleep(_LOOK_AGAIN_S)
        return None

    async def _start_fresh(self, program: Program, config: RenderedConfig) -> None:
        await self._clear_orphans()
        require_free_address(self._listen)
        await launch(program, self._directory)
        if not await self._comes_up(config):
            raise IngressUnavailableError(f"HAProxy was started in {self._directory} but does not answer")
        log.info("HAProxy started", action="ingress", listen=f"{self._listen[0]}:{self._listen[1]}", version=program.version)

    async def _clear_orphans(self) -> None:
        """Let the workers of a master that was killed go: they do so by themselves, unless they hang."""
        orphans = our_processes(self._directory)
        if not orphans:
            return
        await _until(lambda: why_not_free(self._listen) is None, _LEAVES_S)
        if why_not_free(self._listen):
            for pid in orphans:
                tell(pid, signal.SIGKILL, self._directory)
            await _until(lambda: why_not_free(self._listen) is None, _LEAVES_S)

    async def _reload(self, config: RenderedConfig) -> bool:
        """Let the master take over the configuration: no request is lost, and a socket that was deleted is made anew."""
        master = running_master(self._directory)
        if master is None:
            return False
        tell(master, signal.SIGUSR2, self._directory)
        if not await self._comes_up(config):
            return False
        log.info("HAProxy reloaded", action="ingress", pid=master)
        return True

    async def _start_beside(self, program: Program, config: RenderedConfig) -> None:
        """Replace a HAProxy that does not listen to us: the new one shares its address until the old one has left."""
        before = our_processes(self._directory)
        await launch(program, self._directory)
        if not await self._comes_up(config):
            raise IngressUnavailableError(f"HAProxy was started in {self._directory} but does not answer")
        for pid in before:
            tell(pid, signal.SIGUSR1, self._directory)
        log.warning("HAProxy did not answer; a new one was started beside it", action="ingress", before=before)

    async def _comes_up(self, config: RenderedConfig) -> bool:
        end = time.monotonic() + _ANSWERS_S
        while time.monotonic() < end:
            # HAProxy 3.2 lets who asks a worker that is not ready wait without end: better ask again soon.
            if await self._loaded(tries=1, limit_s=_READY_S) == config.fingerprint:
                return True
            await asyncio.sleep(_LOOK_AGAIN_S)
        return False


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:  # noqa: ASYNC110 - the system has no event for it
        await asyncio.sleep(_LOOK_AGAIN_S)


def _system_user() -> str | None:
    """The user that HAProxy's package makes for it, where we may become others and it exists."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(_SYSTEM_USER)
        grp.getgrnam(_SYSTEM_USER)
    except KeyError:
        return None
    return _SYSTEM_USER
