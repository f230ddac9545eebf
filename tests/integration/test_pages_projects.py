"""The pages of projects and stages, and their orders."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tagboat.core.deploy import DeployStatus
from tagboat.core.polling import PollReport
from tagboat.core.ports import Tx
from tagboat.core.principal import Role
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tests.support.api import Api, running_api
from tests.support.pages import Browser, signed_in, words
from tests.support.sample_pages import Filled, fill

pytestmark = pytest.mark.anyio
PAGES = [
    "/projects",
    "/projects/shop",
    "/projects/shop/-/settings",
    "/projects/shop/-/deploy?tag=v1",
    "/projects/shop/prod",
    "/projects/shop/prod/settings",
    "/projects/shop/prod/promote",
    "/projects/shop/prod/promote?from=staging",
    "/projects/shop/prod/rollback",
    "/projects/shop/prod/requests",
    "/projects/shop/prod/pattern?tag_pattern=v*",
    "/projects/shop/-/pattern?tag_pattern=v*",
]
ADMIN_PAGES = [
    "/projects/shop/-/stages/new",
    "/projects/shop/-/delete",
    "/projects/shop/prod/delete",
]
DEPLOYER_ORDERS = [
    "/projects/shop/-/poll",
    "/projects/shop/-/deploy",
    "/projects/shop/prod/deploy",
    "/projects/shop/prod/hold",
    "/projects/shop/staging/release",
    "/projects/shop/prod/restart",
    "/projects/shop/prod/stop",
    "/projects/shop/prod/start",
    "/projects/shop/prod/rollback",
    "/projects/shop/prod/promote",
]
ADMIN_ORDERS = [
    "/projects/shop/-/settings",
    "/projects/shop/-/secrets",
    "/projects/shop/-/stages/new",
    "/projects/shop/-/delete",
    "/projects/shop/prod/settings",
    "/projects/shop/prod/secrets",
    "/projects/shop/prod/delete",
]


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
    return await signed_in(api)


async def set_pattern(api: Api, project: str, stage: str, pattern: str, **changes: object) -> str:
    """Give a stage a pattern; return its id."""
    _, found = await api.operations.project_page.find_stage(project, stage)
    changed = replace(found, pattern=parse_tag_pattern(pattern), **changes)  # type: ignore[arg-type]
    await api.store.write(lambda tx: tx.put_stage(changed))
    return found.id


@pytest.mark.parametrize("path", [*PAGES, *ADMIN_PAGES])
async def test_who_may_see_each_page(api: Api, browser: Browser, path: str) -> None:
    viewer = await signed_in(api, Role.VIEWER, "vera")
    assert (await browser.get(path)).status == 200
    assert (await viewer.get(path)).status == (403 if path in ADMIN_PAGES else 200)
    assert (await Browser(api).get(path)).headers["location"].startswith("/sign-in?next=")


@pytest.mark.parametrize("path", [*DEPLOYER_ORDERS, *ADMIN_ORDERS])
async def test_who_may_give_each_order(api: Api, browser: Browser, path: str) -> None:
    assert browser
    viewer = await signed_in(api, Role.VIEWER, "vera")
    other = await signed_in(api, Role.DEPLOYER, "dora", projects=("none",))
    assert (await viewer.post(path)).status == 403
    # Whose projects are others may not act on this one, whatever the page shows.
    if path in ADMIN_ORDERS:
        assert (await other.post(path)).status == 403
    else:
        refused = await other.post(path, {"tag": "v1", "stage": "prod", "from": "staging"})
        assert refused.status == 403
    assert (await Browser(api).post(path)).headers["location"] == "/sign-in"


@pytest.mark.parametrize(
    "path",
    ["/projects/nobody", "/projects/nobody/prod", "/projects/shop/nowhere", "/projects/shop/-"],
)
async def test_what_does_not_exist_says_so(browser: Browser, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status == 404
    assert "no project" in words(answer) or "has no stage" in words(answer)


async def test_the_list_is_filtered_and_has_pages(api: Api, browser: Browser) -> None:
    await fill_more(api)
    page = await browser.get("/projects")
    assert "66 projects" in words(page)
    assert "/projects?after=" in page.body.decode()
    found = words(await browser.get("/projects?q=MAIL"))
    assert "mailer git.example.com/acme/mailer" in found
    assert "shop" not in found
    assert "importer" in words(await browser.get("/projects?state=unhealthy"))
    assert (await browser.get("/projects?state=odd")).status == 422
    assert "No project matches" in words(await browser.get("/projects?q=zzz"))


async def fill_more(api: Api) -> None:
    """Sixty more projects."""
    made = {"name": "p", "image": "git.example.com/acme/p"}
    for number in range(60):
        body = {name: f"{value}{number}" for name, value in made.items()}
        assert (await api.caller.post("/api/projects", body)).status == 201


async def test_without_projects_the_list_says_what_to_do(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        assert "No projects yet" in words(await (await signed_in(api)).get("/projects"))


async def test_a_project_shows_how_a_tag_travels(api: Api, browser: Browser) -> None:
    await set_pattern(api, "shop", "prod", "semver:>=1.0.0")
    await set_pattern(api, "shop", "dev", "main-*")
    answer = await browser.get("/projects/shop")
    seen = words(answer)
    assert seen.index("main-8f3c2a1") < seen.index("v1.4.9 2 h") < seen.index("v1.4.8 → v1.5.0")
    assert "Held: main-8f3c2a1 of dev does not come by itself. Promote…" in seen
    assert "v1.4.9 is live in staging, and not here. Promote…" in seen
    assert "Other stages 4" in seen
    page = answer.body.decode()
    assert 'href="/projects/shop/prod/promote?from=staging"' in page
    assert 'data-live="/live?after=' in page


async def test_known_tags_say_what_became_of_them(api: Api, browser: Browser) -> None:
    stage = await set_pattern(api, "shop", "prod", "v*")
    await api.operations.deploys.deploy(stage, "v9.9.9")
    seen = words(await browser.get("/projects/shop?tag=v9"))
    assert "v9.9.9 queued : " in seen

    def fail(tx: Tx) -> None:
        (queued,) = [one for one in tx.open_deploys_in([stage]) if one.tag == "v9.9.9"]
        tx.put_deploy(replace(queued, status=DeployStatus.FAILED))

    await api.store.write(fail)
    assert "v9.9.9 failed · " in words(await browser.get("/projects/shop?tag=v9"))
    assert "No tag matches" in words(await browser.get("/projects/shop?tag=zzz"))
    assert (await browser.get("/projects/shop?after=odd")).status == 422


async def test_a_poll_says_what_came_of_it(api: Api, browser: Browser) -> None:
    done = await browser.post("/projects/shop/-/poll")
    assert "First poll: 1 new tag recorded" in words(await browser.follow(done))
    api.polls.report = PollReport(first_poll=False, error="the registry refuses")
    done = await browser.post("/projects/shop/-/poll")
    assert "The poll failed: the registry refuses" in words(await browser.follow(done))


async def test_a_tag_is_deployed_in_the_stage_that_is_chosen(browser: Browser) -> None:
    page = await browser.get("/projects/billing/-/deploy?tag=v7")
    assert 'value="v7"' in page.body.decode()
    wrong = await browser.post("/projects/billing/-/deploy", {"stage": "dev", "tag": "no tag"})
    assert wrong.status == 422
    assert 'value="no tag"' in wrong.body.decode()
    done = await browser.post(
        "/projects/billing/-/deploy", {"stage": "dev", "tag": "v7", "note": "try it"}
    )
    seen = words(await browser.follow(done))
    assert "v7 is queued for billing dev." in seen
    assert "try it" in seen


async def test_a_stage_says_what_serves_and_what_was(browser: Browser) -> None:
    seen = words(await browser.get("/projects/mailer/prod"))
    assert "v0.9.1 is live, for 21 d. v0.9.2 failed: Nothing accepted a connection" in seen
    assert "What was live" in seen
    assert "serves now" in seen
    ill = words(await browser.get("/projects/importer/dev"))
    assert "It is not well: it has crashed 5 times in a row" in ill


async def test_a_held_stage_is_released(browser: Browser) -> None:
    page = await browser.get("/projects/shop/staging")
    assert "2 pushes wait, newest v1.5.1-rc1." in words(page)
    assert "Release staging" in words(page)
    done = await browser.post("/projects/shop/staging/release")
    seen = words(await browser.follow(done))
    assert "staging is released." in seen
    assert "pushes wait" not in seen


async def test_a_stage_is_held(browser: Browser) -> None:
    done = await browser.post("/projects/docs/prod/hold")
    seen = words(await browser.follow(done))
    assert "Held for 0 s by ada: pushes and polls deploy nothing here." in seen


async def test_a_stage_is_stopped_and_started_again(browser: Browser) -> None:
    page = words(await browser.get("/projects/docs/prod"))
    assert "Restart" in page
    assert "Stop prod" in page
    seen = words(await browser.follow(await browser.post("/projects/docs/prod/stop")))
    assert "prod is stopped: pushes wait until it is started." in seen
    assert "Stopped for 0 s by ada: nothing runs, and pushes wait." in seen
    assert "Stop prod" not in seen
    refused = await browser.post("/projects/docs/prod/restart")
    assert "start it with" in words(refused)
    seen = words(await browser.follow(await browser.post("/projects/docs/prod/start")))
    assert "is started again." in seen


async def test_a_stage_is_restarted(browser: Browser) -> None:
    seen = words(await browser.follow(await browser.post("/projects/docs/prod/restart")))
    assert "is started again." in seen
    refused = await browser.post("/projects/docs/prod/stop")
    assert "tagboat cancel docs prod" in words(refused)


async def test_a_deploy_by_hand_that_cannot_be_read_comes_back(browser: Browser) -> None:
    wrong = await browser.post("/projects/docs/prod/deploy", {"tag": "a b", "note": "why"})
    assert wrong.status == 422
    page = wrong.body.decode()
    assert 'aria-invalid="true"' in page
    assert 'value="a b"' in page
    assert 'value="why"' in page
    # Read again after an event, it would lose what was typed; and its address takes forms only.
    assert "data-live" not in page
    long = await browser.post("/projects/docs/prod/deploy", {"tag": "v2", "note": "x" * 501})
    assert 'id="e-note"' in long.body.decode()
    done = await browser.post("/projects/docs/prod/deploy", {"tag": "v2"})
    assert "v2 is queued." in words(await browser.follow(done))


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/projects/docs/prod/deploy", "/projects/docs/prod"),
        ("/projects/docs/prod/release", "/projects/docs/prod"),
        ("/projects/docs/-/poll", "/projects/docs"),
    ],
)
async def test_the_address_of_an_order_opened_again_is_its_page(
    browser: Browser, path: str, page: str
) -> None:
    answer = await browser.get(path)
    assert (answer.status, answer.headers["location"]) == (303, page)


async def test_a_promotion_shows_what_changes_before_it_is_ordered(
    api: Api, browser: Browser
) -> None:
    chooser = words(await browser.get("/projects/billing/prod/promote"))
    assert "Which stage to take from: dev main-11b90de" in chooser
    answer = await browser.get("/projects/billing/prod/promote?from=staging")
    seen = words(answer)
    assert "Promote v2.0.0-rc2 from staging to prod" in seen
    assert "now in prod v1.12.4" in seen
    assert "Environment the same" in seen
    assert "no release command" in seen
    digest = answer.body.decode().partition('name="digest" value="')[2].partition('"')[0]
    assert digest.startswith("sha256:")

    form = {"from": "staging", "digest": "sha256:" + "0" * 64, "note": "as agreed"}
    stale = await browser.post("/projects/billing/prod/promote", form)
    assert stale.status == 409
    assert "Another version is live in staging since you looked: v2.0.0-rc2" in words(stale)
    assert 'value="as agreed"' in stale.body.decode()

    done = await browser.post("/projects/billing/prod/promote", {**form, "digest": digest})
    assert "v2.0.0-rc2 of staging is queued for prod." in words(await browser.follow(done))
    deploys = (await api.caller.get("/api/deploys?project=billing&stage=prod")).json["items"]
    assert (deploys[0]["trigger"], deploys[0]["note"]) == ("promote", "as agreed")


async def test_a_promotion_that_cannot_be_says_why(browser: Browser) -> None:
    seen = await browser.get("/projects/shop/prod/promote?from=prod")
    assert seen.status == 200
    assert "cannot be promoted to itself" in words(seen)
    assert (await browser.get("/projects/shop/prod/promote?from=nowhere")).status == 404


async def test_a_rollback_is_asked_for_first(api: Api, browser: Browser, filled: Filled) -> None:
    page = await browser.get("/projects/shop/prod/rollback")
    seen = words(page)
    assert "Roll back to v1.4.8" in seen
    assert "Cancels the deploy of v1.5.0 that is under way" in seen
    assert "the stage prod is held" in seen
    none = words(await browser.get("/projects/docs/prod/rollback"))
    assert "Roll back to" not in none
    assert (await browser.get("/projects/docs/prod/rollback?to=nothing")).status == 404

    stage = (await api.operations.project_page.find_stage("shop", "prod"))[1]
    history = await api.operations.history.stage_history(stage.id, "", 5)
    assert history.periods[0].deploy.id == filled.live
    done = await browser.post("/projects/shop/prod/rollback", {"note": "broken"})
    assert done.status in {303, 409}, words(done)
