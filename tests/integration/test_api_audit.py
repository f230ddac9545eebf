"""Who changed what: each change has its entry, and admins can read them."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.catalog import run_config
from tagboat.core.deploy import InstanceState
from tagboat.core.errors import ForbiddenError
from tagboat.core.image import Digest, parse_image_name
from tagboat.core.ports import Tx
from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.core.store_port import Topic
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec
from tagboat.operations.queries.audit import AuditQuestion
from tagboat.runtime.memory import MemoryImage
from tests.support.api import Api, running_api
from tests.support.asgi import Answer
from tests.support.records import DIGEST, put_instance

pytestmark = pytest.mark.anyio
SECRETS = ("correct horse battery", "battery staple horse", "a pass phrase of no use")
ADA = Principal(
    kind=PrincipalKind.ACCOUNT, name="ada", role=Role.ADMIN, id="a1", address="192.0.2.7"
)
# They change nothing: a registry is only asked, and a plan is undone.
NO_CHANGE = {"POST /api/registries/{registry_id}/test", "POST /api/config/plan"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def entries(api: Api, query: str = "") -> list[Any]:
    answer = await api.caller.get(f"/api/audit?limit=200{query}")
    assert answer.status == 200, answer.body
    items: list[Any] = answer.json["items"]
    return items


def in_short(items: list[Any]) -> list[tuple[str, str]]:
    return [(item["action"], item["subject"]["name"]) for item in items]


@dataclass(frozen=True)
class Scene:
    """A project `app` with the stages `dev` and `prod`; prod has two versions to go back to."""

    api: Api
    project: str
    dev: str
    prod: str

    async def made(self, path: str, body: object) -> str:
        """POST, and return the id of what was made."""
        answer = await self.api.caller.post(path, body)
        assert answer.status < 300, answer.body
        return str(answer.json["id"])

    async def registry(self) -> str:
        body = {"name": "forge", "url": "https://forge.example.com", "password": SECRETS[0]}
        return await self.made("/api/registries", {**body, "kind": "gitea"})

    async def hook(self) -> str:
        signature = {"kind": "hmac-sha256", "secret": SECRETS[1]}
        path = f"/api/projects/{self.project}/webhooks"
        return await self.made(path, {"name": "ci", "signature": signature})

    async def user(self) -> str:
        return await self.made("/api/users", _user("anna"))

    async def token(self) -> str:
        return await self.made("/api/tokens", {"name": "ci", "role": "viewer"})

    async def deploy(self) -> str:
        return await self.made(f"/api/stages/{self.dev}/deploys", {"tag": "v1"})

    async def delivery(self) -> str:
        url = (await self.api.caller.get("/api/settings/webhook")).json["url"]
        path = "/api/" + url.partition("/api/")[2]
        answer = await self.api.anonymous.post(path, {"image": "git.example.com/acme/app:dev1"})
        return str(answer.json["delivery"])

    async def runs(self) -> None:
        """Let two versions have been live in prod, the second of which is."""
        for digit, state in (("1", InstanceState.STOPPED), ("2", InstanceState.LIVE)):
            await put_instance(self.api, self.project, self.prod, state)
            instance = (await self.api.store.read(lambda reader: reader.instances()))[0]
            digest = Digest(f"sha256:{digit * 64}")

            def work(tx: Tx) -> None:
                config = run_config(tx.project(self.project), tx.stage(self.prod))
                tx.put_instance(
                    replace(instance, digest=digest, fingerprint=config.fingerprint)  # noqa: B023 - used at once
                )
                tx.put_deploy_config(instance.deploy_id, config)  # noqa: B023 - as above

            await self.api.store.write(work)


@pytest.fixture
async def scene(api: Api) -> Scene:
    body = {"name": "app", "image": "git.example.com/acme/app", "port": 8080}
    stages = [{"name": name, "tag_pattern": f"{name}*"} for name in ("dev", "prod")]
    made = (await api.caller.post("/api/projects", {**body, "stages": stages})).json
    return Scene(api, made["id"], *(stage["id"] for stage in made["stages"]))


Try = Callable[[Scene], Awaitable[Answer]]


def _user(name: str) -> dict[str, str]:
    return {"name": name, "role": "viewer", "password": SECRETS[0]}


def _document() -> dict[str, object]:
    stages = {"dev": {"tag_pattern": "dev*", "secrets": {"TOKEN": SECRETS[1]}}}
    image = "git.example.com/acme/app"
    project = {"image": image, "secrets": {"KEY": SECRETS[0]}, "stages": stages}
    return {"document": {"settings": {"images_keep": 7}, "projects": {"app": project}}}


async def _create_project(scene: Scene) -> Answer:
    secrets = {"secrets": {"TOKEN": SECRETS[0]}, "secret_files": {"key": SECRETS[1]}}
    stages = [{"name": "only", "tag_pattern": "*", **secrets}]
    body = {"name": "other", "image": "git.example.com/acme/other", "stages": stages, **secrets}
    return await scene.api.caller.post("/api/projects", body)


async def _create_registry(scene: Scene) -> Answer:
    body = {"name": "r", "url": "https://r.example.com", "kind": "oci", "password": SECRETS[2]}
    return await scene.api.caller.post("/api/registries", body)


async def _adopt(scene: Scene) -> Answer:
    image, digest = parse_image_name("git.example.com/acme/theirs"), Digest("sha256:" + "d" * 64)
    engine = scene.api.engine
    engine.publish(image, digest, MemoryImage(names=(f"{image}:v1",)))
    scene.api.registries.digests["v1"] = digest
    await engine.pull(image, digest, None, lambda _: None)
    env = {"DB_PASSWORD": SECRETS[0]}
    await engine.create(WorkloadSpec(name="web", image=f"{image}@{digest}", labels={}, env=env))
    await engine.start("web")
    return await scene.api.caller.post("/api/adopt", {"container": "web"})


async def _release(scene: Scene) -> Answer:
    await scene.api.caller.post(f"/api/stages/{scene.dev}/hold")
    await scene.delivery()
    return await scene.api.caller.post(f"/api/stages/{scene.dev}/release")


async def _restart(scene: Scene) -> Answer:
    await scene.runs()
    return await scene.api.caller.post(f"/api/stages/{scene.prod}/restart")


async def _stop(scene: Scene) -> Answer:
    await scene.runs()
    return await scene.api.caller.post(f"/api/stages/{scene.prod}/stop")


async def _start(scene: Scene) -> Answer:
    await scene.api.caller.post(f"/api/stages/{scene.dev}/stop")
    return await scene.api.caller.post(f"/api/stages/{scene.dev}/start")


async def _run(scene: Scene) -> Answer:
    await scene.api.caller.patch(f"/api/stages/{scene.dev}", {"secrets": {"A": SECRETS[0]}})
    await put_instance(scene.api, scene.project, scene.dev, InstanceState.LIVE)
    scene.api.engine._images[f"git.example.com/acme/app@{DIGEST}"] = MemoryImage(exit_code=0)
    body = {"command": ["bin/migrate", SECRETS[0]]}
    return await scene.api.caller.post(f"/api/stages/{scene.dev}/runs", body)


async def _roll_back(scene: Scene) -> Answer:
    await scene.runs()
    return await scene.api.caller.post(f"/api/stages/{scene.prod}/rollback")


async def _promote(scene: Scene) -> Answer:
    await scene.runs()
    return await scene.api.caller.post(f"/api/stages/{scene.dev}/promote", {"from": scene.prod})


async def _cancel_stage(scene: Scene) -> Answer:
    await scene.deploy()
    return await scene.api.caller.post(f"/api/stages/{scene.dev}/cancel")


CHANGES: Mapping[str, tuple[Try, list[tuple[str, str]]]] = {
    "POST /api/projects": (
        _create_project,
        [("stage.create", "only"), ("project.create", "other")],
    ),
    "PATCH /api/projects/{project_id}": (
        lambda scene: scene.api.caller.patch(
            f"/api/projects/{scene.project}", {"secrets": {"A": SECRETS[0]}}
        ),
        [("project.change", "app")],
    ),
    "DELETE /api/projects/{project_id}": (
        lambda scene: scene.api.caller.delete(f"/api/projects/{scene.project}?volumes=delete"),
        [("project.delete", "app")],
    ),
    "POST /api/projects/{project_id}/stages": (
        lambda scene: scene.api.caller.post(
            f"/api/projects/{scene.project}/stages", {"name": "qa", "tag_pattern": "qa*"}
        ),
        [("stage.create", "qa")],
    ),
    "PATCH /api/stages/{stage_id}": (
        lambda scene: scene.api.caller.patch(
            f"/api/stages/{scene.dev}", {"secret_files": {"A": SECRETS[0]}, "watch_s": 3}
        ),
        [("stage.change", "dev")],
    ),
    "DELETE /api/stages/{stage_id}": (
        lambda scene: scene.api.caller.delete(f"/api/stages/{scene.dev}"),
        [("stage.delete", "dev")],
    ),
    "POST /api/stages/{stage_id}/deploys": (
        lambda scene: scene.api.caller.post(f"/api/stages/{scene.dev}/deploys", {"tag": "v1"}),
        [("deploy.create", "v1")],
    ),
    "POST /api/stages/{stage_id}/rollback": (
        _roll_back,
        [("deploy.rollback", "v1"), ("stage.hold", "prod")],
    ),
    "POST /api/stages/{stage_id}/promote": (_promote, [("deploy.promote", "v1")]),
    "POST /api/deploys/{deploy_id}/cancel": (
        lambda scene: _after(scene.deploy(), "POST", "/api/deploys/{}/cancel", scene),
        [("deploy.cancel", "v1")],
    ),
    "POST /api/stages/{stage_id}/cancel": (_cancel_stage, [("deploy.cancel", "v1")]),
    "POST /api/stages/{stage_id}/hold": (
        lambda scene: scene.api.caller.post(f"/api/stages/{scene.dev}/hold"),
        [("stage.hold", "dev")],
    ),
    "POST /api/stages/{stage_id}/release": (_release, [("stage.release", "dev")]),
    "POST /api/stages/{stage_id}/restart": (_restart, [("stage.restart", "prod")]),
    "POST /api/stages/{stage_id}/stop": (_stop, [("stage.stop", "prod")]),
    "POST /api/stages/{stage_id}/start": (_start, [("stage.start", "dev")]),
    "POST /api/stages/{stage_id}/runs": (_run, [("stage.run", "dev")]),
    "POST /api/registries": (_create_registry, [("registry.create", "r")]),
    "PATCH /api/registries/{registry_id}": (
        lambda scene: _after(
            scene.registry(), "PATCH", "/api/registries/{}", scene, {"password": SECRETS[2]}
        ),
        [("registry.change", "forge")],
    ),
    "DELETE /api/registries/{registry_id}": (
        lambda scene: _after(scene.registry(), "DELETE", "/api/registries/{}", scene),
        [("registry.delete", "forge")],
    ),
    "POST /api/projects/{project_id}/webhooks": (
        lambda scene: scene.api.caller.post(
            f"/api/projects/{scene.project}/webhooks",
            {"name": "ci", "signature": {"kind": "hmac-sha1", "secret": SECRETS[0]}},
        ),
        [("webhook.create", "ci")],
    ),
    "PATCH /api/webhooks/{hook_id}": (
        lambda scene: _after(
            scene.hook(),
            "PATCH",
            "/api/webhooks/{}",
            scene,
            {"signature": {"kind": "hmac-sha256", "secret": SECRETS[2]}},
        ),
        [("webhook.change", "ci")],
    ),
    "POST /api/webhooks/{hook_id}/rotate": (
        lambda scene: _after(scene.hook(), "POST", "/api/webhooks/{}/rotate", scene),
        [("webhook.rotate", "ci")],
    ),
    "DELETE /api/webhooks/{hook_id}": (
        lambda scene: _after(scene.hook(), "DELETE", "/api/webhooks/{}", scene),
        [("webhook.delete", "ci")],
    ),
    "POST /api/deliveries/{delivery_id}/redeliver": (
        lambda scene: _after(scene.delivery(), "POST", "/api/deliveries/{}/redeliver", scene),
        [("delivery.redeliver", "native")],
    ),
    "POST /api/adopt": (
        _adopt,
        [
            ("project.adopt", "theirs"),
            ("stage.hold", "prod"),
            ("stage.create", "prod"),
            ("project.create", "theirs"),
        ],
    ),
    "POST /api/config/apply": (
        lambda scene: scene.api.caller.post("/api/config/apply", _document()),
        [("stage.change", "dev"), ("project.change", "app"), ("settings.change", "")],
    ),
    "PATCH /api/settings": (
        lambda scene: scene.api.caller.patch("/api/settings", {"images_keep": 7}),
        [("settings.change", "")],
    ),
    "PUT /api/settings/webhook/signature": (
        lambda scene: scene.api.caller.call(
            "PUT",
            "/api/settings/webhook/signature",
            {"kind": "hmac-sha256", "secret": SECRETS[0]},
        ),
        [("settings.webhook-signature", "")],
    ),
    "DELETE /api/settings/webhook/signature": (
        lambda scene: scene.api.caller.delete("/api/settings/webhook/signature"),
        [("settings.webhook-signature", "")],
    ),
    "POST /api/users/setup-link": (
        lambda scene: scene.api.caller.post("/api/users/setup-link"),
        [("settings.setup-link", "")],
    ),
    "POST /api/users": (
        lambda scene: scene.api.caller.post("/api/users", _user("ben")),
        [("account.create", "ben")],
    ),
    "PATCH /api/users/{account_id}": (
        lambda scene: _after(
            scene.user(), "PATCH", "/api/users/{}", scene, {"password": SECRETS[1]}
        ),
        [("account.change", "anna")],
    ),
    "DELETE /api/users/{account_id}": (
        lambda scene: _after(scene.user(), "DELETE", "/api/users/{}", scene),
        [("account.delete", "anna")],
    ),
    "POST /api/users/{account_id}/sign-out": (
        lambda scene: _after(scene.user(), "POST", "/api/users/{}/sign-out", scene),
        [("account.sign-out", "anna")],
    ),
    "POST /api/tokens": (
        lambda scene: scene.api.caller.post("/api/tokens", {"name": "ci", "role": "viewer"}),
        [("token.create", "ci")],
    ),
    "DELETE /api/tokens/{token_id}": (
        lambda scene: _after(scene.token(), "DELETE", "/api/tokens/{}", scene),
        [("token.delete", "ci")],
    ),
    "POST /api/settings/webhook/regenerate": (
        lambda scene: scene.api.caller.post("/api/settings/webhook/regenerate"),
        [("settings.webhook-url", "")],
    ),
}
"""How each changing route is called, and the entries that this leaves, newest first."""
# A poll is recorded with what it finds, by the poller: `test_poller.py` shows that. A password is
# changed by its account: see below. A sign-in link is made on the server's machine only, which
# `test_pages_sign_in_link.py` shows.
BY_OTHERS = {
    "POST /api/users/{account_id}/sign-in-link",
    "POST /api/poll",
    "POST /api/projects/{project_id}/poll",
    "POST /api/me/password",
}


async def _after(
    made: Awaitable[str], method: str, path: str, scene: Scene, body: object = None
) -> Answer:
    key = await made
    more = () if body is None else (body,)
    return await scene.api.caller.call(method, path.format(key), *more)


@pytest.mark.parametrize("route", CHANGES)
async def test_each_change_has_its_entry_without_secrets(scene: Scene, route: str) -> None:
    call, expected = CHANGES[route]

    answer = await call(scene)

    assert answer.status < 300, answer.body
    found = await entries(scene.api)
    assert in_short(found)[: len(expected)] == expected
    assert {item["actor"]["kind"] for item in found[: len(expected)]} == {"admin-token"}
    for secret in SECRETS:
        assert secret not in json.dumps(found)


async def test_every_changing_route_is_listed_here(api: Api) -> None:
    paths = (await api.caller.get("/api/openapi.json")).json["paths"]
    changing = {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method in methods
        if method not in {"get", "head"} and path != "/api/webhook/{secret}"
    }
    assert changing == CHANGES.keys() | NO_CHANGE | BY_OTHERS


async def test_people_are_recorded_as_themselves(scene: Scene) -> None:
    account = await scene.user()
    operations = scene.api.operations
    begun = await operations.sessions.sign_in(
        "anna", SECRETS[0], address="192.0.2.7", user_agent="Firefox"
    )
    as_anna = operations.by(begun.principal)
    await as_anna.accounts.change_own_password(SECRETS[0], SECRETS[1])
    await as_anna.sessions.sign_out(begun.principal.session_id or "")

    found = await entries(scene.api, "&actor=anna")

    assert in_short(found) == [
        ("account.sign-out", "anna"),
        ("account.change", "anna"),
        ("account.sign-in", "anna"),
    ]
    assert {(one["actor"]["id"], one["address"]) for one in found} == {(account, "192.0.2.7")}
    assert found[1]["changes"] == [{"field": "password", "before": "***", "after": "***"}]


async def test_the_first_admin_is_recorded_with_the_set_up(api: Api) -> None:
    link = (await api.caller.post("/api/users/setup-link")).json["url"]
    await api.operations.accounts.set_up(
        link.rpartition("/")[2], "ada", SECRETS[0], address="192.0.2.7", user_agent=""
    )
    found = await entries(api)
    assert in_short(found) == [
        ("account.create", "ada"),
        ("account.sign-in", "ada"),
        ("settings.setup-link", ""),
    ]
    assert found[0]["actor"]["name"] == "ada"
    assert SECRETS[0] not in json.dumps(found)
    assert link.rpartition("/")[2] not in json.dumps(found)


async def test_a_refused_change_leaves_no_entry(scene: Scene) -> None:
    before = await entries(scene.api)
    path = f"/api/projects/{scene.project}"

    taken = await scene.api.caller.post("/api/projects", {"name": "app", "image": "a/b"})
    stale = await scene.api.caller.call("PATCH", path, {"port": 1}, {"if-match": '"old"'})
    busy = await scene.api.caller.post(f"/api/stages/{scene.dev}/rollback")

    assert [one.status for one in (taken, stale, busy)] == [409, 412, 409]
    assert await entries(scene.api) == before


async def test_a_change_of_nothing_leaves_no_entry(scene: Scene) -> None:
    registry, hook = await scene.registry(), await scene.hook()
    changes = {
        f"/api/projects/{scene.project}": {"env": {"A": "1"}, "port": 8080},
        f"/api/stages/{scene.dev}": {"watch_s": 3, "held": False},
        f"/api/registries/{registry}": {"name": "forge", "password": SECRETS[0]},
        f"/api/webhooks/{hook}": {"name": "ci"},
        "/api/settings": {"images_keep": 7},
    }
    for path, body in changes.items():
        assert (await scene.api.caller.patch(path, body)).status == 200
    before = await entries(scene.api)
    for path, body in changes.items():
        for said in (body, {}):
            assert (await scene.api.caller.patch(path, said)).status == 200
    assert await entries(scene.api) == before


async def test_a_hold_by_a_change_is_on_record_as_one_by_the_action(scene: Scene) -> None:
    caller, path = scene.api.caller, f"/api/stages/{scene.dev}"
    before = len(await entries(scene.api))
    await caller.patch(path, {"held": True, "watch_s": 3})
    await scene.delivery()
    await caller.patch(path, {"held": True})
    await caller.patch(path, {"held": False})
    stages = f"/api/projects/{scene.project}/stages"
    await caller.post(stages, {"name": "qa", "tag_pattern": "qa*", "held": True})

    found = (await entries(scene.api))[:-before]
    assert in_short(found) == [
        ("stage.hold", "qa"),
        ("stage.create", "qa"),
        ("stage.release", "dev"),
        ("stage.hold", "dev"),
        ("stage.change", "dev"),
    ]
    assert [one["field"] for one in found[4]["changes"]] == ["watch_s"]
    assert found[3]["changes"] == [{"field": "held", "before": False, "after": True}]
    assert found[2]["note"] == "dev1 is queued"
    assert "held" not in {one["field"] for one in found[1]["changes"]}


async def test_an_entry_has_what_was_before_and_after(scene: Scene) -> None:
    patch = {"env": {"A": "1"}, "port": 9090, "secrets": {"S": SECRETS[0]}}
    await scene.api.caller.patch(f"/api/projects/{scene.project}", patch)

    (found,) = await entries(scene.api, "&action=project.change")

    reference = {"id": scene.project, "name": "app"}
    assert found | {"id": 0, "at": ""} == {
        "id": 0,
        "at": "",
        "actor": {"kind": "admin-token", "name": "TAGBOAT_ADMIN_TOKEN", "id": None},
        "address": "127.0.0.1",
        "action": "project.change",
        "subject": {"kind": "project", **reference},
        "project": reference,
        "stage": None,
        "changes": [
            {"field": "port", "before": 8080, "after": 9090},
            {"field": "env.A", "before": None, "after": "1"},
            {"field": "secrets.S", "before": None, "after": "***"},
        ],
        "note": "",
    }


async def test_a_call_of_the_webhook_has_an_entry_for_each_deploy(scene: Scene) -> None:
    await scene.delivery()
    await scene.delivery()  # merged into the one that waits

    (found,) = await entries(scene.api, "&actor=webhook")

    assert found["actor"] == {"kind": "webhook", "name": "native", "id": None}
    assert (found["address"], found["stage"]["name"]) == ("127.0.0.1", "dev")
    assert found["note"] == "tag dev1 matches dev*"


async def test_who_asks_is_in_the_entry_on_the_deploy_and_on_the_hold(scene: Scene) -> None:
    by_ada = scene.api.operations.by(ADA)
    await by_ada.deploys.deploy(scene.dev, "v1")
    await by_ada.deploys.hold(scene.dev)
    await by_ada.deploys.hold(scene.dev)
    await by_ada.projects.delete(scene.project, volumes=False)

    found = await entries(scene.api, "&actor=ada")
    assert in_short(found) == [
        ("project.delete", "app"),
        ("stage.hold", "dev"),
        ("deploy.create", "v1"),
    ]
    assert {(one["address"], one["actor"]["id"]) for one in found} == {("192.0.2.7", "a1")}


async def test_a_hold_says_since_when_and_by_whom_and_a_deploy_who_ordered_it(
    scene: Scene,
) -> None:
    by_ada = scene.api.operations.by(ADA)
    await by_ada.deploys.hold(scene.dev)
    await scene.api.caller.post(f"/api/stages/{scene.dev}/hold")
    held = (await scene.api.caller.get(f"/api/stages/{scene.dev}")).json
    await by_ada.deploys.deploy(scene.dev, "v1")
    await scene.runs()
    await by_ada.deploys.rollback(scene.prod)
    await scene.api.caller.post(f"/api/stages/{scene.dev}/release")
    await scene.delivery()

    assert (held["held_by"], held["held_at"] is not None) == ("ada", True)
    released = (await scene.api.caller.get(f"/api/stages/{scene.dev}")).json
    assert (released["held"], released["held_at"], released["held_by"]) == (False, None, None)
    deploys = (await scene.api.caller.get("/api/deploys")).json["items"]
    assert {(one["tag"], one["trigger"], one["ordered_by"]) for one in deploys} == {
        ("v1", "manual", "ada"),
        ("v1", "rollback", "ada"),
        ("v1", "webhook", None),
        ("dev1", "webhook", None),
    }


async def test_a_deleted_project_is_found_by_name_and_by_id(scene: Scene) -> None:
    await scene.api.caller.delete(f"/api/projects/{scene.project}")

    for project in ("app", scene.project):
        found = await entries(scene.api, f"&project={project}")
        assert len(found) == 4, project
    assert await entries(scene.api, "&project=nothing") == []


async def test_the_list_has_pages_and_filters_by_time(scene: Scene) -> None:
    everything = await entries(scene.api)
    seen: list[Any] = []
    cursor = ""
    while cursor is not None:
        page = (await scene.api.caller.get(f"/api/audit?limit=1&cursor={cursor}")).json
        seen += page["items"]
        cursor = page["next"]

    assert seen == everything
    assert len(seen) == 3
    assert await entries(scene.api, "&since=1h") == everything
    assert await entries(scene.api, "&until=1h") == []
    assert await entries(scene.api, f"&since={everything[0]['at']}") == everything[:1]
    assert await entries(scene.api, "&since=2030-01-01") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=yesterday", "since"),
        ("until=99999999999d", "until"),
        ("action=stage", "action"),
        ("actor=%00", "actor"),
        ("cursor=73686f70", "cursor"),
        ("who=ada", "who"),
    ],
)
async def test_what_cannot_be_asked_is_refused_in_words(api: Api, query: str, field: str) -> None:
    for path in ("/api/audit", "/api/audit/export"):
        if field == "cursor" and path.endswith("export"):
            continue
        answer = await api.caller.get(f"{path}?{query}")
        assert answer.status == 422, answer.body
        assert answer.json["errors"][0]["field"] == field


async def test_the_export_has_all_as_json_lines_oldest_first(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tagboat.operations.queries.audit.EXPORTED_AT_ONCE", 2)
    await scene.deploy()

    answer = await scene.api.caller.get("/api/audit/export")
    few = await scene.api.caller.get("/api/audit/export?action=deploy.create")
    none = await scene.api.caller.get("/api/audit/export?actor=nobody")

    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert lines == (await entries(scene.api))[::-1]
    assert len(lines) == 4
    assert [json.loads(line)["action"] for line in few.body.splitlines()] == ["deploy.create"]
    assert (none.status, none.body) == (200, b"")


@pytest.mark.parametrize("role", [Role.METRICS, Role.VIEWER, Role.DEPLOYER])
async def test_only_admins_read_the_audit(api: Api, role: Role) -> None:
    audit = api.operations.by(replace(ADA, role=role)).audit

    with pytest.raises(ForbiddenError):
        await audit.entries(AuditQuestion(), None, 1)
    with pytest.raises(ForbiddenError):
        await anext(audit.export(AuditQuestion()))


async def test_a_setting_says_how_long_it_is_kept(scene: Scene) -> None:
    heard: list[bool] = []
    scene.api.store.listen(Topic.SETTINGS, lambda: heard.append(True))
    await scene.api.caller.patch("/api/settings", {"audit_keep_days": 30})

    (found,) = await entries(scene.api, "&action=settings.change")
    assert found["changes"] == [{"field": "audit_keep_days", "before": 365, "after": 30}]
