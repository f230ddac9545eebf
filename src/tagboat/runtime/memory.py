"""An engine that is only a memory: for tests, and for trying Tagboat without Docker.

It behaves like the real one as far as the contract tests (tests/contract/test_runtime.py) say,
decides nothing by chance or clock, and does nothing on its own: what an app does is said by its
`MemoryImage`, or by `exit` and `set_health`.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from tagboat.core.catalog import Registry
from tagboat.core.container_facts import ContainerFacts
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import (
    EndpointTakenError,
    EngineError,
    EngineMissingError,
    EngineNotFoundError,
    EngineUnavailableError,
    NameTakenError,
    NetworkNotFoundError,
)
from tagboat.core.health import TestRun
from tagboat.core.image import Digest, ImageInfo, ImageName
from tagboat.core.keeping import DiskUsage, ImageSize, Volume
from tagboat.core.run import EngineKind
from tagboat.core.runtime import BeforePull, BeforeStart
from tagboat.core.values import replace
from tagboat.core.workload import Launched, LogLine, WorkloadSpec, WorkloadStatus
from tagboat.runtime.launch import ensure_pulled, launch_at_free_port
from tagboat.runtime.memory_facts import created_status, facts_of
from tagboat.runtime.memory_state import (
    ExitListener,
    MemoryContainer,
    MemoryImage,
    MemoryState,
    host_ports,
)

__all__ = ["MemoryImage", "MemoryRuntime"]


class MemoryRuntime(MemoryState):
    """A runtime that is only a memory; see `MemoryState` for what tests can do to it."""

    async def on(self, engine: EngineKind | None) -> "MemoryRuntime":
        """Return itself; it plays one engine. Raises EngineMissingError for the other kind."""
        own = EngineKind.SWARM if self.is_cluster else EngineKind.DOCKER
        if engine not in {None, own}:
            raise EngineMissingError(f"there is no engine {engine}")
        return self

    async def manages_swarm(self) -> bool:
        """Return whether it plays a manager of a swarm."""
        self.raise_failure("manages_swarm")
        return self.is_manager

    async def version(self) -> str:
        """Return `memory`."""
        self.raise_failure("version")
        return "memory"

    async def identity(self) -> str:
        """Return the id that it was given."""
        self.raise_failure("identity")
        return self.id

    async def own_network(self) -> str | None:
        """Return the network that it was told of."""
        self.raise_failure("own_network")
        return self.network

    async def platform(self) -> str:
        """Return the platform it plays."""
        self.raise_failure("platform")
        return "linux/amd64"

    async def inspect_image(self, image: str) -> ImageInfo | None:
        """Return what the image `NAME@DIGEST` says of itself, None when it has not been pulled."""
        self.raise_failure("inspect_image")
        held = self._images.get(image)
        return held.info if held else None

    async def pull(
        self,
        image: ImageName,
        digest: Digest,
        registry: Registry | None,  # noqa: ARG002 - no login is asked for
        progress: Callable[[str], None],
    ) -> ImageInfo:
        """Take over what `publish` put there. Raises EngineNotFoundError when nothing was."""
        reference = f"{image}@{digest}"
        self._record("pull", reference)
        if reference not in self._registry:
            raise EngineNotFoundError(
                f"the registry {image.host} has no such image: {reference} not found"
            )
        # What has a digest stays what it is.
        held = self._images.setdefault(reference, self._registry[reference])
        progress("1 of 1 layers")
        return held.info

    async def log_in(self, registry: Registry) -> None:
        """Log in, where `guard` asks for it. Raises EngineError when it is another login."""
        self._record("log_in", registry.host)
        login = self._guards.get(registry.host)
        if login is not None and login != (registry.username, registry.password):
            raise EngineError(f"the registry {registry.host} refused the engine's login")

    async def ensure_image(
        self,
        image: ImageName,
        digest: Digest,
        registry: Registry | None,
        *,
        before_pull: BeforePull,
        progress: Callable[[str], None],
    ) -> ImageInfo | None:
        """Pull the image unless it is there, and return what it says of itself."""
        return await ensure_pulled(self, image, digest, registry, before_pull, progress)

    async def remove_image(self, image: str) -> bool:
        """Forget the pulled image `NAME@DIGEST`, unless a container or a tag needs it."""
        self._record("remove_image", image)
        # By digest: one image may have been pulled under two names.
        digest = image.partition("@")[2]
        used = any(
            held.spec.image.partition("@")[2] == digest for held in self._containers.values()
        )
        if image in self._images and (used or image in self._tagged):
            return False
        self._images.pop(image, None)
        return True

    async def create(self, spec: WorkloadSpec) -> str:
        """Create the container, not yet running, and return its id.

        See `DockerRuntime.create` for what is raised.
        """
        self._record("create", spec.name)
        if spec.image not in self._images:
            raise EngineNotFoundError(
                f"the engine could not create the container {spec.name}: No such image:"
                f" {spec.image}"
            )
        if self._find(spec.name):
            raise NameTakenError(
                f"the engine could not create the container {spec.name}: the name is already in use"
            )
        self._need_networks(spec)
        # Counted, not random: a test sees the same ids in each run.
        self._made += 1
        digits = hashlib.sha256(f"container {self._made}".encode()).hexdigest()
        # A swarm gives its services shorter ids than an engine its containers.
        container_id = digits[:25] if self.is_cluster else digits
        image = self._images[spec.image]
        status = created_status(container_id, spec, image)
        self._containers[container_id] = MemoryContainer(spec, image, status, image.test)
        self.volumes |= spec.volumes.keys() | set(status.unasked_volumes.values())
        return container_id

    async def start(self, workload: str) -> None:
        """Start it; does nothing if it runs. Raises EndpointTakenError, EngineNotFoundError."""
        self._record("start", workload)
        found = self._held(workload)
        if found.status.running:
            return
        # As in Docker, this network is looked for at the start, and ports are taken then.
        if found.spec.network:
            self._need_network(found.spec.network, f"start the container {workload}")
        if found.image.start_error:
            raise EngineError(
                f"the engine could not start the container {workload}: {found.image.start_error}"
            )
        if taken := host_ports(found) & self.ports_in_use():
            said = f"Bind for 127.0.0.1:{min(taken)} failed: port is already allocated"
            raise EndpointTakenError(f"the engine could not start the container {workload}: {said}")
        health = "starting" if found.image.info.has_healthcheck else None
        runs = found.status.with_tasks(running=True, restarting=False, exit_code=0, health=health)
        found.status = replace(runs, started_at=self.clock())
        found.write(found.image.log, self.clock())
        if found.image.exit_code is not None:
            self.exit(workload, found.image.exit_code)

    async def launch(
        self,
        spec: WorkloadSpec,
        taken: Collection[Endpoint],
        before_start: BeforeStart | None = None,
    ) -> Launched:
        """Create and start it, at its own endpoint or at a port that `free_port` chooses."""
        return await launch_at_free_port(self, spec, taken, self.free_port, before_start)

    async def stop(self, workload: str, within_s: int | None = None) -> None:  # noqa: ARG002
        """Stop it; does nothing if it is gone."""
        self._record("stop", workload)
        if found := self._find(workload):
            ends = found.status.running or found.status.restarting
            found.status = found.status.with_tasks(running=False, restarting=False)
            if ends:
                self._tell(found)

    async def remove(self, workload: str) -> None:
        """Remove it, running or not; does nothing if it is gone."""
        self._record("remove", workload)
        if found := self._find(workload):
            del self._containers[found.status.id]
            # Those who follow its log wait for news, and this is the last.
            found.wake()
            self._tell(found)

    async def replace_tasks(self, workload: str) -> None:
        """Note it, and nothing else: a container in memory is where it was."""
        self._record("replace_tasks", workload)

    async def inspect_container(self, name: str) -> ContainerFacts | None:
        """Return the facts of a container, as it was created; None when it is gone."""
        self.raise_failure("inspect_container")
        found = self._find(name)
        return facts_of(found) if found else None

    async def set_aside(self, workload: str) -> None:
        """Stop it, and remove nothing; does nothing if it is gone."""
        self._record("set_aside", workload)
        await self.stop(workload)

    async def rejoin(self, workload: str, network: str, aliases: Sequence[str]) -> None:
        """Let it have those names there. Raises EngineNotFoundError."""
        self._record("rejoin", f"{workload} {network}")
        found = self._held(workload)
        found.spec = replace(found.spec, aliases={**found.spec.aliases, network: tuple(aliases)})
        self._need_networks(replace(found.spec, networks=(network,)))

    async def ensure_network(
        self, name: str, labels: Mapping[str, str], notes: Mapping[str, str] = MappingProxyType({})
    ) -> frozenset[str]:
        """Let there be such a network; the ids of the containers that run on it.

        Raises EngineError where it is another's.
        """
        self.raise_failure("ensure_network")
        if name not in self._networks:
            self.journal.append(f"ensure_network {name}")
        there = self._networks.setdefault(name, {**notes, **labels})
        if not labels.items() <= there.items():
            raise EngineError(
                f"the engine has a network {name} that Tagboat has not made and does not use"
            )
        return frozenset(held.status.id for held in self._on(name) if held.status.running)

    async def remove_network(self, name: str, labels: Mapping[str, str]) -> bool:
        """Remove it, unless it is another's or a container runs on it."""
        self._record("remove_network", name)
        if name in self._networks:
            if not labels.items() <= self._networks[name].items() or any(
                held.status.running for held in self._on(name)
            ):
                return False
            del self._networks[name]
        return True

    async def list_networks(self, labels: Mapping[str, str]) -> list[str]:
        """Return the networks that bear these labels, in order."""
        self.raise_failure("list_networks")
        return sorted(
            name for name, there in self._networks.items() if labels.items() <= there.items()
        )

    async def status(self, workload: str) -> WorkloadStatus | None:
        """Return what is known of the container of that name or id, None when it is gone."""
        self.raise_failure("status")
        found = self._find(workload)
        return replace(found.status, self_healing=self.self_healing) if found else None

    async def run_healthcheck(self, workload: str) -> TestRun | None:
        """Return what `set_test` or the image says.

        Raises EngineNotFoundError when it is gone, EngineError where it cannot run.
        """
        self.raise_failure("run_healthcheck")
        found = self._held(workload)
        if not found.image.info.has_healthcheck:
            return None
        if found.status.paused or not found.status.running:
            raise EngineError(
                f"the engine could not run the HEALTHCHECK of {workload}: it does not run"
            )
        return found.test

    async def last_exit_code(self, workload: str) -> int | None:
        """Return the code with which it last exited, None if it never did."""
        self.raise_failure("last_exit_code")
        found = self._find(workload)
        return found.last_code if found else None

    async def logs(
        self, workload: str, tail: int, since: datetime | None = None
    ) -> Sequence[LogLine]:
        """Return the last `tail` lines. Raises EngineNotFoundError when it is gone."""
        self.raise_failure("logs")
        log = self._held(workload).log
        written = [line for line in log if not (since and line.at and line.at < since)]
        return written[max(0, len(written) - tail) :]

    async def follow_logs(
        self, workload: str, tail: int, since: datetime | None = None
    ) -> AsyncGenerator[LogLine, None]:
        """Yield these lines, and those to come until it is removed."""
        held, news = self._held(workload), asyncio.Event()
        # Counted before the first line goes out: what is written meanwhile comes after it, once.
        told = len(held.log)
        held.followers.add(news)
        try:
            for line in await self.logs(workload, tail, since):
                yield line
            while True:
                news.clear()
                for line in held.log[told:]:
                    told += 1
                    yield line
                if held.status.id not in self._containers:
                    return
                await news.wait()
        finally:
            held.followers.discard(news)

    async def list_workloads(self, labels: Mapping[str, str]) -> list[WorkloadStatus]:
        """Return all containers, running or not, that bear every one of `labels`."""
        self.raise_failure("list_workloads")
        statuses = [
            replace(held.status, self_healing=self.self_healing)
            for held in self._containers.values()
        ]
        return [status for status in statuses if labels.items() <= dict(status.labels).items()]

    async def list_volumes(self, prefix: str) -> list[str]:
        """Return the volumes whose names begin with `prefix`, in order."""
        self.raise_failure("list_volumes")
        return sorted(name for name in self.volumes if name.startswith(prefix))

    async def remove_volume(self, name: str) -> bool:
        """Forget it, unless a container uses it."""
        self._record("remove_volume", name)
        if any(name in held.spec.volumes for held in self._containers.values()):
            return False
        self.volumes.discard(name)
        return True

    async def root_dir(self) -> str:
        """Nowhere: it is only a memory."""
        self.raise_failure("root_dir")
        return "/nowhere"

    async def disk_usage(self) -> DiskUsage:
        """Return what is held; every image takes a byte, and no volume says what it takes."""
        self.raise_failure("disk_usage")
        images = tuple(ImageSize(frozenset({name}), 1) for name in self._images)
        return DiskUsage(images, tuple(Volume(name) for name in sorted(self.volumes)), len(images))

    async def watch_exits(self, labels: Mapping[str, str]) -> AsyncGenerator[str, None]:
        """Return the names of containers with all of `labels` that are news, until `go_away`.

        One ending is told once.
        """
        self.raise_failure("watch_exits")
        listener = ExitListener(labels)
        self._listeners.append(listener)
        try:
            while name := await listener.names.get():
                yield name
        finally:
            self._listeners.remove(listener)
        # Never a quiet end: the caller has to look for what it has missed.
        raise EngineUnavailableError("the engine could not tell which containers end: it went away")

    def _need_networks(self, spec: WorkloadSpec) -> None:
        for network in spec.networks:
            self._need_network(
                network, f"connect the container {spec.name} to the network {network}"
            )

    def _need_network(self, network: str, doing: str) -> None:
        if network not in self._networks:
            raise NetworkNotFoundError(
                f"the engine could not {doing}: it has no network {network}; make it with: docker"
                f" network create {network}"
            )

    def _on(self, network: str) -> list[MemoryContainer]:
        return [
            held
            for held in self._containers.values()
            if network in {held.spec.network, *held.spec.networks}
        ]
