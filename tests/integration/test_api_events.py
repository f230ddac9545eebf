"""Events as they happen, over the API."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest

from tagboat.core.catalog import Stage
from tagboat.core.deploy import Deploy, DeployStatus, Step, StepName, StepStatus
from tagboat.core.ports import Tx
from tagboat.core.values import replace
from tagboat.http import answer_ends, event_hub
from tests.contract.test_store import a_deploy, a_project, a_stage, add
from tests.support.api import TOKEN, Api, running_api

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


@dataclass(slots=True)
class Following:
    """A reader of a stream. `paused` keeps the server from sending."""

    status: int
    headers: dict[str, str]
    _blocks: "asyncio.Queue[str | None]"
    paused: asyncio.Event
    _rest: str = ""

    async def block(self) -> dict[str, str] | None:
        """The next block by its fields, None at the end; comments have the name ''."""
        while "\n\n" not in self._rest:
            async with asyncio.timeout(60):
                text = await self._blocks.get()
            if text is None:
                return None
            self._rest += text
        block, _, self._rest = self._rest.partition("\n\n")
        return {
            name: value.removeprefix(" ")
            for name, _, value in (line.partition(":") for line in block.split("\n"))
        }

    async def line(self) -> str | None:
        """The next line of a stream of text, None at the end."""
        while "\n" not in self._rest:
            async with asyncio.timeout(60):
                text = await self._blocks.get()
            if text is None:
                return None
            self._rest += text
        line, _, self._rest = self._rest.partition("\n")
        return line

    async def event(self) -> dict[str, Any]:
        """The data of the next event."""
        while (block := await self.block()) is not None:
            if "data" in block:
                data: dict[str, Any] = json.loads(block["data"])
                assert (str(data["id"]), data["topic"]) == (block["id"], block["event"])
                return data
        raise AssertionError("the stream ended")


@asynccontextmanager
async def following(
    api: Api,
    query: str = "",
    last: int | str | None = None,
    token: str = TOKEN,
    method: str = "GET",
    path: str = "/api/events",
    accept: str = "text/event-stream",
) -> AsyncIterator[Following]:
    gone, going, started = asyncio.Event(), asyncio.Event(), asyncio.Event()
    going.set()
    blocks: asyncio.Queue[str | None] = asyncio.Queue()
    found = Following(0, {}, blocks, going)
    headers = [(b"host", b"127.0.0.1:7070"), (b"authorization", f"Bearer {token}".encode())]
    headers.append((b"accept", accept.encode()))
    if last is not None:
        headers.append((b"last-event-id", str(last).encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": quote(query, safe="=&").encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's
        if message["type"] == "http.response.start":
            found.status = message["status"]
            found.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            started.set()
            return
        await going.wait()
        blocks.put_nowait(message.get("body", b"").decode())
        if not message.get("more_body"):
            blocks.put_nowait(None)

    call = cast("Coroutine[Any, Any, None]", api.app(scope, receive, send))
    task = asyncio.create_task(call)
    try:
        async with asyncio.timeout(60):
            await started.wait()
        yield found
    finally:
        gone.set()
        going.set()
        await task


async def a_lane(api: Api) -> tuple[Stage, Deploy]:
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)
    await add(api.store, project, stage, deploy)
    return stage, deploy


async def begun(stream: Following) -> int:
    """The id after which the stream begins: what comes later is in it."""
    block = await stream.block()
    assert block is not None
    assert block["retry"] == "2000"
    return int(block["id"])


async def test_it_wants_a_token(api: Api) -> None:
    async with following(api, token="another") as stream:
        assert stream.status == 401


async def test_from_now_on_without_an_id(api: Api) -> None:
    stage, deploy = await a_lane(api)
    async with following(api) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-cache"
        await begun(stream)
        running = replace(deploy, status=DeployStatus.RUNNING).with_step(
            Step(StepName.RESOLVE, StepStatus.RUNNING, detail="asking")
        )
        await api.store.write(lambda tx: tx.put_deploy(running))
        step, changed = await stream.event(), await stream.event()
    assert step["topic"] == "step"
    assert (step["subject"], step["deploy"]) == (deploy.id, deploy.id)
    assert (step["name"], step["status"], step["detail"]) == ("resolve", "running", "asking")
    assert (changed["topic"], changed["status"], changed["tag"]) == ("deploy", "running", "v1")
    assert (changed["stage"], changed["project"]) == (stage.id, stage.project_id)
    assert changed["at"].endswith("Z")


@pytest.mark.parametrize("by_header", [True, False])
async def test_it_resumes_after_an_id(api: Api, by_header: bool) -> None:
    stage, _ = await a_lane(api)
    async with following(api) as stream:
        seen = await begun(stream)
    for held in (True, False):
        await api.store.write(lambda tx, held=held: tx.put_stage(replace(stage, held=held)))  # type: ignore[misc]
    query, last = ("", seen) if by_header else (f"last_event_id={seen}", None)
    async with following(api, query, last) as stream:
        assert [(await stream.event())["held"] for _ in range(2)] == [True, False]
        await api.store.write(lambda tx: tx.put_stage(replace(stage, held=True)))
        assert (await stream.event())["held"] is True


async def test_all_that_is_kept_from_0_on(api: Api) -> None:
    stage, deploy = await a_lane(api)
    async with following(api, "topic=project&topic=deploy", 0) as stream:
        assert (await stream.event())["subject"] == stage.project_id
        assert (await stream.event())["subject"] == deploy.id


@pytest.mark.parametrize("query", ["project=app", "stage=dev", "project=app&stage=dev"])
async def test_only_what_has_a_name(api: Api, query: str) -> None:
    _, deploy = await a_lane(api)
    async with following(api, query) as stream:
        await begun(stream)
        other = a_project("other")
        await add(api.store, other, a_stage(other, "else"))
        await api.store.write(lambda tx: tx.put_deploy(replace(deploy, reason="so")))
        assert (await stream.event())["reason"] == "so"


@pytest.mark.parametrize("query", ["project=new", "stage=edge", "project=new&stage=edge"])
async def test_a_name_that_nothing_has_yet_is_waited_for(api: Api, query: str) -> None:
    _, other = await a_lane(api)
    project = a_project("new")
    stage = a_stage(project, "edge")
    deploy = a_deploy(stage)
    async with following(api, f"topic=deploy&{query}") as stream:
        await begun(stream)
        await api.store.write(lambda tx: tx.put_deploy(replace(other, reason="not this")))
        await add(api.store, project, stage, deploy)
        assert (await stream.event())["subject"] == deploy.id


async def test_a_stage_that_its_project_has_not_yet_is_waited_for(api: Api) -> None:
    stage, _ = await a_lane(api)
    project = await api.store.read(lambda reader: reader.project(stage.project_id))
    assert project is not None
    other, new = a_project("other"), a_stage(project, "edge")
    async with following(api, f"topic=deploy&project={project.name}&stage=edge") as stream:
        await begun(stream)
        elsewhere = a_stage(other, "edge")
        await add(api.store, other, elsewhere, a_deploy(elsewhere))
        deploy = a_deploy(new)
        await add(api.store, new, deploy)
        assert (await stream.event())["subject"] == deploy.id


@pytest.mark.parametrize("name", ["project", "stage", "deploy"])
async def test_only_what_is_asked_for(api: Api, name: str) -> None:
    _, deploy = await a_lane(api)
    wanted = {"project": deploy.project_id, "stage": deploy.stage_id, "deploy": deploy.id}[name]
    async with following(api, f"{name}={wanted}") as stream:
        await begun(stream)
        other = a_project("other")
        await add(api.store, other, a_stage(other))
        await api.store.write(lambda tx: tx.put_deploy(replace(deploy, reason="so")))
        assert (await stream.event())["reason"] == "so"


async def test_what_is_not_kept_any_more_is_said(api: Api) -> None:
    await a_lane(api)
    for _ in range(5):
        await api.store.write(lambda tx: tx.put_setting("auto_create", value=True))
    last = await api.store.read(lambda reader: reader.last_event_id())
    await api.store.write(lambda tx: tx.prune_events(long_ago(), 2, 1000))
    for after in (1, last + 100):
        async with following(api, last=after) as stream:
            reset = await stream.event()
            assert (reset["topic"], reset["id"]) == ("reset", last)
    async with following(api, last=last - 2) as stream:
        assert (await stream.event())["id"] == last - 1


async def test_a_stream_that_begins_ahead_of_the_others_gets_no_reset(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_hub, "_EVENTS_INTERVAL_S", 0.2)
    async with following(api) as other:
        await begun(other)
        await api.store.write(lambda tx: tx.put_setting("before", 1))
        async with following(api) as stream:
            await begun(stream)
            await api.store.write(lambda tx: tx.put_setting("after", 2))
            assert (await stream.event())["subject"] == "after"
        assert [(await other.event())["subject"] for _ in range(2)] == ["before", "after"]


def long_ago() -> datetime:
    return datetime(1990, 1, 1, tzinfo=UTC)


async def test_a_heartbeat_at_rest(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_hub, "HEARTBEAT_S", 0.01)
    async with following(api) as stream:
        await begun(stream)
        assert await stream.block() == {"": "heartbeat"}
        await api.store.write(lambda tx: tx.put_setting("auto_create", value=True))
        assert (await stream.event())["subject"] == "auto_create"


async def test_a_slow_reader_is_cut_off_and_resumes(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_hub, "MOST_WAITING", 3)
    async with following(api) as other, following(api) as stream:
        seen = await begun(stream)
        stream.paused.clear()

        def many(tx: Tx) -> None:
            for number in range(10):
                tx.put_setting(f"setting-{number}", number)

        await api.store.write(lambda tx: tx.put_setting("first", 1))
        assert (await other.event())["subject"] == "first"
        await api.store.write(many)
        stream.paused.set()
        while (block := await stream.block()) is not None:
            seen = int(block.get("id", seen))
    monkeypatch.setattr(event_hub, "MOST_WAITING", 100)
    async with following(api, last=seen) as stream:
        rest = [(await stream.event())["subject"] for _ in range(10)]
    assert rest == [f"setting-{number}" for number in range(10)]


async def test_two_hundred_streams_read_an_event_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    read = api.store.read

    async def counted(work: Any) -> Any:  # noqa: ANN401 - any work
        nonlocal reads
        reads += 1
        return await read(work)

    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(following(api)) for _ in range(200)]
        for stream in streams:
            await begun(stream)
        monkeypatch.setattr(type(api.store), "read", lambda _, work: counted(work))
        await api.store.write(lambda tx: tx.put_setting("auto_create", value=True))
        for stream in streams:
            assert (await stream.event())["subject"] == "auto_create"
    assert reads <= 2  # the page, and that there is no other


async def test_all_streams_end_as_the_server_stops(api: Api) -> None:
    async with following(api) as stream:
        await begun(stream)
        api.events.close()
        assert await stream.block() is None
    async with following(api) as stream:
        await begun(stream)
        assert await stream.block() is None


@pytest.mark.parametrize("query", ["topic=nothing", "last_event_id=x", "last_event_id=-1"])
async def test_what_cannot_be_asked_for_is_422(api: Api, query: str) -> None:
    assert (await api.caller.get(f"/api/events?{query}")).status == 422


@pytest.mark.parametrize("last", ["1_0", " 1", "+1", "1.0", "x"])
async def test_the_last_id_is_in_digits(api: Api, last: str) -> None:
    async with following(api, last=last) as stream:
        assert stream.status == 422
    assert (await api.caller.get(f"/api/events?last_event_id={quote(last)}")).status == 422


async def test_the_head_of_a_stream_is_answered_at_once(api: Api) -> None:
    async with following(api, method="HEAD") as stream:
        assert await stream.block() is None
    assert stream.status == 200
    assert stream.headers["content-type"].startswith("text/event-stream")


async def test_a_stream_ends_with_the_token_that_opened_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_hub, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(answer_ends, "LOOKED_AT_EVERY_S", 0.0)
    made = (await api.caller.post("/api/tokens", {"name": "wall", "role": "viewer"})).json
    async with following(api, token=made["token"]) as stream:
        await begun(stream)
        assert await stream.block() == {"": "heartbeat"}
        await api.caller.delete(f"/api/tokens/{made['id']}")
        while (block := await stream.block()) is not None:
            assert block == {"": "heartbeat"}


async def test_the_deletion_of_a_project_is_told_of_its_stages_too(api: Api) -> None:
    stage, _ = await a_lane(api)
    async with following(api, f"topic=stage&topic=project&project={stage.project_id}") as stream:
        await begun(stream)
        assert (await api.caller.delete(f"/api/projects/{stage.project_id}")).status == 204
        told = [await stream.event() for _ in range(2)]
    assert [(one["topic"], one["subject"], one["deleted"]) for one in told] == [
        ("stage", stage.id, True),
        ("project", stage.project_id, True),
    ]
