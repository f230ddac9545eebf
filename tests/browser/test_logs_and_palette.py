"""The window of a log, the palette and the keys in a real browser."""

import re

import pytest
from playwright.sync_api import Route, expect

from tagboat.core.deploy import Instance, InstanceState
from tests.browser.conftest import Site, run
from tests.integration.test_api_overview import writes

LOGS = "/projects/shop/staging/logs"
PALETTE = "Command, project or page"


def write_lines(site: Site, count: int) -> Instance:
    """Let the instance that is live in shop staging write lines."""

    async def work() -> Instance:
        (found,) = (
            one
            for one in await site.api.store.read(
                lambda reader: reader.instances(states=[InstanceState.LIVE])
            )
            if one.tag == "v1.4.9"
        )
        await writes(
            site.api, found, *(f"\x1b[31mline\x1b[0m {number}." for number in range(count))
        )
        return found

    return run(work())


def test_ten_thousand_lines_are_few_elements_and_all_can_be_read(site: Site) -> None:
    write_lines(site, 10_000)
    page = site.page(LOGS)
    lines = page.locator(".ln")
    expect(lines.last).to_contain_text("line 9999.")
    expect(page.get_by_text("line 8600.")).to_have_count(1)
    assert page.locator("*").evaluate_all("found => found.length") < 2000 * 4
    assert lines.count() <= 2000
    page.evaluate(
        """async () => {
            const box = document.querySelector('[data-log]')
            const first = () => box.querySelector('.ln').textContent
            // The page adds lines after it has drawn, which takes as long as it takes.
            for (let turn = 0; turn < 1000 && !first().includes('line 0.'); turn += 1) {
                box.scrollTop = Math.max(0, box.scrollTop - 4000)
                await new Promise(done => requestAnimationFrame(() => setTimeout(done)))
            }
        }"""
    )
    expect(lines.first).to_contain_text("line 0.")
    assert lines.count() <= 2000


def test_following_stops_when_somebody_scrolls_up(site: Site) -> None:
    live = write_lines(site, 3000)
    page = site.page(LOGS)
    follow = page.get_by_role("button", name="Follow")
    expect(page.locator(".ln").last).to_contain_text("line 2999.")
    expect(page.get_by_text("line 2600.")).to_have_count(1)  # the stream has begun
    page.get_by_role("log").hover()
    page.mouse.wheel(0, -2000)
    expect(follow).to_have_attribute("aria-pressed", "false")
    for number in range(17):
        site.api.engine.say(live.container, f"news {number}.")
    newer = page.get_by_role("button", name="17 new lines ↓")
    newer.click()
    expect(page.locator(".ln").last).to_contain_text("news 16.")
    expect(page.locator(".ln").last).to_be_in_viewport()
    expect(follow).to_have_attribute("aria-pressed", "true")


def test_who_scrolls_up_before_the_stream_has_begun_keeps_the_place(site: Site) -> None:
    live = write_lines(site, 3000)
    page = site.context().new_page()
    held: list[Route] = []
    page.route(re.compile("/stream"), lambda route: held.append(route))  # noqa: PLW0108 - it looks at the signature
    page.goto(LOGS)
    expect(page.locator(".ln").last).to_contain_text("line 2999.")
    page.get_by_role("log").evaluate("box => { box.scrollTop -= 1500 }")
    expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "false")
    at_top = """box => [...box.querySelectorAll('.ln')].find(
        line => line.getBoundingClientRect().bottom > box.getBoundingClientRect().top
    ).querySelector('.tx').textContent"""
    before = page.get_by_role("log").evaluate(at_top)
    for asked in held:
        asked.continue_()
    site.api.engine.say(live.container, "news.")
    expect(page.get_by_role("button", name="1 new line ↓")).to_be_visible()
    assert page.get_by_role("log").evaluate(at_top) == before


def test_a_search_goes_from_match_to_match(site: Site) -> None:
    write_lines(site, 5000)
    page = site.page(LOGS)
    expect(page.locator(".ln").last).to_contain_text("line 4999.")
    page.get_by_role("searchbox", name="Search the log").fill("e 123")
    expect(page.locator("[data-found]")).to_have_text("11 of 11")
    page.keyboard.press("Enter")
    expect(page.locator("[data-found]")).to_have_text("10 of 11")
    expect(page.locator(".ln.hit")).to_be_in_viewport()
    expect(page.locator(".ln.hit mark").first).to_have_text("e")


def test_a_sentence_that_comes_again_is_not_repeated(site: Site) -> None:
    write_lines(site, 3)
    page = site.context().new_page()
    page.add_init_script(
        """window.EventSource = class extends EventTarget {
            constructor() { super(); window.stream = this }
            close() {}
        }"""
    )
    page.goto(LOGS)
    page.evaluate(
        """() => {
            for (const note of ["It is away.", "It is away.", "It is back."]) {
                stream.dispatchEvent(new MessageEvent("line", { data: JSON.stringify({ note }) }))
            }
        }"""
    )
    expect(page.locator(".ln.note .tx")).to_have_text(["It is away.", "It is back."])


def test_the_palette_completes_and_asks(site: Site) -> None:
    page = site.page("/")
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name=PALETTE)
    expect(field).to_be_focused()
    page.keyboard.type("deploy sho")
    expect(page.get_by_role("option", name=re.compile("deploy shop"))).to_be_visible()
    page.keyboard.press("Tab")
    expect(field).to_have_value("deploy shop ")
    page.keyboard.type("prod v9")
    option = page.get_by_role("option", name=re.compile("deploy shop prod v9"))
    expect(option).to_have_attribute("aria-selected", "true")
    expect(page.get_by_text("tagboat deploy shop prod v9")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Deploy v9 to shop prod?")).to_be_visible()
    expect(page.get_by_role("button", name="Deploy v9")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("v9 is queued.")).to_be_visible()


def test_enter_before_the_suggestions_is_about_what_was_typed(site: Site) -> None:
    page = site.page("/")
    page.keyboard.press("Control+k")
    suggested = page.locator("[data-palette-dialog]").get_by_role("option")
    expect(suggested.first).to_have_attribute("aria-selected", "true")
    held: list[Route] = []
    page.route(re.compile("/find.json"), lambda route: held.append(route))  # noqa: PLW0108 - it looks at the signature
    page.keyboard.type("deploy shop prod v9")
    with page.expect_request(lambda asked: asked.url.endswith("v9")):
        page.keyboard.press("Enter")
    expect(page.get_by_role("combobox", name=PALETTE)).to_be_focused()
    for asked in held:
        asked.continue_()
    expect(page.get_by_role("heading", name="Deploy v9 to shop prod?")).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/deploys"])
def test_keys_are_for_those_who_do_not_type(site: Site, path: str) -> None:
    page = site.page(path)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("j")
    expect(page.locator("main :focus")).to_have_count(1)
    field = page.get_by_label("Project", exact=True)
    field.focus()
    page.keyboard.type("hold?/dlr")
    expect(field).to_have_value("hold?/dlr")
    assert page.locator("dialog[open]").count() == 0


def test_keys_of_a_row_are_about_its_stage(site: Site) -> None:
    page = site.page("/deploys?project=mailer&stage=prod")
    page.keyboard.press("j")
    page.keyboard.press("h")
    expect(page.get_by_role("heading", name="Hold mailer prod?")).to_be_visible()
    page.go_back()
    page.keyboard.press("j")
    page.keyboard.press("d")
    expect(page.get_by_role("combobox", name=PALETTE)).to_have_value("deploy mailer prod ")


def test_the_settings_of_a_project_are_no_stage_for_a_key(site: Site) -> None:
    page = site.page("/projects/shop/-/settings")
    page.keyboard.press("d")
    expect(page.get_by_role("combobox", name=PALETTE)).to_have_value("deploy ")


def test_where_the_browser_cannot_copy_there_is_no_button(site: Site) -> None:
    page = site.context().new_page()
    # As over plain HTTP from another machine.
    page.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'clipboard', { get: () => undefined })"
    )
    page.goto("/connect")
    # Keys are listened to by the last of the scripts: they have run.
    expect(page.locator("[data-keys]")).to_have_js_property("hidden", False)  # noqa: FBT003
    assert page.locator("[data-copy]").count() > 0
    expect(page.locator("[data-copy]:visible")).to_have_count(0)


def test_single_keys_can_be_switched_off(site: Site) -> None:
    page = site.page("/")
    page.keyboard.press("?")
    page.get_by_label("Single keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name=PALETTE)).to_be_visible()
