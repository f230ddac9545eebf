"""What people do with the pages, in a real browser: the real process, registry and engine."""

import re
import uuid
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.house import DEPLOY_MS, PASSWORD, House
from tests.browser.windows import Windows, violations
from tests.support.docker_registry import DockerRegistry
from tests.support.held import held_back, let_go
from tests.support.images import DEFAULT_CMD, EXITS_AT_ONCE
from tests.support.server import fetch, running_server


def follow(page: Page, tag: str) -> None:
    """From the overview to the deploy of `tag` that is under way."""
    page.get_by_role("region", name="under way").get_by_role("link").filter(has_text=tag).click()
    expect(page.get_by_role("list", name="Steps")).to_be_visible()


def test_from_the_set_up_link_to_the_first_running_app(
    tmp_path: Path, engine_url: str, docker_registry: DockerRegistry, chromium: Browser
) -> None:
    with running_server(tmp_path, engine_url) as server:
        windows = Windows(server.url, chromium, allowed=["ERR_NETWORK_CHANGED"])
        (link,) = set(re.findall(r"http://\S+/setup/[\w-]+", server.log()))
        page = windows.page(link)
        for colours in ("dark", "light"):
            page.emulate_media(color_scheme=colours)
            assert violations(page) == []
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password", exact=False).first.fill(PASSWORD)
        page.get_by_label("Password again").fill(PASSWORD)
        page.get_by_role("button", name="Make the account").click()
        expect(page.get_by_text("Welcome, ada.")).to_be_visible()
        expect(page.get_by_text("Nothing is deployed yet.")).to_be_visible()

        # Nobody reloads from here on.
        house = House(server, windows, f"{docker_registry.host}/acme/first-{uuid.uuid4().hex[:8]}")
        deploy = house.deploy("v1", cmd=held_back(DEFAULT_CMD))
        expect(page.get_by_text("1 deploy under way")).to_be_visible()
        follow(page, "v1")
        let_go(house.server, deploy)
        expect(page.get_by_text("v1 is live in dev.")).to_be_visible(timeout=DEPLOY_MS)
        expect(page.locator("li.done, li.skipped")).to_have_count(8)
        assert fetch(server.live()[0]["url"]) == "v1"

        for context in chromium.contexts:
            context.close()
        windows.check()


def test_a_failed_deploy_is_read_and_the_version_before_is_back(house: House) -> None:
    house.deployed("v1")
    second = house.deployed("v2")
    page = house.signed_in("dora")

    deploy = house.deploy("v3", cmd=held_back(EXITS_AT_ONCE))
    follow(page, "v3")
    let_go(house.server, deploy)
    expect(page.get_by_role("alert")).to_contain_text("v3 failed:", timeout=DEPLOY_MS)
    expect(page.get_by_role("alert")).to_contain_text("v2 serves.")
    expect(page.get_by_label("Last lines of the log")).to_contain_text("no configuration found")
    expect(page.get_by_role("button", name="Deploy again")).to_be_visible()

    page.goto(f"/deploys/{second}")
    page.get_by_text("Roll back…").click()
    page.get_by_label("Reason").fill("v2 is slow")
    page.get_by_role("button", name="Roll back to v1").click()
    expect(page.get_by_text("Rolling back to v1. The stage dev is held.")).to_be_visible()
    expect(page.get_by_text("v1 is live in dev.")).to_be_visible(timeout=DEPLOY_MS)
    expect(page.get_by_text("v2 is slow")).to_be_visible()
    (live,) = [one for one in house.server.live() if one["project"]["name"] in house.image]
    assert fetch(live["url"]) == "v1"

    # Held: the next push waits for a person, and the overview says so.
    page.get_by_role("link", name="Overview").click()
    assert house.server.push(f"{house.image}:v3")["outcome"] == "waiting"
    row = page.get_by_role("row").filter(has_text=house.image.rpartition("/")[2])
    expect(row).to_contain_text("held")


def test_two_people_see_the_same_deploy(house: House) -> None:
    admin, viewer = house.signed_in("ada"), house.signed_in("vic", "/deploys")
    deploy = house.deploy("v1", cmd=held_back(EXITS_AT_ONCE))
    expect(admin.get_by_text("1 deploy under way")).to_be_visible()
    let_go(house.server, deploy)
    link = viewer.get_by_role("row").filter(has_text=house.image.rpartition("/")[2])
    expect(link).to_contain_text("failed", timeout=DEPLOY_MS)
    expect(admin.get_by_text("1 deploy under way")).to_have_count(0, timeout=DEPLOY_MS)
    assert house.server.ended(deploy)["status"] == "failed"


def test_a_viewer_reads_and_cannot_give_orders(house: House) -> None:
    deploy = house.deploy("v1", cmd=EXITS_AT_ONCE)
    house.server.ended(deploy)
    page = house.signed_in("vic", f"/deploys/{deploy}")
    expect(page.get_by_role("alert")).to_be_visible()
    for order in ("Deploy again", "Cancel", "Roll back…"):
        expect(page.get_by_text(order, exact=True)).to_have_count(0)
    expect(page.get_by_role("link", name="Settings")).to_have_count(0)

    token = page.locator("input[name=csrf]").first.get_attribute("value") or ""
    answer = page.request.post(
        f"/deploys/{deploy}/again",
        form={"csrf": token},
        headers={"Origin": house.server.url},
    )
    assert answer.status == 403
    assert "deployer" in answer.text()


def test_an_open_page_outlives_the_server(house: House) -> None:
    # Chromium reports each failed request of a page while the server is away.
    house.windows.allowed += ["ERR_CONNECTION_", "ERR_INCOMPLETE", "ERR_EMPTY_RESPONSE"]
    house.deployed("v1")
    page = house.signed_in("dora")
    name = house.image.rpartition("/")[2]
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text("v1")
    page.evaluate("document.body.dataset.opened = 'once'")

    assert house.server.terminate() == 0
    house.server.start()
    # It begins before the page is connected again: that is read from the record.
    house.deploy("v2")
    expect(row).to_contain_text("v2", timeout=DEPLOY_MS)
    assert page.evaluate("document.body.dataset.opened") == "once"


def test_a_deploy_is_watched_and_cancelled_without_javascript(house: House) -> None:
    house.deployed("v1")
    page = house.signed_in("dora", java_script_enabled=False)
    house.deploy("v2", labels={"tagboat.healthcheck": "/never"})
    deploy = house.server.items("/api/deploys?limit=1")[0]["id"]
    page.goto(f"/deploys/{deploy}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_contain_text(re.compile("taken back|cancelled"))
    house.server.ended(deploy)
    page.goto(f"/deploys/{deploy}")
    expect(page.get_by_text("v2 was cancelled. v1 serves.")).to_be_visible()
