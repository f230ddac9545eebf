"""Orders given by pages to the real server, in a browser with JavaScript and in one without."""

import re
import uuid

import pytest
from playwright.sync_api import Page, expect

from tests.browser.house import DEPLOY_MS, PASSWORD, House
from tests.support.images import push_image
from tests.support.server import fetch

BOTH = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])


def watched(page: Page, house: House, sentence: str, *, scripts: bool) -> None:
    """Await `sentence` on the page of a deploy; who has no JavaScript loads it again."""
    expect(page).to_have_url(re.compile("/deploys/"))
    if not scripts:
        house.server.ended(page.url.rpartition("/")[2])
        page.reload()
    expect(page.get_by_text(sentence)).to_be_visible(timeout=DEPLOY_MS)


def served_by(house: House, project: str, stage: str) -> str:
    """What the live instance of a stage answers."""
    (live,) = (
        one
        for one in house.server.live()
        if (one["project"]["name"], one["stage"]["name"]) == (project, stage)
    )
    return fetch(live["url"])


@BOTH
def test_a_project_from_the_list_of_a_registry(house: House, scripts: bool) -> None:
    host = house.image.partition("/")[0]
    name = f"listed-{uuid.uuid4().hex[:8]}"
    for tag in ("v1", "v2", "nightly"):
        push_image(host, f"acme/{name}", tag, body=tag)
    registries = [one["name"] for one in house.server.items("/api/registries")]
    if "forge" not in registries:
        body = {"name": "forge", "url": f"http://{host}"}
        assert house.server.call("POST", "/api/registries", body)[0] == 201

    page = house.signed_in("ada", "/new-project", java_script_enabled=scripts)
    page.get_by_role("link", name="forge").click()
    if not scripts:
        page.get_by_role("link", name="Show the list").click()
    page.get_by_role("link", name=name).click()
    if not scripts:
        page.get_by_role("link", name="Ask now").click()
    expect(page.get_by_text("It listens on port 8080.")).to_be_visible()
    page.get_by_label("Tags that go there").fill("v*")
    if not scripts:
        page.get_by_role("button", name="Try the rule").click()
    expect(page.get_by_text("2 of 3 tags match.")).to_be_visible()
    page.get_by_label("First deploy").fill("v2")
    page.get_by_role("button", name="Make the project").click()
    expect(page.get_by_role("status")).to_contain_text(f"{name} is made; v2 is queued.")
    watched(page, house, "v2 is live in dev.", scripts=scripts)
    assert served_by(house, name, "dev") == "v2"


@BOTH
def test_what_is_live_is_promoted_by_the_sheet(house: House, scripts: bool) -> None:
    stage = {"name": "prod", "tag_pattern": "never-*", "watch_s": 1}
    path = f"{house.project_path}/stages"
    assert house.server.call("POST", path, stage)[0] == 201
    house.deployed("v1")
    page = house.signed_in("dora", f"/projects/{house.name}/prod", java_script_enabled=scripts)
    page.get_by_role("link", name="Promote…").click()
    sheet = page.get_by_role("region", name="What changes")
    expect(sheet).to_contain_text("live in dev")
    expect(sheet).to_contain_text("no release command")
    page.get_by_label("Reason").fill("tested by hand")
    page.get_by_role("button", name="Promote v1 to prod").click()
    expect(page.get_by_role("status")).to_contain_text("v1 of dev is queued for prod.")
    watched(page, house, "v1 is live in prod.", scripts=scripts)
    expect(page.get_by_text("tested by hand")).to_be_visible()
    assert served_by(house, house.name, "prod") == "v1"


@BOTH
def test_a_stage_is_held_and_released(house: House, scripts: bool) -> None:
    house.deployed("v1")
    page = house.signed_in("dora", f"/projects/{house.name}/dev", java_script_enabled=scripts)
    page.get_by_role("button", name="Hold", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("dev is held")
    house.push("v2")
    assert house.server.push(f"{house.image}:v2")["outcome"] == "waiting"
    if not scripts:
        page.reload()
    banner = page.locator(".banner")
    expect(banner).to_contain_text("by dora")
    expect(banner.locator("code").filter(has_text="v2")).to_be_visible()
    page.get_by_text("Release…").click()
    page.get_by_role("button", name="Release dev").click()
    expect(page.get_by_role("status")).to_contain_text("dev is released. 1 deploy is queued.")
    page.get_by_role("link", name="Watch the deploy of v2").click()
    watched(page, house, "v2 is live in dev.", scripts=scripts)
    assert served_by(house, house.name, "dev") == "v2"


@BOTH
def test_the_webhook_is_regenerated(house: House, scripts: bool) -> None:
    body = {"image": f"{house.image}:v1"}
    old = house.server.webhook_path()
    page = house.signed_in("ada", "/connect", java_script_enabled=scripts)
    shown = page.get_by_role("region", name="Webhook URL for all images")
    expect(shown).to_contain_text(old)
    page.get_by_text("Regenerate…").click()
    page.get_by_role("button", name="Make a new URL").click()
    expect(page.get_by_role("status")).to_contain_text("There is a new URL.")
    assert house.server.call("POST", old, body)[0] == 404
    new = house.server.webhook_path()
    expect(shown).to_contain_text(new)
    expect(shown).not_to_contain_text(old)
    assert house.server.call("POST", new, body)[0] == 202


@BOTH
def test_what_was_typed_outlives_the_session(house: House, scripts: bool) -> None:
    # Chromium says the latter of a stream that is asked for without a session.
    house.windows.allowed += ["401", "EventSource's response"]
    house.push("v1")
    name = f"dan-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "role": "deployer", "password": PASSWORD}
    assert house.server.call("POST", "/api/users", body)[0] == 201
    page = house.signed_in(name, f"/projects/{house.name}/dev", java_script_enabled=scripts)
    page.get_by_label("Tag", exact=True).fill("v1")
    page.get_by_label("Reason").fill("a long story")

    elsewhere = house.signed_in(name, "/account")
    elsewhere.get_by_role("button", name="Sign out everywhere").click()
    expect(elsewhere.get_by_role("heading", name="Sign in")).to_be_visible()

    page.get_by_role("button", name="Deploy", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("what you typed is kept")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_label("Tag", exact=True)).to_have_value("v1")
    expect(page.get_by_label("Note")).to_have_value("a long story")
    page.get_by_role("button", name="Send it now").click()
    watched(page, house, "v1 is live in dev.", scripts=scripts)
    expect(page.get_by_text("a long story")).to_be_visible()


@BOTH
def test_two_people_change_one_project(house: House, scripts: bool) -> None:
    house.windows.allowed += ["409", "412", "422"]
    settings = f"/projects/{house.name}/-/settings"
    first = house.signed_in("ada", settings, java_script_enabled=scripts)
    second = house.signed_in("grace", settings, java_script_enabled=scripts)
    first.get_by_label("Port", exact=True).fill("9090")
    first.get_by_role("button", name="Save").click()
    expect(first.get_by_role("status")).to_contain_text("Saved.")

    second.get_by_label("Variables").fill("LEVEL=debug")
    second.get_by_role("button", name="Save").click()
    expect(second.get_by_role("alert")).to_contain_text(
        "Somebody else has changed this since you opened the form: Port, The port is set by."
    )
    expect(second.get_by_label("Variables")).to_have_value("LEVEL=debug")
    assert house.server.call("GET", house.project_path)[1]["env"] == {}
    second.get_by_role("button", name="Save").click()
    expect(second.get_by_role("status")).to_contain_text("Saved.")
    project = house.server.call("GET", house.project_path)[1]
    assert (project["port"], project["env"]) == (9090, {"LEVEL": "debug"})


@BOTH
def test_two_people_change_one_registry(house: House, scripts: bool) -> None:
    house.windows.allowed += ["409", "412", "422"]
    name = f"shared-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "url": f"https://{name}.example.com"}
    status, made = house.server.call("POST", "/api/registries", body)
    assert status == 201
    path = f"/registries/{made['id']}"
    first = house.signed_in("ada", path, java_script_enabled=scripts)
    second = house.signed_in("grace", path, java_script_enabled=scripts)
    first.get_by_label("User", exact=True).fill("robot")
    first.get_by_role("button", name="Save").click()
    expect(first.get_by_role("status")).to_be_visible()

    second.get_by_label("Name").fill(f"{name}-2")
    second.get_by_role("button", name="Save").click()
    expect(second.get_by_text("Saved by somebody else:")).to_be_visible()
    expect(second.get_by_text("user robot")).to_be_visible()
    expect(second.get_by_label("Name")).to_have_value(f"{name}-2")
    assert house.server.call("GET", f"/api{path}")[1]["name"] == name


def test_a_tag_is_deployed_from_the_palette_by_keyboard_alone(house: House) -> None:
    house.push("v1")
    page = house.signed_in("dora")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Command, project or page")).to_be_focused()
    page.keyboard.type(f"deploy {house.name} dev v1")
    option = page.get_by_role("option", name=f"deploy {house.name} dev v1")
    expect(option).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Deploy v1")).to_be_focused()
    page.keyboard.press("Enter")
    watched(page, house, "v1 is live in dev.", scripts=True)
    assert served_by(house, house.name, "dev") == "v1"
