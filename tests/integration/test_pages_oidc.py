"""The sign-in at an OpenID provider, with pages, and both ways of signing out."""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest

from tagboat.core.oidc import OidcSettings
from tagboat.core.principal import Role
from tagboat.identity.provider import OidcProvider
from tagboat.operations.services import OidcService
from tagboat.operations.sign_in_attempts import FREE_FOR_ADDRESS
from tests.support.api import PUBLIC_URL, Api, running_api
from tests.support.asgi import Answer
from tests.support.openid_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    Claims,
    OpenIdProvider,
    openid_provider,
    way_back,
)
from tests.support.pages import Browser, words

pytestmark = pytest.mark.anyio
PASSWORD = "correct horse battery"
SESSION, ATTEMPT = "__Host-tagboat", "__Host-tagboat-oidc"
NOTICE = "/oidc/backchannel-logout"


@pytest.fixture
def fake() -> Iterator[OpenIdProvider]:
    with openid_provider() as provider:
        provider.person["groups"] = ["devs"]
        yield provider


@pytest.fixture
async def oidc(fake: OpenIdProvider) -> AsyncIterator[OidcService]:
    settings = OidcSettings(
        issuer=fake.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        name="Example <SSO>",
        roles=(("devs", Role.DEPLOYER), ("admins", Role.ADMIN)),
    )
    provider = OidcProvider(
        settings,
        callback_url=f"{PUBLIC_URL}/oidc/callback",
        after_logout_url=f"{PUBLIC_URL}/sign-in",
        total_s=60.0,
        key_pause_s=0.0,
    )
    yield OidcService(settings, provider)
    await provider.close()


@pytest.fixture
def api(tmp_path: Path, oidc: OidcService) -> Iterator[Api]:
    with running_api(tmp_path, oidc=oidc) as running:
        yield running


def visitor(api: Api, cookies: Mapping[str, str] | None = None) -> Browser:
    """A browser that calls the server by its public name."""
    return Browser(api, dict(cookies or {}), host=urlsplit(PUBLIC_URL).netloc)


def path_of(url: str) -> str:
    """The path and query of a URL of ours."""
    assert url.startswith(PUBLIC_URL + "/")
    return url.removeprefix(PUBLIC_URL)


async def way_to_callback(browser: Browser, wanted: str = "/deploys") -> str:
    """Start, sign in at the provider, and return the path that it sends the browser to."""
    started = await browser.get(f"/oidc/start?{urlencode({'next': wanted})}")
    assert started.status == 303, words(started)
    return path_of(way_back(started.headers["location"]))


async def signed_in(browser: Browser, wanted: str = "/deploys") -> Answer:
    return await browser.get(await way_to_callback(browser, wanted))


async def test_the_whole_way(api: Api) -> None:
    browser = visitor(api)
    page = await browser.follow(await browser.get("/deploys?status=failed"))
    assert "Sign in with Example <SSO>" in words(page)
    way = re.search(r'href="(/oidc/start[^"]*)"', page.body.decode())
    assert way is not None
    started = await browser.get(unescape(way[1]))
    given = started.headers["set-cookie"]
    assert given.startswith(f"{ATTEMPT}=")
    assert "; HttpOnly; SameSite=Lax; Secure" in given
    done = await browser.get(path_of(way_back(started.headers["location"])))
    assert (done.status, done.headers["location"]) == (303, "/deploys?status=failed")
    assert list(browser.cookies) == [SESSION]
    assert "ada" in words(await browser.get("/deploys"))
    accounts = await api.store.read(lambda reader: reader.accounts())
    assert [(one.name, one.role) for one in accounts] == [("ada", Role.DEPLOYER)]


async def test_the_cookie_reveals_no_value_that_travels_through_the_provider(api: Api) -> None:
    browser = visitor(api)
    started = await browser.get("/oidc/start")
    query = parse_qs(urlsplit(started.headers["location"]).query)
    for name in ("state", "nonce", "code_challenge"):
        assert query[name][0] not in started.headers["set-cookie"]


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example.com/", "//evil.example.com", "/\\evil.example.com", "javascript:x", ""],
)
async def test_no_way_leads_to_another_site(api: Api, wanted: str) -> None:
    done = await signed_in(visitor(api), wanted)
    assert done.headers["location"] == "/"


async def test_a_long_way_is_forgotten_and_not_an_error(api: Api) -> None:
    done = await signed_in(visitor(api), "/deploys?q=" + "x" * 5_000)
    assert done.headers["location"] == "/"


async def test_an_answer_counts_in_the_browser_that_asked(api: Api, fake: OpenIdProvider) -> None:
    mallory, victim = visitor(api), visitor(api)
    callback = await way_to_callback(mallory)
    page = await victim.get(callback)
    assert (page.status, SESSION in victim.cookies) == (400, False)
    assert "started in another browser" in words(page)
    # Not even if the victim has begun a sign-in of their own.
    await victim.get("/oidc/start")
    page = await victim.get(callback)
    assert (page.status, SESSION in victim.cookies) == (400, False)
    assert "/token" not in fake.asked


async def test_an_answer_counts_once(api: Api, fake: OpenIdProvider) -> None:
    browser = visitor(api)
    callback = await way_to_callback(browser)
    kept = dict(browser.cookies)
    assert (await browser.get(callback)).status == 303
    assert (await browser.get(callback)).status == 400
    # With the cookie kept, it is the provider that knows the code.
    again = await visitor(api, kept).get(callback)
    assert again.status == 403
    assert "does not accept the code" in words(again)
    assert fake.asked.count("/token") == 2


@pytest.mark.parametrize("cookie", ["", "x", "." * 43, "a" * 43, f"{'a' * 43}.!!!", "a" * 5_000])
async def test_other_cookies_are_no_attempt(api: Api, cookie: str) -> None:
    callback = await way_to_callback(visitor(api))
    assert (await visitor(api, {ATTEMPT: cookie}).get(callback)).status == 400


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ({"error": "access_denied"}, 403, "did not let you in"),
        ({"error": "server_error"}, 403, "a fault of its own"),
        ({"error": "<script>"}, 403, "sent no code"),
        ({}, 403, "sent no code"),
        ({"code": ""}, 403, "sent no code"),
        ({"code": "x" * 5_000}, 403, "sent no code"),
        ({"code": "x", "iss": "https://evil.example.com"}, 403, "comes from another provider"),
        ({"code": "x"}, 403, "comes from another provider"),
    ],
)
async def test_answers_that_bring_nobody(
    api: Api, fake: OpenIdProvider, answer: dict[str, str], status: int, said: str
) -> None:
    fake.change_answer = lambda it: answer | {"state": it["state"]}
    browser = visitor(api)
    page = await signed_in(browser)
    assert (page.status, said in words(page)) == (status, True)
    assert browser.cookies == {}
    # The way to try again is on the page.
    assert "/oidc/start" in page.body.decode()


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it | {"nonce": "another"},
        lambda it: it | {"aud": "another"},
        lambda it: it | {"iss": "https://evil.example.com"},
        lambda it: it | {"exp": 1},
    ],
)
async def test_tokens_with_a_fault_bring_nobody(
    api: Api, fake: OpenIdProvider, change: Callable[[Claims], Claims]
) -> None:
    fake.change_id_token = change
    page = await signed_in(visitor(api))
    assert (page.status, "ID token is not valid" in words(page)) == (403, True)


async def test_without_a_role_nobody_enters_and_older_sessions_end(
    api: Api, fake: OpenIdProvider
) -> None:
    before = visitor(api)
    await signed_in(before)
    fake.person["groups"] = ["guests"]
    page = await signed_in(visitor(api))
    assert page.status == 403
    assert "Your account at Example <SSO> has no role in Tagboat" in words(page)
    assert (await before.get("/deploys")).status == 303


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token"])
@pytest.mark.parametrize("reply", [(500, b""), (200, b"<html>")])
async def test_a_provider_that_fails_is_a_sentence_and_a_way_to_try_again(
    api: Api, fake: OpenIdProvider, path: str, reply: tuple[int, bytes]
) -> None:
    fake.replies[path] = reply
    browser = visitor(api)
    page = await browser.get("/oidc/start")
    if page.status == 303:
        page = await browser.get(path_of(way_back(page.headers["location"])))
    assert page.status in {403, 503}
    assert "Example <SSO>" in words(page)
    fake.replies.clear()
    assert (await signed_in(browser)).status == 303


async def test_the_provider_is_asked_about_codes_only_so_often(
    api: Api, fake: OpenIdProvider
) -> None:
    fake.replies["/token"] = (400, b'{"error": "invalid_grant"}')
    browser = visitor(api)
    for _ in range(FREE_FOR_ADDRESS):
        assert (await signed_in(browser)).status == 403
    asked = fake.asked.count("/token")
    page = await signed_in(browser)
    assert (page.status, page.headers["retry-after"]) == (429, "1")
    assert "Too many attempts: try again in 1 s." in words(page)
    assert fake.asked.count("/token") == asked


async def test_a_slow_provider_is_not_waited_for(
    api: Api, oidc: OidcService, fake: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(oidc.provider, OidcProvider)
    hasty = aiohttp.ClientTimeout(total=1.0)
    monkeypatch.setattr(oidc.provider._transport, "_timeout", hasty)
    fake.delays_s["/.well-known/openid-configuration"] = 60.0
    page = await visitor(api).get("/oidc/start")
    assert (page.status, "did not answer in time" in words(page)) == (503, True)


async def test_from_another_name_of_the_server_the_way_leads_over_the_public_url(api: Api) -> None:
    answer = await api.anonymous.call(
        "GET", "/oidc/start?next=%2Fdeploys", b"", {"host": "localhost"}
    )
    assert answer.status == 303
    assert answer.headers["location"] == f"{PUBLIC_URL}/oidc/start?next=%2Fdeploys&moved=yes"
    assert "set-cookie" not in answer.headers
    # Once: a front that passes on another name would send the browser round for ever.
    path = answer.headers["location"].removeprefix(PUBLIC_URL)
    answer = await api.anonymous.call("GET", path, b"", {"host": "localhost"})
    assert answer.status == 303
    assert not answer.headers["location"].startswith(PUBLIC_URL)
    assert "set-cookie" in answer.headers


async def test_signing_out_leads_to_the_provider(api: Api, fake: OpenIdProvider) -> None:
    browser = visitor(api)
    await signed_in(browser)
    form = await browser.get("/deploys")
    token = re.search(r'name="csrf" value="([^"]+)"', form.body.decode())
    assert token is not None
    page = await browser.post("/sign-out", {"csrf": token[1]})
    assert (page.status, browser.cookies) == (200, {})
    refresh = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.body.decode())
    assert refresh is not None
    url = unescape(refresh[1])
    query = parse_qs(urlsplit(url).query)
    assert url.startswith(f"{fake.issuer}/logout?")
    assert query["id_token_hint"][0].count(".") == 2
    assert way_back(url) == f"{PUBLIC_URL}/sign-in"
    assert (await browser.get("/deploys")).status == 303


async def test_signing_out_works_while_the_provider_does_not(
    api: Api, fake: OpenIdProvider, oidc: OidcService, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = visitor(api)
    await signed_in(browser)
    fake.replies["/.well-known/openid-configuration"] = (500, b"")
    assert isinstance(oidc.provider, OidcProvider)
    monkeypatch.setattr(oidc.provider._discovery, "_known", None)
    form = await browser.get("/deploys")
    token = re.search(r'name="csrf" value="([^"]+)"', form.body.decode())
    assert token is not None
    page = await browser.post("/sign-out", {"csrf": token[1]})
    assert page.headers["location"] == "/sign-in"
    assert SESSION not in browser.cookies


async def told(api: Api, token: str, kind: str = "application/x-www-form-urlencoded") -> Answer:
    """The provider's call, which has no cookie, and no page that it comes from."""
    body = urlencode({"logout_token": token}).encode()
    return await api.anonymous.call("POST", NOTICE, body, {"content-type": kind})


async def test_the_provider_ends_the_session_here(api: Api, fake: OpenIdProvider) -> None:
    ended, other = visitor(api), visitor(api)
    await signed_in(ended)
    fake.sid = "session-2"
    await signed_in(other)
    fake.sid = "session-1"
    answer = await told(api, fake.logout_token())
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert (await ended.get("/deploys")).status == 303
    assert (await other.get("/deploys")).status == 200
    # Told again, as after a lost answer.
    assert (await told(api, fake.logout_token())).status == 200


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
async def test_tokens_that_nobody_signed_end_nothing(api: Api, token: str) -> None:
    browser = visitor(api)
    await signed_in(browser)
    answer = await told(api, token)
    assert answer.status == 400
    assert answer.json["error"] == "invalid_request"
    assert (await browser.get("/deploys")).status == 200


async def test_a_token_of_another_provider_ends_nothing(api: Api, fake: OpenIdProvider) -> None:
    browser = visitor(api)
    await signed_in(browser)
    with openid_provider() as evil:
        evil.issuer, evil.person = fake.issuer, fake.person
        evil.rotate()
        answer = await told(api, evil.logout_token())
    assert answer.status == 400
    assert (await browser.get("/deploys")).status == 200


async def test_the_notice_takes_forms_only(api: Api, fake: OpenIdProvider) -> None:
    assert (await told(api, fake.logout_token(), "application/json")).status == 422
    assert (await api.anonymous.get(NOTICE)).status == 405


async def test_the_provider_tries_again_while_its_keys_cannot_be_read(
    api: Api, fake: OpenIdProvider
) -> None:
    fake.replies["/keys"] = (500, b"")
    assert (await told(api, fake.logout_token())).status == 503


async def test_without_passwords_there_is_no_form_and_no_sign_in_with_one(
    tmp_path: Path, oidc: OidcService
) -> None:
    with running_api(tmp_path, oidc=oidc, local_sign_in=False) as api:
        await api.operations.accounts.create("root", Role.ADMIN, PASSWORD)
        browser = visitor(api)
        page = await browser.get("/sign-in")
        assert 'type="password"' not in page.body.decode()
        assert "Sign in with Example <SSO>" in words(page)
        refused = await browser.post("/sign-in", {"name": "root", "password": PASSWORD})
        assert (refused.status, SESSION in browser.cookies) == (401, False)
        assert "switched off" in words(refused)
        assert (await signed_in(browser)).status == 303


async def test_without_a_provider_there_is_nothing_to_start(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        browser = visitor(api)
        assert (await browser.get("/oidc/start")).status == 404
        assert (await browser.get("/oidc/callback?code=x&state=y")).status == 404
        assert (await told(api, "a.b.c")).status == 404
        await api.operations.accounts.create("root", Role.ADMIN, PASSWORD)
        assert "/oidc/start" not in (await browser.get("/sign-in")).body.decode()


async def test_no_secret_is_in_a_log_line(
    api: Api, capfd: pytest.CaptureFixture[str], fake: OpenIdProvider
) -> None:
    browser = visitor(api)
    callback = await way_to_callback(browser)
    cookie = browser.cookies[ATTEMPT]
    await browser.get(callback)
    await told(api, fake.logout_token())
    logged = "".join(capfd.readouterr())
    code = parse_qs(urlsplit(callback).query)["code"][0]
    for secret in (code, cookie, CLIENT_SECRET, browser.cookies[SESSION]):
        assert secret not in logged
