"""Settings, the webhook's URL, explain and metrics, over HTTP."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tagboat.core.deploy import DeployStatus
from tagboat.core.errors import IngressUnavailableError
from tagboat.core.ports import Topic
from tagboat.ingress.memory import MemoryIngress
from tagboat.operations.queries import machine
from tests.support.api import BASE_DOMAIN, VERSION, Api, running_api
from tests.support.records import deploy_record, put_deploy

pytestmark = pytest.mark.anyio
WEBHOOK = "https://tagboat.example.com/api/webhook/"


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
    async with asyncio.timeout(5):
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


async def test_metrics_are_prometheus_text(api: Api) -> None:
    project = (await api.caller.post("/api/projects", {"name": "app", "image": "nginx"})).json
    stage = (
        await api.caller.post(
            f"/api/projects/{project['id']}/stages", {"name": "dev", "tag_pattern": "*"}
        )
    ).json
    await put_deploy(api, deploy_record(project["id"], stage["id"], status=DeployStatus.QUEUED))
    for status in ("2xx", "2xx", "4xx"):
        api.counters.count("tagboat_webhook_calls_total", status=status)

    answer = await api.caller.get("/metrics")

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }
    assert samples["tagboat_info", VERSION] == 1
    assert samples["tagboat_deploys", "queued"] == 1
    assert samples["tagboat_deploys", "running"] == 0
    assert samples["tagboat_webhook_calls_total", "2xx"] == 2
    assert samples["tagboat_webhook_calls_total", "4xx"] == 1
    assert samples["process_resident_memory_bytes",] > 0


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
