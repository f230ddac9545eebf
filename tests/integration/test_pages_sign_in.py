"""Signing in and out with pages, and the first account."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tagboat.core.errors import StoreUnavailableError
from tagboat.core.principal import Role
from tests.support.api import Api, running_api
from tests.support.pages import Browser, signed_in, words

pytestmark = pytest.mark.anyio
PASSWORD = "correct horse battery"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


async def with_account(api: Api, name: str = "ada") -> None:
    await api.operations.accounts.create(name, Role.ADMIN, PASSWORD)


async def test_the_first_account_is_made_by_the_set_up_link(api: Api) -> None:
    nobody = Browser(api)
    assert "There is no account yet." in words(await nobody.get("/sign-in"))
    link = (await api.operations.accounts.new_setup_link()).url
    path = link.removeprefix("https://tagboat.example.com")

    assert "Make the first account" in words(await nobody.get(path))
    form = {"name": " ada ", "password": PASSWORD, "repeated": PASSWORD}
    differs = await nobody.post(path, {**form, "repeated": "another one"})
    assert (differs.status, "is not the same password" in words(differs)) == (422, True)
    assert PASSWORD.encode() not in differs.body
    short = await nobody.post(path, {**form, "password": "short", "repeated": "short"})
    assert (short.status, "at least 10 characters" in words(short)) == (422, True)

    made = await nobody.post(path, form)
    assert made.headers["location"] == "/"
    assert (await nobody.get("/deploys")).status == 200
    assert (await nobody.get(path)).status == 404
    # Two cookies came with the answer; the message is the other one.
    stranger = Browser(api)
    assert (await stranger.get("/setup/no-such-token")).status == 404


async def test_who_signs_in_comes_to_the_page_that_was_asked_for(api: Api) -> None:
    await with_account(api)
    browser = Browser(api)
    page = await browser.follow(await browser.get("/deploys?status=failed"))
    assert 'value="/deploys?status=failed"' in page.body.decode()

    form = {"name": "ADA", "password": PASSWORD, "next": "/deploys?status=failed"}
    done = await browser.post("/sign-in", form)
    assert done.headers["location"] == "/deploys?status=failed"
    cookie = done.headers["set-cookie"]
    assert cookie.startswith("__Host-tagboat=")
    assert "; HttpOnly; SameSite=Lax; Secure" in cookie
    assert (await browser.follow(done)).status == 200
    assert (await browser.get("/sign-in?next=/deploys")).headers["location"] == "/deploys"


@pytest.mark.parametrize("next_", ["//evil.example.com", "https://evil.example.com/", "/\\evil"])
async def test_signing_in_leads_to_no_other_site(api: Api, next_: str) -> None:
    await with_account(api)
    form = {"name": "ada", "password": PASSWORD, "next": next_}
    assert (await Browser(api).post("/sign-in", form)).headers["location"] == "/"


async def test_a_wrong_password_and_an_unknown_name_are_answered_alike(api: Api) -> None:
    await with_account(api)
    answers = []
    for name, password in (("ada", "wrong password"), ("eve", "wrong password")):
        answer = await Browser(api).post("/sign-in", {"name": name, "password": password})
        assert answer.status == 401
        assert b"wrong password" not in answer.body
        answers.append(answer.body.decode().replace(name, "NAME"))

    assert answers[0] == answers[1]
    assert "The name or the password is wrong." in answers[0]


async def test_a_password_is_not_trimmed(api: Api) -> None:
    await with_account(api)
    answer = await Browser(api).post("/sign-in", {"name": "ada", "password": f" {PASSWORD}"})
    assert answer.status == 401


async def test_many_attempts_have_to_wait(api: Api) -> None:
    await with_account(api)
    form = {"name": "ada", "password": "wrong password"}
    for _ in range(30):
        answer = await Browser(api).post("/sign-in", form)
        if answer.status == 429:
            break

    assert answer.status == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "Too many attempts" in words(answer)


async def test_attempts_while_the_database_is_away_do_not_count(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_account(api)
    form = {"name": "ada", "password": PASSWORD}
    with monkeypatch.context() as away:

        async def fails(*_: object) -> None:
            raise StoreUnavailableError("the database cannot be reached")

        away.setattr(api.store, "read", fails)
        for _ in range(8):
            assert (await Browser(api).post("/sign-in", form)).status == 503
    wrong = {"name": "ada", "password": "wrong password"}
    assert (await Browser(api).post("/sign-in", wrong)).status == 401
    assert (await Browser(api).post("/sign-in", form)).status == 303


async def test_another_site_can_sign_nobody_in_or_out(api: Api) -> None:
    await with_account(api)
    foreign = {"sec-fetch-site": "cross-site"}
    form = {"name": "ada", "password": PASSWORD}
    assert (await Browser(api).post("/sign-in", form, foreign)).status == 403

    browser = await signed_in(api, name="bob")
    assert (await browser.post("/sign-out", {"csrf": "wrong"})).status == 403
    assert (await browser.get("/deploys")).status == 200


async def test_who_signs_out_is_out(api: Api) -> None:
    browser = await signed_in(api)
    secret = dict(browser.cookies)
    done = await browser.post("/sign-out")

    assert done.headers["location"] == "/sign-in"
    assert "__Host-tagboat=; Path=/; Max-Age=0" in done.headers["set-cookie"]
    # Not only the browser has forgotten it.
    assert (await Browser(api, secret, browser.csrf).get("/deploys")).status == 303
