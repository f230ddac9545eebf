"""Traffic through HAProxy. Implements `tagboat.core.ports.Ingress`.

One HAProxy for each data directory, which outlives Tagboat. A map routes each host to a port, or to
a pool; a switch changes one entry of it, without a reload. Decisions 0007 and 0046 have the
reasons.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path

import structlog

from tagboat.core.catalog import Project, Stage
from tagboat.core.errors import IngressUnavailableError, SettingsError, TagboatError
from tagboat.core.generics import T
from tagboat.core.request_counts import CodeClasses, ProcessCounts
from tagboat.core.route import Route, Target
from tagboat.ingress.address import StageAddresses
from tagboat.ingress.answers import AnswersByHost
from tagboat.ingress.config import HOLD_S, MAP_FILE, TRUSTED_FRONTS, ConfigInput, pools_in
from tagboat.ingress.counting import counting_key
from tagboat.ingress.files import remove_drafts
from tagboat.ingress.master import Master, WorkerSilentError
from tagboat.ingress.pools import (
    Layout,
    Pool,
    Servers,
    additions,
    assign,
    grown,
    incomplete,
    instances_in,
    removals,
)
from tagboat.ingress.process import end_haproxy, launch, refuse_to_launch
from tagboat.ingress.routing import (
    RoutingMap,
    changed_map,
    is_route_host,
    pooled_in,
    pools_of,
    refusals,
    routing_map,
    with_places,
)
from tagboat.ingress.supervisor import HaproxySupervisor

_WATCH_S = 1.0
_WHOLE_LOOK_S = 60.0
"""Seconds after which all routes are compared, even if nothing can have changed them."""
_SETTLE_S = 0.2
_WORKER_RETRY_S = 0.02
_WORKER_TRIES = 3
_ASKED_ONE_BY_ONE = 8

log = structlog.get_logger("tagboat.ingress")


class HaproxyIngress:
    """Runs HAProxy in `directory` (made if missing), adopting one that runs there.

    `listen` is host and port for plain HTTP; `base_domain` and `public_url` make the stages'
    addresses; `trusted` are the networks (CIDR) of the fronts whose X-Forwarded-* headers are
    believed; `program` is HAProxy's name or path; `hold_s` is the most seconds that a held request
    waits. Unless it `starts` HAProxy, that is only adopted, and another program runs it. Call
    `start` first, and keep `run` running; neither ends HAProxy.
    """

    routes_traffic = True

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
        starts: bool = True,
    ) -> None:
        self._directory = directory.resolve()
        self._addresses = StageAddresses(
            base_domain=base_domain, port=listen[1], public_url=public_url
        )
        self._supervisor = HaproxySupervisor(
            self._directory,
            program,
            ConfigInput(listen=listen, trusted=trusted, hold_s=hold_s),
            launch if starts else refuse_to_launch,
        )
        self._master = Master(self._directory)
        self._turn = asyncio.Lock()
        self._look_now = asyncio.Event()
        self._wanted: RoutingMap | None = None
        self._pools: dict[str, Pool] = {}
        self._unwanted: set[str] = set()
        self._seen: dict[int, Servers] = {}
        self._looked_at = -_WHOLE_LOOK_S
        self._refused: Sequence[str] = []
        self._trouble = ""
        self._answers = AnswersByHost()

    @property
    def has_routes(self) -> bool:
        """True if routes of an earlier run are on disk, with which HAProxy would start."""
        return (self._directory / MAP_FILE).exists()

    def address(self, project: Project, stage: Stage) -> str | None:
        """Return the URL of the stage, whether or not it has a live instance."""
        return self._addresses.of(project.name, stage.name)

    async def trouble(self) -> str | None:
        """Return why it cannot route traffic, None if it can."""
        try:
            # Any question will do: it counts that each worker answers.
            await self._requests_at("0")
        except IngressUnavailableError as error:
            # A failed start is the reason why it cannot be reached.
            return self._trouble or str(error)
        return None

    async def start(self) -> None:
        """Adopt the HAProxy that runs, or start one with its last routes; return once it listens.

        Raises SettingsError where HAProxy is missing, too old or refuses its configuration, and
        IngressUnavailableError where it cannot listen.
        """
        async with self._turn:
            remove_drafts(self._directory)
            await self._supervisor.ensure_running(None)

    async def run(self) -> None:
        """Keep HAProxy running with the wanted routes, until cancelled.

        Look each second, and at once after a failed call.
        """
        while True:
            try:
                await self._look_after()
                self._trouble = ""
            except TagboatError as error:
                if str(error) != self._trouble:
                    log.warning(
                        "HAProxy cannot be kept running", action="ingress", error=str(error)
                    )
                self._trouble = str(error)
            # A pause first: calls that fail one after the other must not be a look each.
            await asyncio.sleep(_SETTLE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_S - _SETTLE_S):
                    await self._look_now.wait()

    async def apply_routes(self, routes: Collection[Route]) -> None:
        """Make traffic follow exactly `routes`; invalid ones are left out, with a log line each."""
        wanted, pools = routing_map(routes), pools_of(routes)
        # Each reconciliation repeats all routes: the log has a change of the reasons only.
        if (refused := refusals(routes)) != self._refused:
            for why in refused:
                log.warning("route left out", action="ingress", reason=why)
        self._refused = refused
        async with self._turn, self._waking():
            layout = await self._laid_out(wanted, pools)
            # On disk first: whoever starts HAProxy from now on starts it with these routes.
            await self._supervisor.save(layout, durable=True)
            self._wanted, self._pools = wanted, pools
            await self._supervisor.ensure_running(layout)
            await self._follow(wanted)

    async def change_routes(self, routes: Collection[Route], gone: Collection[str]) -> None:
        """Change the routes of some hosts, and forget those `gone`."""
        for why in refusals(routes):
            log.warning("route left out", action="ingress", reason=why)
        put = routing_map(routes)
        left = [host for host in gone if host not in put]
        async with self._turn, self._waking():
            if self._wanted is None:
                raise IngressUnavailableError("there are no routes yet that could be changed")
            wanted = changed_map(self._wanted, put, left)
            known, new = self._pools | pools_of(routes), pooled_in(put)
            pools = {one: known[one] for one in pooled_in(wanted)}
            layout = await self._laid_out(wanted, pools)
            # Not synced to the disk: at the start, and every minute, all is written again.
            await self._supervisor.save(layout, durable=False)
            self._wanted, self._pools = wanted, pools
            await self._supervisor.ensure_running(layout)

            async def change(worker: int) -> int:
                # The servers first: the map must not lead to a pool without any.
                placed, _ = (
                    await self._serve(worker, [pools[one] for one in new]) if new else ({}, {})
                )
                return await self._master.change(worker, with_places(put, placed), left)

            for count in await self._of_each_worker(change):
                log.debug("routes changed", action="ingress", changes=count)

    async def in_flight(self, target: Target) -> int:
        """Count requests between their routing and their last byte, old workers included."""
        return await self._requests_at(counting_key(target))

    async def count_requests(
        self, targets: Sequence[Target], hosts: Collection[str]
    ) -> Sequence[ProcessCounts]:
        """Return what each worker has counted, old ones included."""
        routed = [host for host in hosts if is_route_host(host)]
        async with self._turn, self._waking():
            return await self._of_each_worker(
                lambda worker: self._master.counts(worker, targets, routed)
            )

    async def code_classes(self) -> Mapping[str, CodeClasses]:
        """Return the answers by host; what a worker had counted before it ended stays in it."""
        async with self._turn, self._waking():
            found = await self._of_each_worker(self._code_classes)
        return self._answers.update(dict(found))

    async def _code_classes(self, worker: int) -> tuple[int, Mapping[str, CodeClasses]]:
        return worker, await self._master.code_classes(worker)

    async def _requests_at(self, key: str) -> int:
        async with self._turn, self._waking():
            return sum(
                await self._of_each_worker(lambda worker: self._master.in_flight(worker, key))
            )

    async def stop(self) -> None:
        """End HAProxy with all its requests. Tagboat's own stop does not call this."""
        async with self._turn:
            await asyncio.to_thread(end_haproxy, self._directory)

    async def _look_after(self) -> None:
        """Check HAProxy. Mostly it is enough that the same worker as last time answers."""
        async with self._turn, _system_errors():
            now = asyncio.get_running_loop().time()
            if (
                not self._look_now.is_set()
                and now < self._looked_at + _WHOLE_LOOK_S
                and await self._supervisor.is_unchanged()
            ):
                return
            self._look_now.clear()
            # Set only at the end: after a failure the next look is a whole one.
            self._looked_at = -_WHOLE_LOOK_S
            layout = None
            if self._wanted is not None:
                layout = await self._laid_out(self._wanted, self._pools)
            await self._supervisor.ensure_running(layout)
            if self._wanted is not None:
                await self._follow(self._wanted)
            self._looked_at = now

    @contextlib.asynccontextmanager
    async def _waking(self) -> AsyncIterator[None]:
        """Have `run` look at once when HAProxy fails; a bad setting is tried again later."""
        try:
            async with _system_errors():
                yield
        except SettingsError as error:
            self._look_now.set()
            raise IngressUnavailableError(str(error)) from None
        except IngressUnavailableError:
            self._look_now.set()
            raise

    async def _laid_out(self, wanted: RoutingMap, pools: Mapping[str, Pool]) -> Layout:
        """Return what HAProxy is to start with: each pool where the running one has it, if any."""
        servers: Servers = {}
        self._seen = {}
        size = self._supervisor.pools
        if not size and not pools:
            return Layout(wanted)
        with contextlib.suppress(IngressUnavailableError, WorkerSilentError):
            processes = await self._master.processes()
            if processes.current is not None:
                servers = await self._master.servers(processes.current)
                self._seen = {processes.current: servers}
        # Those that are drained still have theirs.
        size = grown(size, len(instances_in(servers) | pools.keys()))
        placed = assign(servers, pools.values(), size)
        places = {placed[one]: pool for one, pool in pools.items()}
        return Layout(with_places(wanted, placed), size, places)

    async def _serve(
        self, worker: int, pools: Collection[Pool]
    ) -> tuple[Mapping[str, str], Servers]:
        """Let a worker have the servers of these pools; return their places, and all servers.

        A worker that a reload has left behind may have no room for some.
        """
        if not pools and not self._supervisor.pools:
            return {}, {}
        size = pools_in(await self._master.description(worker))
        # Seen a moment ago, and what is added is looked at again.
        servers = self._seen.pop(worker, None) or await self._master.servers(worker)
        placed = assign(servers, pools, size)
        if commands := additions(servers, pools, placed):
            said = await self._master.command(worker, commands)
            changed = incomplete(servers, pools, placed)
            # Some are cheaper to ask for one by one.
            if len(changed) <= _ASKED_ONE_BY_ONE:
                servers = {**servers, **await self._master.servers_of(worker, changed)}
            else:
                servers = await self._master.servers(worker)
            if incomplete(servers, pools, placed):
                raise IngressUnavailableError(f"HAProxy did not take over servers: {said[:200]}")
        return placed, servers

    async def _follow(self, wanted: RoutingMap) -> None:
        left: set[str] = set()

        async def follow(worker: int) -> int:
            placed, servers = await self._serve(worker, self._pools.values())
            found = with_places(wanted, placed)
            changed = await self._master.follow(worker, found, wanted.keys() - found.keys())
            unwanted = instances_in(servers) - self._pools.keys()
            left.update(unwanted)
            # Not at the first look after the switch: a request may be between the map and its
            # server. And those that come back to it, because a deploy is undone, find it there.
            retired = {
                one
                for one in unwanted & self._unwanted
                if not await self._master.in_flight(worker, one)
            }
            if commands := removals(servers, self._pools, retired):
                await self._master.command(worker, commands)
            return changed

        for changed in await self._of_each_worker(follow):
            if changed:
                log.debug("routes changed", action="ingress", changes=changed)
        self._unwanted = left

    async def _of_each_worker(self, ask: Callable[[int], Awaitable[T]]) -> list[T]:
        """Ask the current worker and the old ones; start over if one ends during that."""
        said = "HAProxy has no worker"
        for _ in range(_WORKER_TRIES):
            processes = await self._master.processes()
            if processes.current is None:
                break
            try:
                return [await ask(worker) for worker in processes.workers]
            # After a reload in between there are others: ask again which ones.
            except WorkerSilentError as error:
                said = f"{error}; if this lasts, end that process"
            await asyncio.sleep(_WORKER_RETRY_S)
        raise IngressUnavailableError(said)


@contextlib.asynccontextmanager
async def _system_errors() -> AsyncIterator[None]:
    """Raise a refusal of the system, such as one more open file, as one of our errors."""
    try:
        yield
    except OSError as error:
        raise IngressUnavailableError(
            f"HAProxy cannot be checked now: {error.strerror or error}"
        ) from error
