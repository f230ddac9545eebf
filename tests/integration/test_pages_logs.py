"""The pages with logs: read, searched, saved and followed."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.deploy import DeployStatus, Instance, InstanceState
from tagboat.core.errors import EngineUnavailableError
from tagboat.core.ports import Tx
from tagboat.core.principal import Role
from tagboat.core.values import replace
from tests.integration.test_api_events import Following, following
from tests.integration.test_api_logs import a_live_one, none_follows
from tests.integration.test_api_overview import make, ran, writes
from tests.support.api import Api, running_api
from tests.support.pages import Browser, signed_in, words

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
HEBREW = "שלום עולם"


@pytest.fixture
async def api(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Api]:  # noqa: ARG001 - it runs this
    with running_api(tmp_path) as api:
        api.engine.clock = lambda: NOON
        yield api


@pytest.fixture
async def browser(api: Api) -> Browser:
    return await signed_in(api, Role.VIEWER)


async def failed_one(api: Api, log: str) -> Instance:
    project, (dev,) = await make(api, "app", "dev")
    return await ran(
        api, project, dev, "v2", InstanceState.FAILED, status=DeployStatus.FAILED, log=log
    )


async def test_the_log_of_a_stage_is_that_of_its_live_instance(api: Api, browser: Browser) -> None:
    _, live = await a_live_one(api, "hello <b>", f"{HEBREW}", "\x1b[31mred\x1b[0m")
    answer = await browser.get("/projects/app/dev/logs")
    body = answer.body.decode()
    assert "hello &lt;b&gt;" in body
    assert f'dir="auto">{HEBREW}<' in body
    assert '<span class="a-red">red</span>' in body
    assert "\x1b" not in body
    assert 'data-log="/projects/app/dev/logs/stream"' in body
    assert f'href="/deploys/{live.deploy_id}"' in body
    assert "12:00:00.000" in words(answer)


async def test_earlier_lines_are_on_pages_before(api: Api, browser: Browser) -> None:
    await a_live_one(api, *(f"line {number}." for number in range(450)))
    seen = words(await browser.get("/projects/app/dev/logs"))
    assert "line 250." in seen
    assert "line 249." not in seen
    assert "Earlier lines" in seen
    assert "Later lines" not in seen
    seen = words(await browser.get("/projects/app/dev/logs?skip=400"))
    assert "line 0." in seen
    assert "line 50." not in seen
    assert "Earlier lines" not in seen
    assert "Later lines" in seen
    assert "There is no line." not in words(await browser.get("/projects/app/dev/logs?skip=x"))
    assert (await browser.get(f"/projects/app/dev/logs?skip={'9' * 5000}")).status == 200


async def test_a_search_looks_at_all_lines(api: Api, browser: Browser) -> None:
    await a_live_one(api, "An Error", *(f"line {number}" for number in range(1000)))
    answer = await browser.get("/projects/app/dev/logs?q=error&times=1&long=1")
    assert "1 line matches" in words(answer)
    assert "An Error" in words(answer)
    assert b' timed long"' in answer.body
    assert "No line matches." in words(await browser.get("/projects/app/dev/logs?q=nothing"))


async def test_a_failed_deploy_shows_the_lines_that_it_kept(api: Api, browser: Browser) -> None:
    failed = await failed_one(api, "one\ntwo\n")
    for path in (f"/deploys/{failed.deploy_id}/log", f"/instances/{failed.id}/logs"):
        answer = await browser.get(path)
        assert "kept with the deploy" in words(answer)
        assert "one two" in " ".join(words(answer).split())
        assert b'data-log=""' in answer.body
    seen = words(await browser.get("/projects/app/dev/logs"))
    assert "Nothing runs. The log that the failed deploy of v2 has left:" in seen


async def test_a_deploy_leads_to_the_log_of_its_instance(api: Api, browser: Browser) -> None:
    _, live = await a_live_one(api, "from the instance")
    answer = await browser.get(f"/deploys/{live.deploy_id}/log")
    assert "from the instance" in words(answer)
    assert f'data-log="/instances/{live.id}/logs/stream"'.encode() in answer.body
    await api.store.write(lambda tx: tx.put_instance(replace(live, state=InstanceState.STOPPED)))
    answer = await browser.get(f"/deploys/{live.deploy_id}/log")
    assert "Its container was removed, and its log with it." in words(answer)


async def test_logs_of_nothing_are_404(browser: Browser) -> None:
    for path in ("/projects/no/dev/logs", "/instances/18ec/logs", "/deploys/18ec/log"):
        for address in (path, f"{path}.txt"):
            assert (await browser.get(address)).status == 404, address
    assert (await browser.get("/projects/no/dev/logs/stream")).status == 404
    assert (await browser.get("/instances/18ec/logs/stream")).status == 404


async def test_a_stage_without_an_instance_says_what_to_do(api: Api, browser: Browser) -> None:
    await make(api, "app", "dev")
    answer = await browser.get("/projects/app/dev/logs")
    assert answer.status == 200
    assert "tagboat deploy app dev TAG" in words(answer)


async def test_an_engine_that_does_not_answer_is_a_sentence(api: Api, browser: Browser) -> None:
    await a_live_one(api, "one")
    api.engine.fail("logs", EngineUnavailableError("the engine is away"))
    answer = await browser.get("/projects/app/dev/logs")
    assert answer.status == 200
    assert "The engine is away." in words(answer)


async def test_a_log_is_saved_as_a_file(api: Api, browser: Browser) -> None:
    _, live = await a_live_one(api, *(f"line {number}" for number in range(300)))
    for path in ("/projects/app/dev/logs.txt", f"/deploys/{live.deploy_id}/log.txt"):
        answer = await browser.get(path)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        disposition = answer.headers["content-disposition"]
        assert disposition == 'attachment; filename="app-dev-v1.log"'
        lines = answer.body.decode().splitlines()
        assert (len(lines), lines[0]) == (300, "2026-05-01T12:00:00.000000Z line 0")


async def test_any_tag_on_record_makes_a_name_of_a_file(api: Api, browser: Browser) -> None:
    _, live = await a_live_one(api, "one")

    def rename(tx: Tx) -> None:
        tx.put_deploy(replace(tx.deploy(live.deploy_id), tag=f'v"{HEBREW[:4]}'))

    await api.store.write(rename)
    answer = await browser.get(f"/deploys/{live.deploy_id}/log.txt")
    assert answer.status == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="app-dev-v_____.log"'


async def line_of(stream: Following) -> tuple[str, Any]:
    while (block := await stream.block()) is not None:
        if "data" in block:
            return block["event"], json.loads(block["data"])
    return "", {}


async def test_a_log_is_followed_by_its_page(api: Api) -> None:
    _, live = await a_live_one(api, "one")
    async with following(api, path="/projects/app/dev/logs/stream") as stream:
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert "content-security-policy" in stream.headers
        assert await line_of(stream) == (
            "start",
            [{"at": "2026-05-01T12:00:00.000000Z", "texts": [["one", ""]]}],
        )
        api.engine.clock = lambda: NOON.replace(second=1)
        api.engine.say(live.container, "\x1b[1mtwo")
        assert (await line_of(stream))[1]["texts"] == [["two", "a-bold"]]
    await none_follows(api, live)


async def test_a_stream_of_an_instance_goes_on_and_ends(api: Api) -> None:
    _, live = await a_live_one(api, "one")
    path = f"/instances/{live.id}/logs/stream"
    async with following(api, path=path, last="2026-05-01T12:00:00.000000Z") as stream:
        api.engine.clock = lambda: NOON.replace(second=1)
        api.engine.say(live.container, "two")
        assert (await line_of(stream))[1]["texts"] == [["two", ""]]
        await api.engine.remove(live.container)
        assert await line_of(stream) == ("end", {})


async def test_what_the_page_shows_is_masked(api: Api, browser: Browser) -> None:
    project, (dev,) = await make(api, "app", "dev")
    await api.caller.patch(f"/api/stages/{dev}", {"secrets": {"PASSWORD": "S3CR3T-needle"}})
    live = await ran(api, project, dev, "v1", InstanceState.LIVE)
    await writes(api, live, "S3CR3T-needle", "\x1b[31mS3CR3T\x1b[32m-needle\x1b[0m")
    for path in ("/projects/app/dev/logs", "/projects/app/dev/logs.txt"):
        body = (await browser.get(path)).body.decode()
        assert "needle" not in body
        assert body.count("***") == 2


async def test_a_stream_begins_at_once_even_where_nothing_was_written(api: Api) -> None:
    await a_live_one(api)
    async with following(api, path="/projects/app/dev/logs/stream") as stream:
        assert await line_of(stream) == ("start", [])


async def test_a_stream_keeps_the_lines_of_a_failed_deploy_on_the_page(api: Api) -> None:
    await failed_one(api, "one")
    async with following(api, path="/projects/app/dev/logs/stream") as stream:
        # No `start`, which would forget them.
        kind, data = await line_of(stream)
        assert (kind, list(data)) == ("line", ["note"])
        assert "nothing runs in app dev" in data["note"]


async def test_a_stream_of_what_cannot_be_read_says_so(api: Api) -> None:
    _, live = await a_live_one(api, "one")
    api.engine.fail("logs", EngineUnavailableError("the engine is away"))
    async with following(api, path=f"/instances/{live.id}/logs/stream") as stream:
        kind, data = await line_of(stream)
        assert (kind, "the engine is away" in data["note"]) == ("line", True)
        # It ends without `end`, so that the browser comes again.
        assert await line_of(stream) == ("", {})
    async with following(
        api, path=f"/instances/{live.id}/logs/stream", last="not a time"
    ) as stream:
        assert stream.status == 422
