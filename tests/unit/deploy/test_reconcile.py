"""Sweeping: what nobody knows goes, what a record knows or somebody else owns stays."""

import asyncio
import contextlib
from itertools import pairwise

import pytest

from tagboat.core.deploy import Deploy, DeployStatus, InstanceState, StepName
from tagboat.core.errors import EngineError, EngineUnavailableError, StoreUnavailableError
from tagboat.core.values import replace
from tagboat.deploy.pipeline import Pipeline
from tagboat.deploy.reconcile import (
    RECONCILE_EVERY_S,
    RECONCILE_MIN_INTERVAL_S,
    RECONCILE_RETRY_S,
    reconcile,
    run_reconciler,
)
from tests.unit.deploy.deploy_harness import INSTALLATION, World, assert_only
from tests.unit.deploy.interceptor import Died

pytestmark = pytest.mark.anyio

OURS = {"tagboat.managed": "true", "tagboat.installation": INSTALLATION}


def times(world: World, call: str) -> int:
    return sum(line.startswith(f"{call} ") for line in world.runtime.journal)


async def cut_off_in_check(world: World, tag: str) -> Deploy:
    """Return a deploy whose new container runs, and whose server died."""
    world.publish(tag)
    deploy = await world.queue(tag)

    async def die() -> None:
        raise Died

    world.calls.after("start", die)
    with contextlib.suppress(Died):
        await Pipeline(world.services, deploy.id).carry_out()
    return await world.change_deploy(deploy, status=DeployStatus.RUNNING)


# Containers without a record.


async def test_a_container_of_ours_that_no_record_knows_is_removed(world: World) -> None:
    live = await world.ship("v1")
    await world.orphan("orphan")
    await reconcile(world.services)
    await assert_only(world, live)


async def test_one_that_does_not_run_is_removed_too(world: World) -> None:
    await world.orphan("orphan")
    world.runtime.exit("orphan", 1)
    await reconcile(world.services)
    assert await world.containers() == []


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"tagboat.managed": "true"},
        {"tagboat.installation": INSTALLATION},
        {"tagboat.managed": "false", "tagboat.installation": INSTALLATION},
        {"tagboat.managed": "true", "tagboat.installation": "another-installation"},
        {**OURS, "tagboat.deploy": "18ec4e2f06b00235cd261ef6"},
    ],
    ids=[
        "unlabelled",
        "no installation",
        "not managed",
        "managed no more",
        "another installation",
        "no record of it",
    ],
)
async def test_what_is_not_ours_stays(world: World, labels: dict[str, str]) -> None:
    await world.foreign_container("app-dev-12345678", **labels)
    await reconcile(world.services)
    assert await world.is_running("app-dev-12345678")
    assert not {"stop", "remove"} & {line.split()[0] for line in world.runtime.journal}


async def from_a_committed_image(world: World, deploy: Deploy, name: str) -> None:
    """Run what a person makes from an image of a deploy's container.

    It has inherited all labels.
    """
    status = await world.runtime.status(world.container_of(deploy))
    assert status is not None
    await world.foreign_container(name, **status.labels)


async def test_a_persons_container_of_a_committed_image_stays_whatever_its_deploy_does(
    world: World,
) -> None:
    await world.ship("v1")
    deploy = await cut_off_in_check(world, "v2")
    await from_a_committed_image(world, deploy, "debug")
    await reconcile(world.services)
    await world.change_stage(health_timeout_s=0)
    world.probe.says = "connection refused"
    assert (await world.carry_out(deploy)).status is DeployStatus.FAILED
    assert await world.is_running("debug")
    assert world.container_of(deploy) not in await world.containers()
    await reconcile(world.services)
    assert await world.is_running("debug")


async def test_nor_does_it_take_the_place_of_what_is_live(world: World) -> None:
    live = await world.ship("v1")
    (deploy,) = await world.deploys()
    await from_a_committed_image(world, deploy, "debug")
    await world.runtime.remove(live.container)
    await reconcile(world.services)
    back = await world.instance_of(deploy)
    assert await world.containers() == sorted([live.container, "debug"])
    assert (await world.runtime.status(back.container_id)).name == live.container  # type: ignore[union-attr]


async def test_one_made_again_just_before_a_death_is_found_by_its_name(world: World) -> None:
    live = await world.ship("v1")
    await world.runtime.remove(live.container)

    async def die() -> None:
        raise Died

    world.calls.after("create", die)
    with contextlib.suppress(Died):
        await reconcile(world.services)
    await reconcile(world.services)
    (deploy,) = await world.deploys()
    await assert_only(world, await world.instance_of(deploy))


async def test_the_container_of_a_failed_instance_is_removed(world: World) -> None:
    live = await world.ship("v1")
    deploy = await cut_off_in_check(world, "v2")
    failed = replace(await world.instance_of(deploy), state=InstanceState.FAILED)
    await world.store.write(lambda tx: tx.put_instance(failed))
    await world.change_deploy(deploy, status=DeployStatus.FAILED)
    await reconcile(world.services)
    await assert_only(world, live)


async def test_the_container_of_a_failed_instance_stays_until_its_deploy_has_its_last_log_lines(
    world: World,
) -> None:
    deploy = await cut_off_in_check(world, "v1")
    failed = replace(await world.instance_of(deploy), state=InstanceState.FAILED)
    await world.store.write(lambda tx: tx.put_instance(failed))
    await reconcile(world.services)
    assert await world.is_running(world.container_of(deploy))


async def test_a_container_that_is_just_being_started_stays(world: World) -> None:
    deploy = await cut_off_in_check(world, "v1")
    await reconcile(world.services)
    assert await world.is_running(world.container_of(deploy))


async def test_a_container_made_while_it_sweeps_stays(world: World) -> None:
    """What is listed is compared with records read later, so that it is known by then."""
    deploys: list[Deploy] = []

    async def start_one() -> None:
        deploys.append(await cut_off_in_check(world, "v1"))

    world.calls.before("list_workloads", start_one)
    world.calls.after("list_workloads", start_one)
    await reconcile(world.services)

    assert len(deploys) == 2
    assert await world.containers() == sorted(map(world.container_of, deploys))


async def test_one_that_cannot_be_removed_does_not_keep_the_others(world: World) -> None:
    for name in ("one", "two", "three"):
        await world.orphan(name)
    world.runtime.fail("remove", EngineError("device or resource busy"))

    with pytest.raises(EngineError, match="busy"):
        await reconcile(world.services)

    assert await world.containers() == ["one"]


async def test_an_engine_that_is_away_is_not_asked_again_at_once(world: World) -> None:
    for name in ("one", "two", "three"):
        await world.orphan(name)
    world.runtime.fail("remove", EngineUnavailableError("away"))

    with pytest.raises(EngineUnavailableError):
        await reconcile(world.services)

    assert times(world, "remove") == 1


# What deploys have left behind.


async def test_what_a_finished_deploy_left_draining_is_retired(world: World) -> None:
    old = await world.ship("v1")
    world.runtime.fail("stop", EngineError("it cannot be killed"))
    world.publish("v2")
    ended = await world.carry_out(await world.queue("v2"))
    assert ended.status is DeployStatus.FAILED
    world.clock.move(60)

    await reconcile(world.services)

    await assert_only(world, await world.instance_of(ended))
    retired = await world.store.read(lambda reader: reader.instance(old.id))
    assert (retired.state, retired.stopped_at) == (InstanceState.STOPPED, world.clock.now())
    began = len(world.runtime.journal)
    await reconcile(world.services)
    assert world.runtime.journal[began:] == []


async def test_what_drains_under_a_deploy_that_is_open_is_left_to_it(world: World) -> None:
    old = await world.ship("v1")
    world.publish("v2")
    deploy = await world.queue("v2")

    async def sweep_now() -> None:
        await reconcile(world.services)
        assert await world.is_running(old.container)

    world.calls.before("stop", sweep_now)
    ended = await world.carry_out(deploy)
    assert ended.step(StepName.RETIRE).detail == f"retired {old.container}"


async def test_what_a_withdrawn_deploy_was_starting_is_removed(world: World) -> None:
    """Deleting its stage withdrew it, and then could not remove the container."""
    live = await world.ship("v1")
    deploy = await cut_off_in_check(world, "v2")
    await world.change_deploy(deploy, status=DeployStatus.CANCELLED)

    await reconcile(world.services)

    await assert_only(world, live)
    assert (await world.instance_of(deploy)).state is InstanceState.FAILED


async def test_a_sweep_with_nothing_to_do_changes_nothing(world: World) -> None:
    live = await world.ship("v1")
    before = (list(world.runtime.journal), await world.instances())
    await reconcile(world.services)
    assert (world.runtime.journal, await world.instances()) == before
    await assert_only(world, live)


# Again and again.


async def seconds_between_sweeps(world: World, sweeps: int) -> list[float]:
    """Keep sweeping for so many sweeps, with the clock going on in the meantime.

    How long after the last each one began.
    """
    began: list[float] = []

    async def note() -> None:
        began.append(asyncio.get_running_loop().time())
        world.calls.before("list_workloads", note)

    world.calls.before("list_workloads", note)
    sweeping = asyncio.create_task(run_reconciler(world.services, "here"))
    while len(began) < sweeps and not sweeping.done():
        world.clock.move(0.05)
        await world.instances()
    sweeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeping
    return [later - earlier for earlier, later in pairwise(began)]


async def test_it_sweeps_at_once_and_every_minute(world: World) -> None:
    for pause in await seconds_between_sweeps(world, 3):
        assert (
            RECONCILE_EVERY_S <= pause < 2 * RECONCILE_EVERY_S
        )  # what the sweep itself takes goes on top


async def test_it_looks_again_soon_when_a_container_has_ended(world: World) -> None:
    await world.orphan("orphan")
    to_second, to_third = await seconds_between_sweeps(
        world, 3
    )  # the first removes it, which is an ending
    assert RECONCILE_MIN_INTERVAL_S <= to_second < RECONCILE_EVERY_S
    assert to_third >= RECONCILE_EVERY_S
    assert await world.containers() == []


@pytest.mark.parametrize("away", ["engine", "database"])
async def test_it_comes_back_sooner_after_a_failure(world: World, away: str) -> None:
    async def engine_fails() -> None:
        raise EngineUnavailableError("the engine is away")

    async def database_fails() -> None:
        raise StoreUnavailableError("the database is locked")

    async def let_the_next_read_fail() -> None:
        world.calls.before("read", database_fails)

    if away == "engine":
        world.calls.after("list_workloads", engine_fails)
    else:
        world.calls.after("list_workloads", let_the_next_read_fail)
    after_failure, after_success = await seconds_between_sweeps(world, 3)
    assert RECONCILE_RETRY_S <= after_failure < RECONCILE_EVERY_S
    assert after_success >= RECONCILE_EVERY_S
