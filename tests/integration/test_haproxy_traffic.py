"""HAProxy under traffic: a switch, a reload and a held stage cost nobody a request."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from tagboat.core.route import Route, RouteState
from tagboat.ingress.config import HOLD_S
from tests.support.endpoints import target
from tests.support.haproxy import IngressWorld, haproxy_world, held, to, until
from tests.support.http_load import App, Client, ask, open_websocket, under_load

pytestmark = pytest.mark.anyio

HOST = "app-prod.localhost"
OTHER = "other-prod.localhost"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[IngressWorld]:
    async with haproxy_world(tmp_path / "ingress") as world:
        yield world


@pytest.fixture
async def blue(world: IngressWorld) -> App:
    return await world.app("blue")


@pytest.fixture
async def green(world: IngressWorld) -> App:
    return await world.app("green")


async def test_two_hundred_switches_under_load_lose_nothing(
    world: IngressWorld, blue: App, green: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    worker = world.workers
    async with under_load(world.port, HOST, kept=6, fresh=6) as load:
        for number in range(200):
            await world.ingress.apply_routes([to((green, blue)[number % 2])])
        await load.goes_on(1000)
    assert load.failures == []
    assert set(load.answers) == {"blue", "green"}
    assert world.workers == worker, "a switch is no reload"


async def test_deploys_under_load_that_stop_each_drained_app_lose_nothing(
    world: IngressWorld, blue: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    old = blue
    async with under_load(world.port, HOST, kept=6, fresh=6) as load:
        for number in range(30):
            new = await world.app(f"app {number}")
            await world.ingress.apply_routes([to(new)])
            await drained(world, old)
            await old.stop()
            world.apps.remove(old)
            await load.goes_on(20)
            old = new
    assert load.failures == []
    assert len(load.answers) > 30


async def test_after_a_confirmed_switch_nobody_reaches_the_old_one(
    world: IngressWorld, blue: App, green: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    kept = Client(world.port)
    for number in range(50):
        app = (green, blue)[number % 2]
        await world.ingress.apply_routes([to(app)])
        assert (await kept.call(HOST)).json["app"] == app.name
        assert (await world.ask(HOST)).json["app"] == app.name
    await kept.close()


async def test_a_new_host_needs_no_reload(world: IngressWorld, blue: App) -> None:
    worker = world.workers
    for number in range(40):
        await world.ingress.apply_routes(
            [to(blue, f"app-{n}.localhost") for n in range(number + 1)]
        )
        assert (await world.ask(f"app-{number}.localhost")).status == 200
    assert world.workers == worker


async def test_a_websocket_of_its_own_is_counted_and_lives_until_its_app_goes(
    world: IngressWorld, blue: App, green: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    socket = await open_websocket(world.port, HOST)
    await world.ingress.apply_routes([to(green)])
    assert await socket.echo(b"still there") == b"still there"
    assert await world.ingress.in_flight(target(blue.port)) == 1
    await blue.stop()
    world.apps.remove(blue)
    assert await socket.echo(b"and now?") == b""
    await socket.close()
    await drained(world, blue)


async def test_the_websocket_of_another_app_notices_nothing(
    world: IngressWorld, blue: App, green: App
) -> None:
    other = await world.app("other")
    await world.ingress.apply_routes([to(blue), to(other, OTHER)])
    socket = await open_websocket(world.port, OTHER)
    for number in range(20):
        await world.ingress.apply_routes([to((green, blue)[number % 2]), to(other, OTHER)])
        assert await socket.echo(b"ping") == b"ping"
    await reload(world)
    assert await socket.echo(b"ping") == b"ping"
    assert await world.ingress.in_flight(target(other.port)) == 1
    await socket.close()


async def test_a_reload_under_load_loses_nothing_and_the_old_worker_ends_its_own(
    world: IngressWorld, blue: App, green: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    long = Client(world.port)
    await long.send(HOST, "/wait")
    await blue.waiting.acquire()
    async with under_load(world.port, HOST, kept=6, fresh=6) as load:
        for _ in range(5):
            await reload(world)
            await load.goes_on()
        await world.ingress.apply_routes([to(green)])
        await until(lambda: load.answers["green"] > 100, "answers of the new one")
    assert load.failures == []
    assert await world.ingress.in_flight(target(blue.port)) == 1, "the old worker's request counts"
    blue.release()
    assert (await long.receive()).json["app"] == "blue"
    await drained(world, blue)
    await long.close()


async def test_a_connection_kept_over_a_reload_follows_the_next_switch(
    world: IngressWorld, blue: App, green: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    kept = Client(world.port)
    assert (await kept.call(HOST)).json["app"] == "blue"
    await reload(world)
    await world.ingress.apply_routes([to(green), to(blue, OTHER)])
    assert (await kept.call(HOST)).json["app"] == "green"
    await kept.close()


async def test_an_upload_ends_where_it_began(world: IngressWorld, blue: App, green: App) -> None:
    await world.ingress.apply_routes([to(blue)])
    uploader = Client(world.port)
    await uploader.send(HOST, method="POST", headers={"Content-Length": "1000000"})
    await uploader.send_more(b"x" * 400_000)
    await until_in_flight(world, blue)
    await world.ingress.apply_routes([to(green)])
    await reload(world)
    await uploader.send_more(b"x" * 600_000)
    answer = await uploader.receive()
    assert (answer.json["app"], answer.json["length"]) == ("blue", 1_000_000)
    await uploader.close()


async def test_one_connection_to_two_hosts(world: IngressWorld, blue: App, green: App) -> None:
    await world.ingress.apply_routes([to(blue), to(green, OTHER)])
    kept = Client(world.port)
    for _ in range(10):
        for host, name in ((HOST, "blue"), (OTHER, "green")):
            for method in ("GET", "POST"):
                answer = await kept.call(host, method=method)
                assert (answer.json["app"], answer.json["method"]) == (name, method)
                assert answer.json["headers"]["x-forwarded-port"] == str(world.port)
    await kept.close()


@pytest.mark.parametrize("host", ["{}:7080", "APP-Prod.LocalHost", "{}.", "{}.:7080"])
async def test_the_ways_to_write_a_host(world: IngressWorld, blue: App, host: str) -> None:
    await world.ingress.apply_routes([to(blue)])
    written = host.format(HOST)
    answer = await world.ask(written)
    assert answer.json["headers"]["host"] == written


@pytest.mark.parametrize("host", ["", " ", "nobody.localhost", f"x.{HOST}", "[::1]", "a" * 500])
async def test_any_other_host_is_a_plain_404(world: IngressWorld, blue: App, host: str) -> None:
    await world.ingress.apply_routes([to(blue)])
    answer = await world.ask(host)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"No stage answers at this address" in answer.body
    assert (await ask(world.port, host, method="HEAD")).status == 404


async def test_a_stage_without_a_live_instance_is_a_503_to_come_back_to(
    world: IngressWorld,
) -> None:
    await world.ingress.apply_routes([Route(HOST, RouteState.NONE)])
    answer = await world.ask(HOST)
    assert (answer.status, answer.headers["retry-after"]) == (503, "10")
    assert b"no live instance" in answer.body


async def test_a_stopped_stage_says_that_it_is_stopped(world: IngressWorld) -> None:
    await world.ingress.apply_routes([Route(HOST, RouteState.STOPPED)])
    answer = await world.ask(HOST)
    assert (answer.status, answer.headers["cache-control"]) == (503, "no-store")
    assert b"This stage is stopped." in answer.body


async def test_held_requests_arrive_whole(world: IngressWorld, blue: App) -> None:
    await world.ingress.apply_routes([Route(HOST, RouteState.HELD), to(blue, OTHER)])
    body = b"x" * 300_000
    clients = [Client(world.port) for _ in range(8)]
    tasks = [
        asyncio.create_task(
            client.call(HOST, method="POST", body=body) if number % 2 else client.call(HOST)
        )
        for number, client in enumerate(clients)
    ]
    assert (await world.ask(OTHER)).status == 200
    await anyio.sleep(0.3)  # long enough for answers, if any came
    assert [task for task in tasks if task.done()] == []
    await world.ingress.apply_routes([to(blue), to(blue, OTHER)])
    answers = await asyncio.gather(*tasks)
    assert [answer.json["length"] for answer in answers] == [0, len(body)] * 4
    for client in clients:
        await client.close()


async def test_held_requests_survive_a_reload(world: IngressWorld, blue: App) -> None:
    await world.ingress.apply_routes([Route(HOST, RouteState.HELD)])
    asked = asyncio.create_task(world.ask(HOST))
    await held(world, 1)
    await reload(world)
    await world.ingress.apply_routes([to(blue)])
    assert (await asked).json["app"] == "blue"


async def test_no_request_is_held_for_ever(world: IngressWorld) -> None:
    ingress = world.another(hold_s=1)
    await ingress.apply_routes([Route(HOST, RouteState.HELD)])
    async with asyncio.timeout(HOLD_S / 2):
        answer = await world.ask(HOST)
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    assert b"being restarted" in answer.body


async def test_a_request_to_an_app_that_hangs_up_is_repeated_if_it_may_be(
    world: IngressWorld, blue: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    assert (await world.ask(HOST, "/hang-up")).status == 200
    assert [request["path"] for request in blue.seen] == ["/hang-up", "/hang-up"]


async def test_a_request_that_must_not_happen_twice_is_never_repeated(
    world: IngressWorld, blue: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    answer = await ask(world.port, HOST, "/hang-up", method="POST")
    assert answer.status == 502
    assert len(blue.seen) == 1


async def test_an_app_that_is_quick_to_close_idle_connections_costs_nobody_a_request(
    world: IngressWorld,
) -> None:
    hasty = await world.app("hasty", idle_s=0.002)
    await world.ingress.apply_routes([to(hasty)])
    async with under_load(world.port, HOST, kept=12, fresh=2, pause_s=0.002) as load:
        await load.goes_on(3000)
    assert load.failures == []


FORGED = {
    "X_Forwarded_For": "203.0.113.9",
    "X_Forwarded_Proto": "https",
    "X_Forwarded_Host": "shop.example.com",
    "X_Forwarded_Prefix": "/x",
    "Forwarded": "for=203.0.113.9",
    "X_Real_IP": "203.0.113.9",
}


async def test_a_trusted_front_is_believed(world: IngressWorld, blue: App) -> None:
    await world.ingress.apply_routes([to(blue)])
    headers = (await world.ask(HOST, **FORGED)).json["headers"]
    assert headers["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-host"] == "shop.example.com"
    assert headers["x-real-ip"] == "203.0.113.9"
    assert headers["forwarded"] == "for=203.0.113.9"
    assert "x-forwarded-port" not in headers, "HAProxy's own port is not the front's"


async def test_nobody_else_is(world: IngressWorld, blue: App) -> None:
    strict = world.another(trusted=("203.0.113.0/24",))
    await strict.apply_routes([to(blue)])
    headers = (await world.ask(HOST, **FORGED)).json["headers"]
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == HOST
    assert headers["x-forwarded-port"] == str(world.port)
    assert not {"x-real-ip", "forwarded", "x-forwarded-prefix"} & set(headers)


@pytest.mark.parametrize("trusted", [("127.0.0.0/8",), ("203.0.113.0/24",)])
async def test_what_apps_may_take_for_another_header_does_not_reach_them(
    world: IngressWorld, blue: App, trusted: tuple[str, ...]
) -> None:
    ingress = world.another(trusted=trusted)
    await ingress.apply_routes([to(blue)])
    names = ("X_Forwarded_For", "X-Forwarded_For", "x_real_ip", "X.Real.IP", "X_Forwarded-Proto")
    forged = "".join(f"{name}: 6.6.6.6\r\n" for name in names)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(
        f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Own: kept\r\n{forged}".encode()
        + b"Connection: close\r\n\r\n"
    )
    answer = (await reader.read()).decode()
    writer.close()
    assert '"x-own": "kept"' in answer
    assert "6.6.6.6" not in answer


async def test_without_lua_a_held_request_is_told_to_come_back(tmp_path: Path) -> None:
    program = tmp_path / "haproxy"
    program.write_text(
        '#!/bin/sh\n[ "$1" = -vv ] && exec sh -c "haproxy -vv | grep -v Lua"\nexec haproxy "$@"\n'
    )
    program.chmod(0o755)
    async with haproxy_world(tmp_path / "ingress", program=str(program)) as world:
        await world.ingress.apply_routes([Route(HOST, RouteState.HELD)])
        answer = await world.ask(HOST)
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")


async def drained(world: IngressWorld, app: App) -> None:
    async with asyncio.timeout(60):
        while await world.ingress.in_flight(target(app.port)):  # noqa: ASYNC110 - the port has no events to wait for
            await asyncio.sleep(0.01)


async def until_in_flight(world: IngressWorld, app: App) -> None:
    async with asyncio.timeout(60):
        while not await world.ingress.in_flight(target(app.port)):  # noqa: ASYNC110 - the port has no events to wait for
            await asyncio.sleep(0.01)


async def reload(world: IngressWorld) -> None:
    """What a newer Tagboat does: another text, taken over by the running master."""
    world.ingress = world.another(hold_s=next(_SECONDS))
    await world.ingress.start()


_SECONDS = iter(range(60, 120))
