"""The forms of settings of projects and stages, new stages, secrets, and deletions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tagboat.core.deploy import InstanceState
from tagboat.core.principal import Role
from tests.support.api import Api, running_api
from tests.support.pages import Browser, form_of, signed_in, words
from tests.support.records import put_instance
from tests.support.sample_pages import fill

pytestmark = pytest.mark.anyio
PROJECT, STAGE = "/projects/mailer/-/settings", "/projects/mailer/prod/settings"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
async def browser(api: Api) -> Browser:
    await fill(api.store)
    return await signed_in(api)


async def project_of(api: Api) -> dict[str, object]:
    return dict((await api.caller.get("/api/projects")).json["items"][4])


async def stage_of(api: Api, name: str = "prod") -> dict[str, object]:
    found = (await api.caller.get(f"/api/stages?project=mailer&name={name}")).json["items"]
    return dict(found[0])


async def test_a_form_that_nobody_has_changed_changes_nothing(api: Api, browser: Browser) -> None:
    for path, read in ((PROJECT, project_of), (STAGE, stage_of)):
        before = await read(api)
        form = form_of(await browser.get(path))
        done = await browser.post(path, form)
        assert "Nothing was changed." in words(await browser.follow(done))
        assert await read(api) == before
        # Line ends are the browser's.
        sent = {name: text.replace("\n", "\r\n") for name, text in form.items()}
        assert "Nothing was changed." in words(await browser.follow(await browser.post(path, sent)))


async def test_fields_of_a_project_are_saved(api: Api, browser: Browser) -> None:
    form = form_of(await browser.get(PROJECT))
    changes = {
        "port": "9090",
        "env": 'LOG_LEVEL=info\r\nMOTD="two\\nlines"',
        "memory": "512m",
        "command": "serve --name 'a b'",
        "entrypoint": "image",
        "networks": "backend\r\n\r\n",
        "volumes": "data=/data",
        "read_only": "no",
        "stop_timeout_s": "20",
    }
    done = await browser.post(PROJECT, {**form, **changes})
    seen = words(await browser.follow(done))
    assert "Saved." in seen
    assert "Saved, not live in 2 stages" in seen
    saved = await project_of(api)
    assert saved["port"] == 9090
    assert saved["port_set"] is True
    assert saved["healthcheck_set"] is False
    assert saved["env"] == {"LOG_LEVEL": "info", "MOTD": "two\nlines"}
    assert saved["memory"] == 512 << 20
    assert saved["command"] == ["serve", "--name", "a b"]
    assert saved["entrypoint"] == "image"
    assert saved["networks"] == ["backend"]
    assert saved["volumes"] == {"data": "/data"}
    assert saved["read_only"] is False
    assert saved["stop_timeout_s"] == 20

    # What is left out of a map or emptied is gone.
    form = form_of(await browser.get(PROJECT))
    assert form["memory"] == "512m"
    await browser.post(PROJECT, {**form, "env": "LOG_LEVEL=info", "memory": "", "volumes": ""})
    saved = await project_of(api)
    assert (saved["env"], saved["memory"], saved["volumes"]) == ({"LOG_LEVEL": "info"}, 0, {})
    assert saved["command"] == ["serve", "--name", "a b"]


async def test_wrong_fields_come_back_with_what_was_typed(api: Api, browser: Browser) -> None:
    before = await project_of(api)
    form = form_of(await browser.get(PROJECT))
    wrong = {"port": "99999", "memory": "lots", "env": "A=1\nnonsense", "user": "new-user"}
    answer = await browser.post(PROJECT, {**form, **wrong})
    assert answer.status == 422
    again = form_of(answer)
    assert {name: again[name] for name in wrong} == wrong
    seen = words(answer)
    assert "must be at most 65535" in seen
    assert "must be a number of bytes, or text such as 512m or 1.5g" in seen
    assert "line 2 is not NAME=VALUE" in seen
    assert "Saved now: 8080" in seen
    assert await project_of(api) == before
    # Then it is mended in the same form.
    done = await browser.post(PROJECT, {**again, "port": "81", "memory": "1g", "env": "A=1"})
    assert done.status == 303
    assert (await project_of(api))["user"] == "new-user"


async def test_rules_of_the_operations_stand_at_their_field(browser: Browser) -> None:
    form = form_of(await browser.get(STAGE))
    answer = await browser.post(STAGE, {**form, "ttl_h": "5"})
    assert answer.status == 422
    assert 'id="e-ttl_h"' in answer.body.decode()
    answer = await browser.post(STAGE, {**form, "tag_pattern": "semver:nonsense"})
    assert 'id="e-tag_pattern"' in answer.body.decode()
    answer = await browser.post(STAGE, {**form, "name": "dev"})
    assert answer.status == 409
    assert "has a stage named dev already" in words(answer)


async def test_the_second_of_two_people_is_told_what_changed(api: Api, browser: Browser) -> None:
    second = await signed_in(api, name="bob")
    first_form = form_of(await browser.get(PROJECT))
    second_form = form_of(await second.get(PROJECT))
    await browser.post(PROJECT, {**first_form, "port": "9090", "user": "app"})

    typed = {**second_form, "port": "7070", "env": "A=1"}
    answer = await second.post(PROJECT, typed)
    assert answer.status == 409
    seen = words(answer)
    assert (
        "Somebody else has changed this since you opened the form: Port, The port is set by, User."
        in seen
    )
    assert "Saved now: 9090" in seen
    again = form_of(answer)
    # What was typed stays; what was not typed is as it is saved now.
    assert (again["port"], again["env"], again["user"]) == ("7070", "A=1", "app")
    assert (await project_of(api))["port"] == 9090

    assert (await second.post(PROJECT, again)).status == 303
    saved = await project_of(api)
    assert (saved["port"], saved["env"], saved["user"]) == (7070, {"A": "1"}, "app")


async def test_a_stage_is_renamed_and_moves_its_page(browser: Browser) -> None:
    form = form_of(await browser.get(STAGE))
    done = await browser.post(STAGE, {**form, "name": "live", "domains": "mail.example.com"})
    assert done.headers["location"] == "/projects/mailer/live/settings"
    assert form_of(await browser.follow(done))["domains"] == "mail.example.com"
    assert (await browser.get(STAGE)).status == 404


async def test_a_pattern_is_tried_before_it_is_saved(api: Api, browser: Browser) -> None:
    for tag in ("v1.0.0", "v2.0.0", "main-1"):
        body = {"tag": tag}
        stage = (await stage_of(api))["id"]
        assert (await api.caller.post(f"/api/stages/{stage}/deploys", body)).status == 202
    fragment = await browser.get("/projects/mailer/prod/pattern?tag_pattern=v*&position=-5")
    seen = words(fragment)
    assert seen.startswith("2 of 3 known tags match, newest first: v2.0.0 v1.0.0")
    assert b"<html" not in fragment.body
    wrong = await browser.get("/projects/mailer/prod/pattern?tag_pattern=semver:x")
    assert wrong.status == 200
    assert "semver" in words(wrong)
    # Without JavaScript a button does the same, and saves nothing.
    form = form_of(await browser.get(STAGE))
    answer = await browser.post(STAGE, {**form, "tag_pattern": "main-*", "preview": "yes"})
    assert answer.status == 200
    assert "1 of 3 known tags match" in words(answer)
    assert form_of(answer)["tag_pattern"] == "main-*"
    assert (await stage_of(api))["tag_pattern"] == "*"


async def test_what_is_saved_and_not_live_is_shown_and_deployed(browser: Browser) -> None:
    form = form_of(await browser.get(STAGE))
    env = f"LOG_LEVEL=debug\nZ={'x' * 10_000}"
    await browser.post(STAGE, {**form, "env": env, "cpus": "1.5"})
    seen = words(await browser.get("/projects/mailer/prod"))
    assert "Saved, not live: 3 changes" in seen
    assert "env.LOG_LEVEL not set debug" in seen
    # A long value would push everything else from the screen.
    assert "xxx…" in seen
    assert "x" * 300 not in seen
    assert "Deploys v0.9.1 again" in seen
    assert "saved, not live" in words(await browser.get("/projects/mailer"))
    done = await browser.post("/projects/mailer/prod/deploy", {"tag": "v0.9.1"})
    assert "v0.9.1 is queued." in words(await browser.follow(done))


async def test_secrets_are_set_and_removed_and_never_shown(api: Api, browser: Browser) -> None:
    for page, path in (
        (PROJECT, "/projects/mailer/-/secrets"),
        (STAGE, "/projects/mailer/prod/secrets"),
    ):
        secret = {"secret_name": "API_KEY", "secret_kind": "secrets", "secret_value": "s3cr3t-one"}
        done = await browser.post(path, secret)
        assert "API_KEY is set." in words(await browser.follow(done))
        shown = await browser.get(page)
        assert "API_KEY environment variable" in words(shown)
        assert b"s3cr3t-one" not in shown.body
        done = await browser.post(path, {**secret, "remove": "yes"})
        assert "API_KEY is removed." in words(await browser.follow(done))
    assert (await project_of(api))["secrets"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret_name": "", "secret_kind": "secrets", "secret_value": "s3cr3t-one"},
        {"secret_name": "A=s3cr3t-one", "secret_kind": "secrets", "secret_value": "s3cr3t-one"},
        {"secret_name": "../x", "secret_kind": "secret_files", "secret_value": "s3cr3t-one"},
        {"secret_name": "A", "secret_kind": "odd", "secret_value": "s3cr3t-one"},
        {"secret_name": "A", "secret_kind": "secrets", "secret_value": ""},
    ],
)
async def test_a_secret_that_cannot_be_set_says_why_without_its_value(
    browser: Browser, wrong: dict[str, str]
) -> None:
    answer = await browser.post("/projects/mailer/-/secrets", wrong)
    assert answer.status == 422
    assert b'value="s3cr3t-one"' not in answer.body
    assert b">s3cr3t-one<" not in answer.body


async def test_a_stage_is_added(api: Api, browser: Browser) -> None:
    path = "/projects/mailer/-/stages/new"
    form = form_of(await browser.get(path))
    empty = await browser.post(path, form)
    assert empty.status == 422
    assert words(empty).count("is required") == 2
    preview = await browser.post(path, {**form, "tag_pattern": "v*", "preview": "yes"})
    assert "known tags match" in words(preview)
    wanted = {"name": "canary", "tag_pattern": "v*-rc*", "position": "-1", "auto_deploy": "no"}
    done = await browser.post(path, {**form, **wanted})
    assert done.headers["location"] == "/projects/mailer/canary"
    made = await stage_of(api, "canary")
    assert (made["tag_pattern"], made["position"], made["auto_deploy"]) == ("v*-rc*", -1, False)
    assert (made["watch_s"], made["max_instances"]) == (10, 1)


async def test_a_project_is_deleted_once_its_name_is_typed(api: Api, browser: Browser) -> None:
    path = "/projects/mailer/-/delete"
    asked = words(await browser.get(path))
    assert "v0.9.1 serves now" in asked
    wrong = await browser.post(path, {"name": "mail"})
    assert wrong.status == 422
    assert "type mailer to delete it" in words(wrong)
    done = await browser.post(path, {"name": "mailer"})
    assert done.headers["location"] == "/projects", words(done)
    assert "The project mailer is deleted." in words(await browser.follow(done))
    gone = await browser.get("/projects/mailer")
    assert gone.status == 404
    assert "The project mailer was deleted; the page Audit says when" in words(gone)
    assert api.abandoned


async def test_a_stage_is_deleted_with_the_volumes_named(api: Api, browser: Browser) -> None:
    form = form_of(await browser.get(STAGE))
    await browser.post(STAGE, {**form, "volumes": "data=/data"})
    stage = await stage_of(api)
    project = await project_of(api)
    await put_instance(api, str(project["id"]), str(stage["id"]), InstanceState.LIVE)
    asked = words(await browser.get("/projects/mailer/prod/delete"))
    assert f"tagboat-{stage['id']}-data" in asked
    done = await browser.post("/projects/mailer/prod/delete", {"volumes": "keep"})
    assert "The stage prod is deleted." in words(await browser.follow(done))
    assert (await browser.get("/projects/mailer/prod")).status == 404


async def test_viewers_see_why_they_may_not_change(api: Api, browser: Browser) -> None:
    assert browser
    viewer = await signed_in(api, Role.VIEWER, "vera")
    for path in (PROJECT, STAGE):
        answer = await viewer.get(path)
        assert "You are a viewer: ask an admin for the role admin." in words(answer)
        assert "<fieldset disabled>" in answer.body.decode()
    stage = await viewer.get("/projects/mailer/prod")
    assert "You are a viewer: ask an admin for the role deployer." in words(stage)
    assert "rollback" not in stage.body.decode()
