"""The Docker engine as a `Runtime`, through aiodocker. Every call is limited in time."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from http import HTTPStatus
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from aiodocker import Docker, DockerError
from aiodocker.containers import DockerContainer

from tagboat.core.container_facts import ContainerFacts
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import EngineError
from tagboat.core.health import TestRun
from tagboat.core.registry_logins import RegistryLogins, StoredLogins
from tagboat.core.runtime import BeforeStart
from tagboat.core.workload import Launched, LogLine, WorkloadSpec, WorkloadStatus
from tagboat.runtime.docker import image_wire, wire
from tagboat.runtime.docker.address import EngineTransport, parse_engine_address
from tagboat.runtime.docker.archive import files_archive
from tagboat.runtime.docker.connection import (
    ASK_S,
    CHANGE_S,
    DockerConnection,
    StreamRequest,
    messages,
)
from tagboat.runtime.docker.container_logs import ContainerLogs
from tagboat.runtime.docker.container_wire import container_facts
from tagboat.runtime.docker.health_runs import HealthTests
from tagboat.runtime.docker.holdings import DockerHoldings, unless_gone
from tagboat.runtime.docker.host_ports import free_loopback_port
from tagboat.runtime.docker.listing import ContainerListing, inspected
from tagboat.runtime.docker.networks import NO_LABELS, DockerNetworks
from tagboat.runtime.docker.protocol_probe import ProtocolProbe
from tagboat.runtime.launch import FreePort, launch_at_free_port

# For news only. A whole pull has no limit: large images take long on slow lines.
_PULL_IDLE_S = 60.0
# The engine answers a stop after the container has ended, so the call takes longer than that.
_STOP_MARGIN_S = 20.0
# Room for 2,048 networks; the default ranges of the engine are enough for some thirty.
_POOL = IPv4Network("10.112.0.0/14")
_LOG_REFUSED = ("log driver", "log-driver", "log opt", "log-opt", "logging driver")


class DockerRuntime(DockerHoldings):
    """A Docker engine, connected to when it is first called.

    `url` is `unix://`, `tcp://` or `ssh://`, None the local socket; `cert_path` and `tls_verify`
    are what DOCKER_CERT_PATH and DOCKER_TLS_VERIFY say. Raises InvalidValueError for an address
    that is none. `pull_idle_s` is how many seconds a pull may go without news; `network_pool` is
    the range of addresses that networks are made from; `own_container` is the id of the container
    that this process runs in, None for none. `free_port` chooses the loopback port of a new
    container. `logins` has the passwords that are not on record.
    """

    is_cluster = False

    def __init__(
        self,
        url: str | None = None,
        *,
        cert_path: Path | None = None,
        tls_verify: bool = False,
        pull_idle_s: float = _PULL_IDLE_S,
        network_pool: IPv4Network = _POOL,
        own_container: str | None = None,
        free_port: FreePort = free_loopback_port,
        logins: RegistryLogins | None = None,
    ) -> None:
        address = parse_engine_address(url, cert_path=cert_path, tls_verify=tls_verify)
        super().__init__(DockerConnection(address), pull_idle_s, logins or StoredLogins())
        self._networks = DockerNetworks(
            self._connection, network_pool, is_local=address.transport is EngineTransport.UNIX
        )
        self._tests = HealthTests(self._connection)
        self._logs = ContainerLogs(self._connection)
        inspect = partial(inspected, self._connection, read=wire.container_status)
        self._listing = ContainerListing(self._connection, inspect)
        self._own_container = own_container
        self._free_port = free_port
        self._platform = ""
        self.probe = ProtocolProbe()

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def version(self) -> str:
        """Return the engine's release, such as `20.10.24`."""
        async with self._connection.use("be reached", ASK_S) as docker:
            return str((await docker.version())["Version"])

    async def identity(self) -> str:
        """Return the engine's own id, which its data directory keeps; empty for Podman."""
        async with self._connection.use("tell its id", ASK_S) as docker:
            # Podman makes up another id for each answer.
            if "podman" in str((await docker.version()).get("Components")).lower():
                return ""
            return str((await docker.system.info()).get("ID") or "")

    async def trouble(self) -> str:
        """Return nothing: an engine that answers is well."""
        return ""

    async def sweep(self, labels: Mapping[str, str]) -> None:
        """Do nothing: files are part of their container, and go with it."""

    async def renew_logins(self, labels: Mapping[str, str]) -> None:
        """Do nothing: the engine pulls at once, with a login that it does not keep."""

    async def platform(self) -> str:
        """System and processor of the engine's machine, such as `linux/amd64`.

        Empty where it does not say.
        """
        # Asked once: an engine needs several milliseconds for it, and the answer stays the same.
        if not self._platform:
            async with self._connection.use("tell its platform", ASK_S) as docker:
                self._platform = image_wire.platform_of(await docker.version())
        return self._platform

    async def own_network(self) -> str | None:
        """Return the network mode of our own container.

        None where we run in none, or in one that this engine does not know.
        """
        if self._own_container is None:
            return None
        async with self._connection.use(
            "inspect the container that Tagboat runs in", ASK_S
        ) as docker:
            try:
                found = await docker.containers.get(self._own_container)
                return str(found["HostConfig"]["NetworkMode"])
            except DockerError as error:
                unless_gone(error)
                return None

    async def create(self, spec: WorkloadSpec) -> str:
        """Create the container, whole but not yet running, and return its id.

        Raises NameTakenError, and EngineNotFoundError when there is no such image or network; then
        there is no container.
        """
        container = await self._create(spec)
        try:
            if spec.files:
                # Into the container's own layer: there again when it, or the engine, is restarted.
                # aiodocker's own call cannot forbid that a file takes the place of a directory and
                # all that is in it: a volume's.
                doing = f"put files into the container {spec.name}"
                async with (
                    self._connection.use(doing, CHANGE_S) as docker,
                    docker._query(  # noqa: SLF001
                        f"containers/{container}/archive",
                        method="PUT",
                        params={"path": "/", "noOverwriteDirNonDir": "1"},
                        data=files_archive(spec.files),
                        headers={"Content-Type": "application/x-tar"},
                    ),
                ):
                    pass
            for network in spec.networks:
                await self._networks.connect(
                    container, spec.name, network, spec.aliases.get(network, ())
                )
        except EngineError:
            # What brought the call down is to be told; what it left behind bears its labels, and is
            # found by them.
            with suppress(EngineError):
                await self._remove(container, volumes=True)
            raise
        return container

    async def launch(
        self,
        spec: WorkloadSpec,
        taken: Collection[Endpoint],
        before_start: BeforeStart | None = None,
    ) -> Launched:
        """Create and start the container, at its own endpoint or at a free port of 127.0.0.1."""
        return await launch_at_free_port(self, spec, taken, self._free_port, before_start)

    async def start(self, workload: str) -> None:
        """Start it; does nothing if it runs.

        Raises EndpointTakenError, DiskFullError and EngineNotFoundError (also: no network).
        """
        async with self._connection.use(f"start the container {workload}", CHANGE_S) as docker:
            await docker.containers.container(workload).start()

    async def stop(self, workload: str, within_s: int | None = None) -> None:
        """Send its stop signal, and SIGKILL after its stop time-out, else 10 s.

        The signal is its own, else the image's, else SIGTERM.
        `within_s` is another time-out, in seconds, which also holds where a stop with a longer one
        is under way.
        """
        timeout_s = await inspected(self._connection, workload, wire.stop_timeout_s)
        if timeout_s is None:
            return
        limit = (timeout_s if within_s is None else within_s) + _STOP_MARGIN_S
        async with self._connection.use(f"stop the container {workload}", limit) as docker:
            try:
                await docker.containers.container(workload).stop(t=within_s)
            except DockerError as error:
                unless_gone(error)

    async def remove(self, workload: str) -> None:
        """Remove it, running or not, and none of its volumes, in which an app may have written.

        Returns when it is gone.
        """
        await self._remove(workload)
        self._tests.forget(workload)

    async def inspect_container(self, name: str) -> ContainerFacts | None:
        """Return what the engine says of a container and of its image, None when it is gone."""
        found = await inspected(self._connection, name, lambda answer: answer)
        if found is None:
            return None
        async with self._connection.use(f"inspect the image of {name}", ASK_S) as docker:
            image = await docker.images.inspect(found["Image"])
        return container_facts(found, image, own=found["Id"] == self._own_container)

    async def set_aside(self, workload: str) -> None:
        """Stop it for good: the engine does not start it again by itself, and nothing is removed.

        Does nothing if it is gone.
        """
        async with self._connection.use(f"stop the container {workload}", CHANGE_S) as docker:
            try:
                # aiodocker has no call for it.
                await docker._query_json(  # noqa: SLF001
                    f"containers/{workload}/update",
                    method="POST",
                    data={"RestartPolicy": {"Name": "no"}},
                )
            except DockerError as error:
                unless_gone(error)
        await self.stop(workload)

    async def status(self, workload: str) -> WorkloadStatus | None:
        """Return what the engine says of the container of that name or id, None when it is gone."""
        status = await inspected(self._connection, workload, wire.container_status)
        if status is None or status.running or status.restarting:
            return status
        # The end of an engine, which ends all containers, must not be taken for the app's.
        await self._connection.verify(f"inspect the container {workload}")
        again = await inspected(self._connection, workload, wire.container_status)
        # Where the engine has restarted it since, only the first answer has the exit code.
        return status if again is not None and again.restarts > status.restarts else again

    async def run_healthcheck(self, workload: str) -> TestRun | None:
        """Run its HEALTHCHECK once, as the engine itself would; None without one.

        One that hangs is not run a second time.
        """
        return await self._tests.run(workload)

    async def last_exit_code(self, workload: str) -> int | None:
        """Return the code with which its program last ended, also where it runs again.

        None if the engine has forgotten it.
        """
        status = await self.status(workload)
        if status is None or not status.running:
            return status.exit_code if status else None
        # While a container runs its state has the exit code 0: the last one is in the events only.
        ended = await inspected(self._connection, workload, wire.last_death)
        if ended is None:
            return None
        request = StreamRequest(
            path="events", params=ended, doing=f"tell how {workload} ended", idle_s=ASK_S
        )
        async with self._connection.stream(request) as chunks:
            codes = [wire.exit_code(event) async for event in messages(chunks)]
        return codes[-1] if codes else None

    async def logs(
        self, workload: str, tail: int, since: datetime | None = None
    ) -> Sequence[LogLine]:
        """Return the last `tail` lines of its output and errors, fit to be shown.

        Raises EngineNotFoundError when it is gone.
        """
        return await self._logs.read(workload, tail, since)

    def follow_logs(
        self, workload: str, tail: int, since: datetime | None = None
    ) -> AsyncGenerator[LogLine, None]:
        """Yield these lines, and those to come until it is removed."""
        return self._logs.follow(workload, tail, since)

    async def list_workloads(self, labels: Mapping[str, str]) -> list[WorkloadStatus]:
        """Return all containers, running or not, that bear every one of `labels`."""
        return await self._listing.read(labels)

    async def watch_exits(self, labels: Mapping[str, str]) -> AsyncGenerator[str, None]:
        """Return the names of containers with all of `labels` that are news; see the port.

        One ending may be told twice or thrice.

        What ends before the engine has answered is missed, so look once after it was asked for.
        Quiet is no fault: there may be none for days. See StreamRequest for how a dead connection
        shows.
        """
        request = StreamRequest(
            path="events",
            params={"filters": wire.endings_filter(labels)},
            doing="tell which containers end",
            idle_s=None,
        )
        async with self._connection.stream(request) as chunks:
            async for event in messages(chunks):
                yield wire.ended_container(event)
            # An engine that stops ends its stream in good manners.
            raise ConnectionError("it went away")

    async def _remove(self, container: str, *, volumes: bool = False) -> None:
        """Remove it.

        With `volumes` those go too that the engine made by itself, and that nobody has written
        into.
        """
        async with self._connection.use(f"remove the container {container}", CHANGE_S) as docker:
            try:
                await _delete(docker.containers.container(container), volumes=volumes)
            except DockerError as error:
                unless_gone(error)

    async def _create(self, spec: WorkloadSpec) -> str:
        address = await self._networks.free_address(spec.network) if spec.keeps_address else ""
        async with self._connection.use(f"create the container {spec.name}", CHANGE_S) as docker:
            labels = (
                ()
                if spec.image_labels
                else image_wire.steering_labels(await docker.images.inspect(spec.image))
            )
            body = partial(wire.create_body, spec, image_labels=labels, address=address)
            try:
                return await _create(docker, spec.name, body())
            except DockerError as error:
                # Podman, for one, has no bounded json-file log.
                words = error.message.lower()
                if not any(part in words for part in _LOG_REFUSED):
                    raise
                return await _create(docker, spec.name, body(bounded_log=False))

    async def ensure_network(
        self, name: str, labels: Mapping[str, str], notes: Mapping[str, str] = NO_LABELS
    ) -> frozenset[str]:
        """Make a network unless it exists; return the ids of the containers that run on it."""
        return await self._networks.ensure(name, labels, notes)

    async def remove_network(self, name: str, labels: Mapping[str, str]) -> bool:
        """Remove the network, if it bears these labels.

        False where it does not, or a container runs on it.
        """
        return await self._networks.remove(name, labels)

    async def list_networks(self, labels: Mapping[str, str]) -> list[str]:
        """Return the names of all networks that bear these labels, in order."""
        return await self._networks.list(labels)

    async def rejoin(self, workload: str, network: str, aliases: Sequence[str]) -> None:
        """Leave the network, unless it is not on it, and join it under `aliases`.

        Raises EngineNotFoundError.
        """
        await self._networks.rejoin(workload, network, aliases)


async def _create(docker: Docker, name: str, body: dict[str, Any]) -> str:
    return (await docker.containers.create(body, name=name)).id


async def _delete(container: DockerContainer, *, volumes: bool) -> None:
    """Delete it, or wait for the end of its removal by somebody else."""
    try:
        await container.delete(force=True, v=volumes)
    except DockerError as error:
        if not (error.status == HTTPStatus.CONFLICT and "already in progress" in error.message):
            raise
        await container.wait(condition="removed")
