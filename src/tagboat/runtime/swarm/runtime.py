"""Docker Swarm as a `Runtime`: it places, starts and heals tasks; nodes pull by themselves."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aiodocker import Docker

from tagboat.core.catalog import Registry
from tagboat.core.container_facts import ContainerFacts
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import (
    EngineDeniedError,
    EngineError,
    EngineMissingError,
    EngineNotFoundError,
    EngineUnavailableError,
    RegistryDeniedError,
    RegistryError,
    RegistryNotFoundError,
)
from tagboat.core.health import TestRun
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.core.keeping import DiskUsage
from tagboat.core.registry_logins import RegistryLogins, StoredLogins
from tagboat.core.run import EngineKind
from tagboat.core.runtime import BeforePull, BeforeStart
from tagboat.core.workload import Launched, LogLine, WorkloadSpec, WorkloadStatus
from tagboat.runtime.docker import image_wire
from tagboat.runtime.docker.networks import NO_LABELS
from tagboat.runtime.docker.protocol_probe import ProtocolProbe
from tagboat.runtime.docker.refusal import login_refusal
from tagboat.runtime.docker.wire import DEFAULT_STOP_TIMEOUT_S
from tagboat.runtime.swarm.files import SwarmFiles
from tagboat.runtime.swarm.image_source import ImageSource, reference_of
from tagboat.runtime.swarm.logins import renew_logins
from tagboat.runtime.swarm.managers import SwarmManagers
from tagboat.runtime.swarm.networks import SwarmNetworks
from tagboat.runtime.swarm.service_wire import (
    REPLICAS_LABEL,
    STARTED_LABEL,
    refuse_unknown,
    service_body,
)
from tagboat.runtime.swarm.services import SwarmServices
from tagboat.runtime.swarm.task_logs import TaskLogs
from tagboat.runtime.swarm.tasks import SwarmTask, ends_of, service_status

TASKS_LOOK_S = 1.0
"""Seconds between two looks at all tasks: managers report no events of tasks."""
_STOP_LOOK_S = 0.2
_TASKS_STOP_MARGIN_S = 20.0
_LOGIN_S = 20.0
_VERSION_S = 0.5
_KNOWN_IMAGES = 256


class SwarmRuntime:
    """A swarm, through its managers. `source` knows the registries, `logins` their passwords."""

    is_cluster = True

    def __init__(
        self,
        managers: SwarmManagers,
        source: ImageSource,
        *,
        logins: RegistryLogins | None = None,
        look_every_s: float = TASKS_LOOK_S,
    ) -> None:
        self._managers = managers
        self._source = source
        self._logins = logins or StoredLogins()
        self._look_every_s = look_every_s
        self._services = SwarmServices(managers)
        self._files = SwarmFiles(managers)
        self._networks = SwarmNetworks(managers)
        self._logs = TaskLogs(managers, self._tasks_of)
        self._infos: dict[str, ImageInfo] = {}
        self.probe = ProtocolProbe()

    async def on(self, engine: EngineKind | None) -> "SwarmRuntime":
        """Return itself. Raises EngineMissingError for one Docker engine."""
        if engine is EngineKind.DOCKER:
            raise EngineMissingError(
                "the stage asks for the engine docker, and the server uses a swarm only"
                " (TAGBOAT_ENGINE=swarm)"
            )
        return self

    async def close(self) -> None:
        """Close the connections."""
        await self._managers.close()

    async def version(self) -> str:
        """Return the release of the manager that answers, such as `20.10.24`."""
        # A manager that is away must not make the others seem to be.
        found = await self._managers.ask("be reached", "version", limit_s=_VERSION_S)
        return str(found["Version"])

    async def platform(self) -> str:
        """Return system and processor of the manager that answers; nodes may have others."""
        return image_wire.platform_of(await self._managers.ask("tell its platform", "version"))

    async def identity(self) -> str:
        """Return the id of the swarm."""
        return str((await self._managers.ask("tell its id", "swarm"))["ID"])

    async def trouble(self) -> str:
        """Return the nodes that are down, in words; empty where all are up, and one leads."""
        return await self._services.trouble()

    async def own_network(self) -> str | None:
        """Return None: instances are reached at the addresses of nodes, from anywhere."""
        return None

    async def root_dir(self) -> str:
        """Return where the manager that answers keeps its data."""
        return str(
            (await self._managers.ask("tell where it keeps its data", "info"))["DockerRootDir"]
        )

    async def disk_usage(self) -> DiskUsage:
        """Return nothing: images and volumes are on the nodes, which do not report them."""
        return DiskUsage((), (), 0)

    async def inspect_image(self, image: str) -> ImageInfo | None:
        """Return what its registry says of `NAME@DIGEST`, None where it says nothing."""
        known = self._infos.get(image)
        if known is None and "@" in image:
            ref = reference_of(image)
            with suppress(RegistryError):
                known = await self._describe(ref, await self._source.registry_of(ref.name))
        return known

    async def ensure_image(
        self,
        image: ImageName,
        digest: Digest,
        registry: Registry | None,
        *,
        before_pull: BeforePull,  # noqa: ARG002 - nodes keep their images by themselves
        progress: Callable[[str], None],
    ) -> ImageInfo | None:
        """Return what the registry says of the image: nodes pull it as they start it.

        Raises RegistryError as well.
        """
        progress("asking the registry; the nodes pull it")
        try:
            return await self._describe(ImageRef(image, "", digest), registry)
        except RegistryNotFoundError as error:
            raise EngineNotFoundError(
                f"the registry {image.host} has no such image: {error}"
            ) from error
        except RegistryDeniedError as error:
            raise EngineDeniedError(str(error)) from error

    async def remove_image(self, image: str) -> bool:  # noqa: ARG002 - see below
        """Return True: images of nodes are not Tagboat's to remove."""
        return True

    async def log_in(self, registry: Registry) -> None:
        """Log in to a registry from the manager that answers. Raises EngineError."""

        async def log_in(docker: Docker) -> None:
            await docker.auth(**login)

        explain = partial(login_refusal, host=registry.host, secret=registry.password)
        login = image_wire.registry_login(registry.host, registry)
        await self._managers.use(
            f"log in to {registry.host}",
            log_in,
            limit_s=_LOGIN_S,
            explain=explain,
        )

    async def create(self, spec: WorkloadSpec) -> str:
        """Make a service without a task, its files before it, and return its id.

        Raises NameTakenError, and EngineNotFoundError where a network is missing.
        """
        refuse_unknown(spec)
        ref = reference_of(spec.image)
        info = await self.inspect_image(spec.image)
        names = [name for name in (spec.network, *spec.networks) if name]
        networks = await self._networks.ids_of(names, f"create the service {spec.name}")
        files = await self._files.store(spec)
        steering = [
            label
            for label in (info.labels if info and not spec.image_labels else ())
            if not label.startswith(image_wire.LABELS_FOR_PEOPLE)
        ]
        body = service_body(
            spec,
            files,
            networks,
            attempt=secrets.token_hex(8),
            image_labels=steering,
            has_healthcheck=info is not None and info.has_healthcheck,
        )

        async def create_as(known: Registry | None) -> str:
            return await self._services.create(body, image_wire.registry_auth(ref.name, known))

        registry = await self._source.registry_of(ref.name)
        try:
            return await self._logins.use(registry, create_as, EngineDeniedError, str(ref.name))
        except EngineError:
            with suppress(EngineError):
                await self._files.remove(files)
            raise

    async def launch(
        self,
        spec: WorkloadSpec,
        taken: Collection[Endpoint],  # noqa: ARG002 - each node chooses its own
        before_start: BeforeStart | None = None,
    ) -> Launched:
        """Make a service and start it; its endpoints are known once its tasks run."""
        service = await self.create(spec)
        if before_start is not None:
            await before_start()
        await self.start(service)
        return Launched(service, ())

    async def start(self, workload: str) -> None:
        """Let it have all of its tasks; does nothing if started. Raises EngineNotFoundError."""

        def begin(spec: dict[str, Any]) -> bool:
            wanted = int(spec["Labels"].get(REPLICAS_LABEL) or 1)
            if spec["Mode"]["Replicated"].get("Replicas") == wanted:
                return False
            spec["Mode"]["Replicated"]["Replicas"] = wanted
            spec["Labels"][STARTED_LABEL] = datetime.now(UTC).isoformat()
            return True

        if await self._services.change(workload, begin) is None:
            raise EngineNotFoundError(
                f"the swarm could not start the service {workload}: it has none of that name"
            )

    async def stop(self, workload: str, within_s: int | None = None) -> None:  # noqa: ARG002 - see below
        """Take all of its tasks away, and wait until those on nodes that answer have ended.

        Each gets its own stop time-out; another one would be a new task, so `within_s` is ignored.
        """

        def end(spec: dict[str, Any]) -> bool:
            was = spec["Mode"]["Replicated"].get("Replicas")
            spec["Mode"]["Replicated"]["Replicas"] = 0
            return bool(was)

        service = await self._services.change(workload, end)
        if service is None:
            return
        given = service["Spec"]["TaskTemplate"]["ContainerSpec"].get("StopGracePeriod")
        limit_s = _TASKS_STOP_MARGIN_S + (
            DEFAULT_STOP_TIMEOUT_S if given is None else given / 10**9
        )
        try:
            async with asyncio.timeout(limit_s):
                # Managers report no events of tasks.
                while any(one.is_up for one in await self._services.tasks(service)):  # noqa: ASYNC110
                    await asyncio.sleep(_STOP_LOOK_S)
        except TimeoutError as error:
            raise EngineUnavailableError(
                f"the swarm could not stop the service {workload} within {limit_s:g} s"
            ) from error

    async def remove(self, workload: str) -> None:
        """Remove the service and its files; its nodes stop what runs."""
        service = await self._services.find(workload)
        if service is not None:
            await self._services.remove(service["ID"])
            await self._files.remove_for(service["Spec"]["Name"])

    async def replace_tasks(self, workload: str) -> None:
        """Let the swarm replace them; does nothing where the service is gone."""
        await self._services.replace_tasks(workload)

    async def inspect_container(self, name: str) -> ContainerFacts | None:  # noqa: ARG002 - see below
        """Return None: containers of nodes cannot be taken over."""
        return None

    async def set_aside(self, workload: str) -> None:
        """Stop it for good; does nothing if it is gone."""
        await self.stop(workload)

    async def status(self, workload: str) -> WorkloadStatus | None:
        """Return what the managers say of its tasks, None where it is gone."""
        service = await self._services.find(workload)
        if service is None:
            return None
        return service_status(service, await self._services.tasks(service))

    async def run_healthcheck(self, workload: str) -> TestRun | None:
        """Return None: nothing can be run on another node. Raises EngineNotFoundError."""
        if await self._services.find(workload) is None:
            raise EngineNotFoundError(f"the swarm has no service {workload}")
        return None

    async def last_exit_code(self, workload: str) -> int | None:
        """Return the exit code of the task that ended last, None where that is not known."""
        tasks = await self._tasks_of(workload) or ()
        slots: dict[int, list[SwarmTask]] = {}
        for one in tasks:
            slots.setdefault(one.slot, []).append(one)
        ended = [one for some in slots.values() for one in ends_of(some, some)]
        return max(ended, key=lambda one: one.changed_at).exit_code if ended else None

    async def logs(
        self, workload: str, tail: int, since: datetime | None = None
    ) -> Sequence[LogLine]:
        """Return the last lines of all of its tasks. Raises EngineNotFoundError."""
        return await self._logs.read(workload, tail, since)

    def follow_logs(
        self, workload: str, tail: int, since: datetime | None = None
    ) -> AsyncGenerator[LogLine, None]:
        """Yield these lines, and those to come until it is removed."""
        return self._logs.follow(workload, tail, since)

    async def list_workloads(self, labels: Mapping[str, str]) -> list[WorkloadStatus]:
        """Return all services with these labels."""
        return await self._services.statuses(await self._services.labelled(labels))

    async def watch_exits(self, labels: Mapping[str, str]) -> AsyncGenerator[str, None]:
        """Yield the name of each workload whose tasks have changed since the last look."""
        before = {one.name: _sight(one) for one in await self.list_workloads(labels)}
        while True:
            await asyncio.sleep(self._look_every_s)
            now = {one.name: _sight(one) for one in await self.list_workloads(labels)}
            for name in sorted(now.keys() | before.keys()):
                if now.get(name) != before.get(name):
                    yield name
            before = now

    async def rejoin(self, workload: str, network: str, aliases: Sequence[str]) -> None:
        """Do nothing: a service has its names on networks from its start; others are new tasks."""

    async def ensure_network(
        self, name: str, labels: Mapping[str, str], notes: Mapping[str, str] = NO_LABELS
    ) -> frozenset[str]:
        """Make an overlay network unless it exists; return the ids of the services on it."""
        network = await self._networks.ensure(name, labels, notes)
        return frozenset(
            str(one["ID"])
            for one in await self._services.labelled({})
            if any(
                on.get("Target") in {network, name}
                for on in one["Spec"]["TaskTemplate"].get("Networks") or ()
            )
            and one["Spec"]["Mode"].get("Replicated", {}).get("Replicas")
        )

    async def remove_network(self, name: str, labels: Mapping[str, str]) -> bool:
        """Remove the network if it has these labels, and no service uses it; whether it is gone."""
        return await self._networks.remove(name, labels)

    async def list_networks(self, labels: Mapping[str, str]) -> list[str]:
        """Return the names of all networks of the swarm with these labels, in order."""
        return await self._networks.labelled(labels)

    async def list_volumes(self, prefix: str) -> list[str]:  # noqa: ARG002 - see below
        """Return none: volumes are on the nodes, which do not report them."""
        return []

    async def remove_volume(self, name: str) -> bool:  # noqa: ARG002 - as above
        """Return False: nobody knows which node has it, and what uses it there."""
        return False

    async def sweep(self, labels: Mapping[str, str]) -> None:
        """Remove files that no service uses any more: their server died before it made one."""
        found = await self._services.labelled(labels)
        await self._files.sweep(labels, {str(one["Spec"]["Name"]) for one in found})

    async def renew_logins(self, labels: Mapping[str, str]) -> None:
        """Give each service a new login; its tasks go on. Raises EngineError."""
        await renew_logins(self._services, self._source, self._logins, labels)

    async def _tasks_of(self, workload: str) -> Sequence[SwarmTask] | None:
        service = await self._services.find(workload)
        return None if service is None else await self._services.tasks(service)

    async def _describe(self, ref: ImageRef, registry: Registry | None) -> ImageInfo:
        info = await self._source.inspect(ref, registry)
        if len(self._infos) >= _KNOWN_IMAGES:
            self._infos.clear()
        self._infos[f"{ref.name}@{ref.digest}"] = info
        return info


def _sight(status: WorkloadStatus) -> tuple[object, ...]:
    """Return what is news of a workload when it changes."""
    return (status.id, status.wanted, status.restarts, status.tasks)
