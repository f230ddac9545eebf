"""Every page: who may see it, its headers, its errors, and orders."""

import asyncio
import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.responses import Response

from tagboat.core.errors import ConflictError, RegistryError, StoreUnavailableError
from tagboat.core.principal import Role
from tagboat.http import answer_ends, event_hub
from tagboat.web import app, live
from tagboat.web.routing import PageRouter
from tagboat.web.visits import Visit
from tests.support.api import Api, running_api
from tests.support.pages import Browser, signed_in, words

pytestmark = pytest.mark.anyio
_router = PageRouter()
_raised: list[Exception] = []


@_router.page("/trial")
async def _show(visit: Visit) -> Response:
    if _raised:
        raise _raised.pop()
    return visit.show("error.html", {"title": "Trial", "status": 200, "said": visit.query("q")})


@_router.order("/trial")
async def _order(visit: Visit) -> Response:
    return visit.go("/trial", f"Did it: {visit.form.text('what')}")


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(app, "ROUTERS", (*app.ROUTERS, _router))
    _raised.clear()
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
async def browser(api: Api) -> Browser:
    return await signed_in(api)


async def test_who_is_not_signed_in_is_sent_there_and_back(api: Api) -> None:
    nobody = Browser(api)

    assert (await nobody.get("/trial?q=a b")).headers["location"] == (
        "/sign-in?next=/trial%3Fq%3Da%2520b"
    )
    posted = await nobody.post("/trial")
    assert (posted.status, posted.headers["location"]) == (303, "/sign-in")


@pytest.mark.parametrize("path", ["/trial", "/nowhere", "/theme"])
async def test_every_answer_has_the_headers_of_pages(browser: Browser, path: str) -> None:
    headers = (await browser.get(path)).headers

    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


async def test_pages_ask_for_nothing_from_elsewhere_and_have_nothing_inline(
    browser: Browser,
) -> None:
    page = (await browser.get("/trial")).body.decode()

    assert "http://" not in page
    assert "https://" not in page
    assert "<style" not in page
    assert " style=" not in page
    assert "<script>" not in page
    assert " onclick" not in page


async def test_what_is_written_in_the_address_is_escaped(browser: Browser) -> None:
    answer = await browser.get("/trial?q=<script>alert(1)</script>")

    assert b"<script>alert" not in answer.body
    assert "<script>alert(1)</script>" in words(answer)


async def test_the_static_files_of_a_page_are_there(browser: Browser, api: Api) -> None:
    page = (await browser.get("/trial")).body.decode()
    addresses = set(re.findall(r'(?:href|src)="(/static/[^"#]+)', page))

    assert len(addresses) >= 6
    for address in addresses:
        assert (await api.anonymous.get(address)).status == 200, address


async def test_an_unknown_address_is_a_page_that_says_so(browser: Browser, api: Api) -> None:
    answer = await browser.get("/no-such-page")
    assert answer.status == 404
    assert "Nothing here" in words(answer)
    assert "Overview" in words(answer)

    stranger = await api.anonymous.get("/no-such-page")
    assert stranger.status == 404
    assert "Sign in" in words(stranger)


async def test_a_wrong_method_is_a_page_too(browser: Browser) -> None:
    answer = await browser.get("/theme")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ConflictError("it is busy"), 409, "It is busy."),
        (StoreUnavailableError("the database is locked"), 503, "The database is locked."),
        (RegistryError("secret-in-an-error"), 500, "The log of the server says more."),
        (ValueError("secret-in-an-error"), 500, "The log of the server says more."),
    ],
)
async def test_an_error_is_a_page_with_its_sentence(
    browser: Browser, error: Exception, status: int, text: str
) -> None:
    _raised.append(error)
    answer = await browser.get("/trial")

    assert answer.status == status
    assert text in words(answer)
    assert b"secret-in-an-error" not in answer.body
    assert (answer.headers.get("retry-after") is not None) == (status == 503)


async def test_without_the_database_nobody_is_known_and_the_page_says_why(
    api: Api, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def fails(*_: object) -> None:
        asked.append(1)
        raise StoreUnavailableError("the database cannot be reached")

    monkeypatch.setattr(api.store, "read", fails)
    for path, status in (("/trial", 503), ("/no-such-page", 404)):
        asked.clear()
        answer = await browser.get(path)
        assert answer.status == status
        # Once: where it hangs, each time takes seconds.
        assert len(asked) == 1
        assert status == 404 or "The database cannot be reached." in words(answer)


async def test_a_role_that_is_too_low_is_told_which_one_is_needed(api: Api) -> None:
    browser = await signed_in(api, Role.VIEWER)

    assert (await browser.get("/trial")).status == 200
    answer = await browser.post("/trial")
    assert answer.status == 403
    assert "needs the role deployer, and ada has the role viewer" in words(answer)


async def test_the_role_metrics_sees_no_page(api: Api) -> None:
    browser = await signed_in(api, Role.METRICS)
    assert (await browser.get("/trial")).status == 403


async def test_an_order_leads_to_a_page_that_says_once_what_was_done(browser: Browser) -> None:
    done = await browser.post("/trial", {"what": "this & <that>"})
    assert (done.status, done.headers["location"]) == (303, "/trial")
    # A page that is open in another tab reads itself again, and leaves the message alone.
    assert "Did it" not in words(await browser.get("/trial", {"x-tagboat-live": "1"}))

    assert "Did it: this & <that>" in words(await browser.follow(done))
    assert "Did it" not in words(await browser.get("/trial"))


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({"csrf": ""}, {}),
        ({"csrf": "another"}, {}),
        ({}, {"sec-fetch-site": "cross-site"}),
        ({}, {"sec-fetch-site": "", "origin": "https://evil.example.com"}),
        ({}, {"sec-fetch-site": ""}),
    ],
)
async def test_a_forged_order_is_refused(
    browser: Browser, form: dict[str, str], headers: dict[str, str]
) -> None:
    answer = await browser.post("/trial", form, headers)
    assert answer.status == 403
    assert "Did it" not in words(await browser.get("/trial"))


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", ""])
async def test_an_order_is_a_form(browser: Browser, kind: str) -> None:
    sent = {"content-type": kind, "x-csrf-token": browser.csrf}
    assert (await browser.post("/trial", {}, sent)).status == 422


async def test_colours_are_remembered_and_lead_back(browser: Browser) -> None:
    chosen = await browser.post("/theme", {"theme": "dark", "next": "/trial?q=1"})
    assert chosen.headers["location"] == "/trial?q=1"
    assert b'data-theme="dark"' in (await browser.follow(chosen)).body

    away = await browser.post("/theme", {"theme": "neon", "next": "//evil.example.com"})
    assert away.headers["location"] == "/"
    assert b'data-theme="dark"' in (await browser.get("/trial")).body


async def test_head_is_answered(api: Api, browser: Browser) -> None:
    cookie = f"__Host-tagboat={browser.cookies['__Host-tagboat']}"
    answer = await api.anonymous.call("HEAD", "/trial", headers={"cookie": cookie})
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


async def test_the_stream_of_pages_needs_a_session(api: Api) -> None:
    assert (await api.anonymous.get("/live")).status == 303


async def test_the_head_of_the_stream_is_answered_at_once(api: Api, browser: Browser) -> None:
    cookie = f"__Host-tagboat={browser.cookies['__Host-tagboat']}"
    async with asyncio.timeout(60):
        answer = await api.anonymous.call("HEAD", "/live", headers={"cookie": cookie})
    assert (answer.status, answer.body) == (200, b"")


async def test_the_stream_ends_as_its_person_is_signed_out(
    api: Api, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_hub, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(answer_ends, "LOOKED_AT_EVERY_S", 0.0)
    users = (await api.caller.get("/api/users")).json["items"]
    async with asyncio.timeout(60):
        open_page = asyncio.create_task(browser.get("/live"))
        while not api.events._streams:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        assert not open_page.done()
        await api.caller.post(f"/api/users/{users[0]['id']}/sign-out")
        assert (await open_page).status == HTTPStatus.OK


@pytest.mark.parametrize(
    ("query", "status"), [("topic=no-such", 422), ("topic=deploy&topic=no-such", 422)]
)
async def test_the_stream_knows_its_topics(browser: Browser, query: str, status: int) -> None:
    assert (await browser.get(f"/live?{query}")).status == status


async def test_the_stream_tells_what_happened_since_the_page(
    api: Api, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = (
        await api.caller.post(
            "/api/projects", {"name": "shop", "image": "git.example.com/acme/shop"}
        )
    ).json
    stage = (
        await api.caller.post(
            f"/api/projects/{project['id']}/stages", {"name": "dev", "tag_pattern": "*"}
        )
    ).json
    monkeypatch.setattr(event_hub, "HEARTBEAT_S", 0.02)
    for limit_s in (0.1, 1.0, 10.0):  # the machine may be busy elsewhere
        monkeypatch.setattr(live, "LIVE_AT_MOST_S", limit_s)
        answer = await browser.get(f"/live?after=0&topic=stage&stage={stage['id']}")
        events = [part for part in answer.body.decode().split("\n\n") if "event: stage" in part]
        if events:
            break

    assert answer.headers["content-type"].startswith("text/event-stream")
    (event,) = events
    assert json.loads(event.partition("data: ")[2])["name"] == "dev"


async def test_without_the_database_a_stream_ends_and_the_browser_comes_again(
    api: Api, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise StoreUnavailableError("the database cannot be reached")

    monkeypatch.setattr(api.events, "_store", SimpleNamespace(read=fails))
    assert (await browser.get("/live?after=7&topic=deploy")).body == b""
