"""The pages in a real browser: nothing is refused by their policy, and they live."""

from itertools import pairwise

import pytest
from playwright.sync_api import expect

from tagboat.core.deploy import DeployStatus
from tagboat.core.values import replace
from tests.browser.conftest import Site, run

SIZES = ((360, 640), (390, 844), (1440, 900))
# As the browser does when another tab is in front, or is not any more.
HIDE = """() => {{
    Object.defineProperty(document, 'hidden', {{ value: {}, configurable: true }})
    document.dispatchEvent(new Event('visibilitychange'))
}}"""


async def put_ended(site: Site, deploy_id: str, reason: str = "the tag is gone") -> None:
    """Put on record that a deploy has ended."""
    await site.api.store.write(
        lambda tx: tx.put_deploy(
            replace(tx.deploy(deploy_id), status=DeployStatus.FAILED, reason=reason)
        )
    )


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_no_page_is_wider_than_the_screen(site: Site, width: int, height: int) -> None:
    context = site.context(viewport={"width": width, "height": height})
    page = context.new_page()
    for path in (
        "/",
        "/deploys",
        f"/deploys/{site.filled.running}",
        f"/deploys/{site.filled.failed}",
        "/no-such-page",
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    site.windows.allowed.append("no-such-page")


def test_a_form_that_is_saved_untouched_changes_nothing(site: Site) -> None:
    command = ["sh", "-c", "echo a\necho b\tc  d", "x\r\ny", "\n"]
    body = {"command": command, "release_command": command, "entrypoint": command}

    async def settings(change: bool) -> tuple[object, object]:
        all_projects = (await site.api.caller.get("/api/projects")).json["items"]
        (shop,) = (one for one in all_projects if one["name"] == "shop")
        stages = (await site.api.caller.get("/api/stages?project=shop")).json["items"]
        for path in (f"projects/{shop['id']}", *(f"stages/{one['id']}" for one in stages)):
            if change:
                await site.api.caller.patch(f"/api/{path}", body)
        return shop["command"], stages

    run(settings(change=True))
    before = run(settings(change=False))
    assert before[0] == command
    for path in ("/projects/shop/-/settings", "/projects/shop/prod/settings"):
        page = site.page(path)
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Nothing was changed.")).to_be_visible()
    assert run(settings(change=False)) == before


def test_a_failed_deploy_shows_the_sentence_the_log_and_the_way_out_at_once(site: Site) -> None:
    page = site.page(f"/deploys/{site.filled.failed}", viewport={"width": 360, "height": 640})
    tabs = page.get_by_role("navigation", name="Main").bounding_box()
    assert tabs is not None
    for shown in (
        page.get_by_role("button", name="Deploy again"),
        page.get_by_role("alert"),
        page.get_by_label("Last lines of the log"),
    ):
        box = shown.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= tabs["y"]


def test_an_open_page_shows_what_happens_and_leaves_what_is_typed(site: Site) -> None:
    page = site.page("/")
    typed = page.get_by_label("Project", exact=True)
    typed.fill("half a na")
    expect(page.get_by_text("2 deploys under way")).to_be_visible()

    run(put_ended(site, site.filled.queued))

    expect(page.get_by_text("1 deploy under way")).to_be_visible(timeout=10_000)
    expect(typed).to_have_value("half a na")
    expect(typed).to_be_focused()


def test_a_time_is_that_of_the_reader_once_they_point_at_it(site: Site) -> None:
    page = site.page("/", timezone_id="Asia/Tokyo", locale="en-GB")
    time = page.locator("table time").first
    before = time.get_attribute("title")
    time.hover()
    expected = time.evaluate("it => new Date(it.dateTime).toLocaleString()")
    expect(time).to_have_attribute("title", expected)
    assert before != expected


def test_a_hidden_page_rests_and_catches_up(site: Site) -> None:
    page = site.page("/")
    page.evaluate(HIDE.format("true"))
    asked: list[str] = []
    # The browser itself may ask for the icon as late as it likes.
    page.on(
        "request",
        lambda request: asked.append(request.url) if "/static/" not in request.url else None,
    )
    run(put_ended(site, site.filled.queued))
    page.wait_for_timeout(1500)
    assert asked == []

    page.evaluate(HIDE.format("false"))
    expect(page.get_by_text("1 deploy under way")).to_be_visible(timeout=10_000)


def test_many_events_are_few_reads(site: Site) -> None:
    page = site.page("/deploys")

    async def write_many() -> None:
        for number in range(20):
            await put_ended(site, site.filled.queued, f"fault {number} of 20")

    run(write_many())
    expect(page.get_by_text("fault 19 of 20")).not_to_have_count(0)

    # By the clock of the page, however slow the machine is.
    begun: list[float] = page.evaluate(
        """() => performance.getEntriesByType("resource")
            .filter(read => read.initiatorType === "fetch").map(read => read.startTime)"""
    )
    assert 1 <= len(begun) < 20
    assert all(later - before > 490 for before, later in pairwise(begun)), begun


def test_what_is_typed_outlives_the_session_however_long_it_takes(site: Site) -> None:
    # What the browser says of a stream that is asked for without a session.
    site.windows.allowed += ["EventSource's response", "401"]
    page = site.page("/projects/shop/staging")
    page.get_by_label("Reason").fill("a long story")

    async def sign_out() -> None:
        users = (await site.api.caller.get("/api/users")).json["items"]
        await site.api.caller.post(f"/api/users/{users[0]['id']}/sign-out")

    run(sign_out())
    loaded: list[str] = []
    page.on(
        "request",
        lambda request: loaded.append(request.url) if request.is_navigation_request() else None,
    )
    with page.expect_response(
        lambda answer: "/sign-in" in answer.url and answer.request.resource_type == "fetch"
    ):
        for hidden in ("true", "false"):
            page.evaluate(HIDE.format(hidden))
    page.wait_for_timeout(300)  # long enough to begin to load the page again
    assert loaded == []
    expect(page.get_by_label("Reason")).to_have_value("a long story")


def test_it_works_without_javascript(site: Site) -> None:
    page = site.page(f"/deploys/{site.filled.queued}", java_script_enabled=False)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("It is cancelled.")).to_be_visible()
    page.get_by_role("link", name="Overview").click()
    page.get_by_label("State").select_option("failed")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(f"{site.url}/?q=&state=failed")
    expect(page.get_by_role("rowheader", name="mailer")).to_be_visible()
    expect(page.get_by_role("rowheader", name="docs")).to_have_count(0)


def test_signing_in_from_a_page_and_out_again(site: Site) -> None:
    async def make() -> None:
        from tagboat.core.principal import Role  # noqa: PLC0415

        await site.api.operations.accounts.create("grace", Role.ADMIN, "correct horse battery")

    run(make())
    page = site.page("/deploys?status=failed", signed_in=False)
    page.get_by_label("Name").fill("grace")
    page.get_by_label("Password").fill("correct horse battery")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Deploys")).to_be_visible()
    expect(page).to_have_url(f"{site.url}/deploys?status=failed")

    page.get_by_text("grace").first.click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_css("color-scheme", "dark")
    page.get_by_text("grace").first.click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()


def test_the_keyboard_reaches_the_content_first(site: Site) -> None:
    page = site.page("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
