"""Going back: to what served before, at once, once, never to what was fled from, and not to what
is nowhere any more.
"""

from collections.abc import Callable

import pytest

from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, StepName
from tagboat.core.errors import ConflictError, RegistryNotFoundError, RegistryUnreachableError
from tagboat.core.image import Digest, ImageName, parse_digest
from tagboat.core.ports import Queued, Tx
from tagboat.core.push import Outcome
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.reconcile import reconcile
from tagboat.operations.stage_actions import StageActions
from tagboat.operations.way_back import WaysBack
from tests.support.endpoints import port_of
from tests.unit.deploy.deploy_harness import HOST, World, assert_only

pytestmark = pytest.mark.anyio


async def order(world: World, work: Callable[[StageActions, Tx], Queued]) -> Queued:
    orders = StageActions(DeployQueue(world.clock.now), world.clock.now)
    return await world.store.write(lambda tx: work(orders, tx))


async def roll_back(world: World, to: str | None = None) -> Queued:
    return await order(world, lambda orders, tx: orders.rollback(tx, world.stage.id, to))


async def at_work(world: World, tag: str) -> Deploy:
    world.publish(tag)
    return await world.change_deploy(await world.queue(tag), status=DeployStatus.RUNNING)


async def shipped(world: World, *tags: str) -> list[Instance]:
    made = []
    for tag in tags:
        made.append(await world.ship(tag))
        world.clock.move(1)
    return made


async def rolled_back_while(world: World, call: str, tag: str) -> tuple[Deploy, Deploy]:
    """Deploy `tag`, order a rollback after the next call of that name, and let both be carried
    out.
    """
    deploy = await at_work(world, tag)
    ordered: list[Queued] = []

    async def order_it() -> None:
        ordered.append(await roll_back(world))
        ordered.append(await roll_back(world))

    world.calls.after(call, order_it)
    ended = await world.carry_out(deploy)
    first, second = ordered
    assert second == Queued(Outcome.MERGED, first.deploy_id), "ordered twice, it goes back once"
    return ended, await world.carry_out(await world.deploy(first.deploy_id))


@pytest.mark.parametrize("call", ["pull", "create", "start", "apply_routes"])
async def test_before_or_in_the_watch_what_served_before_serves_again(
    led: World, call: str
) -> None:
    _, second = await shipped(led, "v1", "v2")
    cancelled, back = await rolled_back_while(led, call, "v3")
    assert (cancelled.status, cancelled.reason) == (DeployStatus.CANCELLED, "cancelled")
    assert (back.status, back.reason, back.tag) == (DeployStatus.SUCCEEDED, "already live", "v2")
    assert (await led.store.read(lambda reader: reader.stage(led.stage.id))).held
    await assert_only(led, await led.store.read(lambda reader: reader.instance(second.id)))


async def test_in_the_drain_too(led: World) -> None:
    assert led.ingress is not None
    _, second = await shipped(led, "v1", "v2")
    port = await led.ingress.begin(HOST)  # a request that v2 still answers
    assert port == port_of(second)
    cancelled, back = await rolled_back_while(led, "in_flight", "v3")
    led.ingress.end(port)
    assert (cancelled.status, back.reason) == (DeployStatus.CANCELLED, "already live")
    assert led.routes == {HOST: str(port_of(second))}
    assert await led.is_running(second.container)


async def test_what_is_being_retired_counts_as_what_served_before(led: World) -> None:
    _, second = await shipped(led, "v1", "v2")
    deploy = await at_work(led, "v3")
    ordered: list[Queued] = []

    async def order_it() -> None:
        ordered.append(await roll_back(led))

    led.calls.before("stop", order_it)
    assert (await led.carry_out(deploy)).status is DeployStatus.SUCCEEDED
    back = await led.carry_out(await led.deploy(ordered[0].deploy_id))
    assert (back.tag, back.digest, back.reason) == ("v2", second.digest, "v2 is live")


async def test_a_failed_one_that_is_being_taken_back_is_not_gone_back_from_twice(
    led: World,
) -> None:
    """It is red by then; a person who sees the errors orders the rollback all the same."""
    _, second = await shipped(led, "v1", "v2")
    deploy = await at_work(led, "v3")
    led.probe.says = "connection refused"
    ordered: list[Queued] = []

    async def order_it() -> None:
        led.probe.says = None
        ordered.append(await roll_back(led))

    led.calls.before("remove", order_it)
    assert (await led.carry_out(deploy)).status is DeployStatus.FAILED
    back = await led.carry_out(await led.deploy(ordered[0].deploy_id))
    assert (back.tag, back.reason) == ("v2", "already live")
    await assert_only(led, await led.store.read(lambda reader: reader.instance(second.id)))


async def test_the_first_deploy_of_a_stage_has_nothing_before_it(led: World) -> None:
    await at_work(led, "v1")
    with pytest.raises(ConflictError, match="nothing was ever live in the stage dev"):
        await roll_back(led)
    assert not (await led.store.read(lambda reader: reader.stage(led.stage.id))).held


async def test_ordered_while_it_is_at_work_it_is_the_same_at_each_step(led: World) -> None:
    await shipped(led, "v1", "v2", "v3")
    first = await roll_back(led)
    assert await roll_back(led) == Queued(Outcome.MERGED, first.deploy_id), "queued"
    seen: list[Queued] = []

    async def again() -> None:
        seen.append(await roll_back(led))

    for call in ("pull", "create", "apply_routes", "stop", "remove"):
        led.calls.before(call, again)
    ended = await led.carry_out(
        await led.change_deploy(await led.deploy(first.deploy_id), status=DeployStatus.RUNNING)
    )
    assert set(seen) == {Queued(Outcome.MERGED, first.deploy_id)}
    assert len(seen) >= 4
    assert (ended.tag, ended.status) == ("v2", DeployStatus.SUCCEEDED)


async def test_another_target_takes_the_place_of_one_under_way(led: World) -> None:
    first, second, _ = await shipped(led, "v1", "v2", "v3")
    before = await roll_back(led)
    named = await roll_back(led, first.deploy_id)
    assert named.outcome is Outcome.QUEUED
    assert (await led.deploy(before.deploy_id)).status is DeployStatus.CANCELLED
    back = await led.carry_out(await led.deploy(named.deploy_id))
    assert (back.tag, back.status) == ("v1", DeployStatus.SUCCEEDED)
    assert second.state is InstanceState.LIVE


async def test_another_configuration_of_the_same_image_is_not_gone_forward_to(led: World) -> None:
    await shipped(led, "v1")
    for colour in ("blue", "red"):
        await led.change_stage(env={"COLOUR": colour})
        await led.carry_out(await led.queue("v1"))
        led.clock.move(1)
    seen = []
    for _ in range(2):
        back = await led.instance_of(
            await led.carry_out(await led.deploy((await roll_back(led)).deploy_id))
        )
        seen.append(dict(led.runtime.spec(back.container).env))
        led.clock.move(1)
    assert seen == [{"COLOUR": "blue"}, {}]
    with pytest.raises(ConflictError, match="but what was taken back"):
        await roll_back(led)


async def test_after_a_rollback_by_name_the_next_goes_further_back_and_not_forward(
    led: World,
) -> None:
    _, second, *_ = await shipped(led, "v1", "v2", "v3", "v4")
    await led.carry_out(await led.deploy((await roll_back(led, second.deploy_id)).deploy_id))
    led.clock.move(1)
    together = await led.store.read(lambda reader: reader.previous_instances([led.stage.id]))
    assert [one.tag for one in together.values()] == ["v1"], "as the overview has it"
    back = await led.carry_out(await led.deploy((await roll_back(led)).deploy_id))
    assert (back.tag, back.status) == ("v1", DeployStatus.SUCCEEDED)
    led.clock.move(1)
    with pytest.raises(ConflictError, match="nothing was live before v1"):
        await roll_back(led)
    # What is deployed again by a person has what was live before it to go back to.
    await led.carry_out(await led.queue("v3"))
    led.clock.move(1)
    assert (await led.deploy((await roll_back(led)).deploy_id)).tag == "v1"


async def test_what_was_named_may_be_what_was_fled_from(led: World) -> None:
    _, second = await shipped(led, "v1", "v2")
    await led.carry_out(await led.deploy((await roll_back(led)).deploy_id))
    led.clock.move(1)
    forward = await led.carry_out(
        await led.deploy((await roll_back(led, second.deploy_id)).deploy_id)
    )
    assert (forward.tag, forward.status) == ("v2", DeployStatus.SUCCEEDED)
    taken_back = await led.store.read(lambda reader: reader.taken_back(led.stage.id))
    assert [version.tag for version in taken_back] == ["v1"]


async def test_what_was_rolled_back_from_is_not_pushed_live_again(led: World) -> None:
    _, second = await shipped(led, "v1", "v2")
    await led.carry_out(await led.deploy((await roll_back(led)).deploy_id))
    await led.change_stage(held=False)
    ended = await led.carry_out(await led.queue("v2"))
    assert ended.status is DeployStatus.CANCELLED
    assert "a person rolled back from it to v1" in (ended.reason or "")
    assert ended.digest == second.digest


async def test_it_brings_back_the_image_of_that_day_although_the_project_has_another(
    led: World,
) -> None:
    (first,) = await shipped(led, "v1")
    was = led.project.image
    await led.change_project(image=ImageName("other.example.com", "acme/moved"))
    await shipped(led, "v2")
    led.runtime.prune(f"{was}@{first.digest}")
    ended = await led.carry_out(await led.deploy((await roll_back(led)).deploy_id))
    assert ended.status is DeployStatus.SUCCEEDED, ended.reason
    back = await led.instance_of(ended)
    assert (back.image, led.runtime.spec(back.container).image) == (was, f"{was}@{first.digest}")


async def test_what_pushes_have_queued_waits_for_the_release(led: World) -> None:
    await shipped(led, "v1", "v2")
    led.publish("v3")
    waiting = await led.queue("v3")
    await roll_back(led)
    assert (await led.deploy(waiting.id)).status is DeployStatus.QUEUED


# What is known beforehand.


class Registry:
    """Has what it is told to have; `failure` is raised instead."""

    def __init__(self) -> None:
        self.has: set[str] = set()
        self.failure: Exception | None = None
        self.asked: list[tuple[str, str]] = []

    async def resolve(self, image: ImageName, tag: str, registry: object) -> Digest:  # noqa: ARG002 - the port's
        self.asked.append((str(image), tag))
        if self.failure is not None:
            raise self.failure
        if tag not in self.has:
            raise RegistryNotFoundError(f"the registry {image.host} has no such image")
        return parse_digest(tag)


def ways(world: World, registry: Registry) -> WaysBack:
    return WaysBack(world.store, world.runtime, registry.resolve)


async def gone(world: World, instance: Instance) -> None:
    world.runtime.prune(f"{world.project.image}@{instance.digest}")


async def test_an_image_that_is_nowhere_any_more_is_refused_and_nothing_changes(led: World) -> None:
    first, second, _ = await shipped(led, "v1", "v2", "v3")
    await gone(led, second)
    subject = ways(led, Registry())
    prospect = await subject.prospect(led.stage.id)
    assert not prospect.possible
    assert prospect.target is not None
    assert prospect.target.id == second.id
    assert prospect.reason.startswith(
        "v2 of 2026-11-24 10:00 UTC is gone: neither the engine nor the registry git.example.com"
    )
    with pytest.raises(
        ConflictError, match=f"go back to one of these: --to {first.deploy_id} \\(v1\\)"
    ):
        await subject.refuse_if_gone(led.stage.id, None)
    await subject.refuse_if_gone(led.stage.id, first.deploy_id)


async def test_where_nothing_of_it_is_left_that_is_said(led: World) -> None:
    first, second = await shipped(led, "v1", "v2")
    await gone(led, first)
    assert second.state is InstanceState.LIVE
    with pytest.raises(
        ConflictError, match="nothing that was live in this stage before is there any more"
    ):
        await ways(led, Registry()).refuse_if_gone(led.stage.id, None)


@pytest.mark.parametrize("where", ["the engine", "the registry", "nobody knows"])
async def test_what_is_somewhere_or_may_be_is_not_refused(led: World, where: str) -> None:
    first, _ = await shipped(led, "v1", "v2")
    registry = Registry()
    if where != "the engine":
        await gone(led, first)
    if where == "the registry":
        registry.has.add(first.digest)
    if where == "nobody knows":
        registry.failure = RegistryUnreachableError("it is away")
    await ways(led, registry).refuse_if_gone(led.stage.id, None)
    assert (await ways(led, registry).prospect(led.stage.id)).possible
    assert bool(registry.asked) is (where != "the engine")


async def test_what_still_has_its_container_needs_no_image(led: World) -> None:
    _, second = await shipped(led, "v1", "v2")
    await at_work(led, "v3")
    await gone(led, second)
    prospect = await ways(led, Registry()).prospect(led.stage.id)
    assert prospect.possible
    assert prospect.target is not None
    assert prospect.target.id == second.id


async def test_a_stage_with_nothing_before_says_so(led: World) -> None:
    prospect = await ways(led, Registry()).prospect(led.stage.id)
    assert (prospect.possible, prospect.target) == (False, None)
    assert "nothing was ever live" in prospect.reason


# How it is done.


async def test_it_is_back_before_the_one_fled_from_is_gone(led: World) -> None:
    _, second = await shipped(led, "v1", "v2")
    deploy = await at_work(led, "v3")
    seen: list[str] = []

    async def order_it() -> None:
        await roll_back(led)

    async def look() -> None:
        seen.append(led.routes[HOST])

    led.calls.after("apply_routes", order_it)
    led.calls.before("remove", look)
    ended = await led.carry_out(deploy)
    assert ended.step(StepName.WATCH).detail == "cancelled"
    assert seen == [str(port_of(second))]


# Several instances side by side.


async def side_by_side(world: World) -> list[Instance]:
    """v1, which made room for v3; v2 and v3, which are live."""
    await world.change_stage(max_instances=2)
    return await shipped(world, "v1", "v2", "v3")


async def live_tags(world: World) -> list[str]:
    return [one.tag for one in await world.instances(InstanceState.LIVE)]


async def test_of_several_the_one_fled_from_goes_and_the_address_leads_to_the_one_before(
    led: World,
) -> None:
    _, second, _ = await side_by_side(led)
    ended = await led.carry_out(await led.deploy((await roll_back(led)).deploy_id))
    assert (ended.tag, ended.reason) == ("v2", "already live")
    assert await live_tags(led) == ["v2"]
    assert led.services.traffic is not None
    await led.services.traffic.apply_routes()
    assert led.routes[HOST] == str(port_of(second))
    await reconcile(led.services)
    assert await led.containers() == [second.container]


async def test_and_ordered_in_its_watch_what_made_room_for_it_is_back_as_well(led: World) -> None:
    await led.change_stage(max_instances=2)
    first, second = await shipped(led, "v1", "v2")
    cancelled, back = await rolled_back_while(led, "apply_routes", "v3")
    assert (cancelled.status, back.tag, back.reason) == (
        DeployStatus.CANCELLED,
        "v2",
        "already live",
    )
    assert sorted(await live_tags(led)) == ["v1", "v2"]
    assert led.routes[HOST] == str(port_of(second))
    assert await led.is_running(first.container)
