"""An engine that is only a memory: for tests, and for trying Tagboat without Docker.

It behaves like the real one as far as the contract tests (tests/contract/test_runtime.py) say,
decides nothing by chance or clock, and does nothing on its own: what an app does is said by its
`MemoryImage`, or by `exit` and `set_health`.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType

from tagboat.core.catalog import Registry
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import (
    EndpointTakenError,
    EngineError,
    EngineNotFoundError,
    EngineUnavailableError,
    NameTakenError,
    NetworkNotFoundError,
)
from tagboat.core.health import Manner, TestRun
from tagboat.core.image import Digest, ImageInfo, ImageName
from tagboat.core.keeping import DiskUsage, ImageSize, Volume
from tagboat.core.protocol import AppProtocol
from tagboat.core.runtime import BeforePull, Probe
from tagboat.core.workload import Launched, WorkloadSpec, WorkloadStatus
from tagboat.runtime.launch import FreePort, ensure_pulled, launch_at_free_port

_FIRST_PORT = 20000
_NOT_READY = TestRun(passed=False, said="not ready")


class AnsweringProbe:
    """A probe to which every endpoint answers."""

    async def http(
        self,
        endpoint: Endpoint,  # noqa: ARG002 - the port's signature, here and below
        path: str,  # noqa: ARG002
        manner: Manner | None = None,  # noqa: ARG002
    ) -> str | None:
        """Return None: it answers."""
        return None

    async def tcp(self, endpoint: Endpoint) -> str | None:  # noqa: ARG002
        """Return None: it answers."""
        return None

    async def ask(
        self,
        protocol: AppProtocol,  # noqa: ARG002
        endpoint: Endpoint,  # noqa: ARG002
        path: str,  # noqa: ARG002
        host: str = "localhost",  # noqa: ARG002
        limit_s: float = 5.0,  # noqa: ARG002
    ) -> str | None:
        """Return None: it answers."""
        return None

    async def spoken(self, endpoint: Endpoint) -> AppProtocol | None:  # noqa: ARG002
        """Return None: it speaks HTTP/1.1 only."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryImage:
    """An image and what its containers do.

    `log` is written at every start; `exit_code` is what the app exits with at once, None if it runs
    until it is stopped; `start_error` is why the engine cannot start it, in the engine's words;
    `test` is what its HEALTHCHECK comes to when it is run by hand.
    """

    info: ImageInfo = field(default_factory=ImageInfo)
    log: tuple[str, ...] = ()
    exit_code: int | None = None
    start_error: str | None = None
    test: TestRun = _NOT_READY


@dataclass(slots=True)
class _Container:
    spec: WorkloadSpec
    image: MemoryImage
    status: WorkloadStatus
    test: TestRun
    last_code: int | None = None
    log: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _Listener:
    """A caller of `watch_exits`; None in its queue is the end of the engine."""

    labels: Mapping[str, str]
    names: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)


class MemoryRuntime:
    """Holds images and containers.

    `journal` lists the changes asked for, such as `start web-1`, in order, by names.

    `clock` says when containers are started; `volumes` are the names of those that containers, or
    their images, have asked for, which stay when the containers go; `network` is that of the
    container in which we are to run, None for none.
    """

    self_healing = False

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.volumes: set[str] = set()
        self.network: str | None = None
        self.probe: Probe = AnsweringProbe()
        self.free_port: FreePort = self._next_port
        self._registry: dict[str, MemoryImage] = {}
        self._images: dict[str, MemoryImage] = {}
        self._tagged: set[str] = set()
        self._guards: dict[str, tuple[str, str | None]] = {}
        self._containers: dict[str, _Container] = {}
        self._networks: dict[str, Mapping[str, str]] = {}
        self._listeners: list[_Listener] = []
        self._failures: dict[str, list[EngineError]] = {}
        self._made = 0

    def publish(self, image: ImageName, digest: Digest, content: MemoryImage | None = None) -> None:
        """Put an image where `pull` finds it."""
        held = content or MemoryImage()
        self._registry[f"{image}@{digest}"] = replace(held, info=replace(held.info, digest=digest))

    def guard(self, host: str, username: str, password: str) -> None:
        """Let `log_in` at a registry take this login only."""
        self._guards[host] = (username, password)

    def prune(self, image: str) -> None:
        """Forget the pulled image `NAME@DIGEST`; `pull` finds it again.

        Containers of it live on.
        """
        self._images.pop(image, None)

    def tag(self, image: str) -> None:
        """Give the pulled image `NAME@DIGEST` a tag, as a person does who wants to keep it."""
        self._tagged.add(image)

    def add_network(self, name: str) -> None:
        """Let there be a network that containers can be connected to."""
        self._networks[name] = {}

    def drop_network(self, name: str) -> None:
        """Remove a network as a person may, whatever bears it."""
        self._networks.pop(name, None)

    def spec(self, container: str) -> WorkloadSpec:
        """Return what a container was created with: its files, limits, volumes and networks.

        Raises EngineNotFoundError.
        """
        return self._held(container).spec

    def go_away(self) -> None:
        """Break off every `watch_exits`, as an engine does that is restarted.

        Calls after it are answered again.
        """
        for listener in self._listeners:
            listener.names.put_nowait(None)

    def fail(self, call: str, error: EngineError) -> None:
        """Let the next call of the method `call` without an earlier failure raise `error`."""
        self._failures.setdefault(call, []).append(error)

    def set_health(self, container: str, health: str, said: str = "") -> None:
        """Let a container's HEALTHCHECK say `healthy` or `unhealthy`, whoever runs it."""
        found = self._held(container)
        found.status = replace(found.status, health=health, health_said=said)
        found.test = TestRun(passed=health == "healthy", said=said)
        self._tell(found)

    def set_test(self, container: str, run: TestRun) -> None:
        """Let the HEALTHCHECK of a container come to this when it is run by hand."""
        self._held(container).test = run

    def pause(self, container: str, *, paused: bool = True) -> None:
        """Pause a container as a person may, or let it go on."""
        found = self._held(container)
        found.status = replace(found.status, paused=paused)
        self._tell(found)

    def exit(self, container: str, code: int) -> None:
        """Let the app exit.

        The engine waits to restart it (`start` does), unless the container is run only once.
        """
        found = self._held(container)
        again = found.spec.restarts
        restarts = found.status.restarts + int(again)
        found.status = replace(
            found.status, running=False, restarting=again, restarts=restarts, exit_code=code
        )
        found.last_code = code
        self._tell(found)

    def say(self, container: str, line: str) -> None:
        """Let the app write a line."""
        self._held(container).log.append(line)

    async def version(self) -> str:
        """Says what it is."""
        self._fail_if_told("version")
        return "memory"

    async def own_network(self) -> str | None:
        """Return the network that it was told of."""
        self._fail_if_told("own_network")
        return self.network

    async def platform(self) -> str:
        """Return the platform it plays."""
        self._fail_if_told("platform")
        return "linux/amd64"

    async def inspect_image(self, image: str) -> ImageInfo | None:
        """Return what the image `NAME@DIGEST` says of itself, None when it has not been pulled."""
        self._fail_if_told("inspect_image")
        held = self._images.get(image)
        return held.info if held else None

    async def pull(
        self,
        image: ImageName,
        digest: Digest,
        registry: Registry | None,  # noqa: ARG002 - no login is asked for
        progress: Callable[[str], None],
    ) -> None:
        """Take over what `publish` put there. Raises EngineNotFoundError when nothing was."""
        reference = f"{image}@{digest}"
        self._record("pull", reference)
        if reference in self._images:
            progress("the engine has it already")
            return
        if reference not in self._registry:
            raise EngineNotFoundError(
                f"the registry {image.host} has no such image: {reference} not found"
            )
        self._images[reference] = self._registry[reference]
        progress("1 of 1 layers")

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
        self._made += 1
        container_id = hashlib.sha256(f"container {self._made}".encode()).hexdigest()
        image = self._images[spec.image]
        status = _created_status(container_id, spec, image)
        self._containers[container_id] = _Container(spec, image, status, image.test)
        self.volumes |= spec.volumes.keys() | set(status.unasked_volumes.values())
        return container_id

    async def start(self, workload: str) -> None:
        """Start it; does nothing if it runs. Raises EndpointTakenError, EngineNotFoundError."""
        self._record("start", workload)
        found = self._held(workload)
        if found.status.running:
            return
        if found.spec.network:
            self._need_network(found.spec.network, f"start the container {workload}")
        if found.image.start_error:
            raise EngineError(
                f"the engine could not start the container {workload}: {found.image.start_error}"
            )
        if taken := _host_ports(found) & self._ports_in_use():
            said = f"Bind for 127.0.0.1:{min(taken)} failed: port is already allocated"
            raise EndpointTakenError(f"the engine could not start the container {workload}: {said}")
        health = "starting" if found.image.info.has_healthcheck else None
        found.status = replace(
            found.status,
            running=True,
            restarting=False,
            exit_code=0,
            health=health,
            started_at=self.clock(),
        )
        found.log.extend(found.image.log)
        if found.image.exit_code is not None:
            self.exit(workload, found.image.exit_code)

    async def launch(self, spec: WorkloadSpec, taken: Collection[Endpoint]) -> Launched:
        """Create and start it, at its own endpoint or at a port that `free_port` chooses."""
        return await launch_at_free_port(self, spec, taken, self.free_port)

    async def stop(self, workload: str, within_s: int | None = None) -> None:  # noqa: ARG002
        """Stop it; does nothing if it is gone."""
        self._record("stop", workload)
        if found := self._find(workload):
            ends = found.status.running or found.status.restarting
            found.status = replace(found.status, running=False, restarting=False)
            if ends:
                self._tell(found)

    async def remove(self, workload: str) -> None:
        """Remove it, running or not; does nothing if it is gone."""
        self._record("remove", workload)
        if found := self._find(workload):
            del self._containers[found.status.id]
            self._tell(found)

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
        self._fail_if_told("ensure_network")
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
        self._fail_if_told("list_networks")
        return sorted(
            name for name, there in self._networks.items() if labels.items() <= there.items()
        )

    async def status(self, workload: str) -> WorkloadStatus | None:
        """Return what is known of the container of that name or id, None when it is gone."""
        self._fail_if_told("status")
        found = self._find(workload)
        return found.status if found else None

    async def run_healthcheck(self, workload: str) -> TestRun | None:
        """Return what `set_test` or the image says.

        Raises EngineNotFoundError when it is gone, EngineError where it cannot run.
        """
        self._fail_if_told("run_healthcheck")
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
        self._fail_if_told("last_exit_code")
        found = self._find(workload)
        return found.last_code if found else None

    async def logs(self, workload: str, tail: int) -> Sequence[str]:
        """Return the last `tail` lines. Raises EngineNotFoundError when it is gone."""
        self._fail_if_told("logs")
        log = self._held(workload).log
        return log[max(0, len(log) - tail) :]

    async def list_workloads(self, labels: Mapping[str, str]) -> list[WorkloadStatus]:
        """Return all containers, running or not, that bear every one of `labels`."""
        self._fail_if_told("list_workloads")
        statuses = [held.status for held in self._containers.values()]
        return [status for status in statuses if labels.items() <= dict(status.labels).items()]

    async def list_volumes(self, prefix: str) -> list[str]:
        """Return the volumes whose names begin with `prefix`, in order."""
        self._fail_if_told("list_volumes")
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
        self._fail_if_told("root_dir")
        return "/nowhere"

    async def disk_usage(self) -> DiskUsage:
        """Return what is held; every image takes a byte, and no volume says what it takes."""
        self._fail_if_told("disk_usage")
        images = tuple(ImageSize(frozenset({name}), 1) for name in self._images)
        return DiskUsage(images, tuple(Volume(name) for name in sorted(self.volumes)), len(images))

    async def watch_exits(self, labels: Mapping[str, str]) -> AsyncGenerator[str, None]:
        """Return the names of containers with all of `labels` that are news, until `go_away`.

        One ending is told once.
        """
        self._fail_if_told("watch_exits")
        listener = _Listener(labels)
        self._listeners.append(listener)
        try:
            while name := await listener.names.get():
                yield name
        finally:
            self._listeners.remove(listener)
        raise EngineUnavailableError("the engine could not tell which containers end: it went away")

    def _tell(self, ended: _Container) -> None:
        for listener in self._listeners:
            if listener.labels.items() <= dict(ended.status.labels).items():
                listener.names.put_nowait(ended.spec.name)

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

    def _on(self, network: str) -> list[_Container]:
        return [
            held
            for held in self._containers.values()
            if network in {held.spec.network, *held.spec.networks}
        ]

    def _record(self, call: str, what: str) -> None:
        found = self._find(what)
        self.journal.append(f"{call} {found.spec.name if found else what}")
        self._fail_if_told(call)

    def _fail_if_told(self, call: str) -> None:
        if failures := self._failures.get(call):
            raise failures.pop(0)

    def _find(self, container: str) -> _Container | None:
        return next(
            (
                held
                for held in self._containers.values()
                if container in {held.status.id, held.spec.name}
            ),
            None,
        )

    def _held(self, container: str) -> _Container:
        found = self._find(container)
        if found is None:
            raise EngineNotFoundError(f"No such container: {container}")
        return found

    def _next_port(self, taken: Collection[int]) -> int:
        unfit = {*taken, *self._ports_in_use()}
        return next(port for port in range(_FIRST_PORT, 65536) if port not in unfit)

    def _ports_in_use(self) -> set[int]:
        return {
            port
            for held in self._containers.values()
            if held.status.running
            for port in _host_ports(held)
        }


def _host_ports(held: _Container) -> set[int]:
    own = {held.status.endpoint.port} if held.status.endpoint else set()
    return own | {one.host_port for one in held.spec.publish}


def _created_status(container_id: str, spec: WorkloadSpec, image: MemoryImage) -> WorkloadStatus:
    mounted = {*spec.volumes.values(), *spec.tmpfs, *(bind.target for bind in spec.binds)}
    return WorkloadStatus(
        id=container_id,
        name=spec.name,
        running=False,
        restarting=False,
        restarts=0,
        exit_code=0,
        oom_killed=False,
        health=None,
        # The real one adds a container's own labels to its image's, of which those are emptied that
        # may steer others.
        labels={**_image_labels(spec, image), **spec.labels},
        endpoint=spec.endpoint if spec.port else None,
        unasked_volumes={
            path: _unasked_name(container_id, path)
            for path in image.info.volumes
            if path not in mounted
        },
    )


def _image_labels(spec: WorkloadSpec, image: MemoryImage) -> Mapping[str, str]:
    kept = "" if spec.image_labels else "org.opencontainers."
    return {
        name: value if name.startswith(kept) else "" for name, value in image.info.labels.items()
    }


def _unasked_name(container_id: str, path: str) -> str:
    return hashlib.sha256(f"{container_id} {path}".encode()).hexdigest()
