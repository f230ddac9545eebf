"""Accounts, sessions and tokens over the API: made, used, limited, ended."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from tagboat.core.accounts import hash_credential
from tagboat.core.errors import (
    ConflictError,
    FieldError,
    ForbiddenError,
    NotFoundError,
    SignInError,
    StoreUnavailableError,
    TooManyAttemptsError,
)
from tagboat.core.ports import Tx
from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.core.values import replace
from tagboat.http.session_cookie import csrf_token
from tagboat.operations.sessions import SignedIn
from tests.support.api import PUBLIC_URL, Api, running_api
from tests.support.asgi import Answer, Caller

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"
NOTHING = "0" * 24


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def new_user(api: Api, name: str, role: str = "viewer", **more: object) -> Any:  # noqa: ANN401
    body = {"name": name, "role": role, "password": PASSWORD, **more}
    answer = await api.caller.post("/api/users", body)
    assert answer.status == 201, answer.body
    return answer.json


async def sign_in(
    api: Api, name: str, password: str = PASSWORD, address: str = "192.0.2.7", previous: str = ""
) -> SignedIn:
    return await api.operations.sessions.sign_in(
        name, password, address=address, user_agent="Firefox", previous=previous
    )


async def call(
    api: Api, session: SignedIn, method: str, path: str, body: object = None, **headers: str
) -> Answer:
    """Call as a page of ours does."""
    said = {
        "cookie": f"__Host-tagboat={session.cookie}",
        "host": "tagboat.example.com",
        "origin": PUBLIC_URL,
        "x-csrf-token": csrf_token(session.cookie),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    caller = Caller(api.app)
    if body is None:
        return await caller.call(method, path, headers=said)
    return await caller.call(method, path, body, headers=said)


async def test_accounts_are_made_shown_changed_and_deleted(api: Api) -> None:
    project = (
        await api.caller.post("/api/projects", {"name": "shop", "image": "git.example.com/a/shop"})
    ).json
    anna = await new_user(api, "Anna", "admin")
    assert {**anna, "id": "", "created_at": ""} == {
        "id": "",
        "name": "Anna",
        "role": "admin",
        "projects": None,
        "has_password": True,
        "created_at": "",
        "signed_in_at": None,
    }
    ben = await new_user(api, "ben", "deployer", projects=["shop"])
    assert ben["projects"] == [{"id": project["id"], "name": "shop"}]
    listed = (await api.caller.get("/api/users")).json
    assert ([one["name"] for one in listed["items"]], listed["next"]) == (["Anna", "ben"], None)
    first = (await api.caller.get("/api/users?limit=1")).json
    assert [one["name"] for one in first["items"]] == ["Anna"]
    second = (await api.caller.get(f"/api/users?limit=1&cursor={first['next']}")).json
    assert [one["name"] for one in second["items"]] == ["ben"]

    path = f"/api/users/{ben['id']}"
    changed = await api.caller.patch(path, {"name": "Benedict", "projects": None})
    assert (changed.status, changed.json["name"], changed.json["projects"]) == (
        200,
        "Benedict",
        None,
    )
    assert (await api.caller.get(path)).json == changed.json
    stale = await api.caller.call(
        "PATCH", path, {"role": "viewer"}, {"if-match": '"0123456789012345.x"'}
    )
    assert stale.status == 412
    assert (await api.caller.delete(path)).status == 204
    assert (await api.caller.get(path)).status == 404
    assert (await api.caller.delete(path)).status == 404
    assert PASSWORD.encode() not in (await api.caller.get("/api/users")).body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " x"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"role": "metrics"}, "role"),
        ({"role": "root"}, "role"),
        ({"password": "x" * 9}, "password"),
        ({"password": "ü" * 600}, "password"),
        ({"password": None}, "password"),
        ({"projects": ["shop"]}, "projects"),
        ({"role": "deployer", "projects": ["nope"]}, "projects"),
        ({"role": "deployer", "projects": []}, "projects"),
        ({"role": "deployer", "projects": ["\u0000"]}, "projects.0"),
        ({"admin": True}, "admin"),
    ],
)
async def test_what_no_account_can_be(api: Api, body: dict[str, object], field: str) -> None:
    answer = await api.caller.post(
        "/api/users", {"name": "Anna", "role": "viewer", "password": PASSWORD} | body
    )
    assert answer.status == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert PASSWORD.encode() not in answer.body
    assert (await api.caller.get("/api/users")).json["items"] == []


async def test_names_are_unique_whatever_their_case(api: Api) -> None:
    anna = await new_user(api, "Anna")
    body = {"name": "ANNA", "role": "viewer", "password": PASSWORD}
    answer = await api.caller.post("/api/users", body)
    assert (answer.status, "an account named Anna already" in answer.json["detail"]) == (409, True)
    ben = await new_user(api, "Ben")
    answer = await api.caller.patch(f"/api/users/{ben['id']}", {"name": "anna"})
    assert answer.status == 409
    # Its own name in another case is no other's.
    answer = await api.caller.patch(f"/api/users/{anna['id']}", {"name": "ANNA"})
    assert answer.json["name"] == "ANNA"


async def test_a_limit_goes_with_the_role_that_it_is_for(api: Api) -> None:
    await api.caller.post("/api/projects", {"name": "shop", "image": "git.example.com/a/shop"})
    ben = await new_user(api, "ben", "deployer", projects=["shop"])
    path = f"/api/users/{ben['id']}"
    answer = await api.caller.patch(path, {"role": "viewer", "projects": ["shop"]})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "projects")
    assert (await api.caller.patch(path, {"role": "viewer"})).json["projects"] is None
    answer = await api.caller.patch(path, {"projects": ["shop"]})
    assert answer.status == 422
    answer = await api.caller.patch(path, {"role": "deployer", "projects": ["shop"]})
    assert [one["name"] for one in answer.json["projects"]] == ["shop"]


async def test_the_last_admin_stays(api: Api) -> None:
    anna = await new_user(api, "Anna", "admin")
    path = f"/api/users/{anna['id']}"
    for answer in (
        await api.caller.delete(path),
        await api.caller.patch(path, {"role": "deployer"}),
    ):
        assert (answer.status, "there is no other admin" in answer.json["detail"]) == (409, True)
    assert (await api.caller.patch(path, {"role": "admin"})).status == 200
    await new_user(api, "Ben", "admin")
    assert (await api.caller.patch(path, {"role": "viewer"})).status == 200


async def test_of_two_admins_that_are_deleted_at_once_one_stays(api: Api) -> None:
    users = [await new_user(api, name, "admin") for name in ("Anna", "Ben")]
    answers = await asyncio.gather(
        api.caller.delete(f"/api/users/{users[0]['id']}"),
        api.caller.patch(f"/api/users/{users[1]['id']}", {"role": "viewer"}),
    )
    assert sorted(answer.status for answer in answers) in ([204, 409], [200, 409])
    left = (await api.caller.get("/api/users")).json["items"]
    assert [one["role"] for one in left].count("admin") == 1


async def test_the_set_up_link_makes_the_first_admin_once(api: Api) -> None:
    assert await api.operations.accounts.setup_needed()
    answer = await api.caller.post("/api/users/setup-link")
    assert answer.status == 200
    token = answer.json["url"].removeprefix(f"{PUBLIC_URL}/setup/")
    assert len(token) == 43
    expires = datetime.fromisoformat(answer.json["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < expires <= timedelta(hours=24)
    kept = await api.store.read(lambda reader: reader.setting("setup_link"))
    assert token not in str(kept)

    async def set_up(link: str, name: str = "Anna", password: str = PASSWORD) -> SignedIn:
        return await api.operations.accounts.set_up(
            link, name, password, address="192.0.2.7", user_agent="Firefox"
        )

    for wrong in ("", token[:-1], token + "x", "ü"):
        with pytest.raises(NotFoundError, match="this set-up link does not hold any more"):
            await set_up(wrong)
    with pytest.raises(FieldError, match="at least 10 characters"):
        await set_up(token, password="short")
    with pytest.raises(FieldError, match="printable"):
        await set_up(token, name=" ")
    # Two browsers: one wins.
    done = await asyncio.gather(
        *(set_up(token, f"Anna {number}") for number in range(4)), return_exceptions=True
    )
    won = [one for one in done if isinstance(one, SignedIn)]
    assert len(won) == 1
    assert all(isinstance(one, NotFoundError) for one in done if one not in won)
    assert won[0].principal.role is Role.ADMIN
    assert not await api.operations.accounts.setup_needed()
    assert (await call(api, won[0], "GET", "/api/me")).json["name"] == won[0].principal.name
    with pytest.raises(NotFoundError):
        await set_up(token)
    answer = await api.caller.post("/api/users/setup-link")
    assert (answer.status, "there is an account already" in answer.json["detail"]) == (409, True)


async def test_a_set_up_link_ends_with_a_newer_one_with_time_and_with_any_account(
    api: Api,
) -> None:
    async def link() -> str:
        url: str = (await api.caller.post("/api/users/setup-link")).json["url"]
        return url.rpartition("/")[2]

    one, two = await link(), await link()
    check = api.operations.accounts.check_setup_link
    await check(two)
    with pytest.raises(NotFoundError):
        await check(one)
    kept: Any = await api.store.read(lambda reader: reader.setting("setup_link"))
    past = {**kept, "expires_at": datetime.now(UTC).isoformat()}
    await api.store.write(lambda tx: tx.put_setting("setup_link", past))
    with pytest.raises(NotFoundError):
        await check(two)
    three = await link()
    await new_user(api, "Anna", "admin")
    with pytest.raises(NotFoundError):
        await check(three)


async def test_a_sign_in_begins_a_session_and_ends_the_one_before(api: Api) -> None:
    anna = await new_user(api, "Anna", "admin")
    first = await sign_in(api, "aNNA")
    me = await call(api, first, "GET", "/api/me")
    assert me.json == {
        "kind": "account",
        "id": anna["id"],
        "name": "Anna",
        "role": "admin",
        "projects": None,
    }
    assert (await api.caller.get(f"/api/users/{anna['id']}")).json["signed_in_at"]
    second = await sign_in(api, "Anna", previous=first.cookie)
    assert second.cookie != first.cookie
    assert (await call(api, first, "GET", "/api/me")).status == 401
    assert (await call(api, second, "GET", "/api/me")).status == 200
    sessions = await api.operations.sessions.list(anna["id"])
    assert [(one.address, one.user_agent) for one in sessions] == [("192.0.2.7", "Firefox")]
    assert second.cookie not in repr(second)
    assert sessions[0].secret_hash == hash_credential(second.cookie)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("Anna", "correct horse batterx"),
        ("Nobody", PASSWORD),
        ("", PASSWORD),
        ("x" * 5000, PASSWORD),
        ("\ud800", PASSWORD),
        ("Anna", ""),
        ("Anna", "x" * 2_000_000),
        ("Anna", "\ud800"),
    ],
)
async def test_a_wrong_name_and_a_wrong_password_are_answered_alike(
    api: Api, name: str, password: str
) -> None:
    await new_user(api, "Anna")
    with pytest.raises(SignInError, match=r"^The name or the password is wrong\.$"):
        await sign_in(api, name, password)


async def test_guesses_are_slowed_down_and_another_address_is_not(api: Api) -> None:
    await new_user(api, "Anna")
    for _ in range(5):
        with pytest.raises(SignInError):
            await sign_in(api, "Anna", "a wrong password")
    with pytest.raises(TooManyAttemptsError, match="try again in 1 s"):
        await sign_in(api, "Anna")
    assert (await sign_in(api, "Anna", address="192.0.2.8")).principal.name == "Anna"


async def test_a_password_that_changes_during_the_sign_in_does_not_open(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = await new_user(api, "Anna", "admin")
    passwords = api.operations.accounts.services.passwords

    async def meanwhile(_password: str, hashed: str) -> str:
        await api.caller.patch(f"/api/users/{anna['id']}", {"password": "another password"})
        return hashed

    monkeypatch.setattr(passwords, "renewed", meanwhile)
    with pytest.raises(SignInError):
        await sign_in(api, "Anna")


async def test_a_role_holds_from_the_next_request_on_and_so_does_a_deletion(api: Api) -> None:
    await new_user(api, "Root", "admin")
    anna = await new_user(api, "Anna", "admin")
    session = await sign_in(api, "Anna")
    assert (await call(api, session, "GET", "/api/users")).status == 200
    await api.caller.patch(f"/api/users/{anna['id']}", {"role": "viewer"})
    answer = await call(api, session, "GET", "/api/users")
    assert (answer.status, answer.json["type"]) == (403, "/problems/forbidden")
    assert "this needs the role admin, and Anna has the role viewer" in answer.json["detail"]
    await api.caller.delete(f"/api/users/{anna['id']}")
    assert (await call(api, session, "GET", "/api/me")).status == 401


async def test_a_new_password_ends_the_other_sessions(api: Api) -> None:
    anna = await new_user(api, "Anna", "admin")
    here, there = await sign_in(api, "Anna"), await sign_in(api, "Anna")
    path = "/api/me/password"
    wrong = {"current": "not the password", "new": "another password"}
    answer = await call(api, here, "POST", path, wrong)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "current")
    answer = await call(api, here, "POST", path, {"current": PASSWORD, "new": "short"})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "new")
    answer = await call(api, here, "POST", path, {"current": PASSWORD, "new": "another password"})
    assert answer.status == 204, answer.body
    assert (await call(api, here, "GET", "/api/me")).status == 200
    assert (await call(api, there, "GET", "/api/me")).status == 401
    with pytest.raises(SignInError):
        await sign_in(api, "Anna")
    # An admin's reset ends them all, except that of the admin who does it.
    there = await sign_in(api, "Anna", "another password")
    await api.caller.patch(f"/api/users/{anna['id']}", {"password": PASSWORD})
    assert (await call(api, here, "GET", "/api/me")).status == 401
    assert (await call(api, there, "GET", "/api/me")).status == 401
    token = await api.caller.post(path, {"current": PASSWORD, "new": "another password"})
    assert token.status == 403


async def test_guesses_at_ones_own_password_are_slowed_down(api: Api) -> None:
    await new_user(api, "Anna", "admin")
    session = await sign_in(api, "Anna")
    body = {"current": "a wrong password", "new": "another password"}
    statuses = [
        (await call(api, session, "POST", "/api/me/password", body)).status for _ in range(6)
    ]
    assert statuses == [422] * 5 + [429]
    answer = await call(api, session, "POST", "/api/me/password", body)
    assert int(answer.headers["retry-after"]) >= 1


async def test_sign_out_here_and_everywhere(api: Api) -> None:
    anna, ben = await new_user(api, "Anna", "admin"), await new_user(api, "Ben")
    sessions = [await sign_in(api, "Anna") for _ in range(3)]
    bens = await sign_in(api, "Ben")
    as_ben = api.operations.by(bens.principal).sessions
    with pytest.raises(ForbiddenError):
        await as_ben.sign_out(sessions[0].principal.session_id or "")
    with pytest.raises(ForbiddenError):
        await as_ben.sign_out_everywhere(anna["id"])
    with pytest.raises(ForbiddenError):
        await as_ben.list(anna["id"])
    assert len(await as_ben.list(ben["id"])) == 1
    own = api.operations.by(sessions[0].principal).sessions
    await own.sign_out(sessions[0].principal.session_id or "")
    assert [(await call(api, one, "GET", "/api/me")).status for one in sessions] == [401, 200, 200]
    assert (await api.caller.post(f"/api/users/{anna['id']}/sign-out")).status == 204
    assert [(await call(api, one, "GET", "/api/me")).status for one in sessions] == [401] * 3
    await as_ben.sign_out_everywhere(ben["id"])
    assert (await call(api, bens, "GET", "/api/me")).status == 401
    assert (await api.caller.post(f"/api/users/{NOTHING}/sign-out")).status == 404


async def move_session(api: Api, session: SignedIn, **by: timedelta) -> None:
    """Set times of a session back."""

    def work(tx: Tx) -> None:
        kept = tx.session(session.principal.session_id or "")
        moved = replace(kept, **{name: getattr(kept, name) - one for name, one in by.items()})
        tx.delete_session(kept.id)
        tx.add_session(moved)

    await api.store.write(work)


async def test_a_session_ends_after_twelve_idle_hours_and_after_thirty_days(api: Api) -> None:
    await new_user(api, "Anna")
    session = await sign_in(api, "Anna")
    await move_session(api, session, used_at=timedelta(hours=11, minutes=59))
    assert (await call(api, session, "GET", "/api/me")).status == 200
    await move_session(api, session, used_at=timedelta(hours=11, minutes=59))
    assert (await call(api, session, "GET", "/api/me")).status == 200
    await move_session(api, session, used_at=timedelta(hours=12))
    assert (await call(api, session, "GET", "/api/me")).status == 401
    session = await sign_in(api, "Anna")
    await move_session(api, session, created_at=timedelta(days=30))
    assert (await call(api, session, "GET", "/api/me")).status == 401


async def test_a_use_is_written_once_a_minute(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await new_user(api, "Anna")
    session = await sign_in(api, "Anna")
    written = 0
    write = api.store.write

    async def counted(work: Any) -> Any:  # noqa: ANN401 - as the store's own
        nonlocal written
        written += 1
        return await write(work)

    monkeypatch.setattr(api.store, "write", counted)
    for _ in range(5):
        await call(api, session, "GET", "/api/me")
    assert written == 0
    await move_session(api, session, used_at=timedelta(minutes=2))
    before = written
    for _ in range(5):
        await call(api, session, "GET", "/api/me")
    assert written - before == 1

    async def fail(_work: object) -> None:
        raise StoreUnavailableError("the disk is full")

    # A database that cannot be written must not sign anybody out.
    await move_session(api, session, used_at=timedelta(minutes=2))
    monkeypatch.setattr(api.store, "write", fail)
    assert (await call(api, session, "GET", "/api/me")).status == 200


async def test_a_change_in_a_session_must_come_from_a_page_of_ours(api: Api) -> None:
    await new_user(api, "Anna", "admin")
    session = await sign_in(api, "Anna")
    body = {"name": "shop", "image": "git.example.com/a/shop"}
    form = "application/x-www-form-urlencoded"
    for headers in (
        {"origin": "https://evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"x_csrf_token": ""},
        {"x_csrf_token": csrf_token("x" * 43)},
        {"content_type": form, "x_csrf_token": ""},
    ):
        answer = await call(api, session, "POST", "/api/projects", body, **headers)
        assert (answer.status, answer.json["type"]) == (403, "/problems/forbidden"), headers
    answer = await call(api, session, "POST", "/api/users/setup-link", content_type=form)
    assert (answer.status, "without fields" in answer.json["detail"]) == (403, True)
    assert (await api.caller.get("/api/projects")).json["items"] == []
    assert (await call(api, session, "POST", "/api/projects", body)).status == 201
    # A token needs none of that: no browser sends it by itself.
    answer = await api.caller.call(
        "POST", "/api/projects", {**body, "name": "b", "image": "git.example.com/a/b"},
        {"origin": "https://evil.example"},
    )  # fmt: skip
    assert answer.status == 201


async def test_a_body_that_is_too_large_is_refused_in_a_session_too(api: Api) -> None:
    await new_user(api, "Anna", "admin")
    session = await sign_in(api, "Anna")
    answer = await call(
        api, session, "POST", "/api/projects", b"x" * ((1 << 20) + 1),
        content_type="application/x-www-form-urlencoded",
    )  # fmt: skip
    assert answer.status == 413


async def test_a_token_is_shown_once_and_opens_what_its_role_may(api: Api) -> None:
    answer = await api.caller.post(
        "/api/tokens", {"name": "ci", "role": "deployer", "expires_in_days": 90}
    )
    assert answer.status == 201
    made = answer.json
    secret = made.pop("token")
    assert secret.startswith("tagboat_")
    expires = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < expires <= timedelta(days=90)
    assert made["created_by"] == "TAGBOAT_ADMIN_TOKEN"
    assert (made["used_at"], made["projects"]) == (None, None)
    listed = await api.caller.get("/api/tokens")
    assert listed.json["items"] == [made]
    assert secret.encode() not in listed.body
    kept = await api.store.read(lambda reader: reader.api_tokens())
    assert kept[0].secret_hash == hash_credential(secret)

    ci = Caller(api.app, secret)
    assert (await ci.get("/api/me")).json == {
        "kind": "token",
        "id": made["id"],
        "name": "ci",
        "role": "deployer",
        "projects": None,
    }
    assert (await api.caller.get("/api/tokens")).json["items"][0]["used_at"]
    assert (await ci.get("/api/tokens")).status == 403
    assert (await api.caller.delete(f"/api/tokens/{made['id']}")).status == 204
    assert (await ci.get("/api/me")).status == 401
    assert (await api.caller.delete(f"/api/tokens/{made['id']}")).status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": " "}, "name"),
        ({"role": "owner"}, "role"),
        ({"projects": ["shop"], "role": "viewer"}, "projects"),
        ({"projects": ["nope"]}, "projects"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_in_days": 4000}, "expires_in_days"),
        ({"expires_in_days": 5, "expires_at": "2999-01-01T00:00:00Z"}, "expires_in_days"),
        ({"token": "mine"}, "token"),
    ],
)
async def test_what_no_token_can_be(api: Api, body: dict[str, object], field: str) -> None:
    answer = await api.caller.post("/api/tokens", {"name": "ci", "role": "deployer"} | body)
    assert answer.status == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]


async def test_names_of_tokens_are_unique(api: Api) -> None:
    body = {"name": "ci", "role": "viewer"}
    assert (await api.caller.post("/api/tokens", body)).status == 201
    assert (await api.caller.post("/api/tokens", body | {"name": "CI"})).status == 409


async def test_a_token_ends_when_it_expires(api: Api) -> None:
    secret = (await api.caller.post("/api/tokens", {"name": "ci", "role": "viewer"})).json["token"]

    def expire(tx: Tx) -> None:
        (token,) = tx.api_tokens()
        tx.delete_api_token(token.id)
        tx.add_api_token(replace(token, expires_at=datetime.now(UTC)))

    await api.store.write(expire)
    assert (await Caller(api.app, secret).get("/api/me")).status == 401


async def test_a_token_for_metrics_reads_those_and_nothing_else(api: Api) -> None:
    secret = (await api.caller.post("/api/tokens", {"name": "p", "role": "metrics"})).json["token"]
    prometheus = Caller(api.app, secret)
    assert (await prometheus.get("/metrics")).status == 200
    for path in ("/api/me", "/api/projects", "/api/openapi.json"):
        assert (await prometheus.get(path)).status == 403
    assert (await prometheus.get("/api/health")).status == 200


async def test_a_token_is_not_repeated_by_its_idempotency_key(api: Api) -> None:
    body, headers = {"name": "ci", "role": "viewer"}, {"idempotency-key": "k"}
    first = await api.caller.call("POST", "/api/tokens", body, headers)
    again = await api.caller.call("POST", "/api/tokens", body, headers)
    assert (first.status, again.status) == (201, 409)
    assert first.json["token"].encode() not in again.body


async def test_a_database_that_is_away_is_not_a_wrong_token(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = (await api.caller.post("/api/tokens", {"name": "ci", "role": "viewer"})).json["token"]

    async def fail(_work: object) -> None:
        raise StoreUnavailableError("the database is away")

    monkeypatch.setattr(api.store, "read", fail)
    answer = await Caller(api.app, secret).get("/api/me")
    assert (answer.status, answer.json["type"]) == (503, "/problems/database-unavailable")
    assert (await Caller(api.app, secret).get("/api/health/live")).status == 200
    # Tokens that are not on record need no database.
    assert (await api.caller.get("/api/me")).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:7070", 200),
        ("localhost", 200),
        ("tagboat.example.com", 200),
        ("evil.example", 421),
        ("shop-dev.apps.example.com", 421),
    ],
)
async def test_calls_under_a_foreign_name_are_refused(api: Api, host: str, status: int) -> None:
    answer = await api.caller.call("GET", "/api/projects", headers={"host": host})
    assert answer.status == status
    if status == 421:
        assert answer.json["type"] == "/problems/wrong-host"
        assert "TAGBOAT_HOSTS" in answer.json["detail"]
        for path in ("/api/health/live", "/api/health/ready"):
            assert (await api.caller.call("GET", path, headers={"host": host})).status == 200


async def test_operations_of_admins_refuse_others_whatever_face_asks(api: Api) -> None:
    viewer = Principal(kind=PrincipalKind.ACCOUNT, name="Vi", role=Role.VIEWER, id=NOTHING)
    operations = api.operations.by(viewer)
    for asked in (
        operations.accounts.list(),
        operations.accounts.get(NOTHING),
        operations.accounts.create("x", Role.ADMIN, PASSWORD),
        operations.accounts.change(NOTHING, {"role": Role.ADMIN}),
        operations.accounts.delete(NOTHING),
        operations.accounts.new_setup_link(),
        operations.tokens.list(),
        operations.tokens.create("x", Role.ADMIN),
        operations.tokens.delete(NOTHING),
    ):
        with pytest.raises(ForbiddenError, match="this needs the role admin"):
            await asked


async def test_no_log_line_has_a_secret(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as lines, running_api(tmp_path) as api:
        await new_user(api, "Anna", "admin")
        session = await sign_in(api, "Anna")
        made = (await api.caller.post("/api/tokens", {"name": "ci", "role": "viewer"})).json
        await Caller(api.app, made["token"]).get("/api/me")
        await call(api, session, "GET", "/api/me")
        for path in (
            "/setup/a-link-not-to-be-seen",
            "/Setup//a-link-not-to-be-seen/x",
            "/sign-in/not-to-be-seen",
            f"/api/projects/{made['token']}",
        ):
            await api.anonymous.get(path)
    said = str(lines)
    assert len(lines) >= 5
    for secret in (PASSWORD, session.cookie, made["token"], "not-to-be-seen"):
        assert secret not in said
    assert "/setup/***" in said
    assert "/sign-in/***" in said


async def test_two_of_one_name_at_once_are_one(api: Api) -> None:
    body = {"name": "Anna", "role": "viewer", "password": PASSWORD}
    answers = await asyncio.gather(*(api.caller.post("/api/users", body) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409]


async def test_an_own_role_can_be_given_up_only_by_another_admin(api: Api) -> None:
    anna = await new_user(api, "Anna", "admin")
    session = await sign_in(api, "Anna")
    answer = await call(api, session, "PATCH", f"/api/users/{anna['id']}", {"role": "viewer"})
    assert answer.status == 409
    with pytest.raises(ConflictError):
        await api.operations.by(session.principal).accounts.delete(anna["id"])


async def test_a_written_out_path_takes_its_own_methods_only(api: Api) -> None:
    answer = await api.caller.get("/api/users/setup-link")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert (await api.caller.get("/api/users/no-such")).status == 404


async def test_a_reset_holds_against_a_change_that_is_under_way(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = await new_user(api, "Anna", "admin")
    session = await sign_in(api, "Anna")
    passwords = api.operations.accounts.services.passwords
    real = passwords.hash

    async def reset_meanwhile(password: str) -> str:
        monkeypatch.setattr(passwords, "hash", real)
        await api.caller.patch(f"/api/users/{anna['id']}", {"password": "set by an admin"})
        return await real(password)

    monkeypatch.setattr(passwords, "hash", reset_meanwhile)
    body: dict[str, object] = {"current": PASSWORD, "new": "another password"}
    answer = await call(api, session, "POST", "/api/me/password", body)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "current")
    await sign_in(api, "Anna", "set by an admin")
