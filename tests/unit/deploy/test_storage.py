"""What an app keeps from one version to the next, and what it is given of the machine."""

import pytest

from tagboat.core.catalog import Strategy
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, StepName, Trigger
from tagboat.core.errors import DeployFailedError, EndpointTakenError
from tagboat.core.image import ImageInfo
from tagboat.core.run import RunOptions
from tagboat.core.storage import image_volume_name
from tagboat.core.values import replace
from tagboat.deploy.pipeline import Pipeline
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.reconcile import reconcile
from tagboat.operations.stage_life import StageLife
from tagboat.runtime.memory import MemoryImage
from tests.unit.deploy.deploy_harness import INSTALLATION, World, assert_fails, assert_only
from tests.unit.deploy.interceptor import Died

pytestmark = pytest.mark.anyio


def keeping(*paths: str, log: str = "") -> MemoryImage:
    return MemoryImage(info=ImageInfo(tcp_ports=(8080,), volumes=paths), log=(log,))


def volumes_of(world: World, instance: Instance) -> dict[str, str]:
    return dict(world.runtime.spec(instance.container).volumes)


async def shipped(world: World, tag: str, content: MemoryImage) -> tuple[Instance, Deploy]:
    made = await world.ship(tag, content)
    return made, await world.deploy(made.deploy_id)


async def as_of_an_earlier_version(world: World, live: Instance) -> str:
    """Let it be as if the engine had made a volume for /data by itself; the volume's name."""
    spec = world.runtime.spec(live.container)
    await world.runtime.remove(live.container)
    await world.runtime.create(replace(spec, volumes={}))
    await world.runtime.start(spec.name)
    await world.store.write(lambda tx: tx.put_instance(replace(live, container_id="")))
    await world.change_stage(image_volumes=(), adopted_volumes={})
    config = await world.store.read(lambda reader: reader.deploy_config(live.deploy_id))
    assert config is not None
    await world.store.write(
        lambda tx: tx.put_deploy_config(live.deploy_id, replace(config, image_volumes=()))
    )
    status = await world.runtime.status(spec.name)
    assert status is not None
    return status.unasked_volumes["/data"]


async def test_what_an_image_declares_lasts_from_version_to_version(led: World) -> None:
    first, deploy = await shipped(led, "v1", keeping("/data"))
    name = image_volume_name(led.stage, "/data")
    assert volumes_of(led, first) == {name: "/data"}
    said = f"; /data, a VOLUME of the image, lasts in the stage's volume {name}"
    assert deploy.step(StepName.START).detail == f"started {first.container}{said}"

    await led.change_project(name="renamed")
    second, _ = await shipped(led, "v2", keeping("/data", "/more"))
    assert volumes_of(led, second) == {
        name: "/data",
        image_volume_name(led.stage, "/more"): "/more",
    }
    assert led.runtime.volumes == {name, image_volume_name(led.stage, "/more")}


async def test_the_volumes_tell_whose_they_are(led: World) -> None:
    await led.change_stage(run=RunOptions(volumes={"own": "/own"}))
    made, _ = await shipped(led, "v1", keeping("/data"))
    assert led.runtime.spec(made.container).volume_labels == {
        "tagboat.managed": "true",
        "tagboat.installation": INSTALLATION,
        "tagboat.project": "app",
        "tagboat.stage": "dev",
        "tagboat.stage_id": led.stage.id,
    }


async def test_the_old_one_stops_first_where_its_image_keeps_data(led: World) -> None:
    old, _ = await shipped(led, "v1", keeping("/data"))
    began = len(led.runtime.journal)
    new, _ = await shipped(led, "v2", keeping("/data", log="2"))
    calls = [line for line in led.runtime.journal[began:] if not line.startswith("pull")]
    assert calls[:3] == [
        f"stop {old.container}",
        f"create {new.container}",
        f"start {new.container}",
    ]
    await assert_only_runs(led, new)


async def assert_only_runs(world: World, live: Instance) -> None:
    assert await world.containers() == [live.container]
    assert await world.is_running(live.container)


async def test_a_failed_one_gives_the_data_back(led: World) -> None:
    old, _ = await shipped(led, "v1", keeping("/data"))
    led.publish(
        "v2", MemoryImage(info=ImageInfo(tcp_ports=(8080,), volumes=("/data",)), exit_code=1)
    )
    ended = await led.carry_out(await led.queue("v2"))
    assert ended.status is DeployStatus.FAILED
    await assert_only_runs(led, old)
    assert led.runtime.volumes == {image_volume_name(led.stage, "/data")}


async def test_what_a_container_of_an_earlier_version_wrote_is_gone_on_with(led: World) -> None:
    old, _ = await shipped(led, "v1", keeping("/data"))
    written = await as_of_an_earlier_version(led, old)

    new, deploy = await shipped(led, "v2", keeping("/data", log="2"))

    assert volumes_of(led, new) == {written: "/data"}
    assert (
        f"/data, a VOLUME of the image, lasts in the volume {written} that the old container had"
        in str(deploy.step(StepName.START).detail)
    )
    third, deploy = await shipped(led, "v3", keeping("/data", log="3"))
    assert volumes_of(led, third) == {written: "/data"}
    assert f"lasts in the stage's volume {written}" in str(deploy.step(StepName.START).detail)
    assert written in led.runtime.volumes


async def test_what_is_not_used_any_more_is_left_and_told_of(led: World) -> None:
    old, _ = await shipped(led, "v1", keeping("/data"))
    written = await as_of_an_earlier_version(led, old)
    await led.change_stage(run=RunOptions(volumes={"own": "/data"}))

    new, deploy = await shipped(led, "v2", keeping("/data", log="2"))

    assert volumes_of(led, new) == {f"tagboat-{led.stage.id}-own": "/data"}
    left = (
        f"the volume {written}, at /data of {old.container}, stays on the engine and is "
        f"not used any more"
    )
    assert left in str(deploy.step(StepName.START).detail)
    assert written in led.runtime.volumes


async def test_a_death_after_it_was_taken_over_loses_nothing(led: World) -> None:
    old, _ = await shipped(led, "v1", keeping("/data"))
    written = await as_of_an_earlier_version(led, old)
    led.publish("v2", keeping("/data", log="2"))
    deploy = await led.queue("v2")

    async def stopped() -> bool:
        return not await led.is_running(old.container)

    led.calls.die_when("stop", stopped)
    with pytest.raises(Died):
        await Pipeline(led.services, deploy.id).carry_out()
    led.calls.live_on()
    ended = await led.carry_out(deploy)

    assert ended.status is DeployStatus.SUCCEEDED
    assert volumes_of(led, await led.instance_of(ended)) == {written: "/data"}


@pytest.mark.parametrize("gone", [False, True])
async def test_the_sweep_makes_a_container_again_with_its_data(led: World, gone: bool) -> None:
    live, _ = await shipped(led, "v1", keeping("/data"))
    await led.runtime.stop(live.container)
    if gone:
        await led.runtime.remove(live.container)
    else:
        led.runtime.fail("start", EndpointTakenError("port is already allocated"))
    await reconcile(led.services)
    assert volumes_of(led, live) == {image_volume_name(led.stage, "/data"): "/data"}


async def test_the_sweep_too_goes_on_with_what_an_earlier_version_wrote(led: World) -> None:
    live, _ = await shipped(led, "v1", keeping("/data"))
    written = await as_of_an_earlier_version(led, live)
    await led.runtime.stop(live.container)
    led.runtime.fail("start", EndpointTakenError("port is already allocated"))
    await reconcile(led.services)
    assert volumes_of(led, live) == {written: "/data"}
    await led.runtime.remove(live.container)
    await reconcile(led.services)
    assert volumes_of(led, live) == {written: "/data"}


async def test_so_does_the_start_after_a_stop(led: World) -> None:
    live, _ = await shipped(led, "v1", keeping("/data"))
    written = await as_of_an_earlier_version(led, live)
    life = StageLife(DeployQueue(led.clock.now), led.clock.now)
    await led.store.write(lambda tx: life.stop(tx, led.stage.id))
    await reconcile(led.services)
    assert await led.containers() == []
    (deploy,) = await led.store.write(lambda tx: life.start(tx, led.stage.id))
    ended = await led.carry_out(await led.deploy(deploy))
    assert volumes_of(led, await led.instance_of(ended)) == {written: "/data"}


async def test_a_configuration_of_old_learns_what_its_image_keeps(led: World) -> None:
    first, _ = await shipped(led, "v1", keeping("/data"))
    config = await led.store.read(lambda reader: reader.deploy_config(first.deploy_id))
    assert config is not None
    await shipped(led, "v2", MemoryImage())
    back = await led.queue("v1")
    await led.store.write(
        lambda tx: tx.put_deploy_config(back.id, replace(config, image_volumes=()))
    )
    await led.change_deploy(back, trigger=Trigger.ROLLBACK)
    ended = await led.carry_out(back)
    assert volumes_of(led, await led.instance_of(ended)) == {
        image_volume_name(led.stage, "/data"): "/data"
    }


async def test_rolling_by_hand_is_done_and_warned_of(led: World) -> None:
    await led.change_stage(strategy=Strategy.ROLLING)
    old, _ = await shipped(led, "v1", keeping("/data"))
    began = len(led.runtime.journal)
    new, deploy = await shipped(led, "v2", keeping("/data", log="2"))
    calls = [line for line in led.runtime.journal[began:] if not line.startswith("pull")]
    assert calls[:3] == [
        f"create {new.container}",
        f"start {new.container}",
        f"stop {old.container}",
    ]
    assert "the strategy is rolling, so at each deploy" in str(deploy.step(StepName.START).detail)


async def test_several_side_by_side_share_the_data_and_are_warned(led: World) -> None:
    await led.change_stage(max_instances=2)
    await shipped(led, "v1", keeping("/data"))
    _, deploy = await shipped(led, "v2", keeping("/data", log="2"))
    assert "all instances of the stage, up to 2, share what is at /data" in str(
        deploy.step(StepName.START).detail
    )
    assert len(await led.instances(InstanceState.LIVE)) == 2
    assert led.runtime.volumes == {image_volume_name(led.stage, "/data")}


async def test_an_app_that_keeps_nothing_is_as_ever(led: World) -> None:
    live, deploy = await shipped(led, "v1", MemoryImage())
    assert deploy.step(StepName.START).detail == f"started {live.container}"
    assert volumes_of(led, live) == {}
    await assert_only(led, live)


# The command line.

APP = ("/app", "--serve")
MIGRATE = ("/migrate",)


@pytest.mark.parametrize(
    ("options", "app", "release"),
    [
        (RunOptions(), (None, ()), ((), MIGRATE)),
        (RunOptions(command=APP), ((), APP), ((), MIGRATE)),
        (RunOptions(entrypoint=("/init",)), (("/init",), ()), ((), MIGRATE)),
        (RunOptions(entrypoint=("/init",), command=APP), (("/init",), APP), ((), MIGRATE)),
        (RunOptions(entrypoint="image"), (None, ()), (None, MIGRATE)),
        (RunOptions(entrypoint="image", command=APP), (None, APP), (None, MIGRATE)),
    ],
)
async def test_commands_are_whole_command_lines_unless_the_entrypoint_is_kept(
    world: World, options: RunOptions, app: object, release: object
) -> None:
    await world.change_stage(run=replace(options, release_command=MIGRATE))
    world.publish("v1", MemoryImage(exit_code=0))
    deploy = await world.queue("v1")
    seen: list[object] = []
    create = world.runtime.create

    async def note(spec: object) -> str:
        seen.append((spec.entrypoint, spec.command))  # type: ignore[attr-defined]
        return await create(spec)  # type: ignore[arg-type]

    world.runtime.create = note  # type: ignore[method-assign]
    await world.carry_out(deploy)
    assert seen[:2] == [release, app]


async def test_the_step_says_that_the_release_command_runs(world: World) -> None:
    await world.change_stage(run=RunOptions(release_command=MIGRATE))
    world.publish("v1", MemoryImage(exit_code=0))
    deploy = await world.queue("v1")
    said: list[str] = []

    async def look() -> None:
        said.append((await world.deploy(deploy.id)).step(StepName.START).detail)

    world.calls.before("start", look)
    await world.carry_out(deploy)
    assert said == ["the release command runs"]


# What is given of the machine.


async def test_a_path_that_is_not_allowed_any_more_fails_the_deploy_and_nothing_else(
    led: World,
) -> None:
    await led.ship("v1")
    await led.change_stage(run=RunOptions(binds=("/srv/a:/a:ro",)))
    led.publish("v2")
    await assert_fails(
        led, "v2", StepName.START, "/srv/a is a path of the server's host, and none is allowed"
    )


async def test_paths_are_given_as_they_are_found(led: World) -> None:
    await led.change_stage(run=RunOptions(binds=("/srv/a:/a:ro",), devices=("/dev/a:/dev/b:r",)))
    led.publish("v1")
    deploy = await led.queue("v1")
    await Pipeline(
        replace(led.services, host_path=lambda path: f"/real{path}"), deploy.id
    ).carry_out()
    spec = led.runtime.spec(led.container_of(deploy))
    assert [str(bind) for bind in spec.binds] == ["/real/srv/a:/a:ro"]
    assert [str(device) for device in spec.devices] == ["/real/dev/a:/dev/b:r"]


async def test_a_published_port_that_is_taken_is_named_and_asked_for_once(led: World) -> None:
    await led.change_stage(run=RunOptions(publish=("127.0.0.1:5353:53/udp",)))
    other = await led.another_stage("other")
    await led.store.write(
        lambda tx: tx.put_stage(replace(other, run=RunOptions(publish=("127.0.0.1:5353:53/udp",))))
    )
    live = await led.ship("v1")
    assert [str(one) for one in led.runtime.spec(live.container).publish] == [
        "127.0.0.1:5353:53/udp"
    ]

    ended = await led.carry_out(await led.queue("v1", stage=other))

    assert ended.status is DeployStatus.FAILED
    assert str(ended.reason).startswith(
        "the port 5353 of the machine, which publish asks for, is taken; end what has it"
    )
    assert len([line for line in led.runtime.journal if line.startswith("create app-other")]) == 1
    await assert_only_runs(led, live)
    assert (await led.ship("v2")).container in await led.containers()


async def test_the_sweep_leaves_a_container_whose_published_port_is_taken(led: World) -> None:
    await led.change_stage(run=RunOptions(publish=("127.0.0.1:5353:53/udp",)))
    live = await led.ship("v1")
    await led.runtime.stop(live.container)
    led.runtime.fail(
        "start", EndpointTakenError("Bind for 127.0.0.1:5353 failed: port is already allocated")
    )
    with pytest.raises(DeployFailedError, match="the port 5353 of the machine"):
        await reconcile(led.services)
    await reconcile(led.services)
    await assert_only_runs(led, live)


async def test_what_is_not_mounted_any_more_is_said(led: World) -> None:
    await led.change_stage(run=RunOptions(volumes={"own": "/own"}))
    await shipped(led, "v1", keeping("/data"))
    await led.change_stage(run=RunOptions(volumes={"other": "/own"}))
    _, deploy = await shipped(led, "v2", keeping(log="2"))
    detail = deploy.step(StepName.START).detail
    for name, path in (
        (f"tagboat-{led.stage.id}-own", "/own"),
        (image_volume_name(led.stage, "/data"), "/data"),
    ):
        assert (
            f"the volume {name}, until now at {path}, is not mounted any more, and "
            f"what is in it stays there"
        ) in detail


async def test_data_that_stays_on_another_node_is_said(led: World) -> None:
    led.runtime.is_cluster = led.runtime.self_healing = True
    keeps = RunOptions(volumes={"data": "/data"})
    await led.change_stage(run=keeps, constraints=("node.hostname==n1",))
    await shipped(led, "v1", keeping())
    await led.change_stage(constraints=("node.hostname==n2",))
    _, deploy = await shipped(led, "v2", keeping(log="2"))
    said = "kept at /data stays on node.hostname==n1: on node.hostname==n2 the app starts with an"
    assert said in deploy.step(StepName.START).detail


@pytest.mark.parametrize("path", ["/run", "/run/secrets"])
async def test_secret_files_are_not_written_into_what_lasts(led: World, path: str) -> None:
    await led.change_stage(run=RunOptions(secret_files={"key": "hunter2"}))
    led.publish("v1", keeping(path))
    ended = await led.carry_out(await led.queue("v1"))
    assert ended.status is DeployStatus.FAILED
    assert f"the image declares a VOLUME at {path}" in (ended.reason or "")
    assert led.runtime.volumes == set()


async def test_beside_it_they_may_be(led: World) -> None:
    await led.change_stage(run=RunOptions(secret_files={"key": "hunter2"}))
    await shipped(led, "v1", keeping("/run/app", "/runner"))
