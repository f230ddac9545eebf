"""Port and healthcheck follow the image as long as nobody has set them, each deploy its own
image's.
"""

import pytest

from tagboat.core.deploy import Deploy, DeployStatus, InstanceState, StepName, Trigger
from tagboat.core.image import ImageInfo
from tagboat.core.ports import Queued
from tagboat.deploy.following import foreign, live_reason
from tagboat.deploy.queue import DeployQueue
from tagboat.operations.stage_actions import StageActions
from tagboat.runtime.memory import MemoryImage
from tests.unit.deploy.deploy_harness import World

pytestmark = pytest.mark.anyio


def exposing(*ports: int, healthcheck: str = "") -> MemoryImage:
    labels = {"tagboat.healthcheck": healthcheck} if healthcheck else {}
    return MemoryImage(info=ImageInfo(tcp_ports=ports, labels=labels))


async def described(world: World) -> tuple[int, str]:
    project = await world.store.read(lambda reader: reader.project(world.project.id))
    return project.port, project.healthcheck


async def port_of(world: World, deploy: Deploy) -> int:
    return world.runtime.spec(world.container_of(deploy)).port


async def deployed(world: World, tag: str, content: MemoryImage | None = None) -> Deploy:
    if content is not None:
        world.publish(tag, content)
    ended = await world.carry_out(await world.queue(tag))
    assert ended.status is DeployStatus.SUCCEEDED, ended.reason
    return ended


@pytest.fixture
async def led_by_image(world: World) -> World:
    """Return a project of which nobody has said anything."""
    await world.change_project(port=0, inspected=False, port_set=False, healthcheck_set=False)
    return world


async def test_a_port_that_the_image_gets_later_mends_the_project(led_by_image: World) -> None:
    world = led_by_image
    first = await deployed(world, "v1", exposing())
    assert first.reason == (
        f"v1 is live, but has no port, so it has no address; EXPOSE one in the image, "
        f"or set it with"
        f" 'tagboat projects edit {world.project.name} --port N', then deploy again"
    )

    second = await deployed(world, "v2", exposing(8080, healthcheck="/up"))

    assert (await described(world), await port_of(world, second), second.reason) == (
        (8080, "/up"),
        8080,
        "v2 is live",
    )


async def test_what_a_person_has_set_is_followed_by_no_image(led_by_image: World) -> None:
    world = led_by_image
    await world.change_project(port=9000, port_set=True)
    ended = await deployed(world, "v1", exposing(8080, healthcheck="/up"))
    assert (await described(world), await port_of(world, ended)) == ((9000, "/up"), 9000)

    await world.change_project(port=9000, port_set=True, healthcheck="", healthcheck_set=True)
    assert await described(world) == (9000, "")
    await deployed(world, "v2", exposing(8080, healthcheck="/up"))
    assert await described(world) == (9000, "")


async def test_a_port_of_zero_that_a_person_has_set_stays_and_is_told(led_by_image: World) -> None:
    await led_by_image.change_project(port=0, port_set=True)
    ended = await deployed(led_by_image, "v1", exposing(8080))
    assert await port_of(led_by_image, ended) == 0
    assert "has no port" in (ended.reason or "")
    assert "set it with 'tagboat projects edit" in (ended.reason or "")


async def test_every_version_goes_by_its_own_image_and_is_known_again(led_by_image: World) -> None:
    """Two stages.

    The one's newest image must not change what the other's older one is started with.
    """
    world = led_by_image
    other = await world.another_stage("prod")
    world.publish("v1", exposing(8080))
    in_prod = await world.carry_out(await world.queue("v1", stage=other))
    newest = await deployed(world, "v2", exposing(3000))
    assert (await described(world))[0] == 3000

    again = await world.carry_out(await world.queue("v1", stage=other))
    forced = await world.carry_out(await world.queue("v1", stage=other, force=True))

    assert again.reason == "already live"
    ports = {
        deploy.id: world.runtime.spec(world.container_of(deploy, stage)).port
        for deploy, stage in ((newest, world.stage), (forced, other))
    }
    assert ports == {newest.id: 3000, forced.id: 8080}
    assert in_prod.status is DeployStatus.SUCCEEDED


async def test_a_rollback_has_the_port_of_then_and_leaves_the_project_with_that_of_the_newest(
    led_by_image: World,
) -> None:
    world = led_by_image
    await deployed(world, "v1", exposing(8080, healthcheck="/old"))
    await deployed(world, "v2", exposing(3000, healthcheck="/new"))
    orders = StageActions(DeployQueue(world.clock.now), world.clock.now)

    queued: Queued = await world.store.write(lambda tx: orders.rollback(tx, world.stage.id))
    ended = await world.carry_out(await world.deploy(queued.deploy_id))

    assert (ended.status, ended.trigger, ended.tag) == (
        DeployStatus.SUCCEEDED,
        Trigger.ROLLBACK,
        "v1",
    )
    assert await port_of(world, ended) == 8080
    assert world.probe.asked[-1][1] == "/old"
    assert await described(world) == (3000, "/new")


async def test_an_image_for_another_machine_is_told_in_the_pull_and_where_it_dies(
    world: World,
) -> None:
    elsewhere = ImageInfo(platform="linux/arm64")
    world.publish("v1", MemoryImage(info=elsewhere, exit_code=1))
    ended = await world.carry_out(await world.queue("v1"))
    words = "the image is built for linux/arm64, this engine is linux/amd64"
    assert words in ended.step(StepName.PULL).detail
    assert (ended.reason or "").startswith(f"the new container exited with code 1; {words}")

    emulated = await deployed(world, "v2", MemoryImage(info=elsewhere))
    assert words in emulated.step(StepName.PULL).detail
    assert (await world.instance_of(emulated)).state is InstanceState.LIVE


async def test_labels_that_cannot_be_used_are_told_in_the_pull(led_by_image: World) -> None:
    world = led_by_image
    labels = {
        "tagboat.port": "8080/tcp",
        "tagboat.healthcheck": "no slash",
        "tagboat.protocol": "gopher",
    }
    image = MemoryImage(info=ImageInfo(tcp_ports=(3000,), labels=labels))
    told = (await deployed(world, "v1", image)).step(StepName.PULL).detail
    for words in (
        "label tagboat.port is '8080/tcp' and not a port",
        "label tagboat.healthcheck is 'no slash' and not /path or image",
        "label tagboat.protocol is 'gopher' and not http, h2c or https",
    ):
        assert words in told
    assert await described(world) == (3000, "")

    # What a person has set leaves nothing to follow.
    await world.change_project(port_set=True, healthcheck_set=True, protocol_set=True)
    set_by_hand = await deployed(
        world, "v2", MemoryImage(info=ImageInfo(tcp_ports=(3000,), labels=labels), log=("2",))
    )
    assert "label" not in set_by_hand.step(StepName.PULL).detail


@pytest.mark.parametrize(
    ("image", "engine", "fits"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/386", "linux/amd64", True),
        ("linux/arm", "linux/arm64", True),
        ("linux/riscv64", "linux/riscv64", True),
        ("linux/arm64", "linux/amd64", False),
        ("linux/amd64", "linux/arm64", False),
        ("linux/arm64", "linux/arm", False),
        ("windows/amd64", "linux/amd64", False),
        ("", "linux/amd64", True),
        ("linux/amd64", "", True),
    ],
)
def test_which_machine_runs_what(image: str, engine: str, fits: bool) -> None:
    assert (foreign(image, engine) == "") is fits


def test_what_is_live_with_a_port_is_live() -> None:
    assert live_reason("v1", 80, "app", port_set=False) == "v1 is live"


def speaking(protocol: str, log: str) -> MemoryImage:
    labels = {"tagboat.protocol": protocol} if protocol else {}
    return MemoryImage(info=ImageInfo(tcp_ports=(8080,), labels=labels), log=(log,))


async def test_the_protocol_follows_the_image_in_both_directions(led_by_image: World) -> None:
    world = led_by_image
    spoken = []
    for number, label in enumerate(("", "h2c", "", "HTTPS", "http")):
        deploy = await deployed(world, f"v{number}", speaking(label, str(number)))
        spoken.append((await world.instance_of(deploy)).protocol.value)
    assert spoken == ["http", "h2c", "http", "https", "http"]


async def test_the_protocol_that_a_person_has_set_stays(led_by_image: World) -> None:
    world = led_by_image
    await world.change_project(protocol_set=True)
    deploy = await deployed(world, "v1", speaking("h2c", ""))
    assert (await world.instance_of(deploy)).protocol.value == "http"
