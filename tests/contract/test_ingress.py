"""What the rest of Tagboat relies on in an ingress.

One suite, run on HAProxy and on the one in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import anyio
import pytest

from tagboat.core.catalog import Project, Stage
from tagboat.core.image import parse_image_name
from tagboat.core.ingress import Ingress
from tagboat.core.request_counts import EndedBy, InstanceCounts
from tagboat.core.route import Route, RouteState
from tagboat.core.tags import parse_tag_pattern
from tagboat.ingress.haproxy import HaproxyIngress
from tagboat.ingress.memory import MemoryIngress
from tests.support.endpoints import at, target
from tests.support.haproxy import IngressWorld, haproxy_world
from tests.support.http_load import App, Client

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOST = "app-prod.localhost"


class Request(Protocol):
    """One that is under way."""

    async def end(self) -> str: ...
    async def leave(self) -> None: ...


class World(Protocol):
    """An ingress and what is behind it. Asking answers an app's name, `not live` or `unknown`."""

    ingress: Ingress

    async def serve(self, name: str) -> int: ...
    async def break_down(self, port: int) -> None: ...
    async def ask(self, host: str, status: int = 200) -> str: ...
    async def begin(self, host: str) -> Request: ...


class MemoryRequest:
    def __init__(self, world: "MemoryWorld", port: int) -> None:
        self._world = world
        self._port = port

    async def end(self) -> str:
        self._world.memory.end(self._port)
        return self._world.names[self._port]

    async def leave(self) -> None:
        self._world.memory.end(self._port, by=EndedBy.CLIENT)


class MemoryWorld:
    def __init__(self) -> None:
        self.memory = MemoryIngress()
        self.ingress: Ingress = self.memory
        self.names: dict[int, str] = {}

    async def serve(self, name: str) -> int:
        port = 20000 + len(self.names)
        self.names[port] = name
        return port

    async def break_down(self, port: int) -> None:
        self.memory.dead.add(at(port))

    async def ask(self, host: str, status: int = 200) -> str:
        port = await self.memory.begin(host)
        if port is None:
            return "not live" if host in self.memory.routes else "unknown"
        self.memory.end(port, status)
        return self.names[port]

    async def begin(self, host: str) -> Request:
        port = await self.memory.begin(host)
        assert port is not None
        return MemoryRequest(self, port)


class HaproxyRequest:
    def __init__(self, client: Client, app: App) -> None:
        self._client = client
        self._app = app

    async def end(self) -> str:
        self._app.release()
        answer = await self._client.receive()
        await self._client.close()
        return str(answer.json["app"])

    async def leave(self) -> None:
        await self._client.close()


class HaproxyWorld:
    def __init__(self, inner: IngressWorld) -> None:
        self.ingress: Ingress = inner.ingress
        self._inner = inner

    async def serve(self, name: str) -> int:
        return (await self._inner.app(name)).port

    async def break_down(self, port: int) -> None:
        (app,) = (app for app in self._inner.apps if app.port == port)
        await app.stop()
        self._inner.apps.remove(app)

    async def ask(self, host: str, status: int = 200) -> str:
        answer = await self._inner.ask(host, f"/status/{status}")
        if "json" not in answer.headers.get("content-type", "json"):
            return {404: "unknown", 503: "not live"}[answer.status]
        return str(answer.json["app"])

    async def begin(self, host: str) -> Request:
        client = Client(self._inner.port)
        await client.send(host, "/wait")
        arrived = {asyncio.create_task(app.waiting.acquire()): app for app in self._inner.apps}
        done, pending = await asyncio.wait(arrived, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return HaproxyRequest(client, arrived[done.pop()])


@pytest.fixture(params=["memory", "haproxy"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    async with haproxy_world(tmp_path / "ingress") as inner:
        yield HaproxyWorld(inner)


async def test_a_route_leads_to_its_port(world: World) -> None:
    blue, green = await world.serve("blue"), await world.serve("green")
    await world.ingress.apply_routes(
        [
            Route(HOST, RouteState.OPEN, target(blue)),
            Route("shop.example.com", RouteState.OPEN, target(green)),
        ]
    )
    assert await world.ask(HOST) == "blue"
    assert await world.ask("shop.example.com") == "green"


async def test_who_asks_for_what_no_route_names_is_told_so(world: World) -> None:
    assert await world.ask(HOST) == "unknown"
    await world.ingress.apply_routes(
        [Route(HOST, RouteState.OPEN, target(await world.serve("blue")))]
    )
    assert await world.ask("other.localhost") == "unknown"


async def test_a_stage_without_a_live_instance_says_so(world: World) -> None:
    await world.ingress.apply_routes([Route(HOST, RouteState.NONE)])
    assert await world.ask(HOST) == "not live"
    await world.ingress.apply_routes([Route(HOST, RouteState.STOPPED)])
    assert await world.ask(HOST) == "not live"


async def test_some_hosts_are_led_elsewhere_and_no_other(world: World) -> None:
    blue, green = await world.serve("blue"), await world.serve("green")
    hosts = ["a.localhost", "b.localhost", "c.localhost", "d.localhost"]
    await world.ingress.apply_routes(
        [Route(host, RouteState.OPEN, target(blue)) for host in hosts[:3]]
    )
    await world.ingress.change_routes(
        [
            Route(hosts[0], RouteState.OPEN, target(green)),
            Route(hosts[3], RouteState.OPEN, target(green)),
        ],
        [hosts[1]],
    )
    assert [await world.ask(host) for host in hosts] == ["green", "unknown", "blue", "green"]
    await world.ingress.change_routes(
        [Route(hosts[2], RouteState.NONE)], [hosts[0], "never.localhost"]
    )
    assert [await world.ask(host) for host in hosts] == ["unknown", "unknown", "not live", "green"]
    await world.ingress.change_routes([], [])
    assert [await world.ask(host) for host in hosts] == ["unknown", "unknown", "not live", "green"]


async def test_a_host_both_led_and_gone_is_led(world: World) -> None:
    blue = await world.serve("blue")
    await world.ingress.apply_routes([])
    await world.ingress.change_routes([Route(HOST, RouteState.OPEN, target(blue))], [HOST])
    assert await world.ask(HOST) == "blue"


async def test_traffic_follows_exactly_the_routes_led_last(world: World) -> None:
    blue, green = await world.serve("blue"), await world.serve("green")
    await world.ingress.apply_routes(
        [
            Route(HOST, RouteState.OPEN, target(blue)),
            Route("gone.localhost", RouteState.OPEN, target(blue)),
        ]
    )
    for _ in range(2):
        await world.ingress.apply_routes(
            [
                Route(HOST, RouteState.OPEN, target(green)),
                Route("new.localhost", RouteState.OPEN, target(blue)),
            ]
        )
        assert await world.ask(HOST) == "green"
        assert await world.ask("new.localhost") == "blue"
        assert await world.ask("gone.localhost") == "unknown"
    await world.ingress.apply_routes([])
    assert await world.ask(HOST) == "unknown"


async def test_many_routes_at_once(world: World) -> None:
    blue = await world.serve("blue")
    routes = [
        Route(f"app-{number}.a-rather-long-base-domain.example.com", RouteState.OPEN, target(blue))
        for number in range(500)
    ]
    await world.ingress.apply_routes(routes)
    assert {await world.ask(route.host) for route in routes[::50]} == {"blue"}
    await world.ingress.apply_routes(routes[:1])
    assert await world.ask(routes[1].host) == "unknown"


async def test_a_request_ends_where_it_began_and_is_counted_there(world: World) -> None:
    blue, green = await world.serve("blue"), await world.serve("green")
    await world.ingress.apply_routes([Route(HOST, RouteState.OPEN, target(blue))])
    assert await world.ingress.in_flight(target(blue)) == 0
    request = await world.begin(HOST)
    assert (
        await world.ingress.in_flight(target(blue)),
        await world.ingress.in_flight(target(green)),
    ) == (
        1,
        0,
    )
    await world.ingress.apply_routes([Route(HOST, RouteState.OPEN, target(green))])
    assert await world.ask(HOST) == "green"
    assert await world.ingress.in_flight(target(blue)) == 1
    assert await request.end() == "blue"
    await becomes_idle(world.ingress, blue)


async def test_requests_are_counted_by_how_they_ended(world: World) -> None:
    blue, green = await world.serve("blue"), await world.serve("green")
    await world.ingress.apply_routes([Route(HOST, RouteState.OPEN, target(blue))])
    before = await counted(world.ingress, blue, green)
    assert before == {name(blue): InstanceCounts(), name(green): InstanceCounts()}
    for status in (200, 200, 404, 500, 503):
        assert await world.ask(HOST, status) == "blue"
    await world.ask("unknown.localhost")
    left, waiting = await world.begin(HOST), await world.begin(HOST)
    await left.leave()
    async with asyncio.timeout(60):
        while await world.ingress.in_flight(target(blue)) > 1:  # noqa: ASYNC110 - the port has no events to wait for
            await asyncio.sleep(0.01)
    after = await counted(world.ingress, blue, green)
    assert after[name(green)] == InstanceCounts()
    found = after[name(blue)]
    assert (found.answers, found.errors, found.early_ends, found.in_flight) == (3, 2, 3, 1)
    assert [(one.number, one.by) for one in found.known_ends] == [
        (1, EndedBy.ERROR),
        (2, EndedBy.ERROR),
        (3, EndedBy.CLIENT),
    ]
    assert not found.known_ends[2].answered
    await waiting.end()
    await becomes_idle(world.ingress, blue)
    assert (await counted(world.ingress, blue))[name(blue)].answers == 4


async def test_several_endpoints_share_the_requests_and_one_may_end(world: World) -> None:
    blue, green = await world.serve("blue"), await world.serve("green")
    both = target(blue, green, instance="i1")
    await world.ingress.apply_routes([Route(HOST, RouteState.OPEN, both)])
    assert {await world.ask(HOST) for _ in range(10)} == {"blue", "green"}
    await world.break_down(blue)
    assert {await world.ask(HOST) for _ in range(10)} == {"green"}
    request = await world.begin(HOST)
    await world.ingress.change_routes([Route(HOST, RouteState.NONE)], [])
    assert await world.ask(HOST) == "not live"
    (process,) = await world.ingress.count_requests([both], [])
    assert (process.instances["i1"].answers, process.instances["i1"].in_flight) == (20, 1)
    assert await request.end() == "green"
    async with asyncio.timeout(60):
        while await world.ingress.in_flight(both):  # noqa: ASYNC110 - the port has no events
            await asyncio.sleep(0.01)


async def test_an_instance_is_the_same_wherever_its_tasks_move(world: World) -> None:
    blue, green, red = [await world.serve(name) for name in ("blue", "green", "red")]
    await world.ingress.apply_routes([])
    for ports in ((blue, green), (green, red)):
        there = target(*ports, instance="i1")
        await world.ingress.change_routes([Route(HOST, RouteState.OPEN, there)], [])
        await world.ingress.apply_routes([Route(HOST, RouteState.OPEN, there)])
        assert len({await world.ask(HOST) for _ in range(10)}) == 2
    (process,) = await world.ingress.count_requests([there], [])
    assert process.instances["i1"].answers == 20
    await world.ingress.apply_routes([Route(HOST, RouteState.OPEN, target(red))])
    assert await world.ask(HOST) == "red"


async def test_requests_that_meet_no_instance_are_counted_by_host(world: World) -> None:
    await world.ingress.apply_routes([Route(HOST, RouteState.NONE)])
    for host in (HOST, HOST, "unknown.localhost"):
        await world.ask(host)
    (process,) = await world.ingress.count_requests([], [HOST, "unknown.localhost"])
    assert (process.instances, process.turned_away) == ({}, 2)
    for hosts in (
        [],
        ["a b", f"x;clear table hosts key {HOST}", f"x\nclear table hosts key {HOST}"],
    ):
        (process,) = await world.ingress.count_requests([], hosts)
        assert process.turned_away == 0
    (process,) = await world.ingress.count_requests([], [HOST])
    assert process.turned_away == 2


async def test_answers_are_counted_by_host_and_class(world: World) -> None:
    blue = await world.serve("blue")
    other = "other.localhost"
    await world.ingress.apply_routes(
        [Route(HOST, RouteState.OPEN, target(blue)), Route(other, RouteState.OPEN, target(blue))]
    )
    for status in (200, 201, 302, 404, 500):
        await world.ask(HOST, status)
    await world.ask(other)
    for host in ("unknown.localhost", "made-up.example.com"):
        await world.ask(host)
    found = {
        host: {name: number for name, number in classes.items() if number}
        for host, classes in (await world.ingress.code_classes()).items()
    }
    assert found == {HOST: {"2xx": 2, "3xx": 1, "4xx": 1, "5xx": 1}, other: {"2xx": 1}}


def name(port: int) -> str:
    return target(port).instance


async def counted(ingress: Ingress, *ports: int) -> Mapping[str, InstanceCounts]:
    (process,) = await ingress.count_requests([target(port) for port in ports], [])
    return process.instances


async def test_a_held_request_waits_for_the_way_to_open(world: World) -> None:
    blue = await world.serve("blue")
    await world.ingress.apply_routes([Route(HOST, RouteState.HELD)])
    held = asyncio.create_task(world.ask(HOST))
    await anyio.sleep(0.2)  # long enough for an answer, if one came
    assert not held.done()
    await world.ingress.apply_routes([Route(HOST, RouteState.OPEN, target(blue))])
    assert await held == "blue"


async def test_a_held_request_is_told_when_there_will_be_nothing(world: World) -> None:
    await world.ingress.apply_routes([Route(HOST, RouteState.HELD)])
    held = asyncio.create_task(world.ask(HOST))
    await anyio.sleep(0.2)
    await world.ingress.apply_routes([Route(HOST, RouteState.NONE)])
    assert await held == "not live"


@pytest.mark.parametrize(
    "wrong",
    [
        Route(HOST, RouteState.NONE),
        Route("a b", RouteState.NONE),
        Route("a\nb", RouteState.NONE),
        Route("Upper", RouteState.NONE),
        Route("a" * 254, RouteState.NONE),
        Route("other.localhost", RouteState.OPEN),
    ],
)
async def test_a_route_that_cannot_be_stops_no_other(world: World, wrong: Route) -> None:
    blue = await world.serve("blue")
    await world.ingress.apply_routes([Route(HOST, RouteState.OPEN, target(blue)), wrong])
    assert await world.ask(HOST) == "blue"


Build = Callable[[str, int, str], Ingress]


def _memory(base_domain: str, port: int, public_url: str) -> Ingress:
    return MemoryIngress(base_domain=base_domain, port=port, public_url=public_url)


def _haproxy(base_domain: str, port: int, public_url: str) -> Ingress:
    return HaproxyIngress(
        Path("unused"), listen=("127.0.0.1", port), base_domain=base_domain, public_url=public_url
    )


@pytest.mark.parametrize("build", [_memory, _haproxy])
@pytest.mark.parametrize(
    ("base_domain", "port", "public_url", "address"),
    [
        ("localhost", 7080, "http://127.0.0.1:7070", "http://app-prod.localhost:7080"),
        ("example.com", 80, "http://tagboat.example.com", "http://app-prod.example.com"),
        ("example.com", 7080, "https://tagboat.example.com", "https://app-prod.example.com"),
        (
            "dev.localhost",
            7080,
            "https://tagboat.example.com",
            "http://app-prod.dev.localhost:7080",
        ),
    ],
)
def test_the_address_of_a_stage(
    build: Build, base_domain: str, port: int, public_url: str, address: str
) -> None:
    project = Project(
        id="p", name="app", image=parse_image_name("registry.test/acme/app"), created_at=NOW
    )
    stage = Stage(
        id="s", project_id="p", name="prod", pattern=parse_tag_pattern("*"), created_at=NOW
    )
    assert build(base_domain, port, public_url).address(project, stage) == address


async def becomes_idle(ingress: Ingress, port: int) -> None:
    async with asyncio.timeout(60):
        while await ingress.in_flight(target(port)):  # noqa: ASYNC110 - the port has no events to wait for
            await asyncio.sleep(0.01)
