"""The Docker engine as a `Runtime`, through aiodocker. Every call is limited in time."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TypeVar

from aiodocker import Docker, DockerError
from aiodocker.containers import DockerContainer

from tagboat.core.catalog import Registry
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import EngineError, EngineUnavailableError
from tagboat.core.health import TestRun
from tagboat.core.image import Digest, ImageInfo, ImageName
from tagboat.core.keeping import DiskUsage
from tagboat.core.runtime import BeforePull
from tagboat.core.workload import Launched, WorkloadSpec, WorkloadStatus
from tagboat.runtime.docker import wire
from tagboat.runtime.docker.address import EngineTransport, parse_engine_address
from tagboat.runtime.docker.archive import files_archive
from tagboat.runtime.docker.connection import (
    ASK_S,
    CHANGE_S,
    DockerConnection,
    StreamRequest,
    messages,
)
from tagboat.runtime.docker.health_runs import HealthTests
from tagboat.runtime.docker.host_ports import free_loopback_port
from tagboat.runtime.docker.loglines import LogTail
from tagboat.runtime.docker.networks import NO_LABELS, DockerNetworks
from tagboat.runtime.docker.progress import PullProgress
from tagboat.runtime.docker.protocol_probe import ProtocolProbe
from tagboat.runtime.docker.refusal import login_refusal, pull_refusal
from tagboat.runtime.launch import FreePort, ensure_pulled, launch_at_free_port

T = TypeVar("T")

_PULL_IDLE_S = 60.0
_STOP_MARGIN_S = 20.0
_POOL = IPv4Network("10.112.0.0/14")
_LOG_PIECES = 256
"""The engine stores a line of over 16 KiB in pieces and counts each as a line.

So many more are asked for than are kept.
"""


class DockerRuntime:
    """A Docker engine, connected to when it is first called.

    `url` is `unix://`, `tcp://` or `ssh://`, None the local socket; `cert_path` and `tls_verify`
    are what DOCKER_CERT_PATH and DOCKER_TLS_VERIFY say. Raises InvalidValueError for an address
    that is none. `pull_idle_s` is how many seconds a pull may go without news; `network_pool` is
    the range of addresses that networks are made from; `own_container` is the id of the container
    that this process runs in, None for none. `free_port` chooses the loopback port of a new
    container.
    """

    self_healing = False

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
    ) -> None:
        address = parse_engine_address(url, cert_path=cert_path, tls_verify=tls_verify)
        self._connection = DockerConnection(address)
        self._networks = DockerNetworks(
            self._connection, network_pool, is_local=address.transport is EngineTransport.UNIX
        )
        self._tests = HealthTests(self._connection)
        self._pull_idle_s = pull_idle_s
        self._own_container = own_container
        self._free_port = free_port
        self.probe = ProtocolProbe()

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def version(self) -> str:
        """Return the engine's release, such as `20.10.24`."""
        async with self._connection.use("be reached", ASK_S) as docker:
            return str((await docker.version())["Version"])

    async def platform(self) -> str:
        """System and processor of the engine's machine, such as `linux/amd64`.

        Empty where it does not say.
        """
        async with self._connection.use("tell its platform", ASK_S) as docker:
            return wire.platform_of(await docker.version())

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
                _unless_gone(error)
                return None

    async def inspect_image(self, image: str) -> ImageInfo | None:
        """Return the description of `NAME:TAG` or `NAME@DIGEST`, None when it is not there."""
        async with self._connection.use(f"inspect the image {image}", ASK_S) as docker:
            try:
                return wire.image_info(await docker.images.inspect(image), image)
            except DockerError as error:
                _unless_gone(error)
                return None

    async def pull(
        self,
        image: ImageName,
        digest: Digest,
        registry: Registry | None,
        progress: Callable[[str], None],
    ) -> None:
        """Make `image`@`digest` be on the engine. `progress` gets words, at most twice a second."""
        reference = f"{image}@{digest}"
        if await self.inspect_image(reference) is not None:
            progress("the engine has it already")
            return
        auth = wire.registry_auth(image, registry)
        request = StreamRequest(
            path="images/create",
            method="POST",
            params={"fromImage": reference},
            headers={"X-Registry-Auth": auth} if auth else {},
            doing=f"pull {image}",
            idle_s=self._pull_idle_s,
        )
        await self._follow_pull(request, image, registry.password if registry else None, progress)
        if await self.inspect_image(reference) is None:
            raise EngineUnavailableError(
                f"the engine broke off the pull of {reference}: the image did not arrive"
            )

    async def ensure_image(
        self,
        image: ImageName,
        digest: Digest,
        registry: Registry | None,
        *,
        before_pull: BeforePull,
        progress: Callable[[str], None],
    ) -> ImageInfo | None:
        """Pull `image`@`digest` unless the engine has it, and return what it says of itself."""
        return await ensure_pulled(self, image, digest, registry, before_pull, progress)

    async def log_in(self, registry: Registry) -> None:
        """Log in to a registry from the engine, as its pulls do.

        Raises EngineError, which says why that cannot be.
        """
        explain = partial(login_refusal, host=registry.host, secret=registry.password)
        async with self._connection.use(f"log in to {registry.host}", CHANGE_S, explain) as docker:
            await docker.auth(**wire.registry_login(registry.host, registry))

    async def remove_image(self, image: str) -> bool:
        """Take the name `NAME@DIGEST` off an image, and remove it if it has no other.

        False where somebody needs it.
        """
        async with self._connection.use(f"remove the image {image}", CHANGE_S) as docker:
            try:
                return await _remove_unused(docker, image)
            except DockerError as error:
                if error.status == HTTPStatus.CONFLICT:  # it has uses that only the engine knows
                    return False
                _unless_gone(error)
                return True

    async def create(self, spec: WorkloadSpec) -> str:
        """Create the container, whole but not yet running, and return its id.

        Raises NameTakenError, and EngineNotFoundError when there is no such image or network; then
        there is no container.
        """
        container = await self._create(spec)
        try:
            await self._put_files(container, spec)
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

    async def launch(self, spec: WorkloadSpec, taken: Collection[Endpoint]) -> Launched:
        """Create and start the container, at its own endpoint or at a free port of 127.0.0.1."""
        return await launch_at_free_port(self, spec, taken, self._free_port)

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
        timeout_s = await self._inspect(workload, wire.stop_timeout_s)
        if timeout_s is None:
            return
        limit = (timeout_s if within_s is None else within_s) + _STOP_MARGIN_S
        async with self._connection.use(f"stop the container {workload}", limit) as docker:
            try:
                await docker.containers.container(workload).stop(t=within_s)
            except DockerError as error:
                _unless_gone(error)

    async def remove(self, workload: str) -> None:
        """Remove it, running or not, and none of its volumes, in which an app may have written.

        Returns when it is gone.
        """
        await self._remove(workload)
        self._tests.forget(workload)

    async def status(self, workload: str) -> WorkloadStatus | None:
        """Return what the engine says of the container of that name or id, None when it is gone."""
        return await self._inspect(workload, wire.container_status)

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
        ended = await self._inspect(workload, wire.last_death)
        if ended is None:
            return None
        request = StreamRequest(
            path="events", params=ended, doing=f"tell how {workload} ended", idle_s=ASK_S
        )
        async with self._connection.stream(request) as chunks:
            codes = [wire.exit_code(event) async for event in messages(chunks)]
        return codes[-1] if codes else None

    async def logs(self, workload: str, tail: int) -> Sequence[str]:
        """Return the last `tail` lines of its output and errors, fit to be shown.

        Raises EngineNotFoundError when it is gone.
        """
        doing = f"read the log of {workload}"
        async with self._connection.use(doing, ASK_S) as docker:
            terminal = wire.has_terminal(await docker.containers.container(workload).show())
        kept = LogTail(tail, multiplexed=not terminal)
        request = StreamRequest(
            path=f"containers/{workload}/logs",
            params={"stdout": "1", "stderr": "1", "tail": str(tail + _LOG_PIECES)},
            doing=doing,
            idle_s=ASK_S,
            limit_s=CHANGE_S,
        )
        async with self._connection.stream(request) as chunks:
            async for chunk in chunks:
                kept.feed(chunk)
        return kept.lines()

    async def list_workloads(self, labels: Mapping[str, str]) -> list[WorkloadStatus]:
        """Return all containers, running or not, that bear every one of `labels`."""
        wanted = json.dumps({"label": [f"{name}={value}" for name, value in labels.items()]})
        async with self._connection.use("list containers", ASK_S) as docker:
            found = await docker.containers.list(all=True, filters=wanted)
        # The list leaves out exit codes, restarts and health.
        statuses = await asyncio.gather(*(self.status(container.id) for container in found))
        return [status for status in statuses if status is not None]

    async def list_volumes(self, prefix: str) -> list[str]:
        """Return the names of all volumes that begin with `prefix`, in order."""
        async with self._connection.use("list volumes", ASK_S) as docker:
            # aiodocker's own calls for volumes bear no types.
            params = {"filters": json.dumps({"name": [prefix]})}
            answer = await docker._query_json("volumes", params=params)  # noqa: SLF001
            found = answer.get("Volumes") or []
        # The engine finds it anywhere in a name.
        return sorted(volume["Name"] for volume in found if volume["Name"].startswith(prefix))

    async def remove_volume(self, name: str) -> bool:
        """Remove the volume with all that is in it.

        False where a container, whoever made it, uses it.
        """
        async with self._connection.use(f"remove the volume {name}", CHANGE_S) as docker:
            try:
                async with docker._query(f"volumes/{name}", method="DELETE"):  # noqa: SLF001
                    pass
            except DockerError as error:
                if error.status == HTTPStatus.CONFLICT:
                    return False
                _unless_gone(error)
            return True

    async def root_dir(self) -> str:
        """Return where the engine keeps images, containers and volumes, as it sees it itself."""
        async with self._connection.use("tell where it keeps its data", ASK_S) as docker:
            return str((await docker.system.info())["DockerRootDir"])

    async def disk_usage(self) -> DiskUsage:
        """Return what images and volumes take; it looks at all of them, and may need long."""
        async with self._connection.use("tell what takes its disk", CHANGE_S) as docker:
            # aiodocker has no call for it.
            return wire.disk_usage(await docker._query_json("system/df"))  # noqa: SLF001

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
                _unless_gone(error)

    async def _create(self, spec: WorkloadSpec) -> str:
        address = await self._networks.free_address(spec.network) if spec.keeps_address else ""
        async with self._connection.use(f"create the container {spec.name}", CHANGE_S) as docker:
            labels = (
                ()
                if spec.image_labels
                else wire.steering_labels(await docker.images.inspect(spec.image))
            )
            body = partial(wire.create_body, spec, image_labels=labels, address=address)
            try:
                return await _create(docker, spec.name, body())
            except DockerError as error:
                if not _refuses_log(error):
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

    async def _put_files(self, container: str, spec: WorkloadSpec) -> None:
        """Write the files into the container's own layer.

        They are there again when it, or the engine, is restarted.
        """
        if not spec.files:
            return
        async with (
            self._connection.use(f"put files into the container {spec.name}", CHANGE_S) as docker,
            # aiodocker's own call cannot forbid that a file takes the place of a directory and all
            # that is in it: a volume's.
            docker._query(  # noqa: SLF001
                f"containers/{container}/archive",
                method="PUT",
                params={"path": "/", "noOverwriteDirNonDir": "1"},
                data=files_archive(spec.files),
                headers={"Content-Type": "application/x-tar"},
            ),
        ):
            pass

    async def _follow_pull(
        self,
        request: StreamRequest,
        image: ImageName,
        secret: str | None,
        progress: Callable[[str], None],
    ) -> None:
        clock = asyncio.get_running_loop().time
        summary = PullProgress()
        async with self._connection.stream(
            request, lambda error: pull_refusal(error, image, secret)
        ) as chunks:
            async for message in messages(chunks):
                _unless_failed(message)
                summary.feed(message)
                if words := summary.news(clock()):
                    progress(words)
        if words := summary.last_news(clock()):
            progress(words)

    async def _inspect(self, container: str, read: Callable[[wire.Json], T]) -> T | None:
        """Return what `read` finds in the answer of ContainerInspect, None when it is gone."""
        async with self._connection.use(f"inspect the container {container}", ASK_S) as docker:
            try:
                return read(await docker.containers.container(container).show())
            except DockerError as error:
                _unless_gone(error)
                return None


async def _create(docker: Docker, name: str, body: dict[str, Any]) -> str:
    return (await docker.containers.create(body, name=name)).id


async def _remove_unused(docker: Docker, image: str) -> bool:
    found = await docker.images.inspect(image)
    # Some engines take a repository's tags away with its digest, and nothing would be freed as long
    # as there is one.
    if wire.repo_tags(found):
        return False
    made_of_it = json.dumps({"ancestor": [found["Id"]]})
    if await docker.containers.list(all=True, filters=made_of_it):
        return False
    await docker.images.delete(image)
    return True


async def _delete(container: DockerContainer, *, volumes: bool) -> None:
    """Delete it, or wait for the end of its removal by somebody else."""
    try:
        await container.delete(force=True, v=volumes)
    except DockerError as error:
        if not (error.status == HTTPStatus.CONFLICT and "already in progress" in error.message):
            raise
        await container.wait(condition="removed")


def _unless_gone(error: DockerError) -> None:
    if error.status != HTTPStatus.NOT_FOUND:
        raise error


def _unless_failed(message: wire.Json) -> None:
    """Raise DockerError when a message of a pull tells of its failure."""
    if "error" in message or "errorDetail" in message:
        detail = message.get("errorDetail") or {}
        raise DockerError(0, str(detail.get("message") or message.get("error")))


def _refuses_log(error: DockerError) -> bool:
    """Return whether the engine (Podman's, say) knows no bounded json-file log."""
    words = error.message.lower()
    return any(
        part in words
        for part in ("log driver", "log-driver", "log opt", "log-opt", "logging driver")
    )
