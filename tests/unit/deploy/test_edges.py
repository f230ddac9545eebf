"""The ingresses of several servers: each is waited for, as long as it may still route there."""

import asyncio
import re

import pytest

from tagboat.core.deploy import InstanceState, StepName, StepStatus
from tagboat.core.values import replace
from tagboat.deploy.edges import ALIVE_S, EDGES_LOOK_S, GRACE_S, REPORT_EVERY_S, Busy, Edges
from tagboat.deploy.traffic import Traffic
from tagboat.ingress.memory import MemoryIngress
from tests.support.endpoints import port_of
from tests.unit.deploy.deploy_harness import BASE_DOMAIN, HOST, World, statuses
from tests.unit.deploy.test_resume import stop_in

pytestmark = pytest.mark.anyio

HERE, THERE = "here", "there-on-another-server"


def traffic_at(world: World, server: str, ingress: MemoryIngress) -> Traffic:
    return Traffic(world.store, ingress, BASE_DOMAIN, Edges(world.store, server))


async def follow(traffic: Traffic) -> None:
    assert traffic._edges is not None
    await traffic._follow(traffic._edges)


async def report(world: World, led: int, **in_flight: int) -> None:
    """Report as the other server does."""
    await world.store.write(lambda tx: tx.put_edge(THERE, led, in_flight))


async def newest(world: World) -> int:
    return await world.store.read(lambda reader: reader.last_event_id())


async def test_a_switch_is_done_once_all_ingresses_follow(led: World) -> None:
    assert led.ingress is not None
    other = MemoryIngress()
    here, there = traffic_at(led, HERE, led.ingress), traffic_at(led, THERE, other)
    await led.ship("v1")
    await follow(there)
    await led.change_stage(domains=("shop.example.com",))
    seen: list[set[str]] = []
    sleep = led.clock._wake_at_once

    async def follow_meanwhile(seconds: float) -> None:
        seen.append(set(other.routes))
        await sleep(seconds)
        await follow(there)

    led.clock._monkeypatch.setattr("asyncio.sleep", follow_meanwhile)
    await here.apply_stage_routes(led.stage.id)
    # It was not done as long as the other one had the old routes.
    assert seen == [{HOST}]
    assert other.routes == led.routes
    assert other.routes.keys() == {HOST, "shop.example.com"}


async def test_one_that_does_not_follow_is_waited_for_as_long_as_one_that_died(
    led: World,
) -> None:
    assert led.ingress is not None
    here = traffic_at(led, HERE, led.ingress)
    await led.ship("v1")
    await report(led, 0)
    clock = asyncio.get_running_loop().time
    began = clock()
    await here.apply_routes()
    assert clock() - began > ALIVE_S - EDGES_LOOK_S
    # By now it is as good as dead.
    led.clock.move(ALIVE_S)
    before = sum(led.clock.slept)
    await here.apply_routes()
    assert sum(led.clock.slept) == before


async def test_requests_at_other_ingresses_are_waited_for(led: World) -> None:
    assert led.ingress is not None
    here = traffic_at(led, HERE, led.ingress)
    instance = await led.ship("v1")
    await here.apply_routes()
    await report(led, await newest(led), **{instance.id: 2, "another": 7})
    assert (await here.drained([instance], 1)).startswith(
        "2 requests were still in flight after 1 s"
    )
    await report(led, await newest(led))
    assert (await here.drained([instance], 1)).startswith("no request was in flight any more")


async def test_one_that_has_not_followed_counts_as_busy_and_has_its_time(led: World) -> None:
    assert led.ingress is not None
    here = traffic_at(led, HERE, led.ingress)
    instance = await led.ship("v1")
    await report(led, 0)
    clock = asyncio.get_running_loop().time
    began = clock()
    await here.apply_routes()
    said = await here.drained([instance], ALIVE_S / 2)
    assert clock() - began > GRACE_S - EDGES_LOOK_S
    words = r"the ingress there-on was not waited for: it was last seen \d+ s ago"
    assert re.search(words, said)
    # Seen a moment ago, and still behind: nobody knows its requests, so that there are not 0.
    await report(led, 0)
    said = await here.drained([instance], ALIVE_S / 2)
    assert said.startswith("it is not known if requests of an ingress that does not follow were")
    edges = Edges(led.store, HERE)
    await report(led, 3, p9=1)
    assert await edges.busy(4, [instance.id]) == Busy(0, (THERE,))


async def test_a_report_is_written_when_it_is_news_or_due(led: World) -> None:
    edges = Edges(led.store, HERE)

    async def written(led_to: int, in_flight: dict[str, int]) -> bool:
        before = led.calls.calls.count("write")
        await edges.report(led_to, in_flight)
        return led.calls.calls.count("write") > before

    assert await written(1, {})
    assert not await written(1, {})
    assert await written(2, {})
    assert await written(2, {"127.0.0.1:1": 1})
    led.clock.move(REPORT_EVERY_S)
    assert await written(2, {"127.0.0.1:1": 1})


async def test_at_rest_the_routes_are_not_read_again(led: World) -> None:
    assert led.ingress is not None
    await led.ship("v1")
    there = traffic_at(led, THERE, led.ingress)
    await follow(there)
    before = led.calls.calls.count("apply_routes")
    for _ in range(5):
        await follow(there)
    assert led.calls.calls.count("apply_routes") == before
    await led.change_stage(domains=("shop.example.com",))
    await follow(there)
    assert led.calls.calls.count("apply_routes") == before + 1


async def test_after_a_deploy_elsewhere_the_routes_of_its_stage_alone_are_read(
    led: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await led.ship("v1")
    other = MemoryIngress()
    there = traffic_at(led, THERE, other)
    await follow(there)
    await led.ship("v2")
    with monkeypatch.context() as patched:
        patched.delattr("tagboat.deploy.traffic.routes_by_stage")
        await follow(there)
        assert other.routes == led.routes
        changes = len(other.journal)
        await led.store.write(lambda tx: tx.put_setting("auto_create", value=False))
        await follow(there)
        assert len(other.journal) == changes
    # It reports that it follows.
    (edge,) = await led.store.read(lambda reader: reader.edges())
    assert edge.led == await newest(led)


async def test_after_very_many_events_all_routes_are_read(
    led: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await led.ship("v1")
    other = MemoryIngress()
    there = traffic_at(led, THERE, other)
    await follow(there)
    await led.ship("v2")
    monkeypatch.setattr("tagboat.deploy.traffic._MOST_EVENTS", 3)
    await follow(there)
    assert other.routes == led.routes


async def test_a_host_that_a_stage_gives_up_goes_to_the_next_that_claims_it(led: World) -> None:
    """The host of an instance of a deleted tag may be that of another stage."""
    await led.change_stage(max_instances=3)
    await led.ship("v1")
    instance = await led.ship("v2")
    other = MemoryIngress()
    there = traffic_at(led, THERE, other)
    await follow(there)
    assert len(other.routes) > 1
    stopped = replace(instance, state=InstanceState.STOPPED)
    await led.store.write(lambda tx: tx.put_instance(stopped))
    before = led.calls.calls.count("read")
    await follow(there)
    assert led.calls.calls.count("read") > before
    fresh = MemoryIngress()
    await traffic_at(led, "a-third-one", fresh).apply_routes()
    assert other.routes == fresh.routes


async def test_a_server_that_was_restarted_counts_what_drains(led: World) -> None:
    assert led.ingress is not None
    await traffic_at(led, THERE, led.ingress).apply_routes()
    instance = await led.ship("v1")
    assert await led.ingress.begin(HOST) == port_of(instance)
    draining = await led.change_instance(instance, state=InstanceState.DRAINING)
    again = traffic_at(led, THERE, led.ingress)
    await follow(again)
    (edge,) = await led.store.read(lambda reader: reader.edges())
    assert edge.in_flight == {draining.id: 1}
    led.ingress.end(port_of(instance))
    for _ in range(3):
        await follow(again)
    (edge,) = await led.store.read(lambda reader: reader.edges())
    assert edge.in_flight == {}


async def test_before_its_first_look_an_ingress_is_waited_for(led: World) -> None:
    assert led.ingress is not None
    await led.ship("v1")
    seen: list[tuple[str, int]] = []

    async def note() -> None:
        seen.extend((one.id, one.led) for one in await led.store.read(lambda tx: tx.edges()))

    led.calls.before("apply_routes", note)
    await follow(traffic_at(led, THERE, led.ingress))
    assert seen == [(THERE, 0)]


async def test_a_server_without_an_ingress_waits_for_those_of_others(world: World) -> None:
    world.edges = Edges(world.store, HERE)
    alone = await world.queue("v0")
    world.publish("v0")
    assert statuses(await world.carry_out(alone))[StepName.WATCH] is StepStatus.SKIPPED
    await report(world, await newest(world))
    waited: list[float] = []
    sleep = world.clock._wake_at_once

    async def follow_late(seconds: float) -> None:
        waited.append(seconds)
        await sleep(seconds)
        await report(world, await newest(world))

    world.clock._monkeypatch.setattr("asyncio.sleep", follow_late)
    world.publish("v1")
    ended = await world.carry_out(await world.queue("v1"))
    assert ended.status.value == "succeeded", ended.reason
    assert {statuses(ended)[one] for one in (StepName.WATCH, StepName.DRAIN)} == {StepStatus.DONE}
    assert EDGES_LOOK_S in waited
    drain = next(step for step in ended.steps if step.name is StepName.DRAIN)
    assert drain.detail.startswith("no request was in flight any more")


async def test_one_that_takes_over_in_the_drain_has_its_own_ingress_follow_first(
    led: World,
) -> None:
    old = await led.ship("v1")
    other = MemoryIngress()
    await traffic_at(led, THERE, other).apply_routes()
    led.publish("v2")
    deploy = await led.queue("v2")
    await stop_in(led, deploy, StepName.DRAIN)
    # The other server stood still during the switch, and goes on with the deploy.
    led.ingress, led.edges = other, Edges(led.store, THERE)
    led.see_what_is_cut()
    assert led.routes[HOST] == str(port_of(old))
    ended = await led.carry_out(deploy)
    assert (ended.status.value, led.cut) == ("succeeded", [])
    assert led.routes[HOST] == str(port_of(await led.instance_of(ended)))
