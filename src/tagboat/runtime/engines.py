"""A Docker engine, and the swarm that it manages for the stages that ask for it."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Protocol

from tagboat.core.catalog import Registry
from tagboat.core.container_facts import ContainerFacts
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import EngineError, EngineMissingError
from tagboat.core.generics import T
from tagboat.core.health import TestRun
from tagboat.core.image import Digest, ImageInfo, ImageName
from tagboat.core.keeping import DiskUsage
from tagboat.core.run import EngineKind
from tagboat.core.runtime import BeforePull, BeforeStart, Runtime
from tagboat.core.workload import Launched, LogLine, WorkloadSpec, WorkloadStatus
from tagboat.runtime.docker.networks import NO_LABELS

GLANCE_S = 5.0
"""Seconds in which a swarm that no stage is known to use may tell what it runs."""
# Swarm's ids (base 36); Docker's of containers have 64 characters, and names may be anything.
_SERVICE_ID = re.compile(r"[0-9a-z]{25}", re.ASCII)
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


class SwarmManager(Runtime, Protocol):
    """A Docker engine that may be a manager of a swarm."""

    async def manages_swarm(self) -> bool:
        """Return whether it is one."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Closable(Runtime, Protocol):
    """A runtime with connections."""

    async def close(self) -> None:
        """Close them."""
        ...


class Engines:
    """Two runtimes as one. What has no engine of its own is asked of Docker.

    The swarm costs nothing until a stage asks for it, or until it is found to run what an earlier
    process has started there: `make_swarm` is called then. From there on, what is asked of all
    workloads needs an answer of both engines.
    """

    is_cluster = False

    def __init__(self, docker: SwarmManager, make_swarm: Callable[[], Closable]) -> None:
        self.probe = docker.probe
        self._docker = docker
        self._make_swarm = make_swarm
        self._made: Closable | None = None
        self._is_manager: bool | None = None
        self._in_use = asyncio.Event()

    async def close(self) -> None:
        """Close the connections."""
        await self._docker.close()
        if self._made is not None:
            await self._made.close()

    async def on(self, engine: EngineKind | None) -> Runtime:
        """Return one of the two. Raises EngineMissingError where Docker manages no swarm."""
        if engine is not EngineKind.SWARM:
            return self._docker
        if not self._in_use.is_set():
            self._is_manager = await self._docker.manages_swarm()
            if not self._is_manager:
                raise EngineMissingError(
                    "the stage asks for the engine swarm, but the Docker engine"
                    " (TAGBOAT_DOCKER_HOST) is no manager of a swarm: make one with 'docker swarm"
                    " init', or remove engine from the stage"
                )
            self._in_use.set()
        return self._swarm

    async def version(self) -> str:
        """Return the release of the Docker engine."""
        return await self._docker.version()

    async def identity(self) -> str:
        """Return the id of the Docker engine."""
        return await self._docker.identity()

    async def platform(self) -> str:
        """Return system and processor of the Docker engine's machine."""
        return await self._docker.platform()

    async def own_network(self) -> str | None:
        """Return the network mode of our own container, None without one."""
        return await self._docker.own_network()

    async def root_dir(self) -> str:
        """Return where the Docker engine keeps its data."""
        return await self._docker.root_dir()

    async def disk_usage(self) -> DiskUsage:
        """Return what is on the Docker engine."""
        return await self._docker.disk_usage()

    async def trouble(self) -> str:
        """Return what is wrong with either, in words; empty for nothing."""
        said = [await one.trouble() for one in self._both()]
        return "; ".join(filter(None, said))

    async def inspect_image(self, image: str) -> ImageInfo | None:
        """Return the description of an image that either can tell."""
        for one in self._both():
            if (found := await one.inspect_image(image)) is not None:
                return found
        return None

    async def ensure_image(
        self,
        image: ImageName,
        digest: Digest,
        registry: Registry | None,
        *,
        before_pull: BeforePull,
        progress: Callable[[str], None],
    ) -> ImageInfo | None:
        """Make the image available on Docker."""
        return await self._docker.ensure_image(
            image, digest, registry, before_pull=before_pull, progress=progress
        )

    async def remove_image(self, image: str) -> bool:
        """Remove it from Docker: nodes of a swarm keep theirs."""
        return await self._docker.remove_image(image)

    async def log_in(self, registry: Registry) -> None:
        """Try the credentials on Docker."""
        await self._docker.log_in(registry)

    async def create(self, spec: WorkloadSpec) -> str:
        """Make a workload on Docker."""
        return await self._docker.create(spec)

    async def launch(
        self,
        spec: WorkloadSpec,
        taken: Collection[Endpoint],
        before_start: BeforeStart | None = None,
    ) -> Launched:
        """Make and start a workload on Docker."""
        return await self._docker.launch(spec, taken, before_start)

    async def start(self, workload: str) -> None:
        """Start it where it is."""
        await (await self._engine_of(workload)).start(workload)

    async def stop(self, workload: str, within_s: int | None = None) -> None:
        """Stop it where it is."""
        await (await self._engine_of(workload)).stop(workload, within_s)

    async def remove(self, workload: str) -> None:
        """Remove it where it is."""
        await (await self._engine_of(workload)).remove(workload)

    async def replace_tasks(self, workload: str) -> None:
        """Let new tasks take the place of its tasks, where its engine can lose track of them."""
        await (await self._engine_of(workload)).replace_tasks(workload)

    async def inspect_container(self, name: str) -> ContainerFacts | None:
        """Return the facts of a container of Docker's."""
        return await self._docker.inspect_container(name)

    async def set_aside(self, workload: str) -> None:
        """Stop it for good where it is."""
        await (await self._engine_of(workload)).set_aside(workload)

    async def status(self, workload: str) -> WorkloadStatus | None:
        """Return its status, None where neither has it."""
        return await (await self._engine_of(workload)).status(workload)

    async def logs(
        self, workload: str, tail: int, since: datetime | None = None
    ) -> Sequence[LogLine]:
        """Return its last lines."""
        return await (await self._engine_of(workload)).logs(workload, tail, since)

    async def follow_logs(
        self, workload: str, tail: int, since: datetime | None = None
    ) -> AsyncGenerator[LogLine, None]:
        """Yield its lines, and those to come."""
        engine = await self._engine_of(workload)
        async with aclosing(engine.follow_logs(workload, tail, since)) as lines:
            async for line in lines:
                yield line

    async def run_healthcheck(self, workload: str) -> TestRun | None:
        """Run its HEALTHCHECK, where its engine can."""
        return await (await self._engine_of(workload)).run_healthcheck(workload)

    async def last_exit_code(self, workload: str) -> int | None:
        """Return the exit code of its last end."""
        return await (await self._engine_of(workload)).last_exit_code(workload)

    async def list_workloads(self, labels: Mapping[str, str]) -> list[WorkloadStatus]:
        """Return those of both with these labels."""
        found = await self._docker.list_workloads(labels)
        return [*found, *await self._of_swarm(lambda swarm: swarm.list_workloads(labels))]

    async def watch_exits(self, labels: Mapping[str, str]) -> AsyncGenerator[str, None]:
        """Yield the names of both, until either can be followed no longer."""
        names: asyncio.Queue[str | Exception] = asyncio.Queue()

        async def follow(engine: Runtime) -> None:
            try:
                async for name in engine.watch_exits(labels):
                    names.put_nowait(name)
            except Exception as error:  # noqa: BLE001 - it belongs to the caller
                names.put_nowait(error)

        async def follow_swarm() -> None:
            await self._in_use.wait()
            await follow(self._swarm)

        followers = [
            asyncio.create_task(follow(self._docker)),
            asyncio.create_task(follow_swarm()),
        ]
        try:
            while not isinstance(found := await names.get(), Exception):
                yield found
            raise found
        finally:
            for one in followers:
                one.cancel()
            await asyncio.gather(*followers, return_exceptions=True)

    async def rejoin(self, workload: str, network: str, aliases: Sequence[str]) -> None:
        """Let it join under other names, where its engine can."""
        await (await self._engine_of(workload)).rejoin(workload, network, aliases)

    async def ensure_network(
        self, name: str, labels: Mapping[str, str], notes: Mapping[str, str] = NO_LABELS
    ) -> frozenset[str]:
        """Make a network on Docker."""
        return await self._docker.ensure_network(name, labels, notes)

    async def remove_network(self, name: str, labels: Mapping[str, str]) -> bool:
        """Remove those of both that have this name; whether both are gone."""
        gone = [await one.remove_network(name, labels) for one in self._both()]
        return all(gone)

    async def list_networks(self, labels: Mapping[str, str]) -> list[str]:
        """Return the names of both, in order."""
        names = await self._docker.list_networks(labels)
        of_swarm = await self._of_swarm(lambda swarm: swarm.list_networks(labels))
        return sorted({*names, *of_swarm})

    async def list_volumes(self, prefix: str) -> list[str]:
        """Return the volumes of Docker."""
        return await self._docker.list_volumes(prefix)

    async def remove_volume(self, name: str) -> bool:
        """Delete a volume of Docker."""
        return await self._docker.remove_volume(name)

    async def sweep(self, labels: Mapping[str, str]) -> None:
        """Remove what both have made for workloads that are gone."""
        for one in self._both():
            await one.sweep(labels)

    async def renew_logins(self, labels: Mapping[str, str]) -> None:
        """Give the services of the swarm new logins."""
        for one in self._both():
            await one.renew_logins(labels)

    @property
    def _swarm(self) -> Closable:
        if self._made is None:
            self._made = self._make_swarm()
        return self._made

    def _both(self) -> list[Runtime]:
        return [self._docker, self._swarm] if self._in_use.is_set() else [self._docker]

    async def _engine_of(self, workload: str) -> Runtime:
        if _SERVICE_ID.fullmatch(workload):
            # It is on record: there is a swarm, whether or not it can be reached now.
            self._in_use.set()
            return self._swarm
        if not self._in_use.is_set() or _CONTAINER_ID.fullmatch(workload):
            return self._docker
        # A name, which is on record before the engine has given an id.
        return self._docker if await self._docker.status(workload) is not None else self._swarm

    async def _of_swarm(self, listing: Callable[[Runtime], Awaitable[list[T]]]) -> list[T]:
        if self._in_use.is_set():
            return await listing(self._swarm)
        if self._is_manager is None:
            self._is_manager = await self._docker.manages_swarm()
        found: list[T] = []
        if self._is_manager:
            # A swarm that may have nothing to do with us must not hold up anything.
            with suppress(EngineError, TimeoutError):
                async with asyncio.timeout(GLANCE_S):
                    found = await listing(self._swarm)
        if found:
            self._in_use.set()
        return found
