"""Connecting senders: URLs, steps, who was heard, and the test that waits for a call."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagboat.core.ports import Reader
from tagboat.core.principal import Role
from tests.support.api import Api, running_api
from tests.support.pages import Browser, signed_in, words
from tests.support.sample_pages import fill

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
async def browser(api: Api) -> Browser:
    return await signed_in(api)


async def webhook_url(api: Api) -> str:
    found: str = (await api.caller.get("/api/settings/webhook")).json["url"]
    return found


async def push(api: Api, image: str, url: str | None = None) -> int:
    path = "/api/webhook/" + (url or await webhook_url(api)).rpartition("/")[2]
    body = json.dumps({"image": image}).encode()
    sent = {"content-type": "application/json"}
    return (await api.anonymous.call("POST", path, body, sent)).status


async def test_an_admin_sees_the_url_and_what_it_allows(api: Api, browser: Browser) -> None:
    page = await browser.get("/connect")
    assert await webhook_url(api) in words(page)
    assert f'data-copy="{await webhook_url(api)}"' in page.body.decode()
    assert "Anybody with this URL can" in words(page)
    assert page.headers["cache-control"] == "no-store"
    for name in ("Gitea Actions", "Woodpecker", "Harbor", "Zot", "Docker Hub", "Amazon (ECR)"):
        assert name in words(page)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DEPLOYER])
async def test_others_are_told_why_they_do_not(api: Api, role: Role) -> None:
    url = await webhook_url(api)
    other = await signed_in(api, role, "vera")
    page = await other.get("/connect")
    assert url.rpartition("/")[2] not in page.body.decode()
    assert f"You are a {role}: the URL is a secret that only an admin sees." in words(page)
    assert "Gitea Actions" in words(page)
    assert (await other.post("/connect/regenerate")).status == 403
    assert (await other.post("/connect/webhooks", {"project": "shop"})).status == 403


async def test_a_new_url_ends_the_old_one(api: Api, browser: Browser) -> None:
    old = await webhook_url(api)
    after = await browser.follow(await browser.post("/connect/regenerate"))
    assert "There is a new URL." in words(after)
    assert await webhook_url(api) != old
    assert await webhook_url(api) in words(after)
    assert await push(api, "git.example.com/acme/shop:v1", old) == 404


async def test_senders_without_a_host_get_a_url_that_names_one(api: Api, browser: Browser) -> None:
    await api.caller.post(
        "/api/registries", {"name": "zot", "url": "https://zot.example.com", "kind": "oci"}
    )
    assert f"{await webhook_url(api)}?registry=zot" in words(
        await browser.get("/connect?registry=zot")
    )
    assert (await browser.get("/connect?registry=nobody")).status == 422


async def test_who_was_heard_and_who_never_was(api: Api, browser: Browser) -> None:
    await api.caller.post(
        "/api/registries", {"name": "quiet", "url": "https://quiet.example.com", "kind": "oci"}
    )
    await fill(api.store)
    assert "Nobody has called yet." in words(await browser.get("/connect"))
    await push(api, "git.example.com/acme/shop:v9")
    seen = words(await browser.get("/connect"))
    assert re.search(r"git\.example\.com \d+ s ago by native", seen)
    assert "quiet never: polling finds its pushes" in seen


async def test_a_project_gets_a_url_that_is_shown_once(api: Api, browser: Browser) -> None:
    await fill(api.store)
    made = await browser.post("/connect/webhooks", {"project": "shop", "webhook": "ci"})
    (url,) = re.findall(r"(https://\S+/api/webhook/\S+) Copy Webhook URL", words(made))
    assert "Save it now: it is not shown again." in words(made)
    # Read again by an event, the page would lose it.
    assert "data-live" not in made.body.decode()
    assert await push(api, "git.example.com/acme/shop:v9", url) == 202
    after = await browser.get("/connect")
    assert url not in words(after)
    assert "shop ci made" in words(after)
    assert "has one." in words(await browser.get("/connect?project=mailer"))


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"project": "nobody", "webhook": "ci"}, 422, "there is no project named nobody"),
        ({"project": "shop", "webhook": "Not a name"}, 422, "Not a name"),
        ({"project": "shop", "webhook": "taken"}, 409, "a webhook named taken already"),
    ],
)
async def test_a_url_that_cannot_be_made(
    api: Api, browser: Browser, form: dict[str, str], status: int, said: str
) -> None:
    await fill(api.store)
    await browser.post("/connect/webhooks", {"project": "shop", "webhook": "taken"})
    answer = await browser.post("/connect/webhooks", form)
    assert answer.status == status
    assert said in words(answer)
    assert f'value="{form["webhook"]}"' in answer.body.decode()


async def test_a_project_url_is_replaced_and_revoked(api: Api, browser: Browser) -> None:
    await fill(api.store)
    made = words(await browser.post("/connect/webhooks", {"project": "shop", "webhook": "ci"}))
    old = re.findall(r"https://\S+/api/webhook/\S+", made)[0]

    def hooks(reader: Reader) -> list[str]:
        return [hook.id for hook in reader.hooks()]

    (hook,) = await api.store.read(hooks)
    again = words(await browser.post(f"/connect/webhooks/{hook}/rotate"))
    new = re.findall(r"https://\S+/api/webhook/\S+", again)[0]
    assert await push(api, "git.example.com/acme/shop:v9", old) == 404
    assert await push(api, "git.example.com/acme/shop:v9", new) == 202
    gone = await browser.post(f"/connect/webhooks/{hook}/revoke")
    assert gone.headers["location"] == "/connect#webhooks"
    assert "The URL ci of shop is revoked" in words(await browser.get("/connect"))
    assert await push(api, "git.example.com/acme/shop:v9", new) == 404


async def test_the_test_waits_and_says_when_a_call_came(api: Api, browser: Browser) -> None:
    await fill(api.store)
    await push(api, "git.example.com/acme/shop:v1")
    begun = await browser.get("/connect/test")
    waiting = await browser.follow(begun)
    assert "Waiting for a call." in words(waiting)
    assert "topic=delivery" in waiting.body.decode()
    assert '<noscript><meta http-equiv="refresh"' in waiting.body.decode()
    await push(api, "git.example.com/acme/shop:v2.2")
    came = words(await browser.follow(begun))
    assert re.search(r"native called after \d+ s\. The call brought 1 push: queued\.", came)
    assert "v2.2" in came
    assert "v1 is" not in came


@pytest.mark.parametrize("began", ["x", "99999999999999999999", "-1", "1.5"])
async def test_a_moment_that_nobody_wrote_begins_anew(browser: Browser, began: str) -> None:
    answer = await browser.get(f"/connect/test?after=x&began={began}")
    assert answer.status == 303
