"""The pages around accounts, tokens, registries, settings and the audit."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagboat.core.errors import EngineError
from tagboat.core.principal import Role
from tagboat.operations import health
from tests.support.api import Api, running_api
from tests.support.asgi import Answer
from tests.support.pages import Browser, form_of, signed_in, words

pytestmark = pytest.mark.anyio
APP = {"name": "shop", "image": "git.example.com/acme/shop"}
PASSWORD = "correct horse battery"
REGISTRY = {"name": "forge", "url": "https://forge.example.com", "kind": "gitea"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


def version(page: Answer) -> str:
    found = re.search(r'name="version" value="([^"]*)"', page.body.decode())
    assert found is not None
    return found[1].replace("&#34;", '"')


async def test_who_may_see_which_page(api: Api) -> None:
    for role, seen in ((Role.ADMIN, 200), (Role.DEPLOYER, 403), (Role.VIEWER, 403)):
        browser = await signed_in(api, role, name=role)
        for path in ("/users", "/users/new", "/tokens", "/audit", "/registries/new"):
            assert (await browser.get(path)).status == seen, (role, path)
        for path in ("/account", "/registries", "/settings", "/server", "/server/state"):
            assert (await browser.get(path)).status == 200, (role, path)
    nobody = Browser(api)
    for path in ("/users", "/tokens", "/audit", "/account", "/registries", "/settings", "/server"):
        assert (await nobody.get(path)).headers["location"].startswith("/sign-in")


async def test_a_viewer_can_change_nothing_and_is_told_so(api: Api) -> None:
    browser = await signed_in(api, Role.VIEWER)
    made = (await api.caller.post("/api/registries", REGISTRY)).json["id"]

    assert "ask an admin" in words(await browser.get("/settings"))
    page = await browser.get(f"/registries/{made}")
    assert "You are a viewer: ask an admin to test or change it." in words(page)
    assert b'method="post" action="/registries' not in page.body
    for path in ("/settings", f"/registries/{made}", f"/registries/{made}/test", "/tokens"):
        assert (await browser.post(path, {"name": "x"})).status == 403


async def test_an_account_is_made_changed_and_deleted(api: Api) -> None:
    browser = await signed_in(api)
    form = {"name": "bob", "role": "deployer", "projects": "", "password": PASSWORD}
    short = await browser.post("/users/new", {**form, "password": "short"})
    assert (short.status, "at least 10 characters" in words(short)) == (422, True)
    assert b'value="bob"' in short.body
    taken = await browser.post("/users/new", {**form, "name": "ADA"})
    assert (taken.status, "account named ada already" in words(taken)) == (409, True)
    unknown = await browser.post("/users/new", {**form, "projects": "no-such"})
    assert (unknown.status, "there is no project" in words(unknown)) == (422, True)

    listed = await browser.follow(await browser.post("/users/new", form))
    assert "bob can sign in now." in words(listed)
    path = (found := re.search(r'href="(/users/[0-9a-f]{24})">bob', listed.body.decode())) and (
        found[1]
    )
    assert path is not None
    page = await browser.get(path)
    assert "bob is signed in nowhere, and never was" in words(page)
    change = {"name": "bob", "role": "viewer", "projects": "", "version": version(page)}
    assert "bob is changed." in words(await browser.follow(await browser.post(path, change)))
    assert "nothing: reads only" in words(await browser.get("/users"))

    deleted = await browser.follow(await browser.post(f"{path}/delete"))
    assert "The account bob is deleted." in words(deleted)
    assert (await browser.get(path)).status == 404


async def test_a_limit_that_nobody_touches_stays(api: Api) -> None:
    browser = await signed_in(api)
    project = (await api.caller.post("/api/projects", APP)).json["id"]
    await signed_in(api, Role.DEPLOYER, name="left", projects=(project,))
    # As a provider's role leaves it: the limit waits for the role to be deployer again.
    await signed_in(api, Role.VIEWER, name="for-now", projects=(project,))
    ids = {one["name"]: one["id"] for one in (await api.caller.get("/api/users")).json["items"]}

    async def limit(name: str) -> list[str] | None:
        shown = (await api.caller.get(f"/api/users/{ids[name]}")).json["projects"]
        return None if shown is None else [one["name"] for one in shown]

    async def save(name: str, **typed: str) -> None:
        page = await browser.get(f"/users/{ids[name]}")
        was = (found := re.search(rb'name="was-projects" value="([^"]*)"', page.body)) and found[1]
        form = {"name": name, "version": version(page), "was-projects": (was or b"").decode()}
        answer = await browser.post(f"/users/{ids[name]}", {**form, **typed})
        assert answer.status == 303, words(answer)

    await save("for-now", role="viewer", projects="shop")
    assert (await api.caller.patch(f"/api/users/{ids['for-now']}", {"name": "later"})).status == 200
    assert await limit("for-now") == ["shop"]
    await save("for-now", role="deployer", projects="shop")
    assert await limit("for-now") == ["shop"]
    await save("left", role="deployer", projects="")
    assert await limit("left") is None
    await save("left", role="deployer", projects="shop")
    await api.caller.delete(f"/api/projects/{project}")

    await save("left", role="deployer", projects="")
    assert await limit("left") == []
    await save("left", role="deployer", projects="", all_projects="yes")
    assert await limit("left") is None


async def test_an_empty_list_of_images_stays_empty(api: Api) -> None:
    browser = await signed_in(api)
    for ticked, expected in (("", []), ("yes", None)):
        await api.caller.patch("/api/settings", {"auto_create_images": []})
        form = form_of(await browser.get("/settings"))
        answer = await browser.post(
            "/settings", {**form, "any_image": ticked, "max_projects": "77"}
        )
        assert answer.status == 303, words(answer)
        after = (await api.caller.get("/api/settings")).json
        assert (after["auto_create_images"], after["max_projects"]) == (expected, 77)


async def test_the_last_admin_stays(api: Api) -> None:
    browser = await signed_in(api)
    (found,) = await api.operations.accounts.list()
    path = f"/users/{found.account.id}"
    page = await browser.get(path)
    form = {"name": "ada", "role": "viewer", "version": version(page)}

    refused = await browser.post(path, form)
    assert (refused.status, "there is no other admin" in words(refused)) == (409, True)
    assert b'id="e-role"' in refused.body
    assert (await browser.post(f"{path}/delete")).status == 409


async def test_a_name_that_is_taken_is_told_at_the_name(api: Api) -> None:
    browser = await signed_in(api)
    await signed_in(api, name="admin2")
    (found,) = (one for one in await api.operations.accounts.list() if one.account.name == "ada")
    path = f"/users/{found.account.id}"
    form = {"name": "Admin2", "role": "admin", "version": version(await browser.get(path))}
    refused = await browser.post(path, form)
    assert (refused.status, "account named admin2 already" in words(refused)) == (409, True)
    assert b'id="e-name"' in refused.body
    assert b'id="e-role"' not in refused.body


async def test_the_second_of_two_people_is_told_and_loses_nothing(api: Api) -> None:
    first, second = await signed_in(api), await signed_in(api, name="bob")
    pages = [await browser.get("/settings") for browser in (first, second)]
    form = {
        **dict.fromkeys(
            ("max_projects", "deliveries_keep_days", "images_keep", "backups_keep"), "10"
        ),
        **dict.fromkeys(("deliveries_keep", "history_keep_days", "audit_keep_days"), "400"),
        "auto_create": "yes",
    }
    await first.post(
        "/settings", {**form, "poll_schedule": "@hourly", "version": version(pages[0])}
    )
    typed = {**form, "poll_schedule": "@every 7m"}
    late = await second.post("/settings", {**typed, "version": version(pages[1])})

    assert late.status == 409
    assert "Somebody else has changed this since you opened the form: poll_schedule" in words(late)
    assert b'value="@every 7m"' in late.body
    again = await second.post("/settings", {**typed, "version": version(late)})
    assert "The settings are saved" in words(await second.follow(again))
    assert (await api.operations.settings.read()).poll_schedule == "@every 7m"


async def test_settings_that_cannot_be_used_are_told_at_their_fields(api: Api) -> None:
    browser = await signed_in(api)
    page = await browser.get("/settings")
    form = {"poll_schedule": "sometimes", "images_keep": "many", "max_projects": "-1"}
    refused = await browser.post("/settings", {**form, "version": version(page)})

    assert refused.status == 422
    body = refused.body.decode()
    for name, value in form.items():
        assert re.search(rf'id="e-{name}"', body), name
        assert f'value="{value}"' in body
    assert (await api.operations.settings.read()).images_keep == 3


async def test_a_token_is_shown_once(api: Api) -> None:
    browser = await signed_in(api)
    form = {"name": "ci", "role": "deployer", "projects": "", "expires_in_days": "30"}
    assert (await browser.post("/tokens", {**form, "expires_in_days": "0"})).status == 422
    assert (await browser.post("/tokens", {**form, "role": "boss"})).status == 422

    made = await browser.post("/tokens", form)
    secret = re.search(r"tagboat_[\w-]{43}", made.body.decode())
    assert secret is not None
    assert made.headers["cache-control"] == "no-store"
    page = await browser.get("/tokens")
    assert secret[0] not in page.body.decode()
    path = re.search(r'action="(/tokens/[0-9a-f]+/delete)"', page.body.decode())
    assert path is not None
    assert "It opens nothing any more." in words(await browser.follow(await browser.post(path[1])))
    assert "No tokens yet" in words(await browser.get("/tokens"))


async def test_a_registry_is_added_tested_changed_and_deleted(api: Api) -> None:
    browser = await signed_in(api)
    form = {**REGISTRY, "username": "ci", "password": PASSWORD, "ca_cert": ""}
    assert "No registry yet" in words(await browser.get("/registries"))
    wrong = await browser.post("/registries/new", {**form, "url": "forge"})
    assert (wrong.status, "must be http:// or https://" in words(wrong)) == (422, True)
    assert PASSWORD.encode() not in wrong.body

    made = await browser.post("/registries/new", form)
    path = made.headers["location"]
    page = await browser.follow(made)
    assert "forge is added. Test it now." in words(page)
    tested = await browser.post(f"{path}/test")
    assert "forge cannot be used yet: the password was refused" in words(tested)
    change = {**REGISTRY, "name": "git", "username": "ci", "version": version(page)}
    assert "git is saved." in words(await browser.follow(await browser.post(path, change)))
    registry = await api.operations.catalog.registry(path.rpartition("/")[2])
    assert (registry.name, registry.password) == ("git", PASSWORD)
    moved = {**change, "url": "https://forge.example.net"}
    kept = await browser.post(path, {**moved, "version": version(await browser.get(path))})
    assert (kept.status, "give the password again" in words(kept)) == (422, True)
    stale = await browser.post(path, change)
    assert (stale.status, "Somebody else has changed this" in words(stale)) == (409, True)
    assert "not used" in words(await browser.get("/registries"))

    forget = {**change, "forget_password": "yes", "version": version(stale)}
    assert (await browser.post(path, forget)).status == 303
    assert (await api.operations.catalog.registry(registry.id)).password is None
    assert "The registry git is deleted." in words(
        await browser.follow(await browser.post(f"{path}/delete"))
    )


async def test_a_registry_that_a_project_names_stays(api: Api) -> None:
    browser = await signed_in(api)
    made = (await api.caller.post("/api/registries", REGISTRY)).json["id"]
    project = {"name": "app", "image": "forge.example.com/acme/app", "registry": made}
    assert (await api.caller.post("/api/projects", project)).status == 201

    page = words(await browser.get(f"/registries/{made}"))
    assert "It cannot be deleted while projects name it: app." in page
    assert "The image of one project is in it" in page
    assert (await browser.post(f"/registries/{made}/delete")).status == 409


async def test_the_server_says_what_is_wrong(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    # However slow the machine is, nothing is wrong but what the test makes so.
    monkeypatch.setattr(health, "TIMEOUT_S", 60.0)
    browser = await signed_in(api, Role.VIEWER)
    page = words(await browser.get("/server"))
    assert "Tagboat 0.1.0" in page
    looked = words(await browser.get("/server?look=now"))
    assert "this needs a person: a disk (engine)." in looked
    assert "Make room: the next image or the database may not fit." in looked
    assert "the first deploy of a project makes its network" in looked
    assert "No app has a volume." in words(await browser.get("/server?look=space"))

    async def refuse() -> str:
        raise EngineError("cannot connect to the Docker engine")

    api.engine.version = refuse  # type: ignore[method-assign]
    looked = words(await browser.get("/server/state"))
    assert "Pushes are accepted, but these need a person: engine, a disk (engine)." in looked
    assert "cannot connect to the Docker engine" in looked


async def test_the_audit_is_filtered_and_paged(api: Api) -> None:
    browser = await signed_in(api)
    await browser.post("/registries/new", {**REGISTRY, "password": PASSWORD})
    page = await browser.get("/audit")
    assert "ada" in words(page)
    assert "added the registry forge" in words(page)
    assert PASSWORD.encode() not in page.body

    assert "Nothing matches" in words(await browser.get("/audit?actor=eve"))
    filtered = await browser.get("/audit?actor=ada&action=registry.create&since=7d")
    assert "added the registry forge" in words(filtered)
    assert b"/api/audit/export?actor=ada&amp;action=registry.create&amp;since=7d" in filtered.body
    exported = await browser.get("/api/audit/export?actor=ada")
    assert (exported.status, b'"registry.create"' in exported.body) == (200, True)
    for query in ("since=soon", "after=nonsense"):
        assert (await browser.get(f"/audit?{query}")).status == 422

    for number in range(60):
        await api.operations.tokens.create(f"t{number}", Role.VIEWER)
    first = await browser.get("/audit")
    following = re.search(r'href="(/audit\?after=[^"]+)"', first.body.decode())
    assert following is not None
    second = words(await browser.get(following[1]))
    assert "added the registry forge" in second
    assert "made the token t0" in second
    assert "made the token t59" not in second


async def test_ones_own_password_and_sessions(api: Api) -> None:
    await api.operations.accounts.create("ada", Role.VIEWER, PASSWORD)
    browser, other = Browser(api), Browser(api)
    for one in (browser, other):
        await one.post("/sign-in", {"name": "ada", "password": PASSWORD})
    page = await browser.get("/account")
    csrf = re.search(r'name="csrf" value="(\w+)"', page.body.decode())
    assert csrf is not None
    browser.csrf = csrf[1]
    assert "You have the role viewer." in words(page)
    end = re.search(r'action="(/account/sessions/\w+/end)"', page.body.decode())
    assert end is not None

    new = "another good one"
    form = {"current": "wrong password", "new": new, "repeated": new}
    wrong = await browser.post("/account/password", form)
    assert (wrong.status, "is not your password" in words(wrong)) == (422, True)
    form["current"] = PASSWORD
    differs = await browser.post("/account/password", {**form, "repeated": "x"})
    assert (differs.status, "is not the same password" in words(differs)) == (422, True)
    short = await browser.post("/account/password", {**form, "new": "x", "repeated": "x"})
    assert (short.status, 'id="e-new"' in short.body.decode()) == (422, True)
    assert "Your password is changed." in words(
        await browser.follow(await browser.post("/account/password", form))
    )
    assert (await other.get("/account")).status == 303
    assert (await browser.post(end[1])).status == 404

    left = await browser.post("/account/sign-out-everywhere")
    assert left.headers["location"] == "/sign-in"
    assert (await browser.get("/account")).status == 303


async def test_what_was_typed_outlives_the_session(api: Api) -> None:
    await api.operations.accounts.create("ada", Role.ADMIN, PASSWORD)
    form = {**REGISTRY, "name": 'a "quoted" <name>', "password": "a secret login", "ca_cert": ""}
    ended = Browser(api)
    asked = await ended.post("/registries/new", form)
    assert asked.status == 401
    assert "Your session has ended. Sign in again: what you typed is kept." in words(asked)
    assert b"a secret login" not in asked.body

    kept = dict(re.findall(r'name="(kept[^"]*)" value="([^"]*)"', asked.body.decode()))
    kept = {name: value.replace("&#34;", '"') for name, value in kept.items()}
    kept["kept.name"] = form["name"]
    wrong = await ended.post("/sign-in", {"name": "ada", "password": "wrong one", **kept})
    assert (wrong.status, b"kept-action" in wrong.body) == (401, True)
    back = await ended.post("/sign-in", {"name": "ada", "password": PASSWORD, **kept})
    assert back.status == 200
    assert "Your form was not sent yet." in words(back)
    body = back.body.decode()
    assert 'action="/registries/new"' in body
    assert "a &#34;quoted&#34; &lt;name&gt;" in body
    assert re.search(r'name="password" type="password" value="" required', body)
    csrf = re.search(r'name="csrf" value="(\w+)"', body)
    assert csrf is not None

    ended.csrf = csrf[1]
    assert (await ended.post("/registries/new", {**form, "name": "forge"})).status == 303


async def test_a_form_of_another_site_is_not_kept(api: Api) -> None:
    foreign = {"sec-fetch-site": "cross-site"}
    asked = await Browser(api).post("/registries/new", REGISTRY, foreign)
    assert (asked.status, asked.headers["location"]) == (303, "/sign-in")
    kept = {"kept-action": "/registries/new", "kept.name": "evil"}
    browser = await signed_in(api)
    assert (await browser.post("/kept", kept, foreign)).status == 403
    shown = await browser.post("/kept", kept)
    assert 'value="evil"' in shown.body.decode()
    nowhere = await browser.post("/kept", {**kept, "kept-action": "https://evil.example.com/"})
    assert nowhere.headers["location"] == "/"
    assert (await Browser(api).post("/kept", kept)).status == 401
