"""The state of a `MemoryRuntime`: what tests say of images, containers and apps."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime

from msgspec import Struct, field

from tagboat.core.colours import coloured
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import (
    EngineError,
    EngineNotFoundError,
)
from tagboat.core.health import Manner, TestRun
from tagboat.core.image import Digest, ImageInfo, ImageName
from tagboat.core.protocol import AppProtocol
from tagboat.core.runtime import Probe
from tagboat.core.values import replace
from tagboat.core.workload import LogLine, WorkloadSpec, WorkloadStatus
from tagboat.runtime.launch import FreePort

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
        path: str | None,  # noqa: ARG002
        manner: Manner | None = None,  # noqa: ARG002
    ) -> str | None:
        """Return None: it answers."""
        return None

    async def spoken(self, endpoint: Endpoint) -> AppProtocol | None:  # noqa: ARG002
        """Return None: it speaks HTTP/1.1 only."""
        return None


class MemoryImage(Struct, frozen=True, kw_only=True):
    """An image and what its containers do.

    `log` is written at every start; `exit_code` is what the app exits with at once, None if it runs
    until it is stopped; `start_error` is why the engine cannot start it, in the engine's words;
    `test` is what its HEALTHCHECK comes to when it is run by hand; `names` are its tags.
    """

    info: ImageInfo = field(default_factory=ImageInfo)
    log: tuple[str, ...] = ()
    exit_code: int | None = None
    start_error: str | None = None
    test: TestRun = _NOT_READY
    names: tuple[str, ...] = ()


class MemoryContainer(Struct, eq=False):
    """A container; `last_code` is the exit code of its last end, None if it never ended."""

    spec: WorkloadSpec
    image: MemoryImage
    status: WorkloadStatus
    test: TestRun
    last_code: int | None = None
    log: list[LogLine] = field(default_factory=list)
    followers: set[asyncio.Event] = field(default_factory=set)

    def write(self, lines: Iterable[str], at: datetime) -> None:
        """Add lines to the log, and wake whoever follows it."""
        for line in lines:
            text, marks = coloured(line)
            self.log.append(LogLine(text, at, marks))
        self.wake()

    def wake(self) -> None:
        """Let those who follow the log look again."""
        for follower in self.followers:
            follower.set()


class ExitListener(Struct, frozen=True, eq=False):
    """A caller of `watch_exits`; None in its queue is the end of the engine."""

    labels: Mapping[str, str]
    names: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)


class MemoryState:
    """The images and containers of a `MemoryRuntime`, and what tests may do to them.

    `journal` lists the changes asked for, such as `start web-1`, in order, by names.

    `clock` says when containers are started; `volumes` are the names of those that containers, or
    their images, have asked for, which stay when the containers go; `network` is that of the
    container in which we are to run, None for none.
    """

    is_cluster = False
    self_healing = False
    is_manager = False

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.volumes: set[str] = set()
        self.network: str | None = None
        self.id = "memory"
        self.probe: Probe = AnsweringProbe()
        self.free_port: FreePort = self._next_port
        # By `NAME@DIGEST`: what can be pulled, what was, and what of it bears a tag besides.
        self._registry: dict[str, MemoryImage] = {}
        self._images: dict[str, MemoryImage] = {}
        self._tagged: set[str] = set()
        self._guards: dict[str, tuple[str, str | None]] = {}
        self._containers: dict[str, MemoryContainer] = {}
        self._networks: dict[str, Mapping[str, str]] = {}
        self._listeners: list[ExitListener] = []
        self._failures: dict[str, list[EngineError]] = {}
        self._made = 0

    async def trouble(self) -> str:
        """Return nothing: what is in memory is well."""
        return ""

    async def sweep(self, labels: Mapping[str, str]) -> None:
        """Do nothing: nothing is made outside of the workloads."""

    async def renew_logins(self, labels: Mapping[str, str]) -> None:
        """Do nothing: images are pulled at once."""

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
        """Let a container's HEALTHCHECK say `healthy` or `unhealthy` in any run."""
        found = self._held(container)
        found.status = replace(found.status.with_tasks(health=health), health_said=said)
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

    def exit(self, container: str, code: int, said: str = "", *, began: bool = True) -> None:
        """Let the app exit; `said` is what a swarm says of why, as where it never `began`.

        The engine waits to restart it (`start` does), unless the container is run only once.
        """
        found = self._held(container)
        again = found.spec.restarts
        ended = found.status.with_tasks(
            running=False, restarting=again, exit_code=code, said=said, began=began
        )
        found.status = replace(ended, restarts=ended.restarts + int(again))
        # Kept apart: a start sets the code in the status back, as Docker does.
        found.last_code = code
        self._tell(found)

    def say(self, container: str, line: str) -> None:
        """Let the app write a line."""
        self._held(container).write([line], self.clock())

    def followers(self, container: str) -> int:
        """Return how many follow the log of a container, 0 where it is gone."""
        found = self._find(container)
        return len(found.followers) if found else 0

    def _tell(self, ended: MemoryContainer) -> None:
        for listener in self._listeners:
            if listener.labels.items() <= dict(ended.status.labels).items():
                listener.names.put_nowait(ended.spec.name)

    def _record(self, call: str, what: str) -> None:
        found = self._find(what)
        # A call that fails was asked for all the same.
        self.journal.append(f"{call} {found.spec.name if found else what}")
        self.raise_failure(call)

    def raise_failure(self, call: str) -> None:
        """Raise the failure that `fail` has set for this call of `call`, if any."""
        if failures := self._failures.get(call):
            raise failures.pop(0)

    def _find(self, container: str) -> MemoryContainer | None:
        return next(
            (
                held
                for held in self._containers.values()
                if container in {held.status.id, held.spec.name}
            ),
            None,
        )

    def _held(self, container: str) -> MemoryContainer:
        found = self._find(container)
        if found is None:
            raise EngineNotFoundError(f"No such container: {container}")
        return found

    def _next_port(self, taken: Collection[int]) -> int:
        # The lowest, so that a test knows which port comes next.
        unfit = {*taken, *self.ports_in_use()}
        return next(port for port in range(_FIRST_PORT, 65536) if port not in unfit)

    def ports_in_use(self) -> set[int]:
        """Return the ports of this machine that running containers take."""
        return {
            port
            for held in self._containers.values()
            if held.status.running
            for port in host_ports(held)
        }


def host_ports(held: MemoryContainer) -> set[int]:
    """Return the ports of this machine that the container takes while it runs."""
    own = {one.port for one in held.status.endpoints}
    return own | {one.host_port for one in held.spec.publish}
