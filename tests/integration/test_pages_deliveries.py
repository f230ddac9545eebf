"""The log of webhook calls, one call with its orders, and the explanation of a push."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagboat.core.principal import Role
from tests.support.api import Api, running_api
from tests.support.pages import Browser, signed_in, words
from tests.support.sample_pages import fill

pytestmark = pytest.mark.anyio
QUAY = {"docker_url": "git.example.com/acme/shop", "updated_tags": ["v7.0.0"]}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
async def browser(api: Api) -> Browser:
    return await signed_in(api)


async def call(api: Api, body: object) -> dict[str, object]:
    """Call the webhook URL; the answer."""
    url = (await api.caller.get("/api/settings/webhook")).json["url"]
    path = "/api/webhook/" + url.rpartition("/")[2]
    answer = await api.anonymous.call(
        "POST", path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    found: dict[str, object] = answer.json
    return found


async def last(api: Api) -> str:
    """The id of the newest call."""
    found: str = (await api.caller.get("/api/deliveries?limit=1")).json["items"][0]["id"]
    return found


async def test_without_calls_the_list_says_what_to_do(browser: Browser) -> None:
    page = await browser.get("/deliveries")
    assert "Nobody has called yet" in words(page)
    assert 'href="/connect"' in page.body.decode()
    assert 'data-live="/live?after=' in page.body.decode()


async def test_calls_are_filtered_by_sender_and_outcome(api: Api, browser: Browser) -> None:
    await fill(api.store)
    await api.caller.patch("/api/settings", {"auto_create": False})
    await call(api, QUAY)
    await call(api, {"image": "git.example.com/acme/shop:v8.0.0"})
    await call(api, {"image": "elsewhere.example.com/x/y:v1"})
    await call(api, {"what": 1})
    await call(api, {"docker_url": "git.example.com/acme/shop", "build_id": "1"})

    def senders(page: str) -> list[str]:
        return re.findall(r'<td class="proj"[^>]*><a [^>]*>([^<]+)', page)

    async def shown(query: str) -> list[str]:
        return senders((await browser.get(f"/deliveries?{query}")).body.decode())

    assert await shown("") == ["quay", "unknown", "native", "native", "quay"]
    assert await shown("sender=quay") == ["quay", "quay"]
    assert await shown("outcome=queued") == ["native", "quay"]
    assert await shown("outcome=refused") == ["native"]
    assert await shown("outcome=failed") == ["unknown"]
    assert await shown("outcome=nothing+to+push") == ["quay"]
    assert await shown("sender=quay&outcome=queued") == ["quay"]
    nothing = await browser.get("/deliveries?sender=harbor")
    assert "No call matches" in words(nothing)
    assert (await browser.get("/deliveries?outcome=odd")).status == 422


async def test_the_list_has_pages(api: Api, browser: Browser) -> None:
    for number in range(52):
        await call(api, {"image": f"git.example.com/acme/shop:v{number}"})
    page = (await browser.get("/deliveries?sender=native")).body.decode()
    following = page.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    second = (await browser.get(following.replace("&amp;", "&"))).body.decode()
    assert "sender=native" in following
    assert (page.count("<tr>"), second.count("<tr>")) == (51, 3)


async def test_a_call_shows_headers_body_and_why(api: Api, browser: Browser) -> None:
    await fill(api.store)
    await call(api, QUAY | {"name": "<b>bold</b>"})
    page = await browser.get(f"/deliveries/{await last(api)}")
    seen = words(page)
    assert "Call of quay Redeliver" in seen
    assert "The call brought 1 push: queued." in seen
    assert "git.example.com/acme/shop:v7.0.0 shop prod tag v7.0.0 matches *" in seen
    assert "content-type application/json" in seen
    assert '"docker_url": "git.example.com/acme/shop",' in seen
    assert "<b>bold" not in page.body.decode()
    assert '<details class="fold"><summary>Body' in page.body.decode()
    assert 'href="/deploys/' in page.body.decode()


async def test_an_admin_delivers_again(api: Api, browser: Browser) -> None:
    await fill(api.store)
    await call(api, QUAY)
    first = await last(api)
    done = await browser.post(f"/deliveries/{first}/redeliver")
    after = words(await browser.follow(done))
    assert done.headers["location"] == f"/deliveries/{await last(api)}"
    assert done.headers["location"] != f"/deliveries/{first}"
    assert "Delivered again." in after
    assert "merged" in after


async def test_what_cannot_be_delivered_again_says_why(api: Api, browser: Browser) -> None:
    await call(api, {"image": "git.example.com/acme/shop:v1", "more": "x" * 70_000})
    path = f"/deliveries/{await last(api)}"
    assert "its body was too large to be kept completely" in words(await browser.get(path))
    refused = await browser.post(f"{path}/redeliver")
    assert refused.status == 409
    assert 'role="alert"' in refused.body.decode()


async def test_others_read_but_do_not_deliver_again(api: Api) -> None:
    await call(api, QUAY)
    path = f"/deliveries/{await last(api)}"
    viewer = await signed_in(api, Role.VIEWER, "vera")
    assert "You are a viewer: an admin can deliver this call again." in words(
        await viewer.get(path)
    )
    assert (await viewer.post(f"{path}/redeliver")).status == 403
    assert (await Browser(api).get(path)).headers["location"].startswith("/sign-in?next=")


async def test_a_call_that_is_not_there(browser: Browser) -> None:
    assert (await browser.get("/deliveries/no-such-call")).status == 404


async def test_a_push_is_explained(api: Api, browser: Browser) -> None:
    await fill(api.store)
    seen = words(await browser.get("/explain?image=git.example.com/acme/shop:v9"))
    assert "It would be deployed in shop prod. tag v9 matches *" in seen
    assert "Stage Pattern Takes the tag prod * yes" in seen
    assert "tagboat explain git.example.com/acme/shop:v9" in seen

    unknown = words(await browser.get("/explain?image=git.example.com/acme/other:v9"))
    assert "It would be deployed in a new project." in unknown
    assert "Ask before you push" in words(await browser.get("/explain"))


async def test_an_image_that_is_none_comes_back_with_its_error(browser: Browser) -> None:
    answer = await browser.get("/explain?image=NOT an image")
    assert answer.status == 422
    assert 'value="NOT an image"' in answer.body.decode()
    assert 'aria-describedby="e-image"' in answer.body.decode()
