"""Images: those that Tagboat pulled and no stage wants any more are removed; nobody else's ever."""

import asyncio
from datetime import timedelta

import pytest

from tagboat.core.catalog import HeldPush
from tagboat.core.config import IMAGES_KEEP
from tagboat.core.deploy import DeployStatus, InstanceState
from tagboat.core.errors import EngineError, EngineUnavailableError
from tagboat.core.image import Digest
from tagboat.deploy.images import Tidying, keep_tidying, lift_marks
from tagboat.deploy.reconcile import reconcile
from tagboat.runtime.memory import MemoryImage
from tests.unit.deploy.deploy_harness import World

pytestmark = pytest.mark.anyio


async def keep(world: World, count: int) -> None:
    await world.store.write(lambda tx: tx.put_setting(IMAGES_KEEP, count))


async def tidy(world: World) -> None:
    await Tidying(world.services).round()


async def has(world: World, *tags: str) -> list[str]:
    """Return which of the tags' images the engine has."""
    return [
        tag
        for tag in tags
        if await world.runtime.inspect_image(name_of(world, world.tags.digests[tag]))
    ]


def name_of(world: World, digest: Digest) -> str:
    return f"{world.project.image}@{digest}"


async def pulled_by_a_person(world: World, tag: str) -> None:
    await world.runtime.pull(world.project.image, world.publish(tag), None, lambda _: None)


async def test_of_a_stage_the_last_three_that_were_live_are_kept(world: World) -> None:
    for tag in ("v1", "v2", "v3", "v4", "v5"):
        await world.ship(tag)
    await tidy(world)
    assert await has(world, "v1", "v2", "v3", "v4", "v5") == ["v3", "v4", "v5"]


async def test_the_setting_says_how_many(world: World) -> None:
    for tag in ("v1", "v2", "v3"):
        await world.ship(tag)
    await keep(world, 1)
    await tidy(world)
    assert await has(world, "v1", "v2", "v3") == ["v3"]


async def test_with_none_kept_what_is_live_stays_all_the_same(world: World) -> None:
    for tag in ("v1", "v2"):
        await world.ship(tag)
    await keep(world, 0)
    await tidy(world)
    assert await has(world, "v1", "v2") == ["v2"]


async def test_one_deployed_again_and_again_counts_once(world: World) -> None:
    for tag in ("v1", "v2"):
        await world.ship(tag)
    for _ in range(4):
        await world.carry_out(await world.queue("v2", force=True))
    await keep(world, 2)
    await tidy(world)
    assert await has(world, "v1", "v2") == ["v1", "v2"]


async def test_one_that_never_was_live_goes(world: World) -> None:
    await world.ship("v1")
    world.publish("sick", MemoryImage(exit_code=1))
    ended = await world.carry_out(await world.queue("sick"))
    assert ended.status is DeployStatus.FAILED
    await tidy(world)
    assert await has(world, "v1", "sick") == ["v1"]


async def test_what_the_engine_had_before_is_not_ours(world: World) -> None:
    await pulled_by_a_person(world, "v1")
    for tag in ("v1", "v2"):
        world.publish(tag)
        await world.carry_out(await world.queue(tag))
    await pulled_by_a_person(world, "never deployed")
    await keep(world, 0)
    await tidy(world)
    assert await has(world, "v1", "v2", "never deployed") == ["v1", "v2", "never deployed"]


async def test_another_stage_that_wants_it_keeps_it(world: World) -> None:
    other = await world.another_stage("other")
    await world.ship("v1")
    await world.carry_out(await world.queue("v1", stage=other))
    for tag in ("v2", "v3"):
        await world.ship(tag)
    await keep(world, 1)
    await tidy(world)
    assert await has(world, "v1", "v2", "v3") == ["v1", "v3"]


async def test_what_waits_to_be_deployed_is_kept(world: World) -> None:
    for tag in ("v1", "v2", "v3"):
        await world.ship(tag)
    await keep(world, 1)
    await world.queue("v1", digest=world.tags.digests["v1"])
    offer = HeldPush(
        stage_id=world.stage.id,
        tag="v2",
        digest=world.tags.digests["v2"],
        source="webhook",
        seen_at=world.clock.now(),
    )
    await world.store.write(lambda tx: tx.add_held_push(offer))
    await tidy(world)
    assert await has(world, "v1", "v2", "v3") == ["v1", "v2", "v3"]


async def test_what_was_pulled_before_a_death_is_known(world: World) -> None:
    """It is on record before the pull, so that a death right after that leaves nothing unknown."""
    digest = world.publish("v1")
    deploy = await world.queue("v1")

    async def die() -> None:
        raise asyncio.CancelledError

    world.calls.after("pull", die)
    with pytest.raises(asyncio.CancelledError):
        await world.carry_out(deploy)
    assert await has(world, "v1") == ["v1"]
    await world.change_deploy(await world.deploy(deploy.id), status=DeployStatus.CANCELLED)
    await tidy(world)
    assert await has(world, "v1") == []
    assert (
        await world.store.read(lambda reader: reader.pulled_image(world.project.image, digest))
        is None
    )


async def test_the_images_of_a_deleted_project_go(world: World) -> None:
    live = await world.ship("v1")
    await world.runtime.remove(live.container)
    await world.delete_project()
    await tidy(world)
    assert await has(world, "v1") == []


async def test_one_that_somebody_uses_stays_and_is_looked_at_again(world: World) -> None:
    for tag in ("v1", "v2"):
        await world.ship(tag)
    await keep(world, 1)
    old = name_of(world, world.tags.digests["v1"])
    world.runtime.tag(old)
    await tidy(world)
    assert await has(world, "v1") == ["v1"]
    world.runtime._tagged.clear()
    await tidy(world)
    assert await has(world, "v1") == []


async def test_one_that_cannot_be_removed_keeps_no_other(world: World) -> None:
    for tag in ("v1", "v2", "v3"):
        await world.ship(tag)
    await keep(world, 1)
    world.runtime.fail("remove_image", EngineError("device or resource busy"))
    await tidy(world)
    assert len(await has(world, "v1", "v2")) == 1
    await tidy(world)
    assert await has(world, "v1", "v2", "v3") == ["v3"]


async def test_an_engine_that_is_away_is_asked_again_later(world: World) -> None:
    for tag in ("v1", "v2"):
        await world.ship(tag)
    await keep(world, 1)
    world.runtime.fail("remove_image", EngineUnavailableError("away"))
    with pytest.raises(EngineUnavailableError):
        await tidy(world)
    await tidy(world)
    assert await has(world, "v1", "v2") == ["v2"]


async def test_one_that_is_wanted_again_before_it_is_removed_stays(world: World) -> None:
    for tag in ("v1", "v2"):
        await world.ship(tag)
    await keep(world, 1)

    async def want_it() -> None:
        await world.queue("v1", digest=world.tags.digests["v1"])

    world.calls.after("read", want_it)  # the one that finds it unwanted
    await tidy(world)
    assert await has(world, "v1", "v2") == ["v1", "v2"]


async def test_a_deploy_waits_for_the_removal_of_its_image_and_pulls_it_again(world: World) -> None:
    for tag in ("v1", "v2"):
        await world.ship(tag)
    await keep(world, 1)
    carried: list[asyncio.Task[object]] = []
    remove = world.runtime.remove_image

    async def slowly(image: str) -> bool:
        carried.append(asyncio.create_task(world.carry_out(await world.queue("v1"))))
        for _ in range(50):  # it resolves meanwhile, and would find the image
            await world.instances()
        return await remove(image)

    world.runtime.remove_image = slowly  # type: ignore[method-assign]
    await tidy(world)
    await asyncio.gather(*carried)
    (live,) = await world.instances(InstanceState.LIVE)
    assert live.tag == "v1"
    assert world.runtime.journal.count(f"pull {name_of(world, live.digest)}") == 2


async def test_an_image_that_was_pulled_to_revive_an_instance_is_ours(world: World) -> None:
    live = await world.ship("v1")
    await world.runtime.remove(live.container)
    world.runtime.prune(name_of(world, live.digest))
    await world.store.write(lambda tx: tx.end_removal(world.project.image, live.digest, gone=True))
    await reconcile(world.services)
    assert await world.is_running(live.container)
    assert (
        await world.store.read(lambda reader: reader.pulled_image(world.project.image, live.digest))
        is not None
    )


async def test_it_tidies_after_a_deploy(world: World) -> None:
    await keep(world, 1)
    tidying = asyncio.create_task(keep_tidying(world.services))
    for tag in ("v1", "v2"):
        await world.ship(tag)
    for _ in range(500):
        if await has(world, "v1", "v2") == ["v2"]:
            break
        await world.instances()
    assert await has(world, "v1", "v2") == ["v2"]
    tidying.cancel()
    await asyncio.gather(tidying, return_exceptions=True)


async def test_a_round_says_if_any_image_stays(world: World) -> None:
    for tag in ("v1", "v2"):
        await world.ship(tag)
    await keep(world, 1)
    world.runtime.tag(name_of(world, world.tags.digests["v1"]))
    tidying = Tidying(world.services)
    await tidying.round()
    assert tidying.some_stay
    world.runtime._tagged.clear()
    await tidying.round()
    assert not tidying.some_stay


async def test_a_round_goes_on_where_the_last_one_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tag in ("v1", "v2", "v3", "v4"):
        await world.ship(tag)
    await keep(world, 1)
    monkeypatch.setattr("tagboat.deploy.images.PAGE", 1)
    monkeypatch.setattr("tagboat.deploy.images.MOST", 2)
    for tag in ("v1", "v2", "v3"):
        world.runtime.tag(name_of(world, world.tags.digests[tag]))
    tidying = Tidying(world.services)
    await tidying.round()
    await tidying.round()
    asked = [line for line in world.runtime.journal if line.startswith("remove_image")]
    assert len(set(asked)) == 3, "those that must stay keep no other from its turn"


@pytest.mark.parametrize("alone", [True, False])
async def test_the_mark_of_a_server_that_died_is_lifted_where_no_other_is_at_it(
    world: World, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tag in ("v1", "v2"):
        await world.ship(tag)
    image, digest, now = world.project.image, world.tags.digests["v1"], world.clock.now()
    until = now + timedelta(seconds=120)
    assert await world.store.write(lambda tx: tx.begin_removal(image, digest, 1, now, until))
    monkeypatch.setattr(type(world.store), "exclusive", alone)
    await lift_marks(world.services)
    found = await world.store.read(lambda reader: reader.pulled_image(image, digest))
    assert found is not None
    assert found.removing_until == (None if alone else until)
