"""The runtime: where workloads run, and what deploys may ask of it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from tagboat.core.catalog import Registry
from tagboat.core.container_facts import ContainerFacts
from tagboat.core.endpoint import Endpoint
from tagboat.core.health import Manner, TestRun
from tagboat.core.image import Digest, ImageInfo, ImageName
from tagboat.core.keeping import DiskUsage
from tagboat.core.protocol import AppProtocol
from tagboat.core.run import EngineKind
from tagboat.core.workload import Launched, LogLine, WorkloadSpec, WorkloadStatus

BeforePull = Callable[[], Awaitable[None]]
"""Awaited once it is known that an image has to be pulled, and before that begins."""
BeforeStart = Callable[[], Awaitable[None]]
"""Awaited before a workload that was created is started; what it raises has it removed."""


class Probe(Protocol):
    """Health checks of an endpoint. None is a yes, a string says why not; nothing is raised.

    `ask` speaks any protocol; without a path any answer in it is a yes. `spoken` returns the
    protocol that is spoken at an endpoint where HTTP/1.1 is not, None where nothing shows it.
    """

    async def http(self, endpoint: Endpoint, path: str, manner: Manner = ...) -> str | None: ...
    async def tcp(self, endpoint: Endpoint) -> str | None: ...
    async def ask(
        self,
        protocol: AppProtocol,
        endpoint: Endpoint,
        path: str | None,
        manner: Manner = ...,
    ) -> str | None: ...
    async def spoken(self, endpoint: Endpoint) -> AppProtocol | None: ...


class Runtime(Protocol):
    """Runs workloads and holds their images, volumes and networks. All calls raise EngineError.

    A workload is named by the runtime's id of it, or by the name in its spec before that is known.

    - `on` returns the runtime on which workloads and networks are made, and images are got, for a
      stage with that `engine`; None is the server's. Raises EngineMissingError where there is none.
      All other calls know the workloads of each.
    - `is_cluster`: tasks are placed on several machines, by `replicas` and `constraints` of the
      spec. A workload has its aliases from its start, and `rejoin` does nothing.
    - `trouble` is what is wrong although it answers, such as machines that are down; empty for
      nothing.
    - `sweep` removes what the runtime has made for workloads with these labels that are gone.
    - `renew_logins` gives workloads with these labels the logins of now, with which nodes pull when
      a task comes to another one.
    - `ensure_image` makes the image available and returns its description, None where the runtime
      cannot read it. It does nothing where the image is there or nodes pull by themselves;
      `progress` gets a line, at most twice a second.
    - `create` makes a workload that does not run yet and returns its id. Raises NameTakenError.
    - `launch` makes and starts one. It is reached at `spec.endpoint` where that is given and free,
      else at an endpoint that the runtime chooses, not in `taken`. Where the runtime knows it only
      once the tasks run, it is in their status. `before_start` is awaited before each start. Raises
      NameTakenError, and EndpointTakenError where a port that the spec publishes is in use.
    - `start` starts one that exists. Raises EndpointTakenError where its endpoint, which cannot be
      changed any more, is in use by another program.
    - `stop` and `remove` do nothing where it is gone. `stop` gives it `within_s` seconds, else its
      own stop time-out; a stop that is under way is hurried.
    - `replace_tasks` lets new tasks take the place of those that it has, one after the other, where
      the runtime can lose track of them; else it does nothing.
    - `inspect_container` describes a container that somebody else may have made, None if there is
      none. `set_aside` stops one for good, as `stop` does, and removes nothing: the runtime does
      not start it again by itself.
    - `rejoin` lets it leave a network and join it again under other names. A running one loses its
      connections there, unless it keeps its address.
    - `ensure_network` makes a network with `labels` and `notes`, which are labels too, unless it
      exists, and returns the ids of the workloads that run on it. A network of that name without
      `labels` belongs to somebody else and is refused. `remove_network` is True once it is gone,
      False where it belongs to somebody else or a workload runs on it.
    - `list_workloads` returns all that have these labels, running or not. `watch_exits` yields a
      name for each that ends, is paused, or changes its health or endpoints, until the connection
      is lost (EngineUnavailableError).
    - `logs` returns the last `tail` lines, oldest first, of those written at `since` or later
      (None: at any time). `follow_logs` yields them, and goes on with each line that is written,
      also after restarts, until the workload is removed. Both raise EngineNotFoundError.
    - `run_healthcheck` runs the HEALTHCHECK of the image once, at most as long as the image allows;
      None without one. `last_exit_code` is that of its last end, None where it is not known.
    - `remove_image` removes the name `NAME@DIGEST`, and the image with its last name. True when the
      name is gone, False where a workload, another image or a tag needs it.
    - `list_volumes` returns names with this prefix, in order. `remove_volume` deletes the data for
      good; False where a workload uses it.
    - `identity` tells this runtime from any other, and stays the same for good; empty where it has
      nothing of the kind.
    - `root_dir` is where the runtime keeps its data; `disk_usage` may take a minute.
    - `log_in` tries the credentials of a registry as pulls use them.
    - `own_network` is the network mode (`host`, `bridge`, a name) of the container in which this
      process runs, None where it runs in none of this runtime.
    """

    @property
    def is_cluster(self) -> bool: ...
    @property
    def probe(self) -> Probe: ...

    async def on(self, engine: EngineKind | None) -> "Runtime": ...

    async def version(self) -> str: ...
    async def identity(self) -> str: ...
    async def trouble(self) -> str: ...
    async def platform(self) -> str: ...
    async def own_network(self) -> str | None: ...
    async def root_dir(self) -> str: ...
    async def disk_usage(self) -> DiskUsage: ...

    async def inspect_image(self, image: str) -> ImageInfo | None: ...
    async def ensure_image(
        self,
        image: ImageName,
        digest: Digest,
        registry: Registry | None,
        *,
        before_pull: BeforePull,
        progress: Callable[[str], None],
    ) -> ImageInfo | None: ...
    async def remove_image(self, image: str) -> bool: ...
    async def log_in(self, registry: Registry) -> None: ...

    async def create(self, spec: WorkloadSpec) -> str: ...
    async def launch(
        self,
        spec: WorkloadSpec,
        taken: Collection[Endpoint],
        before_start: BeforeStart | None = ...,
    ) -> Launched: ...
    async def start(self, workload: str) -> None: ...
    async def stop(self, workload: str, within_s: int | None = None) -> None: ...
    async def remove(self, workload: str) -> None: ...
    async def replace_tasks(self, workload: str) -> None: ...
    async def inspect_container(self, name: str) -> ContainerFacts | None: ...
    async def set_aside(self, workload: str) -> None: ...
    async def status(self, workload: str) -> WorkloadStatus | None: ...
    async def logs(
        self, workload: str, tail: int, since: datetime | None = ...
    ) -> Sequence[LogLine]: ...
    def follow_logs(
        self, workload: str, tail: int, since: datetime | None = ...
    ) -> AsyncGenerator[LogLine, None]: ...
    async def run_healthcheck(self, workload: str) -> TestRun | None: ...
    async def last_exit_code(self, workload: str) -> int | None: ...
    async def list_workloads(self, labels: Mapping[str, str]) -> list[WorkloadStatus]: ...
    def watch_exits(self, labels: Mapping[str, str]) -> AsyncGenerator[str, None]: ...

    async def rejoin(self, workload: str, network: str, aliases: Sequence[str]) -> None: ...
    async def ensure_network(
        self, name: str, labels: Mapping[str, str], notes: Mapping[str, str] = ...
    ) -> frozenset[str]: ...
    async def remove_network(self, name: str, labels: Mapping[str, str]) -> bool: ...
    async def list_networks(self, labels: Mapping[str, str]) -> list[str]: ...

    async def list_volumes(self, prefix: str) -> list[str]: ...
    async def remove_volume(self, name: str) -> bool: ...
    async def sweep(self, labels: Mapping[str, str]) -> None: ...
    async def renew_logins(self, labels: Mapping[str, str]) -> None: ...
