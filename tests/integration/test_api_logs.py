"""Logs over the API: from a time on, with times, and followed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tagboat.api import log_streams
from tagboat.core.deploy import DeployStatus, Instance, InstanceState
from tagboat.core.errors import EngineUnavailableError
from tagboat.core.ports import Tx
from tagboat.core.values import replace
from tests.integration.test_api_events import Following, following
from tests.integration.test_api_overview import NOBODY, make, ran, writes
from tests.support.api import Api, running_api

pytestmark = pytest.mark.anyio
LATE = 5000
"""Lines that take longer to be read than a deploy to be heard of."""
NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
async def api(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Api]:  # noqa: ARG001 - it runs this
    with running_api(tmp_path) as api:
        yield api


async def a_live_one(api: Api, *lines: str, tag: str = "v1") -> tuple[str, Instance]:
    project, (dev,) = await make(api, "app", "dev")
    live = await ran(api, project, dev, tag, InstanceState.LIVE)
    await writes(api, live, *lines)
    return dev, live


def instance_log(
    api: Api,
    instance: Instance,
    query: str = "follow=true",
    **more: Any,  # noqa: ANN401 - as in following
) -> AbstractAsyncContextManager[Following]:
    return following(api, query, path=f"/api/instances/{instance.id}/logs", **more)


def stage_log(
    api: Api, stage: str, query: str = "follow=true"
) -> AbstractAsyncContextManager[Following]:
    return following(api, query, path=f"/api/stages/{stage}/logs", accept="*/*")


async def put(api: Api, instance: Instance, state: InstanceState) -> None:
    await api.store.write(lambda tx: tx.put_instance(replace(instance, state=state)))


async def event_of(stream: Following) -> tuple[str, Any]:
    """The name and data of the next event that is not a comment."""
    while (block := await stream.block()) is not None:
        if "data" in block:
            return block["event"], json.loads(block["data"])
    return "", None


async def none_follows(api: Api, instance: Instance) -> None:
    """Wait until nobody reads the log of the engine any more."""
    async with asyncio.timeout(60):
        while api.engine.followers(instance.container):  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.01)


async def test_a_log_from_a_time_on_and_with_times(api: Api) -> None:
    dev, live = await a_live_one(api)
    for minute in range(3):
        api.engine.clock = lambda minute=minute: NOON + timedelta(minutes=minute)  # type: ignore[misc]
        api.engine.say(live.container, f"line {minute}")

    async def lines(query: str) -> list[str]:
        path = f"/api/instances/{live.id}/logs?{query}"
        of_stage = await api.caller.get(f"/api/stages/{dev}/logs?{query}")
        found: list[str] = (await api.caller.get(path)).json["lines"]
        assert of_stage.json["lines"] == found
        return found

    assert await lines("since=2026-05-01T12:01:00Z") == ["line 1", "line 2"]
    assert await lines("since=2026-05-01T12:01:00Z&tail=1") == ["line 2"]
    # Without a zone it is UTC, and a duration counts back from now.
    assert await lines("since=2026-05-01T12:02:00") == ["line 2"]
    assert await lines("since=1s") == []
    assert await lines("since=2026-05-01T14:02:00%2B02:00&timestamps=true") == [
        "2026-05-01T12:02:00.000000Z line 2"
    ]


@pytest.mark.parametrize("since", ["", "soon", "10", "10y", "-5m", "2026-13-01", "99999999999d"])
async def test_a_beginning_that_is_none_is_422(api: Api, since: str) -> None:
    _, live = await a_live_one(api)
    answer = await api.caller.get(f"/api/instances/{live.id}/logs?since={since}")
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "since")
    assert "10m" in answer.json["detail"]


async def test_an_instance_is_followed_until_its_container_is_gone(api: Api) -> None:
    _, live = await a_live_one(api, "one", "two", "three")

    async with instance_log(api, live, "follow=true&tail=2", accept="*/*") as stream:
        assert (stream.status, stream.headers["content-type"]) == (
            200,
            "text/plain; charset=utf-8",
        )
        assert [await stream.line(), await stream.line()] == ["two", "three"]
        api.engine.say(live.container, "four")
        assert await stream.line() == "four"
        await api.engine.remove(live.container)
        assert await stream.line() is None


async def test_as_events_each_line_says_when_and_whose_it_is(api: Api) -> None:
    _, live = await a_live_one(api)
    api.engine.clock = lambda: NOON
    api.engine.say(live.container, "one")

    async with instance_log(api, live) as stream:
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert await stream.block() == {"retry": "2000"}
        block = await stream.block()
        assert block is not None
        assert (block["id"], block["event"]) == ("2026-05-01T12:00:00.000000Z", "line")
        assert json.loads(block["data"]) == {
            "instance": live.id,
            "at": "2026-05-01T12:00:00Z",
            "text": "one",
        }
        await api.engine.remove(live.container)
        assert await event_of(stream) == ("end", {})

    # A client that connects again has seen that line.
    await writes(api, live)
    api.engine.say(live.container, "one")
    api.engine.clock = lambda: NOON + timedelta(microseconds=1)
    api.engine.say(live.container, "two")
    async with instance_log(api, live, last=block["id"]) as stream:
        assert (await event_of(stream))[1]["text"] == "two"


async def test_what_is_followed_shows_no_secret(api: Api) -> None:
    project, (dev,) = await make(api, "app", "dev")
    await api.caller.patch(f"/api/stages/{dev}", {"secrets": {"PASSWORD": "S3CR3T-needle"}})
    live = await ran(api, project, dev, "v1", InstanceState.LIVE)
    await writes(api, live, "before S3CR3T-needle")
    async with stage_log(api, dev) as stream:
        assert await stream.line() == "before ***"
        api.engine.say(live.container, "now S3CR3T-needle")
        assert await stream.line() == "now ***"


async def test_an_idle_stream_is_kept_alive(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_streams, "HEARTBEAT_S", 0.05)
    _, live = await a_live_one(api)
    async with instance_log(api, live) as stream:
        assert [await stream.block() for _ in range(3)] == [
            {"retry": "2000"},
            {"": "heartbeat"},
            {"": "heartbeat"},
        ]
        api.engine.say(live.container, "after all")
        assert (await event_of(stream))[1]["text"] == "after all"


async def test_the_engine_is_not_read_any_more_once_the_client_is_gone(api: Api) -> None:
    _, live = await a_live_one(api, "one")
    for accept in ("*/*", "text/event-stream"):
        async with instance_log(api, live, accept=accept) as stream:
            if accept == "*/*":
                assert await stream.line() == "one"
            else:
                assert (await event_of(stream))[1]["text"] == "one"
            assert api.engine.followers(live.container) == 1
        await none_follows(api, live)


async def test_a_reader_that_does_not_read_holds_the_engine_up_and_not_the_memory(api: Api) -> None:
    _, live = await a_live_one(api, "one")
    async with instance_log(api, live, accept="*/*") as stream:
        assert await stream.line() == "one"
        stream.paused.clear()
        for number in range(5000):
            api.engine.say(live.container, f"line {number}")
        await asyncio.sleep(0.05)
        stream.paused.set()
        for number in range(5000):
            assert await stream.line() == f"line {number}"
        stream.paused.clear()
        api.engine.say(live.container, "more")
    await none_follows(api, live)


async def test_the_stop_of_the_server_ends_the_stream(api: Api) -> None:
    dev, live = await a_live_one(api, "one")
    async with stage_log(api, dev) as plain, instance_log(api, live) as events:
        assert await plain.line() == "one"
        assert (await event_of(events))[1]["text"] == "one"
        api.end_streams()
        assert await plain.line() is None
        # Without `end`: a client connects again, to the server that comes next.
        assert await event_of(events) == ("", None)
    await none_follows(api, live)


async def test_what_cannot_be_followed_is_refused_before_the_stream_begins(api: Api) -> None:
    dev, live = await a_live_one(api)
    api.engine.fail("status", EngineUnavailableError("the engine is away"))
    async with instance_log(api, live) as stream:
        assert stream.status == 503
    await api.engine.remove(live.container)
    async with instance_log(api, live) as stream:
        assert (stream.status, stream.headers["content-type"]) == (404, "application/problem+json")
    async with stage_log(api, NOBODY) as stream:
        assert stream.status == 404
    async with stage_log(api, dev, "follow=true&tail=0") as stream:
        assert stream.status == 422


async def test_an_engine_that_goes_away_is_said(api: Api) -> None:
    dev, live = await a_live_one(api)
    api.engine.fail("logs", EngineUnavailableError("the engine is away"))
    async with stage_log(api, dev) as stream:
        assert await stream.line() == "--- the log broke off: the engine is away ---"
        assert await stream.line() is None
    api.engine.fail("logs", EngineUnavailableError("the engine is away"))
    async with instance_log(api, live) as events:
        said = {"text": "the log broke off: the engine is away", "broken": True}
        assert await event_of(events) == ("note", said)
        # Without `end`: a client connects again.
        assert await event_of(events) == ("", None)


async def test_a_stage_is_followed_through_a_deploy_and_back(api: Api) -> None:
    dev, old = await a_live_one(api, "old begins")
    async with stage_log(api, dev) as stream:
        assert await stream.line() == "old begins"
        new = await ran(
            api, old.project_id, dev, "v2", InstanceState.STARTING, status=DeployStatus.RUNNING
        )
        await writes(api, new, "new begins")
        api.engine.say(old.container, "old still serves")
        assert await stream.line() == "old still serves"

        def switch(tx: Tx) -> None:
            tx.put_instance(replace(new, state=InstanceState.LIVE))
            tx.put_instance(replace(old, state=InstanceState.DRAINING))

        await api.store.write(switch)
        assert await stream.line() == "--- v2 is live: its log follows ---"
        # From its first line on: how it started is part of it.
        assert await stream.line() == "new begins"

        await put(api, old, InstanceState.LIVE)
        await put(api, new, InstanceState.FAILED)
        await api.engine.remove(new.container)
        assert await stream.line() == "--- v1 is live: its log follows ---"
        api.engine.say(old.container, "old again")
        # What was shown of it is not shown a second time.
        assert await stream.line() == "old again"


async def test_what_was_written_before_a_deploy_is_shown_however_long_it_takes(api: Api) -> None:
    dev, old = await a_live_one(api, "old begins")
    async with stage_log(api, dev) as stream:
        assert await stream.line() == "old begins"
        new = await ran(
            api, old.project_id, dev, "v2", InstanceState.STARTING, status=DeployStatus.RUNNING
        )
        await writes(api, new, "new begins")
        for number in range(LATE):
            api.engine.say(old.container, f"line {number}")

        def switch(tx: Tx) -> None:
            tx.put_instance(replace(new, state=InstanceState.LIVE))
            tx.put_instance(replace(old, state=InstanceState.DRAINING))

        await api.store.write(switch)
        for number in range(LATE):
            assert await stream.line() == f"line {number}"
        assert await stream.line() == "--- v2 is live: its log follows ---"
        assert await stream.line() == "new begins"


async def test_a_stage_in_which_nothing_runs_is_waited_for(api: Api) -> None:
    project, (dev,) = await make(api, "app", "dev")
    async with stage_log(api, dev) as stream:
        said = "--- nothing runs in app dev: its log follows once something does ---"
        assert await stream.line() == said
        first = await ran(
            api, project, dev, "v1", InstanceState.STARTING, status=DeployStatus.RUNNING
        )
        assert await stream.line() == "--- v1 is starting: its log follows ---"
        # It was on record before its container was made.
        await writes(api, first, "hello")
        assert await stream.line() == "hello"
        await put(api, first, InstanceState.LIVE)
        api.engine.say(first.container, "serving")
        assert await stream.line() == "serving"


async def test_the_log_of_a_stage_that_is_deleted_ends(api: Api) -> None:
    dev, live = await a_live_one(api, "one")
    async with stage_log(api, dev) as stream:
        assert await stream.line() == "one"
        await api.caller.delete(f"/api/stages/{dev}")
        assert await stream.line() is None
    assert await api.engine.status(live.container) is None


async def test_the_head_of_a_stream_has_no_body(api: Api) -> None:
    _, live = await a_live_one(api, "one")
    async with instance_log(api, live, method="HEAD", accept="*/*") as stream:
        assert (stream.status, await stream.line()) == (200, None)
    await none_follows(api, live)
