"""What the rooms ask of the outside, as protocols. Adapters implement them; decisions never know which."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tagboat.core.catalog import Project, Registry, Stage
from tagboat.core.deploy import ContainerSpec, ContainerStatus, Trigger
from tagboat.core.health import Manner, TestRun
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.core.keeping import DiskUsage
from tagboat.core.polling import PollReport
from tagboat.core.protocol import AppProtocol
from tagboat.core.push import Outcome
from tagboat.core.route import Route
from tagboat.core.store_port import Reader, Store, Topic, Tx

# The store's port is a module of its own; most callers need both, and import them from here.
__all__ = ["Reader", "Store", "Topic", "Tx"]


@dataclass(frozen=True, slots=True)
class Queued:
    """What queueing came to: the deploy, and whether it was there already (`queued` or `merged`)."""

    outcome: Outcome
    deploy_id: str


class DeployTriggerer(Protocol):
    """Queues a deploy; a worker carries it out. Called inside the transaction `tx`, so that news and deploy commit as one."""

    def trigger_deploy(
        self,
        project_id: str,
        stage_id: str,
        image_tag: str,
        *,
        tx: Tx,
        trigger: Trigger = Trigger.MANUAL,
        digest: Digest | None = None,
        force: bool = False,
        image: ImageName | None = None,
    ) -> Queued: ...


class ImageInspector(Protocol):
    """Says what an image says of itself. Raises RegistryError or EngineError when nobody can tell."""

    async def inspect_image(self, image_ref: ImageRef) -> ImageInfo: ...


class TagSource(Protocol):
    """A registry, read only. `registry` is None for one that nobody configured: anonymous, URL from the image's host.

    All raise RegistryError. `list_tags` answers the whole list, in the registry's order, or raises: never a part of it.
    """

    async def list_tags(self, image: ImageName, registry: Registry | None) -> list[str]: ...
    async def resolve(self, image: ImageName, tag: str, registry: Registry | None) -> Digest: ...
    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo: ...


class Engine(Protocol):
    """A container engine. All raise EngineError; `stop` and `remove` of a container that is gone do nothing.

    `stop` gives a container `within_s` seconds, else its own stop time-out; one that is being stopped already is hurried.
    `rejoin` lets a container leave a network and join it again under other names; one that runs loses its connections there,
    unless it keeps its address. `ensure_network` makes a network with `labels` and `notes`, which are labels too, unless
    there is one, and answers with the ids of the containers that run on it; a network of that name without `labels` is
    somebody else's, and refused. `remove_network` is True once there is none, False where it is somebody else's or
    containers run on it.
    `endings` tells the names of containers with all of `labels` as they stop, die or are removed, are paused or go on, or as
    their HEALTHCHECK comes to another verdict; from when it is first asked for a name, until the engine goes away
    (EngineUnavailableError). `platform` is the engine's machine, such as `linux/amd64`. `run_healthcheck` runs the HEALTHCHECK
    of a running container once, whatever the engine's own timetable, and waits at most as long as the image lets it take; None
    where there is none. `last_exit_code` is that of the last time a container's program ended, None if nobody remembers.
    `remove_image` takes the name `NAME@DIGEST` off an image, and with its last name the image; True when that name is gone,
    False where it was left: a container was made of the image, whoever made it, another image was, or somebody gave it a tag.
    `list_volumes` names the volumes whose names begin with `prefix`, in order; `remove_volume` is False where a container
    still uses it, and removes what is in it for good. `root_dir` is where the engine keeps everything, by its own account;
    `disk_usage` may take a minute. `log_in` tries whether the engine itself, as its pulls do, can log in to a registry.
    `own_network` is the network mode (`host`, `bridge`, a name) of the container in which this process runs, None where it
    runs in none of this engine.
    """

    async def version(self) -> str: ...
    async def platform(self) -> str: ...
    async def own_network(self) -> str | None: ...
    async def inspect_image(self, image: str) -> ImageInfo | None: ...
    async def pull(
        self,
        image: ImageName,
        digest: Digest,
        registry: Registry | None,
        progress: Callable[[str], None],
    ) -> None: ...
    async def log_in(self, registry: Registry) -> None: ...
    async def remove_image(self, image: str) -> bool: ...
    async def create(self, spec: ContainerSpec) -> str: ...
    async def start(self, container: str) -> None: ...
    async def stop(self, container: str, within_s: int | None = None) -> None: ...
    async def remove(self, container: str) -> None: ...
    async def rejoin(self, container: str, network: str, aliases: Sequence[str]) -> None: ...
    async def ensure_network(
        self, name: str, labels: Mapping[str, str], notes: Mapping[str, str] = ...
    ) -> frozenset[str]: ...
    async def remove_network(self, name: str, labels: Mapping[str, str]) -> bool: ...
    async def list_networks(self, labels: Mapping[str, str]) -> list[str]: ...
    async def status(self, container: str) -> ContainerStatus | None: ...
    async def run_healthcheck(self, container: str) -> TestRun | None: ...
    async def last_exit_code(self, container: str) -> int | None: ...
    async def logs(self, container: str, tail: int) -> Sequence[str]: ...
    async def containers(self, labels: Mapping[str, str]) -> list[ContainerStatus]: ...
    async def list_volumes(self, prefix: str) -> list[str]: ...
    async def remove_volume(self, name: str) -> bool: ...
    async def root_dir(self) -> str: ...
    async def disk_usage(self) -> DiskUsage: ...
    def endings(self, labels: Mapping[str, str]) -> AsyncGenerator[str, None]: ...


class Probe(Protocol):
    """Asks an instance on its loopback port whether it answers. Never raises: None is a yes, a text says why not.

    `ask` does so in any protocol. `spoken` is what is spoken at a port where HTTP/1.1 is not, None where nothing says so.
    """

    async def http(self, port: int, path: str, manner: Manner = ...) -> str | None: ...
    async def tcp(self, port: int) -> str | None: ...
    async def ask(
        self, protocol: AppProtocol, port: int, path: str, host: str = ..., limit_s: float = ...
    ) -> str | None: ...
    async def spoken(self, port: int) -> AppProtocol | None: ...


class Polls(Protocol):
    """Polls on request. `next_at` is when the next scheduled poll of a project is due, None before it is known.

    `settle` returns once that goes by the settings that were committed before.
    """

    async def poll_now(self, project_id: str) -> PollReport: ...
    def next_at(self) -> datetime | None: ...
    async def settle(self) -> None: ...


class Ingress(Protocol):
    """Leads traffic to instances. `address` is the URL at which a stage answers, None where there is none.

    `lead` makes traffic follow exactly `routes` (each host once), and returns once the ingress has confirmed it: whoever
    asks for a host that no route names is told that there is nothing, and requests under way end where they began. A route
    that cannot be, by its host or its port, is left out; of two for one host the first counts.
    `change` does the same for the hosts of `routes` and for those `gone`, which no route names any more; every other is led
    as before. There must have been a `lead`, and one must follow a `change` that failed.
    `in_flight` is how many requests the instance on a loopback port is still answering, 0 for one that never had any.
    All raise IngressUnavailableError; after it the routes in force are those of before, or some of each.
    """

    def address(self, project: Project, stage: Stage) -> str | None: ...
    async def lead(self, routes: Collection[Route]) -> None: ...
    async def change(self, routes: Collection[Route], gone: Collection[str]) -> None: ...
    async def in_flight(self, port: int) -> int: ...
