"""Pools in HAProxy: an instance with several endpoints outlives one of them, and costs nobody."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tagboat.core.endpoint import LOOPBACK, Endpoint
from tagboat.core.route import Route, RouteState, Target
from tagboat.ingress.config import pools_in
from tagboat.ingress.master import Master
from tagboat.ingress.process import end_haproxy
from tests.support.haproxy import IngressWorld, haproxy_world, pool, pooled, to
from tests.support.http_load import App, Client, open_websocket, under_load

pytestmark = pytest.mark.anyio

HOST = "app-prod.localhost"
OTHER = "other-prod.localhost"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[IngressWorld]:
    async with haproxy_world(tmp_path / "ingress") as world:
        yield world


async def apps_of(world: IngressWorld, name: str, number: int = 2) -> list[App]:
    return [await world.app(f"{name} {one}") for one in range(number)]


async def servers(world: IngressWorld) -> dict[str, set[int]]:
    """The ports of the servers that are on, in the current worker, by instance."""
    master = Master(world.directory)
    current = (await master.processes()).current
    assert current is not None
    found = await master.servers(current)
    on: dict[str, set[int]] = {}
    for one in (server for some in found.values() for server in some if server.on):
        on.setdefault(one.instance, set()).add(one.endpoint.port)
    return on


async def size_of(world: IngressWorld) -> int:
    master = Master(world.directory)
    current = (await master.processes()).current
    assert current is not None
    return pools_in(await master.description(current))


async def test_requests_are_shared_and_counted_by_instance(world: IngressWorld) -> None:
    blue, green = await apps_of(world, "blue"), await apps_of(world, "green")
    await world.ingress.apply_routes([pool(*blue), pool(*green, host=OTHER)])
    answered = {(await world.ask(HOST)).json["app"] for _ in range(20)}
    assert answered == {app.name for app in blue}
    for status in (404, 500):
        await world.ask(OTHER, f"/status/{status}")
    waiting = Client(world.port)
    await waiting.send(HOST, "/wait")
    async with asyncio.timeout(60):
        while not await world.ingress.in_flight(pooled(*blue)):  # noqa: ASYNC110 - no events
            await asyncio.sleep(0.01)
    (process,) = await world.ingress.count_requests([pooled(*blue), pooled(*green)], [])
    counts = process.instances[pooled(*blue).instance]
    assert (counts.answers, counts.errors, counts.in_flight) == (20, 0, 1)
    counts = process.instances[pooled(*green).instance]
    assert (counts.answers, counts.errors, counts.in_flight) == (1, 1, 0)
    assert await world.ingress.in_flight(pooled(*green)) == 0
    for app in blue:
        app.release()
    assert (await waiting.receive()).status == 200
    await waiting.close()


async def test_an_app_that_dies_under_load_costs_no_request_that_can_be_sent_again(
    world: IngressWorld,
) -> None:
    one, two = await apps_of(world, "app")
    await world.ingress.apply_routes([pool(one, two)])
    async with under_load(world.port, HOST, kept=4, fresh=4, methods=("GET",)) as load:
        await load.goes_on(200)
        await one.stop()
        world.apps.remove(one)
        await load.goes_on(400)
    assert load.failures == []
    assert set(load.answers) == {one.name, two.name}


async def test_an_app_that_refuses_connections_costs_nothing_at_all(world: IngressWorld) -> None:
    one, two = await apps_of(world, "app")
    await world.ingress.apply_routes([pool(one, two)])
    async with under_load(world.port, HOST, kept=4, fresh=4) as load:
        await load.goes_on(200)
        assert one._server is not None
        async with load.at_rest():  # the kernel would reset what the app has not accepted yet
            one._server.close()  # what it has accepted it still answers
        await load.goes_on(400)
    assert load.failures == []


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port that answers no connection, as on a machine that has lost its power."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        # The kernel ignores those for whom there is no room.
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.settimeout(0)
            caller.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_a_machine_that_is_silent_costs_time_and_no_request(world: IngressWorld) -> None:
    (app,) = await apps_of(world, "app", 1)
    with silent_port() as port:
        there = Target("i1", (Endpoint(LOOPBACK, app.port), Endpoint(LOOPBACK, port)))
        await world.ingress.apply_routes([Route(HOST, RouteState.OPEN, there)])
        async with under_load(world.port, HOST, kept=4, fresh=4) as load:
            await load.goes_on(300)
    assert load.failures == []


async def test_switches_between_pools_and_ports_under_load_lose_nothing(
    world: IngressWorld,
) -> None:
    single = await world.app("single")
    routes = [pool(*await apps_of(world, "blue")), to(single), pool(*await apps_of(world, "green"))]
    await world.ingress.apply_routes([routes[0]])
    workers = world.workers
    async with under_load(world.port, HOST, kept=4, fresh=4) as load:
        for number in range(60):
            await world.ingress.change_routes([routes[number % 3]], [])
            if not number % 10:
                await world.ingress.apply_routes([routes[number % 3]])
        await load.goes_on(200)
    assert load.failures == []
    assert len(load.answers) == 5
    assert world.workers == workers, "a switch is no reload"


async def test_after_a_confirmed_switch_nobody_reaches_the_old_one(world: IngressWorld) -> None:
    blue, green = await apps_of(world, "blue"), await apps_of(world, "green")
    await world.ingress.apply_routes([pool(*blue)])
    kept = Client(world.port)
    for number in range(30):
        apps = (green, blue)[number % 2]
        await world.ingress.change_routes([pool(*apps)], [])
        for answer in (await kept.call(HOST), await world.ask(HOST)):
            assert answer.json["app"] in {app.name for app in apps}
    await kept.close()


async def test_a_task_that_moves_takes_its_requests_along(world: IngressWorld) -> None:
    one, two, three = await apps_of(world, "app", 3)
    await world.ingress.apply_routes([pool(one, two, instance="i1")])
    async with under_load(world.port, HOST, kept=4, fresh=4) as load:
        await world.ingress.change_routes([pool(one, three, instance="i1")], [])
        await world.ingress.apply_routes([pool(one, three, instance="i1")])
        await load.goes_on(200)
        load.answers.clear()
        await load.goes_on(200)
    assert load.failures == []
    assert set(load.answers) == {one.name, three.name}
    assert await servers(world) == {"i1": {one.port, three.port}}


async def test_servers_of_a_retired_instance_go_once_it_has_no_request(world: IngressWorld) -> None:
    blue, green = await apps_of(world, "blue"), await apps_of(world, "green")
    await world.ingress.apply_routes([pool(*blue, instance="i1")])
    waiting = Client(world.port)
    await waiting.send(HOST, "/wait")
    async with asyncio.timeout(60):
        while not await world.ingress.in_flight(pooled(*blue, instance="i1")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    for _ in range(3):
        await world.ingress.apply_routes([pool(*green, instance="i2")])
    assert set(await servers(world)) == {"i1", "i2"}
    for app in blue:
        app.release()
    assert (await waiting.receive()).status == 200
    await waiting.close()
    async with asyncio.timeout(60):
        while "i1" in await servers(world):
            await world.ingress.apply_routes([pool(*green, instance="i2")])
    assert set(await servers(world)) == {"i2"}


async def test_a_tagboat_that_starts_again_takes_the_pools_over(world: IngressWorld) -> None:
    blue, green = await apps_of(world, "blue"), await apps_of(world, "green")
    await world.ingress.apply_routes([pool(*blue, instance="i1"), pool(*green, host=OTHER)])
    workers, before = world.workers, await servers(world)
    async with under_load(world.port, HOST, kept=4, fresh=4) as load:
        for _ in range(3):
            again = world.another()
            await again.start()
            await again.apply_routes([pool(*blue, instance="i1"), pool(*green, host=OTHER)])
            await load.goes_on(50)
        await again.change_routes([pool(*green, instance="i2")], [])
        await load.goes_on(50)
    assert load.failures == []
    assert world.workers == workers, "what runs is taken over as it is"
    assert (await servers(world)).items() >= before.items()


async def test_a_haproxy_that_ended_comes_back_with_its_pools(world: IngressWorld) -> None:
    blue = await apps_of(world, "blue")
    await world.ingress.apply_routes([])
    await world.ingress.change_routes([pool(*blue)], [])
    assert end_haproxy(world.directory)
    await world.another().start()  # that knows no routes yet
    assert {(await world.ask(HOST)).json["app"] for _ in range(20)} == {app.name for app in blue}


async def test_pools_that_are_used_up_grow_by_a_reload_that_loses_nothing(
    world: IngressWorld,
) -> None:
    apps = await apps_of(world, "app")
    await world.ingress.apply_routes([pool(*apps)])
    small, workers = await size_of(world), world.workers
    async with under_load(world.port, HOST, kept=4, fresh=4) as load:
        for number in range(small):
            host = f"app-{number}.localhost"
            await world.ingress.change_routes([pool(*apps, host=host, instance=f"i{number}")], [])
            # The hosts of before too: the file that is loaded has them.
            await world.ingress.change_routes([pool(*apps, instance=f"n{number % 2}")], [])
            await load.goes_on(10)
        hosts = [f"app-{number}.localhost" for number in range(small)]
        assert {(await world.ask(host)).status for host in hosts} == {200}
    assert load.failures == []
    assert await size_of(world) >= 2 * small
    assert world.workers != workers


async def test_websockets_go_through_pools(world: IngressWorld) -> None:
    blue, green = await apps_of(world, "blue"), await apps_of(world, "green")
    await world.ingress.apply_routes([pool(*blue)])
    there = await open_websocket(world.port, HOST)
    await world.ingress.apply_routes([pool(*green)])
    await world.ingress.apply_routes([pool(*green)])
    assert await there.echo(b"still there") == b"still there"
    assert await world.ingress.in_flight(pooled(*blue)) == 1
    await there.close()


async def test_a_pool_has_heads_of_64_kib_and_the_real_host(world: IngressWorld) -> None:
    await world.ingress.apply_routes([pool(*await apps_of(world, "app"))])
    answer = await world.ask(HOST, X_Long="x" * 60_000)
    headers = answer.json["headers"]
    assert (len(headers["x-long"]), headers["host"]) == (60_000, HOST)
    assert headers["x-forwarded-host"] == HOST
