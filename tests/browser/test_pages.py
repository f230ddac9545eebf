"""The pages in a real browser: nothing is refused by their policy, and they live."""

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from tagboat.core.deploy import DeployStatus
from tests.browser.conftest import Site, run

SIZES = ((360, 640), (390, 844), (1440, 900))


def end_deploy(site: Site, deploy_id: str, tag: str | None = None) -> None:
    """Put on record that a deploy has ended."""

    async def work() -> None:
        await site.api.store.write(
            lambda tx: tx.put_deploy(
                replace(
                    tx.deploy(deploy_id),
                    status=DeployStatus.FAILED,
                    reason="the tag is gone",
                    tag=tag or tx.deploy(deploy_id).tag,
                )
            )
        )

    run(work())


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

    end_deploy(site, site.filled.queued)

    expect(page.get_by_text("1 deploy under way")).to_be_visible(timeout=10_000)
    expect(typed).to_have_value("half a na")
    expect(typed).to_be_focused()


def test_a_hidden_page_rests_and_catches_up(site: Site) -> None:
    page = site.page("/")
    # As the browser does when another tab is in front.
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    end_deploy(site, site.filled.queued)
    page.wait_for_timeout(1500)
    assert asked == []

    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    expect(page.get_by_text("1 deploy under way")).to_be_visible(timeout=10_000)


def test_many_events_are_few_reads(site: Site) -> None:
    page = site.page("/")
    reads: list[str] = []
    page.on(
        "request",
        lambda request: reads.append(request.url) if request.resource_type == "fetch" else None,
    )
    for number in range(20):
        end_deploy(site, site.filled.queued, f"v2.0.{number}")
    page.wait_for_timeout(2000)

    assert 1 <= len(reads) <= 6


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
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    page.get_by_text("grace").first.click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()


def test_the_keyboard_reaches_the_content_first(site: Site) -> None:
    page = site.page("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
