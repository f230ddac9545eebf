"""Each change of an account, a session or a token is in the audit, without secrets."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.principal import Role
from tests.support.api import Api, running_api
from tests.support.pages import Browser, signed_in

pytestmark = pytest.mark.anyio
PASSWORD, OTHER = "correct horse battery", "another good one"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


async def entries(api: Api) -> list[Any]:
    """The entries, oldest first; none of them has a password."""
    answer = await api.caller.get("/api/audit?limit=200")
    assert PASSWORD not in answer.body.decode()
    assert OTHER not in answer.body.decode()
    assert "argon2" not in answer.body.decode()
    items: list[Any] = answer.json["items"]
    return items[::-1]


def in_short(items: list[Any]) -> list[tuple[str, str, str]]:
    return [(one["actor"]["name"], one["action"], one["subject"]["name"]) for one in items]


async def test_changes_of_an_account(api: Api) -> None:
    caller = api.caller
    body = {"name": "bob", "role": "viewer", "password": PASSWORD}
    made = (await caller.post("/api/users", body)).json["id"]
    path = f"/api/users/{made}"
    await caller.patch(path, {"role": "deployer"})
    await caller.patch(path, {"password": OTHER})
    await caller.patch(path, {"password": PASSWORD, "name": "rob"})
    await caller.post(f"{path}/sign-out", None)
    await caller.delete(path)

    found = await entries(api)
    assert [(action, name) for _, action, name in in_short(found)] == [
        ("account.create", "bob"),
        ("account.change", "bob"),
        ("account.password", "bob"),
        ("account.change", "rob"),
        ("account.sign-out", "rob"),
        ("account.delete", "rob"),
    ]
    assert found[1]["changes"] == [{"field": "role", "before": "viewer", "after": "deployer"}]
    assert found[2]["changes"] == [{"field": "password", "before": "***", "after": "***"}]
    assert {one["field"] for one in found[3]["changes"]} == {"name", "password"}
    assert found[0]["subject"] == {"kind": "account", "id": made, "name": "bob"}


async def test_a_refused_change_is_not_in_it(api: Api) -> None:
    body = {"name": "bob", "role": "admin", "password": PASSWORD}
    made = (await api.caller.post("/api/users", body)).json["id"]
    assert (await api.caller.patch(f"/api/users/{made}", {"role": "viewer"})).status == 409
    assert (await api.caller.delete(f"/api/users/{made}")).status == 409
    assert (await api.caller.post("/api/users", body)).status == 409

    assert len(await entries(api)) == 1


async def test_the_first_account_and_its_sessions(api: Api) -> None:
    link = (await api.operations.accounts.new_setup_link()).url
    token = link.rpartition("/")[2]
    await api.operations.accounts.set_up(
        token, "ada", PASSWORD, address="192.0.2.7", user_agent="a test"
    )
    browser = Browser(api)
    assert (await browser.post("/sign-in", {"name": "ada", "password": OTHER})).status == 401
    await browser.post("/sign-in", {"name": "ada", "password": PASSWORD})

    found = await entries(api)
    assert in_short(found) == [
        ("ada", "account.create", "ada"),
        ("ada", "account.sign-in", "ada"),
        ("ada", "account.sign-in", "ada"),
    ]
    assert [one["note"] for one in found] == [
        "by the set-up link",
        "by the set-up link",
        "by password",
    ]
    assert (found[0]["address"], found[0]["actor"]["kind"]) == ("192.0.2.7", "account")


async def test_ones_own_password_and_signing_out(api: Api) -> None:
    await api.operations.accounts.create("ada", Role.VIEWER, PASSWORD)
    begun = await api.operations.sessions.sign_in(
        "ada", PASSWORD, address="192.0.2.7", user_agent="a test"
    )
    own = api.operations.by(begun.principal)
    await own.accounts.change_own_password(PASSWORD, OTHER)
    assert begun.principal.session_id is not None
    await own.sessions.sign_out(begun.principal.session_id)
    await api.operations.sessions.sign_in("ada", OTHER, address="", user_agent="")
    browser = await signed_in(api, name="bob")
    await browser.post("/account/sign-out-everywhere")

    found = await entries(api)
    assert in_short(found)[1:] == [
        ("ada", "account.sign-in", "ada"),
        ("ada", "account.password", "ada"),
        ("ada", "account.sign-out", "ada"),
        ("ada", "account.sign-in", "ada"),
        ("bob", "account.sign-out", "bob"),
    ]
    assert found[3]["note"] == "one session"
    assert found[5]["note"] == "all sessions"


async def test_tokens(api: Api) -> None:
    body = {"name": "ci", "role": "deployer", "expires_in_days": 30}
    made = (await api.caller.post("/api/tokens", body)).json
    await api.caller.delete(f"/api/tokens/{made['id']}")

    found = await entries(api)
    assert [action for _, action, _ in in_short(found)] == ["token.create", "token.delete"]
    assert {one["field"] for one in found[0]["changes"]} >= {"name", "role", "expires_at"}
    assert made["token"] not in json.dumps(found)
