"""The link that signs a browser in: made on the server's machine, used once."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.errors import NotFoundError
from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.core.values import replace
from tests.support.api import PUBLIC_URL, Api, running_api
from tests.support.pages import Browser, words

pytestmark = pytest.mark.anyio
LOCAL = Principal(kind=PrincipalKind.LOCAL, name="the server's command line", role=Role.ADMIN)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


async def new_account(api: Api, name: str = "ada") -> str:
    made = await api.operations.accounts.create(name, Role.VIEWER, "correct horse battery")
    return made.account.id


async def new_path(api: Api, account_id: str) -> str:
    link = await api.operations.by(LOCAL).sign_in_links.make(account_id)
    assert link.url not in repr(link)
    return link.url.removeprefix(PUBLIC_URL)


async def test_a_link_signs_in_once(api: Api) -> None:
    path = await new_path(api, await new_account(api))
    kept = await api.store.read(lambda reader: reader.setting("sign_in_link"))
    assert path.rpartition("/")[2] not in str(kept)

    # A preview that somebody's chat makes of the link does not use it up.
    for _ in range(2):
        assert "Sign in as ada" in words(await Browser(api).get(path))
    browser = Browser(api)
    done = await browser.post(path)
    assert done.headers["location"] == "/"
    page = await browser.follow(done)
    assert "Welcome, ada." in words(page)
    assert (await browser.get("/deploys")).status == 200

    second = Browser(api)
    for answer in (await second.get(path), await second.post(path)):
        assert answer.status == 404
        assert "tagboat users sign-in-link NAME" in words(answer)
    assert second.cookies == {}


async def test_another_site_cannot_use_a_link(api: Api) -> None:
    path = await new_path(api, await new_account(api))
    answer = await Browser(api).post(path, headers={"sec-fetch-site": "cross-site"})
    assert answer.status == 403
    assert (await Browser(api).post(path)).status == 303


async def test_a_link_ends_with_a_newer_one_its_hour_and_its_account(api: Api) -> None:
    account = await new_account(api)
    first, second = await new_path(api, account), await new_path(api, account)
    assert (await Browser(api).get(first)).status == 404
    assert (await Browser(api).get(second)).status == 200

    late = api.operations.by(LOCAL)
    later = replace(
        late.sign_in_links.services, clock=lambda: datetime.now(UTC) + timedelta(hours=1)
    )
    token = second.rpartition("/")[2]
    with pytest.raises(NotFoundError, match="does not hold any more"):
        await replace(late.sign_in_links, services=later).find(token)

    await api.operations.accounts.create("eve", Role.ADMIN, "correct horse battery")
    await api.operations.accounts.delete(account)
    assert (await Browser(api).get(second)).status == 404
    assert (await Browser(api).post(second)).status == 404


async def test_only_the_servers_machine_makes_links(api: Api) -> None:
    account = await new_account(api)
    url = f"/api/users/{account}/sign-in-link"
    answer = await api.caller.post(url)  # with TAGBOAT_ADMIN_TOKEN
    assert answer.status == 403
    assert "on the server's machine only" in answer.json["detail"]
    assert (await api.anonymous.post(url)).status == 401
    assert await api.store.read(lambda reader: reader.setting("sign_in_link")) is None


async def test_a_link_and_its_use_are_in_the_audit(api: Api) -> None:
    path = await new_path(api, await new_account(api))
    await Browser(api).post(path)
    found: list[Any] = (await api.caller.get("/api/audit")).json["items"]
    assert [one["action"] for one in found[:2]] == ["account.sign-in", "account.sign-in-link"]
    assert not re.search(path.rpartition("/")[2], str(found))


async def test_a_link_ends_with_the_sessions_of_its_account(api: Api) -> None:
    account = await new_account(api)
    for end in (
        api.caller.post(f"/api/users/{account}/sign-out"),
        api.caller.patch(f"/api/users/{account}", {"password": "another password"}),
    ):
        path = await new_path(api, account)
        assert (await end).status < 300
        assert (await Browser(api).post(path)).status == 404


async def test_the_session_that_was_in_the_browser_ends(api: Api) -> None:
    account = await new_account(api)
    browser = Browser(api)
    await browser.post(await new_path(api, account))
    await browser.post(await new_path(api, account))
    assert len(await api.operations.sessions.list(account)) == 1
