"""Each page by axe, in light and dark, on a phone and a wide screen; and by keyboard alone."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, run
from tests.browser.windows import violations
from tests.support.page_addresses import page_addresses, sign_in_address

COLOURS = ("light", "dark")


def faults_of(page: Page, width: int) -> list[str]:
    """What axe finds, and if the page is wider than the screen."""
    wide = page.evaluate("document.documentElement.scrollWidth")
    return [*violations(page), *([f"{page.url} is {wide} px wide"] if wide > width else [])]


# Colours and widths have nothing to do with each other: two of the four pairs try all of them.
@pytest.mark.parametrize(
    ("width", "height", "colours"),
    [
        # Both take minutes: one of them is for `make faults`.
        pytest.param(390, 844, "light", marks=pytest.mark.slow),
        (1440, 900, "dark"),
    ],
)
def test_each_page(site: Site, width: int, height: int, colours: str) -> None:
    site.windows.allowed.append("no-such-page")
    page = site.context(
        viewport={"width": width, "height": height}, color_scheme=colours
    ).new_page()
    faults: list[str] = []
    for path in run(page_addresses(site.api, site.filled)):
        answer = page.goto(path)
        assert answer is not None
        assert answer.ok or path == "/no-such-page", path
        expect(page.locator(".htmx-request")).to_have_count(0)
        faults += faults_of(page, width)
    assert faults == [], "\n".join(faults)


@pytest.mark.parametrize("colours", COLOURS)
def test_the_pages_of_those_who_are_not_signed_in(site: Site, colours: str) -> None:
    page = site.page("/sign-in", signed_in=False, color_scheme=colours)
    assert violations(page) == []
    page.get_by_label("Name").fill("nobody")
    page.get_by_label("Password").fill("not the password")
    site.windows.allowed.append("401")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("The name or the password is wrong.")
    assert violations(page) == []
    page.goto(run(sign_in_address(site.api)))
    expect(page.get_by_role("button", name="Sign in as ada")).to_be_focused()
    assert violations(page) == []


def test_an_order_is_given_by_keyboard_alone(site: Site) -> None:
    page = site.page(f"/deploys/{site.filled.queued}")
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.textContent.trim()")
        if focused == "Cancel":
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert (focused, outline) == ("Cancel", "solid")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("It is cancelled.")

    async def status() -> str:
        deploy = site.filled.queued
        return await site.api.store.read(lambda reader: str(reader.deploy(deploy).status))

    assert run(status()) == "cancelled"
