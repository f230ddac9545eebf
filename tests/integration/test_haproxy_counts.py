"""The counts of a real HAProxy against those of the client."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tagboat.core.request_counts import EndedBy, InstanceCounts
from tests.support.endpoints import target
from tests.support.haproxy import IngressWorld, haproxy_world, to, until
from tests.support.http_load import App, Client, open_websocket

pytestmark = pytest.mark.anyio

HOST = "app-prod.localhost"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[IngressWorld]:
    async with haproxy_world(tmp_path / "ingress") as world:
        yield world


async def routed(world: IngressWorld, app: App) -> None:
    await world.ingress.apply_routes([to(app)])


async def counts(world: IngressWorld, app: App) -> Mapping[str, InstanceCounts]:
    found = await world.ingress.count_requests([target(app.port)], [HOST])
    return {one.process: one.instances[target(app.port).instance] for one in found}


async def settled(world: IngressWorld, app: App) -> InstanceCounts:
    """The counts of the one worker once nothing is in flight."""
    async with asyncio.timeout(60):
        while True:
            (found,) = (await counts(world, app)).values()
            if not found.in_flight:
                return found
            await asyncio.sleep(0.01)


async def test_an_answer_that_is_cut_is_told_from_one_that_the_client_left(
    world: IngressWorld,
) -> None:
    app = await world.app("blue")
    await routed(world, app)
    with pytest.raises(asyncio.IncompleteReadError):
        await world.ask(HOST, "/cut")
    leaving = Client(world.port)
    await leaving.send(HOST, "/half")
    assert b" 200 " in await leaving.hear(b'"blue"')  # the head and half of the body
    async with asyncio.timeout(60):
        while await world.ingress.in_flight(target(app.port)):  # noqa: ASYNC110 - no events
            await asyncio.sleep(0.01)
    posting = Client(world.port)
    await posting.send(HOST, "/", method="POST", headers={"Content-Length": "100"})
    await posting.send_more(b"some")
    async with asyncio.timeout(60):
        while (await world.ingress.in_flight(target(app.port))) != 1:  # noqa: ASYNC110 - no events
            await asyncio.sleep(0.01)
    await posting.close()
    found = await settled(world, app)
    assert (found.answers, found.errors, found.early_ends) == (2, 0, 3)
    assert [(one.by, one.answered) for one in found.known_ends] == [
        (EndedBy.APP, True),
        (EndedBy.CLIENT, True),
        (EndedBy.CLIENT, False),
    ]


async def test_a_request_that_is_sent_again_is_not_lost(world: IngressWorld) -> None:
    app = await world.app("blue")
    await routed(world, app)
    assert (await world.ask(HOST, "/hang-up")).status == 200
    found = await settled(world, app)
    assert (found.answers, found.errors) == (1, 0)
    assert {one.by for one in found.known_ends} <= {EndedBy.NOBODY}


async def test_a_websocket_is_one_answer_whoever_closes_it(world: IngressWorld) -> None:
    app = await world.app("blue")
    await routed(world, app)
    socket = await open_websocket(world.port, HOST)
    assert await socket.echo(b"hello") == b"hello"
    (found,) = (await counts(world, app)).values()
    assert (found.answers, found.in_flight) == (1, 1)
    await socket.close()
    found = await settled(world, app)
    assert (found.answers, found.errors) == (1, 0)
    assert {one.by for one in found.known_ends} <= {EndedBy.NOBODY}


async def test_an_app_that_is_gone_is_an_error_of_its_own(world: IngressWorld) -> None:
    app = await world.app("blue")
    await routed(world, app)
    await app.stop()
    world.apps.remove(app)
    statuses = Counter([(await world.ask(HOST)).status for _ in range(3)])
    found = await settled(world, app)
    assert found.errors == statuses[503] + statuses[502] == 3
    assert {one.by for one in found.known_ends} == {EndedBy.ERROR}
    (process,) = await world.ingress.count_requests([], [HOST])
    # An instance was routed to: it is that one's failure, not the lack of any.
    assert process.turned_away == 0


async def test_more_errors_than_the_ring_holds_are_all_counted(world: IngressWorld) -> None:
    app = await world.app("blue")
    await routed(world, app)
    client = Client(world.port)
    for _ in range(4000):
        assert (await client.call(HOST, "/status/500")).status == 500
    await client.close()
    found = await settled(world, app)
    assert (found.errors, found.early_ends) == (4000, 4000)
    assert 0 < len(found.known_ends) < 4000
    assert found.known_ends[-1].number == 4000


async def test_counts_outlive_tagboat_and_a_reload_keeps_those_of_both_workers(
    world: IngressWorld,
) -> None:
    app = await world.app("blue")
    await routed(world, app)
    waiting = Client(world.port)
    await waiting.send(HOST, "/wait")
    await app.waiting.acquire()
    await world.ask(HOST)
    (before,) = (await counts(world, app)).items()
    assert before[1].answers == 1
    # Another release of Tagboat: another text, so a reload with a second worker.
    world.ingress = world.another(trusted=("10.0.0.0/8",))
    await world.ingress.start()
    await routed(world, app)
    await world.ask(HOST)
    found = await counts(world, app)
    assert len(found) == 2
    assert found[before[0]].in_flight == 1
    assert sum(one.answers for one in found.values()) == 2
    assert sum(one["2xx"] for one in [(await world.ingress.code_classes())[HOST]]) == 2
    app.release()
    assert (await waiting.receive()).status == 200
    await waiting.close()
    await until(lambda: len(world.workers) == 1, "the end of the old worker")
    # Known until the last look.
    assert (await world.ingress.code_classes())[HOST]["2xx"] == 2
    await world.ask(HOST)
    assert (await world.ingress.code_classes())[HOST]["2xx"] == 3


async def test_a_haproxy_that_was_killed_counts_anew_under_another_name(
    world: IngressWorld,
) -> None:
    app = await world.app("blue")
    await routed(world, app)
    await world.ask(HOST)
    ((before, found),) = (await counts(world, app)).items()
    assert found.answers == 1
    assert world.master is not None
    world.kill(world.master)
    await until(lambda: world.master is None, "the end of the master")
    await world.ingress.start()
    await world.ask(HOST)
    ((after, found),) = (await counts(world, app)).items()
    assert after != before
    assert found.answers == 1
