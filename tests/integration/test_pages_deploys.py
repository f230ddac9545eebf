"""The list of deploys, and the page of one with its orders."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tagboat.core.catalog import Stage
from tagboat.core.deploy import DeployStatus, Instance, InstanceState
from tagboat.core.ports import Tx
from tagboat.core.principal import Role
from tagboat.core.values import replace
from tests.support.api import Api, running_api
from tests.support.pages import Browser, signed_in, words
from tests.support.records import put_instance
from tests.support.sample_pages import Filled, Sample, fill

pytestmark = pytest.mark.anyio
_STOPPED = InstanceState.STOPPED


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
async def browser(api: Api) -> Browser:
    return await signed_in(api)


@pytest.fixture
async def filled(api: Api) -> Filled:
    return await fill(api.store)


async def test_the_list_is_filtered_and_says_what_happened(
    browser: Browser, filled: Filled
) -> None:
    assert filled
    seen = words(await browser.get("/deploys?status=failed"))
    assert "failed mailer prod v0.9.2 Nothing accepted a connection on port 8080" in seen
    assert "succeeded shop" not in seen
    assert "running shop prod v1.5.0" in words(await browser.get("/deploys?project=shop"))
    assert "No deploy matches" in words(await browser.get("/deploys?project=nobody"))


async def test_a_stage_that_several_projects_have_needs_the_project(
    browser: Browser, filled: Filled
) -> None:
    assert filled
    answer = await browser.get("/deploys?stage=prod")
    assert answer.status == 422
    assert "Several projects have a stage named prod" in words(answer)
    assert (await browser.get("/deploys?project=shop&stage=prod")).status == 200


async def test_the_list_has_pages(api: Api, browser: Browser) -> None:
    await fill(api.store, [f"s{number:02}" for number in range(20)])
    page = await browser.get("/deploys?status=succeeded")
    following = page.body.decode().partition('rel="next"')[0].rpartition('href="')[2]
    following = following.partition('"')[0].replace("&amp;", "&")

    second = await browser.get(following)
    assert "Newest" in words(second)
    first_rows, second_rows = (
        {part.partition('"')[0] for part in one.body.decode().split('href="/deploys/')[1:]}
        for one in (page, second)
    )
    assert len(first_rows) == 50
    assert second_rows
    assert not first_rows & second_rows


async def test_a_failed_deploy_says_why_and_shows_its_last_lines(
    browser: Browser, filled: Filled
) -> None:
    answer = await browser.get(f"/deploys/{filled.failed}")
    seen = words(answer)
    assert "v0.9.1 → v0.9.2 Deploy again" in seen
    assert "v0.9.2 failed: Nothing accepted a connection on port 8080 within 60 s." in seen
    assert "v0.9.1 serves." in seen
    assert b"<code>tagboat projects edit mailer --port N</code>" in answer.body
    # First the sentence, then the last lines, then the steps and the whole log.
    order = ["v0.9.2 failed:", "KeyError: &#39;DATABASE_URL&#39;", "Resolve", "starting mailer"]
    page = answer.body.decode()
    places = [page.index(part) for part in order]
    assert places == sorted(places)
    assert "56 s Check connection refused" in seen


async def test_a_running_deploy_can_be_cancelled(
    api: Api, browser: Browser, filled: Filled
) -> None:
    path = f"/deploys/{filled.running}"
    page = await browser.get(path)
    assert "v1.4.8 → v1.5.0 Cancel" in words(page)
    assert 'data-live="/live?after=' in page.body.decode()
    assert f"deploy={filled.running}" in page.body.decode()

    done = await browser.post(f"{path}/cancel")
    assert done.headers["location"] == path
    after = words(await browser.follow(done))
    assert "It is being taken back." in after
    assert "Cancelling: what served before serves again. v1.4.8 serves." in after
    assert (await api.caller.get(f"/api{path}")).json["cancelling"] is True


async def test_a_queued_deploy_is_cancelled_at_once(browser: Browser, filled: Filled) -> None:
    path = f"/deploys/{filled.queued}"
    seen = words(await browser.follow(await browser.post(f"{path}/cancel")))
    assert "It is cancelled." in seen
    assert "v2.0.0-rc3 was cancelled. v2.0.0-rc2 serves." in seen


async def test_an_order_that_cannot_be_carried_out_says_why_on_the_page(
    browser: Browser, filled: Filled
) -> None:
    answer = await browser.post(f"/deploys/{filled.failed}/cancel")
    assert answer.status == 409
    assert 'role="alert"' in answer.body.decode()
    assert "v0.9.1 → v0.9.2" in words(answer)


async def test_a_failed_deploy_is_deployed_again(
    api: Api, browser: Browser, filled: Filled
) -> None:
    done = await browser.post(f"/deploys/{filled.failed}/again")
    new = done.headers["location"]
    assert new != f"/deploys/{filled.failed}"
    assert "v0.9.2 is queued." in words(await browser.follow(done))
    queued = (await api.caller.get(f"/api{new}")).json
    assert (queued["status"], queued["tag"], queued["trigger"]) == ("queued", "v0.9.2", "manual")


async def test_a_rollback_from_the_page_keeps_the_reason(browser: Browser, filled: Filled) -> None:
    done = await browser.post(f"/deploys/{filled.live}/rollback", {"note": " checkout is broken "})
    # A deploy under way is taken back by it, which needs no image.
    assert done.status in {303, 409}, words(done)
    if done.status == 303:
        shown = words(await browser.follow(done))
        assert "checkout is broken" in shown


@pytest.mark.parametrize("from_stage", [False, True])
async def test_a_rollback_goes_to_what_the_page_has_shown(
    api: Api, browser: Browser, from_stage: bool
) -> None:
    def begin(tx: Tx) -> tuple[Stage, Instance, Instance]:
        sample = Sample(tx, datetime.now(UTC))
        stage = sample.stage(sample.project("app"), "prod")
        first = sample.instance(sample.deploy(stage, "v1", timedelta(hours=3)), _STOPPED)
        tx.put_instance(replace(first, stopped_at=sample.now - timedelta(hours=2)))
        second = sample.deploy(stage, "v2", timedelta(hours=2), replaced=(first.id,))
        return stage, first, sample.instance(second, InstanceState.LIVE)

    stage, first, second = await api.store.write(begin)
    path = "/projects/app/prod" if from_stage else f"/deploys/{second.deploy_id}"
    shown = await browser.get(f"{path}/rollback" if from_stage else path)
    assert "Roll back to v1" in words(shown)
    (wanted,) = re.findall('name="to" value="([^"]*)"', shown.body.decode())

    def go_on(tx: Tx) -> None:
        tx.put_instance(replace(second, state=_STOPPED, stopped_at=datetime.now(UTC)))
        Sample(tx, datetime.now(UTC)).live(stage, "v3", timedelta(seconds=1))

    await api.store.write(go_on)
    done = await browser.post(f"{path}/rollback", {"to": wanted})
    assert "Rolling back to v1." in words(await browser.follow(done))
    assert wanted == first.deploy_id


async def test_a_link_to_a_deploy_that_is_gone_says_what_became_of_it(
    api: Api, browser: Browser
) -> None:
    body = {
        "name": "app",
        "image": "git.example.com/acme/app",
        "stages": [{"name": name, "tag_pattern": f"{name}*"} for name in ("dev", "prod")],
    }
    project = (await api.caller.post("/api/projects", body)).json
    stages = (await api.caller.get(f"/api/projects/{project['id']}/stages")).json["items"]
    dev, prod = sorted(stages, key=lambda one: one["name"])
    first, second, third = [
        (await api.caller.post(f"/api/stages/{stage['id']}/deploys", {"tag": tag})).json["id"]
        for stage, tag in ((dev, "v1"), (prod, "v2"), (prod, "v3"))
    ]
    assert "v1" in words(await browser.get(f"/deploys/{first}"))

    async def said(deploy_id: str) -> str:
        pages = [await browser.get(f"/deploys/{deploy_id}{part}") for part in ("", "/log")]
        assert [page.status for page in pages] == [404, 404]
        texts = [words(page).partition("The deploy of ")[2] for page in pages]
        (sentence,) = {text.partition(" Overview")[0] for text in texts}
        return sentence

    see = "the page Audit says when, and by whom."
    await api.caller.delete(f"/api/stages/{dev['id']}")
    assert await said(first) == f"v1 in app dev was deleted with its stage; {see}"
    # As deploys that are older than what is kept.
    later = datetime.now(UTC) + timedelta(days=1)
    await api.store.write(lambda tx: tx.forget_deploys([second], later, 1, 0))
    kept = "is not kept any more; the page of the stage has the later ones."
    assert await said(second) == f"v2 in app prod {kept}"
    await api.caller.delete(f"/api/projects/{project['id']}")
    for tag, deploy_id in (("v2", second), ("v3", third)):
        assert await said(deploy_id) == f"{tag} in app prod was deleted with its project; {see}"
    unknown = await browser.get("/deploys/18ec6964047822ef7c8a1242")
    assert (unknown.status, "There is no deploy" in words(unknown)) == (404, True)


async def test_viewers_see_no_orders_and_may_give_none(api: Api, filled: Filled) -> None:
    viewer = await signed_in(api, Role.VIEWER, "vera")
    page = (await viewer.get(f"/deploys/{filled.running}")).body.decode()
    assert "/cancel" not in page
    for order in ("cancel", "again", "rollback"):
        answer = await viewer.post(f"/deploys/{filled.running}/{order}")
        assert answer.status == 403, order


async def test_a_deployer_of_another_project_is_told_so(api: Api, filled: Filled) -> None:
    limited = await signed_in(api, Role.DEPLOYER, "dora", projects=("another",))
    assert "/cancel" not in (await limited.get(f"/deploys/{filled.running}")).body.decode()
    answer = await limited.post(f"/deploys/{filled.running}/cancel")
    assert answer.status == 403
    assert "may not act on this project" in words(answer)


async def test_the_log_is_that_of_the_new_container_or_of_the_old(
    api: Api, browser: Browser
) -> None:
    project = (
        await api.caller.post("/api/projects", {"name": "app", "image": "git.example.com/acme/app"})
    ).json["id"]
    stage = (
        await api.caller.post(
            f"/api/projects/{project}/stages", {"name": "dev", "tag_pattern": "*"}
        )
    ).json["id"]
    container = await put_instance(api, project, stage, InstanceState.LIVE)
    api.engine.say(container, "listening on :8080")
    api.engine.say(container, "<b>bold</b>")
    (instance,) = (await api.caller.get("/api/instances")).json["items"]
    (deploy,) = (await api.caller.get("/api/deploys")).json["items"]
    assert instance["container"] == container

    answer = await browser.get(f"/deploys/{deploy['id']}")
    assert "listening on :8080" in words(answer)
    assert b"&lt;b&gt;bold" in answer.body
    assert "Nothing was live before." in words(
        await browser.get(f"/deploys/{deploy['id']}?log=old")
    )


async def test_a_deploy_that_does_not_exist_is_a_page_that_says_so(browser: Browser) -> None:
    for order in ("", "/cancel", "/again", "/rollback"):
        path = f"/deploys/18ec0000{order}"
        answer = await (browser.post(path) if order else browser.get(path))
        assert answer.status == 404, order
        assert "There is no deploy '18ec0000'." in words(answer)


def test_every_state_has_words() -> None:
    from tagboat.web.deploy_words import _FROM, _TONES  # noqa: PLC0415

    assert set(_TONES) == set(DeployStatus)
    assert len(_FROM) == 5
