"""A Docker engine and its swarm as one runtime, each a memory."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest

from tagboat.core.deploy import Deploy, DeployStatus, InstanceState, StepName
from tagboat.core.errors import EngineMissingError, EngineUnavailableError
from tagboat.core.run import EngineKind
from tagboat.core.values import replace
from tagboat.deploy.networks import tidy_networks
from tagboat.deploy.ownership import own_labels
from tagboat.deploy.pipeline import Pipeline
from tagboat.deploy.reconcile import reconcile
from tagboat.deploy.services import DeployServices
from tagboat.runtime.engines import Engines
from tagboat.runtime.memory import MemoryRuntime
from tests.unit.deploy.deploy_harness import INSTALLATION, World

pytestmark = pytest.mark.anyio

OWN = own_labels(INSTALLATION)
SWARM = EngineKind.SWARM


class Manager(MemoryRuntime):
    """A Docker engine in memory, which manages a swarm."""

    is_manager = True

    async def close(self) -> None: ...


@dataclass
class Two:
    """A world whose runtime is two; `engines` is anew after a restart of the server."""

    world: World
    docker: Manager
    swarm: Manager
    engines: Engines = field(init=False)
    made: list[Engines] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        def make_swarm() -> Manager:
            self.made.append(engines)
            return self.swarm

        engines = self.engines = Engines(self.docker, make_swarm)

    @property
    def services(self) -> DeployServices:
        return replace(self.world.services, runtime=self.engines)

    async def carry_out(self, deploy: Deploy) -> Deploy:
        await Pipeline(self.services, deploy.id).carry_out()
        return await self.world.deploy(deploy.id)

    async def ship(self, tag: str, engine: EngineKind | None = None) -> Deploy:
        digest = self.world.publish(tag)
        for one in (self.docker, self.swarm):
            one.publish(self.world.project.image, digest)
        await self.world.change_stage(engine=engine)
        return await self.carry_out(await self.world.queue(tag))

    def lose_leader(self, call: str) -> None:
        """Let the swarm refuse all such calls from now on."""
        for _ in range(1000):
            self.swarm.fail(call, EngineUnavailableError("the swarm has no leader"))

    async def names(self) -> tuple[list[str], list[str]]:
        """The workloads of both."""
        docker, swarm = [
            sorted(one.name for one in await engine.list_workloads({}))
            for engine in (self.docker, self.swarm)
        ]
        return docker, swarm

    async def live(self) -> str:
        (one,) = await self.world.instances(InstanceState.LIVE)
        return one.container


@pytest.fixture
async def two(led: World) -> AsyncIterator[Two]:
    docker, swarm = Manager(), Manager()
    for one in (docker, swarm):
        one.clock, one.probe, one.free_port = led.clock.now, led.probe, led.runtime.free_port
    swarm.is_cluster = swarm.self_healing = True
    both = Two(led, docker, swarm)
    yield both
    await both.engines.close()


async def test_a_stage_moves_to_the_swarm_and_back_without_a_gap(two: Two) -> None:
    on_docker = await two.ship("v1")
    assert two.made == []
    on_swarm = await two.ship("v2", SWARM)
    assert on_swarm.status is DeployStatus.SUCCEEDED, on_swarm.reason
    pulled = on_swarm.step(StepName.PULL).detail
    assert pulled == "each node pulls it as a task starts there, unless it has it"
    assert await two.names() == ([], [await two.live()])
    # As any new instance, it ran before the old one was stopped.
    assert len(set(two.world.routes.values())) == 1
    assert on_docker.container != on_swarm.container

    back = await two.ship("v3")
    assert back.status is DeployStatus.SUCCEEDED, back.reason
    assert await two.names() == ([await two.live()], [])


async def test_the_same_version_on_another_engine_is_something_new(two: Two) -> None:
    await two.ship("v1")
    again = await two.ship("v1", SWARM)
    assert again.reason != "already live"
    assert await two.names() == ([], [await two.live()])


async def test_what_fails_on_the_swarm_leaves_docker_serving(two: Two) -> None:
    await two.ship("v1")
    before = dict(two.world.routes)
    two.lose_leader("start")
    failed = await two.ship("v2", SWARM)
    assert failed.status is DeployStatus.FAILED
    assert "no leader" in (failed.reason or "")
    assert two.world.routes == before
    docker, swarm = await two.names()
    assert (docker, swarm) == ([await two.live()], [])


async def test_an_engine_without_a_swarm_refuses_at_once_and_says_what_to_do(two: Two) -> None:
    two.docker.is_manager = False
    failed = await two.ship("v1", SWARM)
    assert failed.status is DeployStatus.FAILED
    assert "docker swarm init" in (failed.reason or "")
    # It is asked again: somebody may have made one by now.
    two.docker.is_manager = True
    assert (await two.ship("v2", SWARM)).status is DeployStatus.SUCCEEDED


async def test_after_a_restart_what_runs_on_the_swarm_is_found(two: Two) -> None:
    await two.ship("v1", SWARM)
    live = await two.live()
    two.restart()
    began = len(two.swarm.journal)
    await reconcile(two.services)
    assert two.swarm.journal[began:] == []

    # What is gone is made again where it was.
    await two.swarm.remove(live)
    await reconcile(two.services)
    assert await two.names() == ([], [live])


async def test_what_a_dead_server_has_left_on_the_swarm_is_removed(two: Two) -> None:
    await two.ship("v1", SWARM)
    left = await two.world.change_deploy(
        await two.world.queue("v2"), status=DeployStatus.FAILED, container="left"
    )
    spec = two.swarm.spec(await two.live())
    labels = {**spec.labels, "tagboat.deploy": left.id}
    await two.swarm.create(replace(spec, name=left.container, labels=labels))
    two.restart()
    await reconcile(two.services)
    assert await two.names() == ([], [await two.live()])


async def test_a_network_that_is_left_on_the_swarm_is_found_after_a_restart(two: Two) -> None:
    await two.ship("v1", SWARM)
    await two.ship("v2")
    await two.world.delete_project()
    two.restart()
    await tidy_networks(two.world.store, two.engines, INSTALLATION)
    assert await two.swarm.list_networks(OWN) == []


async def test_a_swarm_that_no_stage_uses_holds_up_nothing(two: Two) -> None:
    await two.ship("v1")
    two.restart()
    two.lose_leader("list_workloads")
    assert [one.name for one in await two.engines.list_workloads(OWN)] == [await two.live()]
    assert await two.engines.trouble() == ""
    two.docker.is_manager = False
    two.restart()
    await two.engines.list_workloads(OWN)
    assert two.engines not in two.made


async def test_a_swarm_in_use_that_does_not_answer_hides_nothing(two: Two) -> None:
    await two.ship("v1", SWARM)
    two.lose_leader("list_workloads")
    with pytest.raises(EngineUnavailableError, match="no leader"):
        await two.engines.list_workloads(OWN)


async def test_exits_on_both_are_heard_of(two: Two) -> None:
    await two.ship("v1")
    heard: list[str] = []

    async def listen() -> None:
        async with aclosing(two.engines.watch_exits(OWN)) as names:
            async for name in names:
                heard.append(name)  # noqa: PERF401 - each is to be seen at once

    listening = asyncio.create_task(listen())
    for _ in range(5):
        await asyncio.sleep(0)
    on_docker = await two.live()
    two.docker.exit(on_docker, 1)
    await two.ship("v2", SWARM)
    for _ in range(5):
        await asyncio.sleep(0)
    on_swarm = await two.live()
    two.swarm.exit(on_swarm, 1)
    for _ in range(5):
        await asyncio.sleep(0)
    assert on_docker in heard
    assert on_swarm in heard
    two.swarm.go_away()
    with pytest.raises(EngineUnavailableError):
        await listening


async def test_a_fault_in_following_exits_reaches_the_caller(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Mapping[str, str]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(two.docker, "watch_exits", broken)
    with pytest.raises(ZeroDivisionError):
        await anext(two.engines.watch_exits(OWN))


async def test_logs_and_networks_are_those_of_its_engine(two: Two) -> None:
    await two.ship("v1")
    two.docker.say(await two.live(), "from docker")
    assert [one.text for one in await two.engines.logs(await two.live(), 1)] == ["from docker"]
    await two.ship("v2", SWARM)
    two.swarm.say(await two.live(), "from the swarm")
    follow = two.engines.follow_logs(await two.live(), 1)
    async with aclosing(follow) as lines:
        assert (await anext(lines)).text == "from the swarm"
    (name,) = await two.engines.list_networks(OWN)
    assert await two.swarm.list_networks(OWN) == await two.docker.list_networks(OWN) == [name]


async def test_one_engine_has_no_other(led: World) -> None:
    assert await led.runtime.on(None) is led.runtime
    with pytest.raises(EngineMissingError):
        await led.runtime.on(SWARM)
