"""Settings, the webhook's URL, explain and metrics, over HTTP."""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tagboat.core.deploy import Deploy, DeployStatus
from tagboat.core.errors import (
    EngineUnavailableError,
    IngressUnavailableError,
    StoreUnavailableError,
)
from tagboat.core.polling import RegistryBackoff
from tagboat.core.ports import Topic, Tx
from tagboat.core.values import replace
from tagboat.ingress.memory import MemoryIngress
from tagboat.operations.queries import machine
from tagboat.store import SqlStore
from tests.support.api import BASE_DOMAIN, VERSION, Api, running_api
from tests.support.records import deploy_record, put_deploy

pytestmark = pytest.mark.anyio
WEBHOOK = "https://tagboat.example.com/api/webhook/"
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
FORMATS: tuple[tuple[str, Callable[[str], Iterable[Metric]]], ...] = (
    ("", text_string_to_metric_families),
    ("application/openmetrics-text; version=1.0.0", openmetrics.text_string_to_metric_families),
)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def test_settings_have_defaults_and_change_one_by_one(api: Api) -> None:
    before = (await api.caller.get("/api/settings")).json
    heard = asyncio.Event()
    api.store.listen(Topic.SETTINGS, heard.set)

    changed = await api.caller.patch("/api/settings", {"auto_create": False})
    await api.caller.patch(
        "/api/settings",
        {"poll_schedule": "*/5 * * * *", "auto_create_images": ["git.example.com/**"]},
    )
    await api.caller.patch(
        "/api/settings", {"deliveries_keep_days": 3650.0, "deliveries_keep": 100}
    )
    await api.caller.patch(
        "/api/settings", {"images_keep": 0, "history_keep_days": 36_500, "max_projects": 0}
    )
    await api.caller.patch("/api/settings", {"audit_keep_days": 36_500, "backups_keep": 0})

    assert before == {
        "poll_schedule": "@every 5m",
        "auto_create": True,
        "auto_create_images": None,
        "max_projects": 1000,
        "deliveries_keep_days": 30,
        "deliveries_keep": 10_000,
        "images_keep": 3,
        "history_keep_days": 365,
        "audit_keep_days": 365,
        "backups_keep": 5,
    }
    assert (changed.status, changed.json) == (200, before | {"auto_create": False})
    assert (await api.caller.get("/api/settings")).json == {
        "poll_schedule": "*/5 * * * *",
        "auto_create": False,
        "auto_create_images": ["git.example.com/**"],
        "max_projects": 0,
        "deliveries_keep_days": 3650,
        "deliveries_keep": 100,
        "images_keep": 0,
        "history_keep_days": 36_500,
        "audit_keep_days": 36_500,
        "backups_keep": 0,
    }
    async with asyncio.timeout(60):
        await heard.wait()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("poll_schedule", ""),
        ("poll_schedule", "@every 1ms"),
        ("poll_schedule", "61 * * * *"),
        ("poll_schedule", None),
        ("auto_create", "yes"),
        ("auto_create", None),
        ("auto_create_images", "**"),
        ("auto_create_images", [""]),
        ("auto_create_images", ["a b"]),
        ("auto_create_images", ["*"] * 101),
        ("auto_create_images", ["["]),
        ("auto_create_images", ["git.example.com/**", "[a-z]/*"]),
        ("max_projects", -1),
        ("max_projects", 100_001),
        ("max_projects", None),
        ("deliveries_keep_days", 0),
        ("deliveries_keep_days", 3651),
        ("deliveries_keep_days", True),
        ("deliveries_keep_days", "30"),
        ("deliveries_keep", 99),
        ("deliveries_keep", 1_000_001),
        ("deliveries_keep", None),
        ("images_keep", -1),
        ("images_keep", 101),
        ("history_keep_days", 0),
        ("history_keep_days", 36_501),
        ("audit_keep_days", 0),
        ("audit_keep_days", 36_501),
        ("backups_keep", -1),
        ("backups_keep", 101),
        ("webhook_secret", "mine"),
    ],
)
async def test_unusable_settings_are_refused(api: Api, field: str, value: object) -> None:
    before = (await api.caller.get("/api/settings")).json

    answer = await api.caller.patch("/api/settings", {field: value})

    assert answer.status == 422
    assert answer.json["errors"][0]["field"].partition(".")[0] == field
    assert (await api.caller.get("/api/settings")).json == before


async def test_which_images_become_projects_can_be_left_to_the_registries_again(api: Api) -> None:
    await api.caller.patch("/api/settings", {"auto_create_images": ["nginx"]})
    answer = await api.caller.patch("/api/settings", {"auto_create_images": None})
    assert (answer.status, answer.json["auto_create_images"]) == (200, None)
    assert (await api.caller.get("/api/settings")).json["auto_create_images"] is None


async def test_the_webhooks_url_is_shown_and_made_anew(api: Api) -> None:
    shown = (await api.caller.get("/api/settings/webhook")).json
    url = shown["url"]
    assert "can run any image from anywhere" in shown["allows"]
    assert (await api.caller.get("/api/settings/webhook")).json["url"] == url
    assert uuid.UUID(url.removeprefix(WEBHOOK)).version == 4

    fresh = await api.caller.post("/api/settings/webhook/regenerate")

    assert fresh.status == 200
    assert fresh.json["url"] != url
    old, new = [
        path.removeprefix("https://tagboat.example.com") for path in (url, fresh.json["url"])
    ]
    assert (await api.anonymous.post(old, {"image": "nginx"})).status == 404
    assert (await api.anonymous.post(new, {"image": "nginx"})).status == 202


async def test_explain_names_every_stage_tried(api: Api) -> None:
    project = (
        await api.caller.post("/api/projects", {"name": "app", "image": "git.example.com/acme/app"})
    ).json
    for name, pattern in (("dev", "dev-*"), ("prod", "v*"), ("rest", "*")):
        await api.caller.post(
            f"/api/projects/{project['id']}/stages", {"name": name, "tag_pattern": pattern}
        )

    answer = await api.caller.get("/api/explain?image=git.example.com/acme/app:v1")

    assert answer.status == 200
    assert answer.json["stage"]["name"] == "prod"
    assert {
        key: answer.json[key] for key in ("image", "tag", "outcome", "reason", "considered")
    } == {
        "image": "git.example.com/acme/app",
        "tag": "v1",
        "outcome": "queued",
        "reason": "tag v1 matches v*",
        "considered": [
            {"stage": "dev", "pattern": "dev-*", "matches": False},
            {"stage": "prod", "pattern": "v*", "matches": True},
        ],
    }
    assert answer.json["project"] == {"id": project["id"], "name": "app"}


async def test_explain_changes_nothing(api: Api) -> None:
    answer = await api.caller.get("/api/explain?image=git.example.com/new/app")

    assert (answer.status, answer.json["outcome"], answer.json["project"]) == (200, "queued", None)
    assert (await api.caller.get("/api/projects")).json["items"] == []


@pytest.mark.parametrize(
    "image",
    ["", "UPPER", "a:b:c", "nginx@sha256:0", "nginx:" + "x" * 129, "%00", "%ff", "a;b", "x" * 3000],
)
async def test_explain_answers_400_to_what_is_no_image(api: Api, image: str) -> None:
    answer = await api.caller.get(f"/api/explain?image={image}")

    assert answer.status == 400
    assert answer.json["detail"].startswith("image: ")


async def test_explain_needs_an_image(api: Api) -> None:
    assert (await api.caller.get("/api/explain")).status == 422


def end_deploy(deploy: Deploy, tx: Tx) -> None:
    tx.put_deploy(deploy)


async def webhook_path(api: Api) -> str:
    return str(urlsplit((await api.caller.get("/api/settings/webhook")).json["url"]).path)


async def test_metrics_are_prometheus_text(api: Api) -> None:
    project = (await api.caller.post("/api/projects", {"name": "app", "image": "nginx"})).json
    stage = (
        await api.caller.post(
            f"/api/projects/{project['id']}/stages", {"name": "dev", "tag_pattern": "*"}
        )
    ).json
    await put_deploy(api, deploy_record(project["id"], stage["id"], status=DeployStatus.QUEUED))
    for body in ({"image": "nginx:v1"}, {"image": "nginx:v2"}, {"image": 5}, ["odd"]):
        await api.anonymous.post(await webhook_path(api), body)
    config = {"name": "hub", "url": "https://registry-1.docker.io", "kind": "oci"}
    assert (await api.caller.post("/api/registries", config)).status == 201

    for accept, read in FORMATS:
        answer = await api.caller.call("GET", "/metrics", headers={"accept": accept})
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(accept or "text/plain; version=0.0.4;")
        samples = {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in read(answer.body.decode())
            for sample in family.samples
        }
        assert samples["tagboat_build_info", VERSION] == 1
        assert samples["tagboat_deploys_open", "queued"] == 1
        assert samples["tagboat_deploys_open", "running"] == 0
        assert samples["tagboat_deploys_total", "app", "dev", "succeeded"] == 0
        assert samples["tagboat_deploys_total", "app", "dev", "superseded"] == 1
        assert samples["tagboat_stage_live", "app", "dev"] == 0
        assert samples["tagboat_stage_held", "app", "dev"] == 0
        assert samples["tagboat_stage_last_success_timestamp_seconds", "app", "dev"] == 0
        assert samples["tagboat_webhook_calls_total", "native", "202"] == 2
        assert samples["tagboat_webhook_calls_total", "native", "400"] == 1
        assert samples["tagboat_webhook_calls_total", "unknown", "400"] == 1
        assert samples["tagboat_webhook_calls_total", "gitea", "202"] == 0
        assert samples["tagboat_registry_up", "hub"] == 1
        assert samples["tagboat_component_up", "database"] == 1
        assert samples["tagboat_component_up", "engine"] == 1
        assert ("tagboat_component_up", "ingress") not in samples
        assert samples["tagboat_images_bytes",] == 0
        assert samples["tagboat_deploy_step_duration_seconds_count", "pull"] == 0
        assert samples["process_resident_memory_bytes",] > 0


async def test_the_numbers_of_a_stage_follow_its_record_and_its_names(api: Api) -> None:
    project = (await api.caller.post("/api/projects", {"name": "app", "image": "nginx"})).json
    path = f"/api/projects/{project['id']}"
    stage = (await api.caller.post(f"{path}/stages", {"name": "dev", "tag_pattern": "*"})).json
    for status in (DeployStatus.SUCCEEDED, DeployStatus.FAILED, DeployStatus.SUCCEEDED):
        deploy = deploy_record(project["id"], stage["id"], status=DeployStatus.RUNNING)
        await put_deploy(api, deploy)
        ended = replace(deploy, status=status, finished_at=NOON)
        for _ in range(2):  # what has ended is counted once
            await api.store.write(partial(end_deploy, ended))
    queued = deploy_record(project["id"], stage["id"], status=DeployStatus.QUEUED)
    await put_deploy(api, queued)
    assert (await api.caller.post(f"/api/deploys/{queued.id}/cancel")).status == 200
    await api.caller.patch(path, {"name": "renamed"})
    await api.caller.post(f"/api/stages/{stage['id']}/hold")

    async def numbers() -> dict[tuple[str, ...], float]:
        text = (await api.caller.get("/metrics")).body.decode()
        return {
            (sample.name, *(sample.labels.get(name, "") for name in ("stage", "status"))): (
                sample.value
            )
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.labels.get("project") == "renamed"
        }

    found = await numbers()
    ends = {
        status: found["tagboat_deploys_total", "dev", status] for _, _, status in found if status
    }
    assert ends == {"succeeded": 2, "failed": 1, "superseded": 0, "cancelled": 1}
    assert found["tagboat_stage_held", "dev", ""] == 1
    last = found["tagboat_stage_last_success_timestamp_seconds", "dev", ""]
    assert last == NOON.timestamp()
    assert (await api.caller.delete(path)).status in {200, 204}
    assert await numbers() == {}


async def test_a_database_that_is_away_is_a_component_that_is_down(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_store: SqlStore, _work: object) -> None:
        raise StoreUnavailableError("no database")

    for name in ("read", "write"):
        monkeypatch.setattr(SqlStore, name, away)
    answer = await api.caller.get("/metrics")
    assert answer.status == 200
    text = answer.body.decode()
    assert 'tagboat_component_up{component="database"} 0.0' in text
    assert 'tagboat_component_up{component="engine"} 1.0' in text
    assert "process_resident_memory_bytes" in text


async def test_what_is_out_is_down_by_name_with_the_reason_in_the_health(tmp_path: Path) -> None:
    ingress = MemoryIngress(base_domain=BASE_DOMAIN)
    with running_api(tmp_path, ingress) as api:
        await api.caller.post("/api/projects", {"name": "app", "image": "r.example.com/a"})
        project = (await api.caller.get("/api/projects")).json["items"][0]
        stages = f"/api/projects/{project['id']}/stages"
        await api.caller.post(stages, {"name": "dev", "tag_pattern": "*"})
        for _ in range(2):
            api.engine.fail("version", EngineUnavailableError("no engine"))
        api.ways.trouble = "HAProxy is gone"
        backoff = RegistryBackoff(host="r.example.com", failures=3, error="it is away")
        await api.store.write(lambda tx: tx.put_registry_backoff(backoff))

        text = (await api.caller.get("/metrics")).body.decode()
        health = (await api.caller.get("/api/health")).json
    up = {
        next(iter(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in {"tagboat_component_up", "tagboat_registry_up"}
    }
    assert up == {"database": 1, "engine": 0, "ingress": 0, "r.example.com": 0}
    assert health["status"] == "degraded"
    assert health["checks"] == {
        "database": "ok",
        "engine": "no engine",
        "ingress": "HAProxy is gone",
        "registries": "r.example.com: it is away",
    }


async def test_requests_are_counted_by_stage_and_missing_where_nobody_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingress = MemoryIngress(base_domain=BASE_DOMAIN)
    with running_api(tmp_path, ingress) as api:
        project = (await api.caller.post("/api/projects", {"name": "app", "image": "nginx"})).json
        stages = f"/api/projects/{project['id']}/stages"
        for name in ("dev", "prod"):
            await api.caller.post(stages, {"name": name, "tag_pattern": "*"})

        async def series() -> dict[tuple[str, str], float]:
            text = (await api.caller.get("/metrics")).body.decode()
            return {
                (sample.labels["stage"], sample.labels["code_class"]): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.name == "tagboat_requests_total"
            }

        # Before the first routes nothing is known, and nothing falls to 0.
        assert await series() == {}
        await api.traffic.apply_routes()
        assert await ingress.begin(f"app-dev.{BASE_DOMAIN}") is None  # a 503 without an instance
        found = await series()
        assert {key for key, number in found.items() if number} == {("dev", "5xx")}
        assert len(found) == 10
        ingress.fail("code_classes", IngressUnavailableError("HAProxy does not answer"))
        assert await series() == {}

        async def hang() -> NoReturn:
            await asyncio.Event().wait()
            raise AssertionError

        monkeypatch.setattr(machine, "_ANSWERS_LIMIT_S", 0.05)
        monkeypatch.setattr(ingress, "code_classes", hang)
        assert await series() == {}
