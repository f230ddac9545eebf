"""In which protocol a deploy speaks to its app, and what it says of an app that speaks another."""

import pytest

from tagboat.core.deploy import DeployStatus, StepName
from tagboat.core.image import ImageInfo
from tagboat.core.protocol import AppProtocol
from tagboat.deploy.queue import DeployQueue
from tagboat.engine.memory import MemoryImage
from tagboat.operations.stage_actions import StageActions
from tests.unit.deploy.scene import FIRST_PORT, HOST, World

pytestmark = pytest.mark.anyio


async def test_the_instance_is_asked_and_led_to_in_the_project_s_protocol(led: World) -> None:
    await led.change_project(protocol_set=True, protocol=AppProtocol.H2C, healthcheck="/up")
    await led.ship("v1")
    assert led.probe.asked_in[0][0] is AppProtocol.H2C
    assert led.routes[HOST] == f"{FIRST_PORT}/h2c"


async def test_what_is_live_is_led_to_as_it_was_started(led: World) -> None:
    """Until the next deploy, and again after a rollback: the old image speaks what it spoke."""
    await led.ship("v1")
    await led.change_project(protocol_set=True, protocol=AppProtocol.HTTPS)
    assert led.parts.traffic is not None
    await led.parts.traffic.lead()
    assert led.routes[HOST] == str(FIRST_PORT)
    second = await led.ship("v2")
    assert led.routes[HOST] == f"{second.host_port}/https"
    assert second.url == f"https://127.0.0.1:{second.host_port}"

    orders = StageActions(DeployQueue(led.clock.now), led.clock.now)
    queued = await led.store.write(lambda tx: orders.rollback(tx, led.stage.id))
    ended = await led.carry_out(await led.deploy(queued.deploy_id))
    assert led.routes[HOST] == str((await led.instance_of(ended)).host_port)


async def test_the_same_digest_in_another_protocol_is_a_deploy(world: World) -> None:
    await world.ship("v1")
    await world.change_project(protocol_set=True, protocol=AppProtocol.H2C)
    ended = await world.carry_out(await world.queue("v1"))
    assert ended.reason == "v1 is live"
    assert (await world.instance_of(ended)).protocol is AppProtocol.H2C


@pytest.mark.parametrize(
    ("speaks", "words"), [(AppProtocol.H2C, "HTTP/2 only"), (AppProtocol.HTTPS, "speaks TLS")]
)
async def test_an_app_that_speaks_another_protocol_is_named_so(
    world: World, speaks: AppProtocol, words: str
) -> None:
    world.probe.speaks = speaks
    world.publish("v1")
    ended = await world.carry_out(await world.queue("v1"))
    assert ended.status is DeployStatus.SUCCEEDED
    for said in (ended.reason or "", ended.step(StepName.CHECK).detail):
        assert words in said
        assert f"set the project's protocol to {speaks.value}" in said


async def test_a_path_that_it_cannot_answer_ends_with_the_protocol_s_name(world: World) -> None:
    await world.change_project(healthcheck="/up")
    await world.change_stage(health_timeout_s=0)
    world.probe.says, world.probe.speaks = "it answered something that is not HTTP", AppProtocol.H2C
    world.publish("v1")
    ended = await world.carry_out(await world.queue("v1"))
    assert ended.status is DeployStatus.FAILED
    assert "not HTTP" in (ended.reason or "")
    assert "set the project's protocol to h2c" in (ended.reason or "")


async def test_a_project_made_by_itself_takes_the_label(world: World) -> None:
    await world.change_project(inspected=False)
    info = ImageInfo(tcp_ports=(8080,), has_healthcheck=False, labels={"tagboat.protocol": "h2c"})
    world.publish("v1", MemoryImage(info=info))
    ended = await world.carry_out(await world.queue("v1"))
    assert (await world.instance_of(ended)).protocol is AppProtocol.H2C


@pytest.mark.parametrize("said", [None, "answered HTTP 404"])
async def test_without_a_path_any_answer_in_its_protocol_is_one(
    world: World, said: str | None
) -> None:
    await world.change_project(protocol_set=True, protocol=AppProtocol.H2C)
    world.probe.says = said
    world.publish("v1")
    assert (await world.carry_out(await world.queue("v1"))).status is DeployStatus.SUCCEEDED


async def test_and_one_that_does_not_speak_it_replaces_nothing(world: World) -> None:
    await world.ship("v1")
    await world.change_project(protocol_set=True, protocol=AppProtocol.HTTPS)
    world.probe.says = "it does not speak https, which the project's protocol says"
    world.publish("v2")
    ended = await world.carry_out(await world.queue("v2"))
    assert ended.status is DeployStatus.FAILED
    assert "it does not speak https" in (ended.reason or "")
