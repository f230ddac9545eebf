"""Finding and ordering by typed words."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tagboat.core.catalog import Stage
from tagboat.core.deploy import InstanceState
from tagboat.core.ports import Tx
from tagboat.core.principal import Role
from tagboat.core.values import replace
from tests.integration.test_api_overview import statements
from tests.support.api import Api, running_api
from tests.support.pages import Browser, signed_in, words
from tests.support.sample_pages import Filled, Sample, fill

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
async def filled(api: Api) -> Filled:
    return await fill(api.store)


@pytest.fixture
async def browser(api: Api, filled: Filled) -> Browser:
    assert filled
    return await signed_in(api, Role.DEPLOYER)


async def found(browser: Browser, text: str) -> list[dict[str, Any]]:
    answer = await browser.get(f"/find.json?q={quote(text)}")
    assert answer.headers["content-type"] == "application/json"
    suggestions: list[dict[str, Any]] = json.loads(answer.body)["suggestions"]
    return suggestions


async def test_words_are_completed(browser: Browser) -> None:
    assert [one["text"] for one in await found(browser, "hold shop pro")] == ["hold shop prod"]
    (first, *_) = await found(browser, "deploy mailer prod v3")
    assert first["command"] == "tagboat deploy mailer prod v3"
    assert [one["text"] for one in await found(browser, "deploy mail")] == ["deploy mailer "]


@pytest.mark.parametrize("text", ["%", "_", "\0", "'", "deploy ' ' '", "x" * 5000, "🚢 שלום"])
async def test_any_text_is_an_answer(browser: Browser, text: str) -> None:
    assert isinstance(await found(browser, text), list)
    assert (await browser.get(f"/find?q={quote(text)}")).status == 200


async def test_the_number_of_statements_does_not_grow(api: Api, browser: Browser) -> None:
    with statements() as few:
        await found(browser, "s")
    await fill_more(api)
    with statements() as many:
        await found(browser, "s")
    assert len(many) == len(few)


async def fill_more(api: Api) -> None:
    for number in range(20):
        body = {"name": f"s{number}", "image": f"git.example.com/acme/s{number}"}
        assert (await api.caller.post("/api/projects", body)).status == 201


async def test_without_javascript_the_page_has_the_links(browser: Browser) -> None:
    answer = await browser.get("/find?q=hold%20shop%20pro")
    assert b'href="/find/order?q=hold+shop+prod"' in answer.body
    assert "tagboat hold shop prod" in words(answer)
    answer = await browser.get("/find?q=deploy%20mail")
    assert b'href="/find?q=deploy+mailer+"' in answer.body
    assert "Nothing matches" in words(await browser.get("/find?q=qqqqq"))


async def test_a_viewer_is_told_why_not(api: Api, filled: Filled) -> None:
    assert filled
    viewer = await signed_in(api, Role.VIEWER)
    answer = await viewer.get("/find?q=hold%20shop%20pro")
    assert "You are a viewer: ask an admin for the role deployer." in words(answer)
    assert b"/find/order" not in answer.body
    assert (await viewer.get("/find/order?q=hold+shop+prod")).status == 403
    assert (await viewer.post("/find/order", {"q": "hold shop prod"})).status == 403


async def test_each_order_asks_and_is_carried_out(api: Api, browser: Browser) -> None:
    for text, question, said in (
        ("deploy mailer dev v3", "Deploy v3 to mailer dev?", "v3 is queued."),
        ("promote mailer prod dev", "Promote mailer from prod to dev?", "Promoted from prod."),
        ("cancel mailer dev", "Cancel all deploys of mailer dev?", "are cancelled."),
    ):
        asked = await browser.get(f"/find/order?q={quote(text)}")
        assert question in words(asked)
        assert f"tagboat {text}" in words(asked)
        answer = await browser.post("/find/order", {"q": text, "note": "because"})
        assert answer.status == 303, words(answer)
        if answer.headers["location"].startswith("/deploys/"):
            assert said in words(await browser.follow(answer))
    for text, held in (("hold mailer dev", True), ("release mailer dev", False)):
        assert (await browser.post("/find/order", {"q": text})).status == 303
        stages = await api.store.read(lambda reader: reader.stages_page(project="mailer"))
        assert [stage.held for stage in stages if stage.name == "dev"] == [held]
    # A stop waits for no deploy: the one of the restart is cancelled first.
    stops = (("restart", False), ("cancel", False), ("stop", True))
    for order, stopped in stops:
        answer = await browser.post("/find/order", {"q": f"{order} mailer prod"})
        assert answer.status == 303, words(answer)
        stages = await api.store.read(lambda reader: reader.stages_page(project="mailer"))
        assert [stage.stopped for stage in stages if stage.name == "prod"] == [stopped]
    started = await browser.post("/find/order", {"q": "start mailer prod"})
    assert "mailer prod is started." in words(await browser.follow(started))


async def test_a_rollback_goes_to_what_was_shown(api: Api, browser: Browser) -> None:
    def begin(tx: Tx) -> Stage:
        sample = Sample(tx, datetime.now(UTC))
        stage = sample.stage(sample.project("app"), "prod")
        for tag, age, left in (("v1", 3, 2), ("v2", 2, 1)):
            old = sample.instance(
                sample.deploy(stage, tag, timedelta(hours=age)), InstanceState.STOPPED
            )
            tx.put_instance(replace(old, stopped_at=sample.now - timedelta(hours=left)))
        sample.live(stage, "v3", timedelta(hours=1))
        return stage

    stage = await api.store.write(begin)
    shown = await browser.get("/find/order?q=roll+back+app+prod")
    assert "v2 serves again" in words(shown)
    assert "Roll back to v2" in words(shown)
    (wanted,) = re.findall('name="to" value="([^"]*)"', shown.body.decode())
    await api.store.write(
        lambda tx: Sample(tx, datetime.now(UTC)).live(stage, "v4", timedelta(seconds=1))
    )
    done = await browser.post("/find/order", {"q": "roll back app prod", "to": wanted})
    assert "v2" in words(await browser.follow(done))
    (deploy, *_) = (await api.caller.get("/api/deploys")).json["items"]
    assert (deploy["trigger"], deploy["tag"]) == ("rollback", "v2")


async def test_an_order_that_cannot_be_carried_out_comes_back(browser: Browser) -> None:
    answer = await browser.post("/find/order", {"q": "roll back docs prod", "note": "typed"})
    assert answer.status == 409
    assert 'value="typed"' in answer.body.decode()
    assert "Roll back docs prod?" in words(answer)
    shown = await browser.get("/find/order?q=roll+back+docs+prod")
    assert (shown.status, "autofocus>Roll back" in shown.body.decode()) == (200, False)


@pytest.mark.parametrize(
    ("tag", "note", "said"),
    [
        ("שלום", "", "is not a tag"),
        ("v" * 129, "", "at most 128 are allowed"),
        ("v3", "x" * 501, "at most 500"),
    ],
)
async def test_tags_and_notes_have_the_same_rules_as_elsewhere(
    api: Api, browser: Browser, tag: str, note: str, said: str
) -> None:
    before = (await api.caller.get("/api/deploys")).json
    answer = await browser.post("/find/order", {"q": f"deploy mailer dev {tag}", "note": note})
    assert answer.status == 422
    assert said in words(answer)
    assert (await api.caller.get("/api/deploys")).json == before


async def test_what_is_no_order_says_how_it_is_typed(browser: Browser) -> None:
    answer = await browser.get("/find/order?q=deploy+shop+prod")
    assert answer.status == 422
    assert "deploy PROJECT STAGE TAG" in words(answer)
    assert (await browser.get("/find/order?q=hold+shop+nowhere")).status == 404
    assert (await browser.get("/find/order")).status == 422


async def test_a_deployer_of_other_projects_is_told(api: Api, filled: Filled) -> None:
    assert filled
    projects = (await api.caller.get("/api/projects")).json["items"]
    (docs,) = (one["id"] for one in projects if one["name"] == "docs")
    limited = await signed_in(api, Role.DEPLOYER, "grace", (docs,))
    assert "may not act" in (await found(limited, "hold shop prod"))[0]["why_not"]
    assert (await found(limited, "hold docs prod"))[0]["why_not"] == ""
    assert (await limited.post("/find/order", {"q": "hold shop prod"})).status == 403
