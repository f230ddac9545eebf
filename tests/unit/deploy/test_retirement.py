"""Containers that a person made: a deploy replaces them, and they are stopped, not removed."""

from collections.abc import Callable

import pytest

from tagboat.core.catalog import Strategy, run_config
from tagboat.core.deploy import (
    ADOPTED,
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
    Trigger,
)
from tagboat.core.endpoint import LOOPBACK, Endpoint
from tagboat.core.errors import EngineError
from tagboat.core.ids import new_id
from tagboat.core.ports import Tx
from tagboat.core.run import RunOptions
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.reconcile import reconcile
from tagboat.deploy.removal import Removal
from tagboat.operations.stage_actions import StageActions
from tests.support.endpoints import port_of
from tests.unit.deploy.deploy_harness import HOST, World
from tests.unit.deploy.interceptor import START

pytestmark = pytest.mark.anyio
THEIRS = "shop-web-1"


async def adopted(world: World, volumes: dict[str, str] | None = None) -> Instance:
    """Run a container as a person may, and put it on record as taken over."""
    digest = world.publish("v1")
    image = world.project.image
    await world.runtime.pull(image, digest, None, lambda _: None)
    endpoint = Endpoint(LOOPBACK, 30001)
    spec = WorkloadSpec(
        name=THEIRS,
        image=f"{image}@{digest}",
        labels={},
        port=8080,
        endpoint=endpoint,
        volumes=volumes or {},
    )
    container_id = await world.runtime.create(spec)
    await world.runtime.start(THEIRS)
    deploy = Deploy(
        id=new_id(),
        project_id=world.project.id,
        stage_id=world.stage.id,
        tag="v1",
        digest=digest,
        trigger=Trigger.MANUAL,
        status=DeployStatus.SUCCEEDED,
        created_at=START,
    )
    instance = Instance(
        id=new_id(),
        deploy_id=deploy.id,
        project_id=world.project.id,
        stage_id=world.stage.id,
        tag="v1",
        digest=digest,
        state=InstanceState.LIVE,
        container=THEIRS,
        container_id=container_id,
        endpoints=(endpoint,),
        fingerprint=ADOPTED,
        started_at=START,
        live_at=START,
    )
    await world.store.write(lambda tx: tx.add_deploy(deploy))
    await world.store.write(lambda tx: tx.add_instance(instance))
    return instance


async def test_the_first_deploy_replaces_it_without_a_cut_and_leaves_it_stopped(led: World) -> None:
    theirs = await adopted(led)
    await reconcile(led.services)
    await led.services.traffic.apply_routes()
    assert led.routes[HOST] == "30001"

    ended = await led.carry_out(await led.queue("v1"))

    assert ended.status is DeployStatus.SUCCEEDED, ended.reason
    own = await led.instance_of(ended)
    assert led.routes[HOST] == str(port_of(own))
    assert led.cut == []
    assert (THEIRS in await led.containers(), await led.is_running(THEIRS)) == (True, False)
    gone = await led.store.read(lambda reader: reader.instance(theirs.id))
    assert gone.state is InstanceState.STOPPED
    assert f"stopped {THEIRS}, which is not removed" in ended.step(StepName.RETIRE).detail
    assert f"set_aside {THEIRS}" in led.runtime.journal


async def test_a_deploy_that_fails_leaves_it_serving(led: World) -> None:
    await adopted(led)
    await led.services.traffic.apply_routes()
    led.publish("v2")
    led.runtime.fail("create", EngineError("no"))

    ended = await led.carry_out(await led.queue("v2"))

    assert ended.status is DeployStatus.FAILED
    assert (led.routes[HOST], await led.is_running(THEIRS)) == ("30001", True)


async def test_an_app_that_keeps_data_goes_on_with_its_volume(led: World) -> None:
    await led.change_stage(
        run=RunOptions(volumes={"data": "/data"}), adopted_volumes={"data": "shop_data"}
    )
    await adopted(led, {"shop_data": "/data"})
    ended = await led.carry_out(await led.queue("v1"))
    assert ended.status is DeployStatus.SUCCEEDED, ended.reason
    made = await led.instance_of(ended)
    assert dict(led.runtime.spec(made.container).volumes) == {"shop_data": "/data"}
    assert (THEIRS in await led.containers(), await led.is_running(THEIRS)) == (True, False)
    assert "shop_data" in led.runtime.volumes


async def test_it_is_started_again_where_it_was_stopped_for_a_deploy_that_fails(led: World) -> None:
    theirs = await adopted(led)
    await led.change_stage(strategy=Strategy.RECREATE)
    led.publish("v2")
    led.runtime.fail("create", EngineError("no"))

    ended = await led.carry_out(await led.queue("v2"))

    assert ended.status is DeployStatus.FAILED
    assert (led.routes[HOST], await led.is_running(THEIRS)) == ("30001", True)
    assert (await led.instances(InstanceState.LIVE)) == [theirs]


async def test_a_rollback_to_it_leaves_it_running(led: World) -> None:
    theirs = await adopted(led)
    (taken,) = await led.deploys()
    config = run_config(led.project, led.stage)
    await led.store.write(lambda tx: tx.put_deploy_config(taken.id, config))
    orders = StageActions(DeployQueue(led.clock.now), led.clock.now)
    first, second = [
        await led.store.write(lambda tx: orders.rollback(tx, led.stage.id, taken.id))
        for _ in range(2)
    ]
    assert second.deploy_id == first.deploy_id
    ended = await led.carry_out(await led.deploy(first.deploy_id))
    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "already live")
    assert await led.instances(InstanceState.LIVE) == [theirs]
    assert await led.is_running(THEIRS)


async def test_it_is_started_again_later_where_the_first_try_failed(led: World) -> None:
    theirs = await adopted(led)
    (deploy,) = await led.deploys()
    await led.change_deploy(deploy, status=DeployStatus.FAILED, made_way=True)
    await led.runtime.stop(THEIRS)
    await reconcile(led.services)
    assert await led.is_running(THEIRS)
    began = len(led.runtime.journal)
    await reconcile(led.services)
    await led.runtime.remove(THEIRS)
    await reconcile(led.services)
    assert led.runtime.journal[began:] == [f"remove {THEIRS}"]
    assert await led.instances(InstanceState.LIVE) == [theirs]


async def test_nobody_starts_it_again_for_its_owner(led: World) -> None:
    await adopted(led)
    await led.runtime.stop(THEIRS)
    began = len(led.runtime.journal)
    await reconcile(led.services)
    assert led.runtime.journal[began:] == []


async def test_a_drain_in_the_background_stops_it_too(led: World) -> None:
    theirs = await adopted(led)
    await led.store.write(lambda tx: tx.put_instance(replace(theirs, state=InstanceState.DRAINING)))
    await reconcile(led.services)
    assert (THEIRS in await led.containers(), await led.is_running(THEIRS)) == (True, False)


async def test_deleting_the_stage_leaves_it_running(
    led: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await adopted(led)

    async def abandon(_stages: object) -> None:
        """No worker is at work."""

    async def seen(change: Callable[[Tx], object]) -> object:
        found = await write(change)
        states.extend(one.state for one in await led.instances())
        return found

    states: list[InstanceState] = []
    write = led.store.write
    monkeypatch.setattr(led.store, "write", seen)
    # For a deploy that is withdrawn with the project.
    (deploy,) = await led.deploys()
    await led.change_deploy(deploy, status=DeployStatus.CANCELLED, made_way=True)
    await led.runtime.stop(THEIRS)
    removal = Removal(led.store, led.runtime, abandon, led.clock.now)
    await removal.remove_project(led.project.id)
    assert await led.is_running(THEIRS)
    assert await led.instances() == []
    # After a death in between, the next start of the server would stop what drains.
    assert InstanceState.DRAINING not in states
