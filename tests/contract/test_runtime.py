"""The contract of a `Runtime`: one suite, run on a Docker engine, a swarm and the memory."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

import aiodocker
import pytest

from demo.swarm_cluster import Cluster, swarm_cluster
from tagboat.core.catalog import Registry
from tagboat.core.endpoint import loopback_endpoint
from tagboat.core.errors import (
    EndpointTakenError,
    EngineError,
    EngineNotFoundError,
    NameTakenError,
    NetworkNotFoundError,
)
from tagboat.core.health import TestRun
from tagboat.core.host_access import Bind, Published
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef, parse_image_name
from tagboat.core.runtime import Runtime
from tagboat.core.values import replace
from tagboat.core.workload import LogLine, WorkloadSpec, WorkloadStatus
from tagboat.runtime.docker.address import parse_engine_address
from tagboat.runtime.docker.engine import DockerRuntime
from tagboat.runtime.launch import ImagePuller
from tagboat.runtime.memory import MemoryImage, MemoryRuntime
from tagboat.runtime.swarm.managers import SwarmManagers
from tagboat.runtime.swarm.runtime import SwarmRuntime
from tests.support import ports
from tests.support.docker_registry import DockerRegistry
from tests.support.dockerd import call, remove_images_of, remove_labelled
from tests.support.endpoints import at, port_of
from tests.support.images import DEFAULT_CMD, EXITS_AT_ONCE, push_image
from tests.support.logs import log_of

pytestmark = pytest.mark.anyio

TEST_LABEL = "tagboat.test"
CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ABSENT = Digest("sha256:" + "0" * 64)
PATIENCE_S = 120.0

T = TypeVar("T")


@dataclass(frozen=True)
class App:
    """An app to be published, in the words of both engines."""

    labels: tuple[tuple[str, str], ...] = ()
    port: int = 8080
    healthcheck: str | None = None
    cmd: tuple[str, ...] = DEFAULT_CMD
    volumes: tuple[str, ...] = ()
    memory: MemoryImage = field(default_factory=MemoryImage)


SERVES = App(memory=MemoryImage(log=("listening on port 8080",)))
EXITS = App(
    cmd=EXITS_AT_ONCE,
    memory=MemoryImage(log=("reading the configuration", "no configuration found"), exit_code=3),
)
CANNOT_RUN = App(
    cmd=("/no/such/program",),
    memory=MemoryImage(start_error='exec: "/no/such/program": no such file'),
)
IS_HEALTHY = App(healthcheck="true", memory=MemoryImage(test=TestRun(passed=True)))
IS_NOT_READY = App(
    healthcheck="echo connecting; echo 'no such table'; exit 2",
    memory=MemoryImage(test=TestRun(passed=False, said="no such table")),
)
EXITS_ONCE = App(
    cmd=(
        "/bin/sh",
        "-c",
        "[ -e /tmp/been ] || { : > /tmp/been; exit 5; }; trap 'exit 0' TERM; sleep 86400 & wait",
    )
)
COUNTS = App(
    cmd=("/bin/sh", "-c", "seq 1 300; trap 'exit 0' TERM; sleep 86400 & wait"),
    memory=MemoryImage(log=tuple(str(number) for number in range(1, 301))),
)


class PullingRuntime(Runtime, ImagePuller, Protocol):
    """A runtime that pulls images itself."""


class World(Protocol):
    """An engine and the registry it pulls from."""

    runtime: PullingRuntime

    def publish(self, repository: str, app: App) -> tuple[ImageName, Digest]: ...
    def becomes_healthy(self, container: str) -> None: ...
    async def exits_once(self, container: str) -> None: ...
    def pause(self, container: str, *, paused: bool) -> None: ...
    def prune(self, image: str) -> None: ...
    def tag(self, image: str) -> None: ...
    def has_volume(self, name: str) -> bool: ...
    def forget_volume(self, name: str) -> None: ...
    async def add_network(self, name: str) -> None: ...
    async def drop_network(self, name: str) -> None: ...


class MemoryWorld:
    def __init__(self) -> None:
        self.memory = MemoryRuntime()
        self.runtime: PullingRuntime = self.memory

    def publish(self, repository: str, app: App) -> tuple[ImageName, Digest]:
        image = parse_image_name(f"registry.test/{repository}")
        digest = Digest("sha256:" + hashlib.sha256(repr(app).encode()).hexdigest())
        info = ImageInfo(
            tcp_ports=(app.port,) if app.port else (),
            labels=dict(app.labels),
            has_healthcheck=app.healthcheck is not None,
            created=CREATED,
            health_needs_s=3.0 if app.healthcheck is not None else 0.0,
            platform="linux/amd64",
            volumes=app.volumes,
        )
        self.memory.publish(image, digest, replace(app.memory, info=info))
        return image, digest

    def becomes_healthy(self, container: str) -> None:
        self.memory.set_health(container, "healthy")

    async def exits_once(self, container: str) -> None:
        self.memory.exit(container, 5)
        await self.memory.start(container)

    def pause(self, container: str, *, paused: bool) -> None:
        self.memory.pause(container, paused=paused)

    def prune(self, image: str) -> None:
        self.memory.prune(image)

    def tag(self, image: str) -> None:
        self.memory.tag(image)

    def has_volume(self, name: str) -> bool:
        return name in self.memory.volumes

    def forget_volume(self, name: str) -> None:
        self.memory.volumes.discard(name)

    async def add_network(self, name: str) -> None:
        self.memory.add_network(name)

    async def drop_network(self, name: str) -> None:
        self.memory.drop_network(name)


class DockerWorld:
    def __init__(self, url: str, engine: PullingRuntime, registry_host: str, run: str) -> None:
        self.runtime = engine
        self._url = url
        self._host = registry_host
        self._run = run

    def publish(self, repository: str, app: App) -> tuple[ImageName, Digest]:
        # The run's name in the page makes the layer new, so that every run pulls.
        digest = push_image(
            self._host,
            repository,
            "v1",
            body=self._run,
            port=app.port,
            labels=dict(app.labels),
            healthcheck=app.healthcheck,
            cmd=app.cmd,
            created=CREATED,
            volumes=app.volumes,
        )
        return parse_image_name(f"{self._host}/{repository}"), digest

    def becomes_healthy(self, container: str) -> None:
        """Its HEALTHCHECK sees to that."""

    async def exits_once(self, container: str) -> None:
        """Its command sees to that."""

    def pause(self, container: str, *, paused: bool) -> None:
        call(self._url, "POST", f"/containers/{container}/{'pause' if paused else 'unpause'}")

    def prune(self, image: str) -> None:
        call(self._url, "DELETE", f"/images/{image}")

    def tag(self, image: str) -> None:
        call(self._url, "POST", f"/images/{image}/tag?repo={image.partition('@')[0]}&tag=keep")

    def has_volume(self, name: str) -> bool:
        answer: dict[str, object] = json.loads(call(self._url, "GET", f"/volumes/{name}"))
        return answer.get("Name") == name

    def forget_volume(self, name: str) -> None:
        call(self._url, "DELETE", f"/volumes/{name}")

    async def add_network(self, name: str) -> None:
        async with aiodocker.Docker(self._url) as docker:
            await docker.networks.create({"Name": name, "CheckDuplicate": True})

    async def drop_network(self, name: str) -> None:
        call(self._url, "DELETE", f"/networks/{name}")


class PullingSwarm(SwarmRuntime):
    """A swarm: its nodes pull by themselves."""

    async def pull(
        self,
        image: ImageName,  # noqa: ARG002
        digest: Digest,
        registry: Registry | None,  # noqa: ARG002
        progress: Callable[[str], None],  # noqa: ARG002
    ) -> ImageInfo:
        """Do nothing."""
        return ImageInfo(digest=digest)


class PublishedImages:
    """What the registry says of images; nobody needs a login."""

    def __init__(self) -> None:
        self.infos: dict[ImageName, ImageInfo] = {}

    async def registry_of(self, image: ImageName) -> Registry | None:  # noqa: ARG002
        return None

    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo:  # noqa: ARG002
        return self.infos[image.name]


class SwarmWorld(DockerWorld):
    def __init__(self, cluster: Cluster, run: str) -> None:
        (self.node,) = cluster.nodes
        self.images = PublishedImages()
        managers = SwarmManagers([parse_engine_address(self.node.url)], call_s=60.0)
        self.swarm = PullingSwarm(managers, self.images, look_every_s=0.2)
        super().__init__(self.node.url, self.swarm, cluster.registry, run)
        self._cluster = cluster

    def publish(self, repository: str, app: App) -> tuple[ImageName, Digest]:
        image, digest = self._cluster.in_network(
            "hub", lambda: DockerWorld.publish(self, repository, app)
        )
        self.images.infos[image] = ImageInfo(
            tcp_ports=(app.port,) if app.port else (),
            labels=dict(app.labels),
            has_healthcheck=app.healthcheck is not None,
            created=CREATED,
            health_needs_s=0.0,
            platform="linux/amd64",
        )
        return image, digest

    async def add_network(self, name: str) -> None:
        body = {"Name": name, "Driver": "overlay"}
        status, said = self.node.call("POST", "/networks/create", body)
        assert status == 201, said

    async def remove_left(self, run: str) -> None:
        """Leave nothing of a test behind."""
        for status in await self.swarm.list_workloads({TEST_LABEL: run}):
            await self.swarm.stop(status.id)
            await self.swarm.remove(status.id)
        self.node.call("DELETE", f"/networks/{run}-net")
        await self.swarm.close()


@pytest.fixture(scope="module")
def swarm_of_one() -> Iterator[Cluster]:
    with swarm_cluster(size=1, managers=1) as cluster:
        yield cluster


@pytest.fixture
def run() -> str:
    return f"run-{secrets.token_hex(4)}"


@pytest.fixture(params=["memory", "docker"])
async def world(request: pytest.FixtureRequest, run: str) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    if request.param == "swarm":
        swarm = SwarmWorld(request.getfixturevalue("swarm_of_one"), run)
        yield swarm
        await swarm.remove_left(run)
        return
    url: str = request.getfixturevalue("engine_url")
    registry: DockerRegistry = request.getfixturevalue("docker_registry")
    engine = DockerRuntime(url)
    yield DockerWorld(url, engine, registry.host, run)
    await engine.close()
    remove_labelled(url, f"{TEST_LABEL}={run}")
    remove_images_of(url, registry.host)
    call(url, "DELETE", f"/volumes/{run}-data")
    call(url, "DELETE", f"/networks/{run}-net")


every_engine = pytest.mark.parametrize("world", ["memory", "docker", "swarm"], indirect=True)
"""For what holds wherever tasks run. All other tests are about one machine."""

Made = Callable[..., Awaitable[WorkloadSpec]]


@pytest.fixture
def meant(world: World, run: str) -> Made:
    """Publishes and pulls an app; returns the spec of a container of it."""

    async def mean(
        app: App = SERVES, *, name: str = "web", port: int = 0, host_port: int = 0, **labels: str
    ) -> WorkloadSpec:
        image, digest = world.publish(f"acme/{name}", app)
        await world.runtime.pull(image, digest, None, ignore)
        return WorkloadSpec(
            name=f"{run}-{name}",
            image=f"{image}@{digest}",
            labels={TEST_LABEL: run, **labels},
            env={"GREETING": "hello"},
            port=port,
            endpoint=loopback_endpoint(host_port),
        )

    return mean


@pytest.fixture
def made(world: World, meant: Made) -> Made:
    """Creates a container of a spec as `meant` makes it; returns the spec."""

    async def make(
        app: App = SERVES, *, name: str = "web", port: int = 0, host_port: int = 0, **labels: str
    ) -> WorkloadSpec:
        spec = await meant(app, name=name, port=port, host_port=host_port, **labels)
        await world.runtime.create(spec)
        return spec

    return make


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


def ignore(_words: str) -> None:
    """Progress nobody asks for."""


async def status_of(runtime: Runtime, container: str) -> WorkloadStatus:
    status = await runtime.status(container)
    assert status is not None
    return status


async def eventually(read: Callable[[], Awaitable[T]], seen: Callable[[T], bool]) -> T:
    async with asyncio.timeout(PATIENCE_S):
        while not seen(value := await read()):  # noqa: ASYNC110 - the port has no events to wait for
            await asyncio.sleep(0.05)
    return value


async def until_running(runtime: Runtime, container: str) -> WorkloadStatus:
    """On a cluster, a node has to make the container first."""
    return await eventually(lambda: status_of(runtime, container), lambda seen: seen.running)


@asynccontextmanager
async def listening(
    runtime: Runtime, labels: dict[str, str]
) -> AsyncIterator["asyncio.Queue[str]"]:
    """Return the names that `endings` tells."""
    told: asyncio.Queue[str] = asyncio.Queue()

    async def listen() -> None:
        async for name in runtime.watch_exits(labels):
            told.put_nowait(name)

    task = asyncio.create_task(listen())
    yield told
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def first_told(told: "asyncio.Queue[str]", end: Callable[[], Awaitable[None]]) -> str:
    """Return the first name told while containers `end` again and again.

    Nobody says when the engine has begun to listen.
    """
    first = asyncio.ensure_future(told.get())
    async with asyncio.timeout(PATIENCE_S):
        while not first.done():
            await end()
            await asyncio.wait([first], timeout=0.1)
    return await first


@every_engine
async def test_names_its_version_and_platform(world: World) -> None:
    assert await world.runtime.version()
    assert (await world.runtime.platform()).startswith("linux/")
    assert await world.runtime.identity()
    assert await world.runtime.identity() == await world.runtime.identity()


async def test_a_start_that_is_refused_leaves_no_container(world: World, meant: Made) -> None:
    spec = await meant(SERVES, port=8080)
    seen: list[bool] = []

    async def refuse() -> None:
        status = await world.runtime.status(spec.name)
        seen.append(status is not None and status.running)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        await world.runtime.launch(spec, set(), refuse)
    assert seen == [False]
    assert await world.runtime.status(spec.name) is None


async def test_a_container_is_described_as_it_was_made(
    world: World, meant: Made, run: str, free_port: int
) -> None:
    net = f"{run}-net"
    await world.add_network(net)
    spec = replace(
        await meant(SERVES, port=8080, host_port=free_port),
        env={"GREETING": "hello", "EMPTY": ""},
        volumes={f"{run}-data": "/data"},
        tmpfs={"/cache": "size=1m"},
        binds=(Bind("/etc", "/etc/of-host", read_only=True),),
        extra_hosts={"db": "10.0.0.5"},
        networks=(net,),
        memory=64 << 20,
        cpus=0.5,
        pids=100,
        shm_size=1 << 20,
        init=True,
        read_only=True,
        cap_add=("NET_ADMIN",),
        user="1000",
        stop_signal="SIGINT",
        stop_timeout_s=3,
    )
    await world.runtime.create(spec)
    await world.runtime.start(spec.name)

    facts = await world.runtime.inspect_container(spec.name)

    assert facts is not None
    assert (facts.name, facts.running, facts.own) == (spec.name, True, False)
    assert spec.image in facts.image_digests
    assert facts.env.items() >= spec.env.items()
    assert facts.info.tcp_ports == (8080,)
    assert Published("127.0.0.1", free_port, 8080) in facts.published
    assert {(one.name, one.target) for one in facts.volumes} == {(f"{run}-data", "/data")}
    assert set(facts.networks) == {net}
    for name in (
        *("tmpfs", "binds", "extra_hosts", "memory", "cpus", "pids", "shm_size", "init"),
        *("read_only", "cap_add", "user", "stop_signal", "stop_timeout_s"),
    ):
        assert getattr(facts, name) == getattr(spec, name), name
    assert facts.labels.items() >= spec.labels.items()
    by_id = await world.runtime.inspect_container(facts.id)
    assert by_id is not None
    assert by_id.name == spec.name


@every_engine
async def test_there_is_nothing_to_describe_of_what_is_gone(world: World) -> None:
    assert await world.runtime.inspect_container("no-such-container") is None
    await world.runtime.set_aside("no-such-container")


@every_engine
async def test_a_container_set_aside_is_stopped_and_stays(world: World, made: Made) -> None:
    spec = await made(SERVES)
    await world.runtime.start(spec.name)
    await world.runtime.set_aside(spec.name)
    await world.runtime.set_aside(spec.name)
    assert not (await status_of(world.runtime, spec.name)).running
    # A person may start it again.
    await world.runtime.start(spec.name)
    await until_running(world.runtime, spec.name)


@every_engine
async def test_we_run_in_none_of_its_containers(world: World) -> None:
    assert await world.runtime.own_network() is None


async def test_an_image_that_is_not_there_is_none(world: World) -> None:
    image, digest = world.publish("acme/app", SERVES)
    assert await world.runtime.inspect_image(f"{image}@{digest}") is None


def described(info: ImageInfo | None) -> ImageInfo:
    """What only comparisons of images use: the one in memory knows none of it."""
    assert info is not None
    return ImageInfo(
        digest=info.digest,
        exposed=info.exposed,
        command=info.command,
        healthcheck=info.healthcheck,
        env=info.env,
        size=info.size,
    )


async def test_a_pulled_image_says_what_it_is(world: World) -> None:
    image, digest = world.publish(
        "acme/app", App(labels=(("tagboat.port", "81"),), healthcheck="true")
    )
    await world.runtime.pull(image, digest, None, ignore)
    info = await world.runtime.inspect_image(f"{image}@{digest}")
    assert info == replace(
        described(info),
        digest=digest,
        tcp_ports=(8080,),
        labels={"tagboat.port": "81"},
        has_healthcheck=True,
        created=CREATED,
        health_needs_s=3.0,
        platform=await world.runtime.platform(),
    )


async def test_an_image_without_port_and_healthcheck_says_so(world: World) -> None:
    image, digest = world.publish("acme/app", App(port=0))
    await world.runtime.pull(image, digest, None, ignore)
    info = await world.runtime.inspect_image(f"{image}@{digest}")
    platform = await world.runtime.platform()
    plain = replace(described(info), digest=digest, created=CREATED, platform=platform)
    assert info == plain
    assert (plain.exposed, plain.healthcheck) == ((), ())


async def test_a_pull_tells_its_progress_and_a_second_one_is_welcome(world: World) -> None:
    image, digest = world.publish("acme/app", SERVES)
    told: list[str] = []
    await world.runtime.pull(image, digest, None, told.append)
    assert "layers" in told[-1]
    again = await world.runtime.pull(image, digest, None, told.append)
    assert again.digest == digest


async def test_one_digest_in_two_repositories_is_known_under_each(world: World) -> None:
    first, digest = world.publish("acme/first", SERVES)
    second, same = world.publish("acme/second", SERVES)
    assert digest == same
    await world.runtime.pull(first, digest, None, ignore)
    assert await world.runtime.inspect_image(f"{second}@{digest}") is None
    await world.runtime.pull(second, digest, None, ignore)
    for image in (first, second):
        info = await world.runtime.inspect_image(f"{image}@{digest}")
        assert info is not None
        assert info.digest == digest


async def test_a_digest_the_registry_does_not_have(world: World) -> None:
    image, _ = world.publish("acme/app", SERVES)
    with pytest.raises(EngineNotFoundError, match="has no such image") as caught:
        await world.runtime.pull(image, ABSENT, None, ignore)
    assert not caught.value.retryable


async def test_an_image_that_nobody_uses_is_removed(world: World) -> None:
    image, digest = world.publish("acme/app", SERVES)
    await world.runtime.pull(image, digest, None, ignore)
    assert await world.runtime.remove_image(f"{image}@{digest}")
    assert await world.runtime.inspect_image(f"{image}@{digest}") is None
    await world.runtime.pull(image, digest, None, ignore)
    assert await world.runtime.inspect_image(f"{image}@{digest}") is not None


async def test_an_image_that_is_not_there_is_as_good_as_removed(world: World) -> None:
    image, _ = world.publish("acme/app", SERVES)
    assert await world.runtime.remove_image(f"{image}@{ABSENT}")


@pytest.mark.parametrize("runs", [True, False], ids=["running", "waiting"])
async def test_an_image_of_which_there_is_a_container_stays(
    world: World, made: Made, runs: bool
) -> None:
    spec = await made()
    if runs:
        await world.runtime.start(spec.name)
    assert not await world.runtime.remove_image(spec.image)
    assert await world.runtime.inspect_image(spec.image) is not None
    await world.runtime.remove(spec.name)
    assert await world.runtime.remove_image(spec.image)


async def test_an_image_that_a_container_knows_by_another_name_stays(
    world: World, made: Made
) -> None:
    spec = await made(name="web")
    same, digest = world.publish("acme/same", SERVES)
    await world.runtime.pull(same, digest, None, ignore)
    assert not await world.runtime.remove_image(f"{same}@{digest}")
    assert not await world.runtime.remove_image(spec.image)


async def test_an_image_that_somebody_gave_a_tag_stays(world: World) -> None:
    image, digest = world.publish("acme/app", SERVES)
    await world.runtime.pull(image, digest, None, ignore)
    world.tag(f"{image}@{digest}")
    assert not await world.runtime.remove_image(f"{image}@{digest}")
    assert await world.runtime.inspect_image(f"{image}@{digest}") is not None


async def test_of_an_image_with_two_names_one_is_removed(world: World) -> None:
    first, digest = world.publish("acme/first", SERVES)
    second, _ = world.publish("acme/second", SERVES)
    for image in (first, second):
        await world.runtime.pull(image, digest, None, ignore)
    assert await world.runtime.remove_image(f"{first}@{digest}")
    assert await world.runtime.inspect_image(f"{first}@{digest}") is None
    assert await world.runtime.inspect_image(f"{second}@{digest}") is not None


async def test_a_container_needs_its_image(world: World, run: str) -> None:
    image, _ = world.publish("acme/app", SERVES)
    with pytest.raises(EngineNotFoundError, match="No such image"):
        await world.runtime.create(
            WorkloadSpec(name=run, image=f"{image}@{ABSENT}", labels={TEST_LABEL: run})
        )
    assert await world.runtime.status(run) is None


async def test_volumes_are_found_by_the_beginning_of_their_names_and_removed(
    world: World, meant: Made, run: str
) -> None:
    spec = replace(await meant(), volumes={f"{run}-data": "/data", f"x-{run}-data": "/other"})
    await world.runtime.create(spec)
    assert await world.runtime.list_volumes(f"{run}-") == [f"{run}-data"]
    assert not await world.runtime.remove_volume(f"{run}-data"), "a container uses it"
    await world.runtime.remove(spec.name)
    for name in (f"{run}-data", f"x-{run}-data"):
        assert world.has_volume(name)
        assert await world.runtime.remove_volume(name)
        assert not world.has_volume(name)
        assert await world.runtime.remove_volume(name), "one that is gone is as good as removed"
    assert await world.runtime.list_volumes(f"{run}-") == []


async def test_it_says_where_it_keeps_everything_and_what_that_takes(
    world: World, meant: Made, run: str
) -> None:
    assert (await world.runtime.root_dir()).startswith("/")
    spec = replace(await meant(), volumes={f"{run}-data": "/data"})
    await world.runtime.create(spec)
    usage = await world.runtime.disk_usage()
    (image,) = [image for image in usage.images if spec.image in image.names]
    assert 0 < image.size <= usage.layers
    assert f"{run}-data" in {volume.name for volume in usage.volumes}


@every_engine
async def test_a_name_is_taken_once(world: World, made: Made) -> None:
    spec = await made()
    with pytest.raises(NameTakenError, match=spec.name):
        await world.runtime.create(spec)


async def test_a_created_container_waits(world: World, made: Made, free_port: int) -> None:
    spec = await made(App(labels=(("from", "image"),)), port=8080, host_port=free_port)
    status = await status_of(world.runtime, spec.name)
    assert (status.name, status.running, status.restarting, status.restarts) == (
        spec.name,
        False,
        False,
        0,
    )
    assert port_of(status) == free_port
    assert status.health is None
    assert dict(status.labels) == {**spec.labels, "from": ""}


@every_engine
async def test_a_container_without_port_has_none(world: World, made: Made) -> None:
    spec = await made()
    await world.runtime.start(spec.name)
    assert port_of(await status_of(world.runtime, spec.name)) == 0


@every_engine
async def test_a_container_starts_stops_and_starts_again(world: World, made: Made) -> None:
    spec = await made()
    await world.runtime.start(spec.name)
    await world.runtime.start(spec.name)
    await until_running(world.runtime, spec.name)
    await world.runtime.stop(spec.name)
    await world.runtime.stop(spec.name)
    status = await status_of(world.runtime, spec.name)
    assert (status.running, status.restarting, status.exit_code) == (False, False, 0)
    await world.runtime.start(spec.name)
    await until_running(world.runtime, spec.name)


@every_engine
async def test_id_and_name_are_the_same_container(world: World, made: Made) -> None:
    spec = await made()
    by_name = await status_of(world.runtime, spec.name)
    assert await world.runtime.status(by_name.id) == by_name
    await world.runtime.start(by_name.id)
    await until_running(world.runtime, spec.name)


@every_engine
async def test_a_running_container_can_be_removed(world: World, made: Made) -> None:
    spec = await made()
    await world.runtime.start(spec.name)
    await world.runtime.remove(spec.name)
    assert await world.runtime.status(spec.name) is None


async def test_a_container_that_is_hurried_is_stopped_and_can_be_started_again(
    world: World, made: Made
) -> None:
    spec = await made()
    await world.runtime.start(spec.name)
    stopping = asyncio.create_task(world.runtime.stop(spec.name))
    await world.runtime.stop(spec.name, 1)
    assert not (await status_of(world.runtime, spec.name)).running
    await stopping
    await world.runtime.start(spec.name)
    assert (await status_of(world.runtime, spec.name)).running


@every_engine
async def test_what_is_gone_needs_no_stopping_or_removing(world: World, made: Made) -> None:
    spec = await made()
    await asyncio.gather(*(world.runtime.remove(spec.name) for _ in range(4)))
    await world.runtime.stop(spec.name)
    await world.runtime.remove(spec.name)
    assert await world.runtime.status(spec.name) is None


@every_engine
async def test_what_is_gone_cannot_be_started_or_read(world: World, run: str) -> None:
    with pytest.raises(EngineNotFoundError, match=f"{run}-gone"):
        await world.runtime.start(f"{run}-gone")
    with pytest.raises(EngineNotFoundError, match=f"{run}-gone"):
        await log_of(world.runtime, f"{run}-gone", 10)


@every_engine
async def test_containers_are_found_by_all_of_their_labels(
    world: World, made: Made, run: str
) -> None:
    runs = await made(name="one", stage="dev")
    waits = await made(name="two", stage="prod")
    await world.runtime.start(runs.name)

    async def names(**labels: str) -> set[str]:
        return {
            status.name
            for status in await world.runtime.list_workloads({TEST_LABEL: run, **labels})
        }

    assert await names() == {runs.name, waits.name}
    assert await names(stage="prod") == {waits.name}
    assert await names(stage="test") == set()
    # Between two looks, a node may have come further with a task.
    await until_running(world.runtime, runs.name)
    (found,) = await world.runtime.list_workloads({TEST_LABEL: run, "stage": "dev"})
    assert found == await world.runtime.status(runs.name)


async def test_a_host_port_serves_one_container(world: World, made: Made, free_port: int) -> None:
    first = await made(name="one", port=8080, host_port=free_port)
    second = await made(name="two", port=8080, host_port=free_port)
    await world.runtime.start(first.name)
    with pytest.raises(EndpointTakenError, match=second.name):
        await world.runtime.start(second.name)
    assert not (await status_of(world.runtime, second.name)).running
    await world.runtime.stop(first.name)
    await world.runtime.start(second.name)
    assert (await status_of(world.runtime, second.name)).running


@every_engine
async def test_the_end_of_the_log(world: World, made: Made) -> None:
    spec = await made(COUNTS)
    await world.runtime.start(spec.name)
    await eventually(
        lambda: log_of(world.runtime, spec.name, 1000), lambda lines: len(lines) == 300
    )
    assert await log_of(world.runtime, spec.name, 3) == ["298", "299", "300"]
    assert await log_of(world.runtime, spec.name, 0) == []


@every_engine
async def test_the_log_says_when_and_can_begin_at_a_time(world: World, made: Made) -> None:
    spec = await made(COUNTS)
    before = datetime.now(UTC) - timedelta(minutes=1)
    await world.runtime.start(spec.name)
    await eventually(
        lambda: log_of(world.runtime, spec.name, 1000), lambda lines: len(lines) == 300
    )
    times = [line.at for line in await world.runtime.logs(spec.name, 1000)]
    assert all(at is not None and before < at for at in times)

    since = [line.text for line in await world.runtime.logs(spec.name, 1000, before)]
    later = before + timedelta(hours=1)
    assert since == [str(number) for number in range(1, 301)]
    assert list(await world.runtime.logs(spec.name, 1000, later)) == []


@every_engine
async def test_a_log_is_followed_until_the_container_is_removed(world: World, made: Made) -> None:
    spec = await made(EXITS)
    await world.runtime.start(spec.name)
    lines = world.runtime.follow_logs(spec.name, 1000)
    # One is output, the other an error: their order is the engine's affair.
    first = {(await anext(lines)).text for _ in range(2)}
    assert first == {"reading the configuration", "no configuration found"}
    # The same, of a later start: it goes on though the app has ended in between.
    if isinstance(world.runtime, MemoryRuntime):
        await world.runtime.start(spec.name)
    async with asyncio.timeout(PATIENCE_S):
        second = {(await anext(lines)).text for _ in range(2)}
    assert second == first

    rest = asyncio.create_task(_all(lines))
    await world.runtime.remove(spec.name)
    async with asyncio.timeout(PATIENCE_S):
        assert set(await rest) <= first


async def _all(lines: AsyncGenerator[LogLine, None]) -> list[str]:
    return [line.text async for line in lines]


@every_engine
async def test_a_followed_log_loses_and_repeats_nothing(world: World, made: Made) -> None:
    spec = await made(COUNTS)
    await world.runtime.start(spec.name)
    lines = world.runtime.follow_logs(spec.name, 1000)
    async with asyncio.timeout(PATIENCE_S):
        got = [(await anext(lines)).text for _ in range(300)]
    await lines.aclose()
    assert got == [str(number) for number in range(1, 301)]
    tail = world.runtime.follow_logs(spec.name, 2)
    assert [(await anext(tail)).text for _ in range(2)] == ["299", "300"]
    await tail.aclose()


@every_engine
async def test_an_app_that_exits_is_started_again_and_again(world: World, made: Made) -> None:
    spec = await made(EXITS)
    await world.runtime.start(spec.name)
    status = await eventually(
        lambda: status_of(world.runtime, spec.name),
        # Its first end, and not yet another start, is no restart.
        lambda seen: seen.restarting and seen.exit_code != 0 and seen.restarts >= 1,
    )
    assert not status.running
    assert status.exit_code == 3
    log = await log_of(world.runtime, spec.name, 100)
    assert {"reading the configuration", "no configuration found"} == set(log)
    await world.runtime.stop(spec.name)
    status = await status_of(world.runtime, spec.name)
    assert (status.running, status.restarting) == (False, False)


async def test_the_last_exit_code_is_known_while_it_waits_and_when_it_runs_again(
    world: World, made: Made
) -> None:
    dies = await made(EXITS, name="dies")
    await world.runtime.start(dies.name)
    await eventually(lambda: status_of(world.runtime, dies.name), lambda seen: seen.restarts >= 1)
    assert await world.runtime.last_exit_code(dies.name) == 3
    once = await made(EXITS_ONCE, name="once")
    await world.runtime.start(once.name)
    await world.exits_once(once.name)
    await eventually(
        lambda: status_of(world.runtime, once.name),
        lambda seen: seen.restarts == 1 and seen.running,
    )
    assert await world.runtime.last_exit_code(once.name) == 5


@every_engine
async def test_nobody_knows_an_exit_code_of_what_never_ended_or_is_gone(
    world: World, made: Made
) -> None:
    spec = await made()
    await world.runtime.start(spec.name)
    assert await world.runtime.last_exit_code(spec.name) is None
    await world.runtime.remove(spec.name)
    assert await world.runtime.last_exit_code(spec.name) is None


async def test_a_paused_container_says_so_and_is_news(world: World, made: Made, run: str) -> None:
    spec = await made()
    await world.runtime.start(spec.name)
    assert not (await status_of(world.runtime, spec.name)).paused

    async def pause() -> None:
        world.pause(spec.name, paused=True)
        status = await status_of(world.runtime, spec.name)
        assert (status.paused, status.running) == (True, True)
        world.pause(spec.name, paused=False)

    async with listening(world.runtime, {TEST_LABEL: run}) as told:
        assert await first_told(told, pause) == spec.name
    world.pause(spec.name, paused=True)
    await world.runtime.remove(spec.name)


async def test_a_healthcheck_can_be_run_by_hand_before_the_engine_does(
    world: World, made: Made
) -> None:
    passes, fails, none = (
        await made(IS_HEALTHY, name="a"),
        await made(IS_NOT_READY, name="b"),
        await made(name="c"),
    )
    for spec in (passes, fails, none):
        await world.runtime.start(spec.name)
    assert (await world.runtime.run_healthcheck(passes.name) or TestRun(passed=False)).passed
    assert await world.runtime.run_healthcheck(fails.name) == TestRun(
        passed=False, said="no such table"
    )
    assert await world.runtime.run_healthcheck(none.name) is None


async def test_a_healthcheck_cannot_be_run_in_what_does_not_run(world: World, made: Made) -> None:
    spec = await made(IS_HEALTHY)
    with pytest.raises(EngineError):
        await world.runtime.run_healthcheck(spec.name)
    await world.runtime.remove(spec.name)
    with pytest.raises(EngineNotFoundError):
        await world.runtime.run_healthcheck(spec.name)


async def test_a_change_of_health_is_news(world: World, made: Made, run: str) -> None:
    spec = await made(IS_HEALTHY)
    await world.runtime.start(spec.name)

    async def start_again() -> None:
        await world.runtime.start(spec.name)
        world.becomes_healthy(spec.name)
        if told.empty():
            await asyncio.sleep(1.5)  # its interval

    async with listening(world.runtime, {TEST_LABEL: run}) as told:
        assert await first_told(told, start_again) == spec.name
    assert (await status_of(world.runtime, spec.name)).health == "healthy"


async def test_a_program_that_cannot_be_run(world: World, made: Made) -> None:
    spec = await made(CANNOT_RUN)
    with pytest.raises(EngineError, match=r'exec: "/no/such/program".*no such file'):
        await world.runtime.start(spec.name)
    assert not (await status_of(world.runtime, spec.name)).running


async def test_a_healthcheck_starts_and_becomes_healthy(world: World, made: Made) -> None:
    spec = await made(IS_HEALTHY)
    await world.runtime.start(spec.name)
    assert (await status_of(world.runtime, spec.name)).health == "starting"
    world.becomes_healthy(spec.name)
    await eventually(
        lambda: status_of(world.runtime, spec.name), lambda seen: seen.health == "healthy"
    )


@every_engine
async def test_an_app_that_is_run_once_stays_ended(world: World, meant: Made) -> None:
    spec = replace(await meant(EXITS), restarts=False)
    await world.runtime.create(spec)
    await world.runtime.start(spec.name)
    status = await eventually(lambda: status_of(world.runtime, spec.name), lambda seen: seen.ended)
    assert (status.restarting, status.restarts, status.exit_code) == (False, 0, 3)
    assert "no configuration found" in await log_of(world.runtime, spec.name, 100)


async def test_a_named_volume_is_made_and_outlives_its_container(
    world: World, meant: Made, run: str
) -> None:
    spec = replace(await meant(), volumes={f"{run}-data": "/data"})
    assert not world.has_volume(f"{run}-data")
    await world.runtime.create(spec)
    await world.runtime.start(spec.name)
    assert world.has_volume(f"{run}-data")
    await world.runtime.remove(spec.name)
    assert world.has_volume(f"{run}-data")
    await world.runtime.create(spec)


async def test_a_volume_that_only_the_image_asks_for_is_told_of_and_outlives_its_container(
    world: World, meant: Made
) -> None:
    spec = await meant(App(volumes=("/data", "/more")))
    info = await world.runtime.inspect_image(spec.image)
    assert info is not None
    assert info.volumes == ("/data", "/more")
    await world.runtime.create(spec)
    unasked = (await status_of(world.runtime, spec.name)).unasked_volumes
    assert unasked.keys() == {"/data", "/more"}
    await world.runtime.remove(spec.name)
    for name in unasked.values():
        assert world.has_volume(name)
        world.forget_volume(name)


async def test_what_is_mounted_on_the_images_volumes_leaves_none_unasked(
    world: World, meant: Made, run: str
) -> None:
    spec = await meant(App(volumes=("/data", "/more")))
    await world.runtime.create(
        replace(spec, volumes={f"{run}-data": "/data"}, tmpfs={"/more": "size=1m"})
    )
    await world.runtime.start(spec.name)
    assert (await status_of(world.runtime, spec.name)).unasked_volumes == {}
    await world.runtime.remove(spec.name)


async def test_a_port_published_beside_its_own_is_nobody_elses(
    world: World, meant: Made, free_port: int
) -> None:
    spec = replace(await meant(), publish=(Published("127.0.0.1", free_port, 5353, "udp"),))
    await world.runtime.create(spec)
    await world.runtime.start(spec.name)
    await world.runtime.create(replace(spec, name=f"{spec.name}-2"))
    with pytest.raises(EndpointTakenError, match=str(free_port)):
        await world.runtime.start(f"{spec.name}-2")
    await world.runtime.stop(spec.name)
    await world.runtime.start(f"{spec.name}-2")


@every_engine
async def test_a_network_that_is_there_is_joined(world: World, meant: Made, run: str) -> None:
    spec = replace(await meant(), networks=(f"{run}-net",))
    await world.add_network(f"{run}-net")
    await world.runtime.create(spec)
    await world.runtime.start(spec.name)
    await until_running(world.runtime, spec.name)
    await world.runtime.remove(spec.name)


async def test_a_running_container_joins_a_network_again_under_other_names(
    world: World, meant: Made, run: str
) -> None:
    spec = replace(await meant(), networks=(f"{run}-net",), aliases={f"{run}-net": ("before",)})
    await world.add_network(f"{run}-net")
    await world.runtime.create(spec)
    await world.runtime.start(spec.name)
    await world.runtime.rejoin(spec.name, f"{run}-net", ("app-dev", "app"))
    await world.runtime.rejoin(spec.name, f"{run}-net", ())
    assert (await status_of(world.runtime, spec.name)).running
    with pytest.raises(
        EngineNotFoundError, match="make it with: docker network create no-such-net"
    ):
        await world.runtime.rejoin(spec.name, "no-such-net", ("app",))
    await world.runtime.remove(spec.name)
    with pytest.raises(EngineNotFoundError):
        await world.runtime.rejoin(spec.name, f"{run}-net", ("app",))


@every_engine
async def test_a_network_is_made_once_and_removed_once_nobody_runs_on_it(
    world: World, meant: Made, run: str
) -> None:
    labels = {TEST_LABEL: run}
    both = await asyncio.gather(
        *(world.runtime.ensure_network(f"{run}-net", labels, {"of": "app"}) for _ in range(2))
    )
    assert both == [frozenset(), frozenset()]
    assert await world.runtime.list_networks({**labels, "of": "app"}) == [f"{run}-net"]
    spec = replace(await meant(), network=f"{run}-net", aliases={f"{run}-net": ("app",)})
    container = await world.runtime.create(spec)
    await world.runtime.start(container)
    assert await world.runtime.ensure_network(f"{run}-net", labels) == {container}
    assert not await world.runtime.remove_network(f"{run}-net", labels)
    await world.runtime.remove(container)
    # A node needs a moment to take its tasks off a network.
    await eventually(lambda: world.runtime.remove_network(f"{run}-net", labels), bool)
    assert await world.runtime.remove_network(f"{run}-net", labels), "it is gone"
    assert await world.runtime.list_networks(labels) == []


@every_engine
async def test_a_network_that_somebody_else_has_made_is_neither_used_nor_removed(
    world: World, run: str
) -> None:
    await world.add_network(f"{run}-net")
    with pytest.raises(EngineError, match=f"{run}-net that Tagboat has not made"):
        await world.runtime.ensure_network(f"{run}-net", {TEST_LABEL: run})
    assert not await world.runtime.remove_network(f"{run}-net", {TEST_LABEL: run})
    assert await world.runtime.list_networks({TEST_LABEL: run}) == []


async def test_a_container_whose_network_was_removed_joins_the_new_one(
    world: World, meant: Made, run: str
) -> None:
    labels = {TEST_LABEL: run}
    await world.runtime.ensure_network(f"{run}-net", labels)
    spec = replace(await meant(), network=f"{run}-net", keeps_address=True)
    await world.runtime.create(spec)
    await world.runtime.start(spec.name)
    await world.runtime.rejoin(spec.name, f"{run}-net", ("app",))
    await world.runtime.stop(spec.name)
    await world.drop_network(f"{run}-net")
    with pytest.raises(NetworkNotFoundError):
        await world.runtime.start(spec.name)
    await world.runtime.ensure_network(f"{run}-net", labels)
    await world.runtime.rejoin(spec.name, f"{run}-net", ("app",))
    await world.runtime.start(spec.name)
    assert (await status_of(world.runtime, spec.name)).running


async def test_labels_of_the_image_that_may_steer_others_are_emptied(
    world: World, meant: Made
) -> None:
    app = replace(
        SERVES,
        labels=(
            ("traefik.enable", "true"),
            ("org.opencontainers.image.title", "App"),
            ("own", "image"),
        ),
    )
    spec = await meant(app, own="container")
    await world.runtime.create(spec)
    labels = (await status_of(world.runtime, spec.name)).labels
    assert {name: labels[name] for name, _ in app.labels} == {
        "traefik.enable": "",
        "org.opencontainers.image.title": "App",
        "own": "container",
    }
    await world.runtime.create(replace(spec, name=f"{spec.name}-all", image_labels=True))
    assert (await status_of(world.runtime, f"{spec.name}-all")).labels["traefik.enable"] == "true"


@pytest.mark.parametrize("network", ["no-such-net", "no such", "../containers/json"])
async def test_a_network_that_is_missing_is_named_and_leaves_no_container(
    world: World, meant: Made, network: str
) -> None:
    spec = replace(await meant(), networks=(network,))
    with pytest.raises(
        EngineNotFoundError, match=f"{spec.name} .* make it with: docker network create {network}"
    ):
        await world.runtime.create(spec)
    assert await world.runtime.status(spec.name) is None
    await world.runtime.create(replace(spec, networks=()))


async def test_a_container_may_have_everything_at_once(world: World, meant: Made, run: str) -> None:
    full = WorkloadSpec(
        name="",
        image="",
        labels={},
        user="1000:1000",
        volumes={f"{run}-data": "/data"},
        files={"/run/secrets/key": "hush", "/etc/app/app.conf": ""},
        memory=64 << 20,
        cpus=0.5,
        pids=50,
        networks=(f"{run}-net",),
        stop_signal="SIGTERM",
        stop_timeout_s=3,
    )
    plain = await meant()
    await world.add_network(f"{run}-net")
    await world.runtime.create(
        replace(full, name=plain.name, image=plain.image, labels=plain.labels)
    )
    await world.runtime.start(plain.name)
    await world.runtime.stop(plain.name)
    assert not (await status_of(world.runtime, plain.name)).running
    await world.runtime.remove(plain.name)


async def test_an_image_that_was_pruned_is_gone_and_can_be_pulled_again(world: World) -> None:
    image, digest = world.publish("acme/app", SERVES)
    await world.runtime.pull(image, digest, None, ignore)
    world.prune(f"{image}@{digest}")
    assert await world.runtime.inspect_image(f"{image}@{digest}") is None
    await world.runtime.pull(image, digest, None, ignore)
    assert await world.runtime.inspect_image(f"{image}@{digest}") is not None


@every_engine
async def test_an_app_that_exits_is_told_of(world: World, meant: Made, run: str) -> None:
    spec = replace(await meant(EXITS), restarts=False)
    await world.runtime.create(spec)
    async with listening(world.runtime, {TEST_LABEL: run}) as told:
        assert await first_told(told, lambda: world.runtime.start(spec.name)) == spec.name


@every_engine
async def test_a_container_that_is_stopped_is_told_of(world: World, made: Made, run: str) -> None:
    spec = await made()

    async def start_and_stop() -> None:
        await world.runtime.start(spec.name)
        await world.runtime.stop(spec.name)

    async with listening(world.runtime, {TEST_LABEL: run}) as told:
        assert await first_told(told, start_and_stop) == spec.name


@every_engine
async def test_a_container_that_is_removed_is_told_of(world: World, meant: Made, run: str) -> None:
    spec = await meant()

    async def create_and_remove() -> None:
        await world.runtime.create(spec)
        await world.runtime.remove(spec.name)

    async with listening(world.runtime, {TEST_LABEL: run}) as told:
        assert await first_told(told, create_and_remove) == spec.name


@every_engine
async def test_only_endings_of_containers_with_all_of_the_labels_are_told(
    world: World, meant: Made, run: str
) -> None:
    mine = await meant(name="mine", stage="prod")
    others = await meant(name="others", stage="dev")

    async def create_and_remove_both() -> None:
        for spec in (others, mine):
            await world.runtime.create(spec)
            await world.runtime.remove(spec.name)

    async with listening(world.runtime, {TEST_LABEL: run, "stage": "prod"}) as told:
        assert await first_told(told, create_and_remove_both) == mine.name
        await create_and_remove_both()
        assert await told.get() == mine.name


# Launching.


async def test_a_launch_answers_where_it_is_reached(
    world: World, meant: Made, free_port: int
) -> None:
    spec = await meant(port=8080)
    launched = await world.runtime.launch(spec, {at(free_port)})
    status = await status_of(world.runtime, spec.name)
    assert (status.id, status.endpoints) == (launched.id, launched.endpoints)
    assert status.running
    assert launched.endpoints not in {(), (at(free_port),)}


async def test_a_launch_at_its_own_endpoint(world: World, meant: Made, free_port: int) -> None:
    spec = await meant(port=8080, host_port=free_port)
    assert (await world.runtime.launch(spec, {at(free_port)})).endpoints == (at(free_port),)


async def test_a_launch_where_its_endpoint_is_taken_gets_another(
    world: World, meant: Made, made: Made, free_port: int
) -> None:
    first = await made(name="one", port=8080, host_port=free_port)
    await world.runtime.start(first.name)
    spec = await meant(name="two", port=8080, host_port=free_port)
    launched = await world.runtime.launch(spec, {at(free_port)})
    assert launched.endpoints not in {(), (at(free_port),)}
    found = await world.runtime.list_workloads(spec.labels)
    assert sorted(one.name for one in found) == sorted([first.name, spec.name])
    assert (await status_of(world.runtime, spec.name)).running


@every_engine
async def test_a_launch_without_a_port_has_no_endpoint(world: World, meant: Made) -> None:
    spec = await meant()
    assert (await world.runtime.launch(spec, set())).endpoints == ()


async def test_a_launch_where_a_published_port_is_taken_leaves_nothing(
    world: World, meant: Made, free_port: int
) -> None:
    publish = (Published("127.0.0.1", free_port, 5353),)
    first = replace(await meant(name="one"), publish=publish)
    await world.runtime.launch(first, set())
    second = replace(await meant(name="two", port=8080), publish=publish)
    with pytest.raises(EndpointTakenError, match=str(free_port)):
        await world.runtime.launch(second, set())
    assert await world.runtime.status(second.name) is None


async def test_an_image_is_pulled_once(world: World) -> None:
    image, digest = world.publish("acme/ensured", SERVES)
    asked: list[str] = []

    async def before_pull() -> None:
        asked.append("pull")

    for _ in range(2):
        info = await world.runtime.ensure_image(
            image, digest, None, before_pull=before_pull, progress=ignore
        )
        assert info is not None
        assert info.digest == digest
    assert asked == ["pull"]
