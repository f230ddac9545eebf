"""A stage of one project with everything that a deploy in it touches.

A real store, and doubles of the rest.

`World.services` is the one place where `DeployServices` is put together.
"""

import asyncio
import hashlib
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tagboat.core.catalog import Project, Registry, Stage
from tagboat.core.counters import Counters
from tagboat.core.deploy import (
    ACTIVE_STATES,
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
    StepStatus,
    Trigger,
)
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import NotAnImageError, RegistryDeniedError, RegistryNotFoundError
from tagboat.core.health import Manner
from tagboat.core.ids import new_id, short_id
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.core.ports import Topic
from tagboat.core.protocol import AppProtocol
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec
from tagboat.deploy.edges import Edges
from tagboat.deploy.pipeline import Pipeline
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.services import DeployServices
from tagboat.deploy.traffic import Traffic
from tagboat.ingress.memory import MemoryIngress
from tagboat.ingress.none import NoIngress
from tagboat.operations.queries.metrics import DEPLOYS_ENDED, count_end
from tagboat.runtime.memory import MemoryImage, MemoryRuntime
from tagboat.store import SqlStore
from tests.support.endpoints import port_of
from tests.unit.deploy.interceptor import START, CallInterceptor, Clock

IMAGE = ImageName("git.example.com", "acme/app")
INSTALLATION = "this-installation"
FIRST_PORT = 40000
REFUSED = "connection refused"
BASE_DOMAIN = "apps.test"
HOST = f"app-dev.{BASE_DOMAIN}"
_LONGEST_WAIT_S = 20.0


class Tags:
    """A registry that knows what it was told.

    `failures` are raised first, one a call; `asked` are the tags looked up.
    """

    def __init__(self) -> None:
        self.digests: dict[str, Digest] = {}
        self.failures: list[Exception] = []
        self.asked: list[str] = []
        self.others: dict[str, str] = {}

    async def resolve(self, image: ImageName, tag: str, registry: Registry | None) -> Digest:  # noqa: ARG002 - the port's
        self.asked.append(tag)
        if self.failures:
            raise self.failures.pop(0)
        if tag not in self.digests:
            raise RegistryNotFoundError(f"the registry {image.host} has no tag {tag}")
        return self.digests[tag]

    async def list_tags(self, image: ImageName, registry: Registry | None) -> list[str]:
        raise AssertionError(f"a deploy has no business listing the tags of {image} ({registry})")

    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo:  # noqa: ARG002 - the port's
        if image.tag in self.others:
            raise NotAnImageError(
                f"{image} is not a container image: it is {self.others[image.tag]}"
            )
        raise RegistryDeniedError("only what fails to be pulled is inspected at the registry")


class Answers:
    """What apps answer on their ports: `says` (None.

    Yes), or what `of_port` makes of the port asked.

    After `keep_waiting` nobody is answered until `let_answer`.
    """

    def __init__(self) -> None:
        self.says: str | None = None
        self.manner: Manner | None = None
        self.of_port: Callable[[int], Awaitable[str | None]] | None = None
        self.asked: list[tuple[int, str]] = []
        self.asked_in: list[tuple[AppProtocol, str, float]] = []
        self.speaks: AppProtocol | None = None
        self._calls = asyncio.Semaphore(0)
        self._open = asyncio.Event()
        self._open.set()

    def keep_waiting(self) -> None:
        """From now on whoever asks waits."""
        self._open.clear()

    def let_answer(self) -> None:
        """Answer all who wait."""
        self._open.set()

    async def asked_once_more(self) -> None:
        """Return when one more probe than at the last call has come in."""
        async with asyncio.timeout(_LONGEST_WAIT_S):
            await self._calls.acquire()

    async def http(self, endpoint: Endpoint, path: str, manner: Manner | None = None) -> str | None:
        self.manner = manner
        self.asked.append((endpoint.port, path))
        self._calls.release()
        await self._open.wait()
        return self.says if self.of_port is None else await self.of_port(endpoint.port)

    async def tcp(self, endpoint: Endpoint) -> str | None:
        return await self.http(endpoint, "")

    async def ask(
        self,
        protocol: AppProtocol,
        endpoint: Endpoint,
        path: str | None,
        manner: Manner = Manner(),  # noqa: B008 - frozen
    ) -> str | None:
        if protocol is AppProtocol.HTTP:
            return await (self.tcp(endpoint) if path is None else self.http(endpoint, path, manner))
        self.asked_in.append((protocol, manner.host, manner.limit_s))
        said = await self.http(endpoint, path or "/")
        # Without a path, any status is an answer.
        return None if path is None and said and said.startswith("answered HTTP") else said

    async def spoken(self, endpoint: Endpoint) -> AppProtocol | None:  # noqa: ARG002 - the port's
        return self.speaks


class Ports:
    """Free ports, rising from `FIRST_PORT`, none twice; `given` are those handed out."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def free(self, taken: Collection[int]) -> int:
        port = next(
            port
            for port in range(FIRST_PORT, FIRST_PORT + 1000)
            if port not in {*taken, *self.given}
        )
        self.given.append(port)
        return port


@dataclass(slots=True)
class World:
    """One project with one stage (or several), ready for deploys.

    `cut` are the containers that were stopped or removed while they ran and traffic was led to
    them.
    """

    store: SqlStore
    clock: Clock
    project: Project
    stage: Stage
    runtime: MemoryRuntime = field(default_factory=MemoryRuntime)
    tags: Tags = field(default_factory=Tags)
    probe: Answers = field(default_factory=Answers)
    ports: Ports = field(default_factory=Ports)
    counters: Counters = field(default_factory=Counters)
    calls: CallInterceptor = field(default_factory=CallInterceptor)
    ingress: MemoryIngress | None = None
    edges: Edges | None = None
    cut: list[str] = field(default_factory=list)
    _news: threading.Event = field(default_factory=threading.Event)

    @property
    def services(self) -> DeployServices:
        """What deploys are carried out with here."""
        return DeployServices(
            store=self.store,
            runtime=self.runtime,
            tag_source=self.tags,
            clock=self.clock.now,
            installation=INSTALLATION,
            counters=self.counters,
            traffic=Traffic(self.store, self.ingress or NoIngress(), BASE_DOMAIN, self.edges),
            base_domain=BASE_DOMAIN,
        )

    def ended(self, status: DeployStatus) -> int:
        """How many deploys of the stage were counted that ended so."""
        labels = (("stage_id", self.stage.id), ("status", status.value))
        return self.counters.read().get((DEPLOYS_ENDED, labels), 0)

    @property
    def routes(self) -> Mapping[str, str]:
        """Where the ingress leads requests."""
        assert self.ingress is not None, "this world has no ingress"
        return self.ingress.routes

    def publish(self, tag: str, content: MemoryImage | None = None) -> Digest:
        """Push an image: the registry has it under that tag, and the engine can pull it."""
        digest = Digest("sha256:" + hashlib.sha256(f"{tag} {content}".encode()).hexdigest())
        self.tags.digests[tag] = digest
        self.runtime.publish(self.project.image, digest, content)
        return digest

    async def queue(
        self,
        tag: str,
        *,
        stage: Stage | None = None,
        digest: Digest | None = None,
        force: bool = False,
    ) -> Deploy:
        """Queue a deploy."""
        queue, wanted = DeployQueue(self.clock.now), stage or self.stage
        queued = await self.store.write(
            lambda tx: queue.trigger_deploy(
                wanted.project_id,
                wanted.id,
                tag,
                tx=tx,
                trigger=Trigger.WEBHOOK,
                digest=digest,
                force=force,
            )
        )
        return await self.deploy(queued.deploy_id)

    async def carry_out(self, deploy: Deploy) -> Deploy:
        """Let a pipeline made anew carry it out, and return how it stands then."""
        await Pipeline(self.services, deploy.id).carry_out()
        return await self.deploy(deploy.id)

    async def ship(self, tag: str, content: MemoryImage | None = None) -> Instance:
        """Publish and deploy, and return the instance that came of it."""
        self.publish(tag, content)
        ended = await self.carry_out(await self.queue(tag))
        assert ended.status is DeployStatus.SUCCEEDED, ended.reason
        return await self.instance_of(ended)

    async def deploy(self, deploy_id: str) -> Deploy:
        """Return the deploy as it is on record."""
        return await self.store.read(lambda reader: reader.deploy(deploy_id))

    async def deploys(self) -> list[Deploy]:
        """Return all deploys on record, oldest first."""
        return (await self.store.read(lambda reader: reader.deploys()))[::-1]

    async def instances(self, *states: InstanceState) -> list[Instance]:
        """Return those on record, of any state or of these, newest first."""
        return await self.store.read(lambda reader: reader.instances(states=states))

    async def instance_of(self, deploy: Deploy) -> Instance:
        """Return the one instance that the deploy made."""
        (made,) = [
            instance for instance in await self.instances() if instance.deploy_id == deploy.id
        ]
        return made

    async def containers(self) -> list[str]:
        """Return the names of all containers on the engine, running or not."""
        return sorted(status.name for status in await self.runtime.list_workloads({}))

    async def is_running(self, container: str) -> bool:
        """Return whether that container is there and runs."""
        status = await self.runtime.status(container)
        return status is not None and status.running

    async def change_project(self, **changes: Any) -> None:  # noqa: ANN401 - whatever fields a project has
        """Configure the project."""
        self.project = replace(self.project, **changes)
        await self.store.write(lambda tx: tx.put_project(self.project))

    async def change_stage(self, **changes: Any) -> None:  # noqa: ANN401 - whatever fields a stage has
        """Configure the stage."""
        self.stage = replace(self.stage, **changes)
        await self.store.write(lambda tx: tx.put_stage(self.stage))

    async def another_stage(self, name: str) -> Stage:
        """Add a stage."""
        stage = a_stage(self.project, name)
        await self.store.write(lambda tx: tx.add_stage(stage))
        return stage

    async def change_deploy(self, deploy: Deploy, **changes: Any) -> Deploy:  # noqa: ANN401 - whatever fields a deploy has
        """Write into the record of a deploy, as another server or another life of this one would
        have.
        """
        await self.store.write(lambda tx: tx.put_deploy(replace(tx.deploy(deploy.id), **changes)))
        return await self.deploy(deploy.id)

    async def change_instance(self, instance: Instance, **changes: Any) -> Instance:  # noqa: ANN401 - whatever fields an instance has
        """Write into the record of an instance."""
        changed = replace(instance, **changes)
        await self.store.write(lambda tx: tx.put_instance(changed))
        return changed

    async def delete_project(self) -> None:
        """Delete the project with all its records, as another replica does."""
        await self.store.write(lambda tx: tx.delete_project(self.project.id))

    async def foreign_container(self, name: str, **labels: str) -> None:
        """Run a container that these labels say is somebody's.

        None: it has nothing to do with Tagboat.
        """
        image, digest = ImageName("docker.io", "library/redis"), Digest("sha256:" + "f" * 64)
        self.runtime.publish(image, digest)
        await self.runtime.pull(image, digest, None, lambda _: None)
        await self.runtime.create(WorkloadSpec(name=name, image=f"{image}@{digest}", labels=labels))
        await self.runtime.start(name)

    async def orphan(self, name: str) -> None:
        """Run a container that an ended deploy has made and left behind."""
        deploy = await self.queue(f"of-{name}")
        await self.change_deploy(deploy, status=DeployStatus.FAILED, container=name)
        labels = {
            "tagboat.managed": "true",
            "tagboat.installation": INSTALLATION,
            "tagboat.deploy": deploy.id,
        }
        await self.foreign_container(name, **labels)

    def container_of(self, deploy: Deploy, stage: Stage | None = None) -> str:
        """Return what the deploy's container is, or will be, named."""
        return f"{self.project.name}-{(stage or self.stage).name}-{short_id(deploy.id)}"

    async def until(self, holds: Callable[[list[Deploy]], bool]) -> list[Deploy]:
        """Wait for deploys to come to that, looking at each announcement.

        Return them, oldest first.
        """
        while True:
            self._news.clear()
            deploys = await self.deploys()
            if holds(deploys):
                return deploys
            # A real clock, whatever that of the scene says.
            assert await asyncio.to_thread(self._news.wait, _LONGEST_WAIT_S), (
                f"nothing new came of {deploys}"
            )

    async def until_state(self, instance: Instance, holds: Callable[[Instance], bool]) -> Instance:
        """Wait until an instance is as wanted."""
        for _ in range(20_000):
            current = await self.store.read(lambda reader: reader.instance(instance.id))
            if holds(current):
                return current
            await asyncio.to_thread(time.sleep, 0.001)
        raise AssertionError(f"it is not as wanted: {current}")

    async def until_gone(self, container: str) -> None:
        """Wait until there is no such container."""
        for _ in range(20_000):
            if container not in await self.containers():
                return
            await asyncio.to_thread(time.sleep, 0.001)
        raise AssertionError(f"{container} is still there")

    async def until_all_ended(self) -> list[Deploy]:
        """Wait until no deploy is open."""
        return await self.until(lambda deploys: all(deploy.status.final for deploy in deploys))

    def hear_of_changes(self) -> None:
        """Look up whenever a change to deploys is announced."""
        self.store.listen(Topic.DEPLOYS, self._news.set)

    def see_what_is_cut(self) -> None:
        """Note every running container that is stopped or removed while traffic is led to it."""
        for call in ("stop", "remove"):
            setattr(self.runtime, call, partial(self._end_container, getattr(self.runtime, call)))

    async def _end_container(
        self, end: Callable[..., Awaitable[None]], container: str, *grace_s: float
    ) -> None:
        held = self.runtime._find(container)
        if held and held.status.running and str(port_of(held.status)) in self.routes.values():
            self.cut.append(container)
        await end(container, *grace_s)


async def build_world(store: SqlStore, clock: Clock, *, ingress: bool = False) -> World:
    """Put a project and its stage into a new database."""
    project = Project(
        id=new_id(),
        name="app",
        image=IMAGE,
        port=8080,
        port_set=True,
        healthcheck_set=True,
        created_at=START,
    )
    world = World(
        store, clock, project, a_stage(project, "dev"), ingress=MemoryIngress() if ingress else None
    )
    store.on_deploy_end(partial(count_end, world.counters))
    await store.write(lambda tx: tx.add_project(world.project))
    await store.write(lambda tx: tx.add_stage(world.stage))
    world.hear_of_changes()
    world.runtime.clock = clock.now
    world.runtime.probe = world.probe
    world.runtime.free_port = lambda taken: world.ports.free(taken)  # noqa: PLW0108 - tests replace it
    world.calls.intercept(store, "read", "write")
    world.calls.intercept(
        world.runtime,
        "inspect_image",
        "pull",
        "create",
        "start",
        "stop",
        "remove",
        "replace_tasks",
        "status",
        "logs",
    )
    world.calls.intercept(world.runtime, "list_workloads")
    world.calls.intercept(world.tags, "resolve")
    if world.ingress is not None:
        world.see_what_is_cut()
        world.calls.intercept(world.ingress, "apply_routes", "in_flight")
        world.calls.intercept(
            world.ingress, "change_routes", named="apply_routes"
        )  # whether one stage is led or all is all the same here
    return world


def a_stage(project: Project, name: str) -> Stage:
    """Return a stage that takes every tag."""
    return Stage(
        id=new_id(),
        project_id=project.id,
        name=name,
        pattern=parse_tag_pattern("*"),
        created_at=START,
    )


def statuses(deploy: Deploy) -> dict[StepName, StepStatus]:
    """How each step ended."""
    return {step.name: step.status for step in deploy.steps}


async def assert_only(world: World, live: Instance) -> None:
    """That `live` is the one active instance, and its running container the only one there is."""
    assert [instance.id for instance in await world.instances(*ACTIVE_STATES)] == [live.id]
    assert live.state is InstanceState.LIVE
    assert await world.containers() == [live.container]
    assert await world.is_running(live.container)
    if world.ingress is not None:
        assert world.routes == {HOST: str(port_of(live))}
        assert world.cut == []


async def assert_fails(world: World, tag: str, step: StepName | None, reason: str) -> Deploy:
    """Deploy `tag` beside what is live, and show that it fails in that step and that nothing
    else came of it.
    """
    before = await world.instances(InstanceState.LIVE)
    began = len(world.runtime.journal)

    ended = await world.carry_out(await world.queue(tag))

    assert ended.status is DeployStatus.FAILED
    assert reason in (ended.reason or "")
    assert ended.finished_at == world.clock.now()
    assert (ended.claimed_by, ended.claimed_until) == (None, None)
    assert world.ended(DeployStatus.FAILED) == 1
    if step is not None:
        assert ended.step(step).detail == ended.reason
        at = list(StepName).index(step)
        wanted = (
            [StepStatus.DONE] * at
            + [StepStatus.FAILED]
            + [StepStatus.PENDING] * (len(StepName) - at - 1)
        )
        assert list(statuses(ended).values()) == wanted
    assert (
        await world.instances(InstanceState.LIVE, InstanceState.STARTING, InstanceState.DRAINING)
        == before
    )
    assert world.container_of(ended) not in await world.containers()
    for live in before:
        assert await world.is_running(live.container)
        assert not [
            line for line in world.runtime.journal[began:] if line.endswith(f" {live.container}")
        ]
    return ended
