"""Stages, over HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.catalog import run_config
from tagboat.core.deploy import DeployStatus, InstanceState
from tagboat.core.ports import Tx
from tests.support.api import UNSAID, Api, running_api
from tests.support.records import deploy_record, put_deploy, put_instance

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def project(api: Api, name: str = "app") -> str:
    made = await api.caller.post(
        "/api/projects", {"name": name, "image": f"git.example.com/acme/{name}"}
    )
    project_id: str = made.json["id"]
    return project_id


async def make(
    api: Api, project_id: str, name: str = "dev", tag_pattern: str = "*", **more: object
) -> Any:  # noqa: ANN401 - JSON
    body = {"name": name, "tag_pattern": tag_pattern, **more}
    answer = await api.caller.post(f"/api/projects/{project_id}/stages", body)
    assert answer.status == 201, answer.body
    return answer.json


async def test_a_stage_has_the_contracts_fields_and_defaults(api: Api) -> None:
    project_id = await project(api)

    made = await make(api, project_id)

    assert made | {"id": "", "created_at": ""} == {
        "id": "",
        "project": {"id": project_id, "name": "app"},
        "name": "dev",
        "tag_pattern": "*",
        "position": 0,
        "auto_deploy": True,
        "allow_downgrade": False,
        "max_instances": 1,
        "engine": None,
        "replicas": 1,
        "constraints": [],
        "env": {},
        "domains": [],
        "strategy": None,
        "strategy_in_force": "rolling",
        "health_timeout_s": 60,
        "healthcheck_host": "",
        "healthcheck_request_timeout_s": 5,
        "watch_s": 10,
        "drain_timeout_s": 30,
        "ttl_h": None,
        "held": False,
        "held_at": None,
        "held_by": None,
        "stopped_at": None,
        "stopped_by": None,
        "address": None,
        "created_at": "",
        "warnings": [],
        "preview": None,
        **UNSAID,
    }
    del made["warnings"], made["preview"]
    assert (await api.caller.get(f"/api/stages/{made['id']}")).json == made


async def test_stages_are_listed_as_they_are_tried(api: Api) -> None:
    project_id = await project(api)
    for name, position in (("b", 0), ("z", -5), ("a", 0), ("m", 100), ("n", 20)):
        await make(api, project_id, name, f"{name}*", position=position)

    listed = (await api.caller.get(f"/api/projects/{project_id}/stages")).json["items"]
    seen: list[object] = []
    cursor = ""
    while len(seen) < 5:
        page = (
            await api.caller.get(f"/api/projects/{project_id}/stages?limit=2&cursor={cursor}")
        ).json
        seen += page["items"]
        cursor = page["next"] or ""

    assert [stage["name"] for stage in listed] == ["z", "a", "b", "n", "m"]
    assert seen == listed


async def test_a_stage_that_never_gets_a_tag_is_warned_of(api: Api) -> None:
    project_id = await project(api)
    await make(api, project_id, "dev", "*")

    hidden = await make(api, project_id, "prod", "v*")
    moved = (await api.caller.patch(f"/api/stages/{hidden['id']}", {"position": -1})).json

    assert hidden["warnings"] == [
        (
            "stage prod (v*) will never get a tag: stage dev (*) is tried first and "
            "matches everything that it matches; "
            "give prod a position below 0"
        )
    ]
    assert moved["warnings"] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Dev"),
        ("name", ""),
        ("name", "a" * 64),
        ("tag_pattern", ""),
        ("tag_pattern", "[a-"),
        ("tag_pattern", "regex:("),
        ("tag_pattern", "regex:(a*)*{1000}{1000}"),
        ("tag_pattern", "semver:banana"),
        ("tag_pattern", "glob:v*"),
        ("tag_pattern", "v\u0000"),
        ("position", 1_000_001),
        ("position", 2**70),
        ("position", 1.5),
        ("position", 1e300),
        ("position", "1"),
        ("auto_deploy", 1),
        ("auto_deploy", "true"),
        ("max_instances", 0),
        ("max_instances", 51),
        ("max_instances", True),
        ("health_timeout_s", 0),
        ("health_timeout_s", 3601),
        ("healthcheck_host", "a_b"),
        ("healthcheck_host", "a.example.com:80"),
        ("healthcheck_host", "a.example.com\r\nX: y"),
        ("healthcheck_host", None),
        ("healthcheck_request_timeout_s", 0),
        ("healthcheck_request_timeout_s", 301),
        ("drain_timeout_s", -1),
        ("strategy", "blue-green"),
        ("watch_s", -1),
        ("watch_s", 3601),
        ("watch_s", None),
        ("ttl_h", 0),
        ("ttl_h", 87_601),
        ("ttl_h", "24"),
        ("held", None),
        ("env", {"": "x"}),
        ("env", {"A=B": "x"}),
        ("env", {"A\u0000": "x"}),
        ("env", {"A": 1}),
        ("env", {"A": "x" * 32769}),
        ("env", {f"A{number}": "" for number in range(201)}),
        ("env", []),
        ("domains", ["a..b"]),
        ("domains", ["a_b"]),
        ("domains", ["*.example.com"]),
        ("domains", ["a" * 64 + ".com"]),
        ("domains", ["a.example.com", "a.example.com"]),
        ("domains", "a.example.com"),
        ("address", "http://x"),
        ("id", "1"),
    ],
)
async def test_unusable_values_are_refused_on_both_ways_in(
    api: Api, field: str, value: object
) -> None:
    project_id = await project(api)
    made = await make(api, project_id)

    created = await api.caller.post(
        f"/api/projects/{project_id}/stages", {"name": "x", "tag_pattern": "x", field: value}
    )
    changed = await api.caller.patch(f"/api/stages/{made['id']}", {field: value})

    for answer in (created, changed):
        assert answer.status == 422
        assert answer.json["errors"][0]["field"].partition(".")[0] == field
    assert len((await api.caller.get(f"/api/projects/{project_id}/stages")).json["items"]) == 1


async def test_everything_can_be_changed(api: Api) -> None:
    made = await make(api, await project(api))
    wanted = {
        "name": "prod",
        "tag_pattern": "semver:^1.2",
        "position": -3,
        "auto_deploy": False,
        "max_instances": 3,
        "env": {"A": "b"},
        "domains": ["app.example.com"],
        "strategy": "rolling",
        "health_timeout_s": 5,
        "healthcheck_host": "internal.example.com",
        "healthcheck_request_timeout_s": 300,
        "watch_s": 0,
        "drain_timeout_s": 0,
        "ttl_h": 24,
        "held": True,
    }

    changed = await api.caller.patch(f"/api/stages/{made['id']}", wanted)

    assert changed.status == 200
    held = {"held_at": changed.json["held_at"], "held_by": "TAGBOAT_ADMIN_TOKEN"}
    assert changed.json == made | wanted | held
    assert datetime.fromisoformat(held["held_at"]) <= datetime.now(UTC)


async def test_a_whole_number_may_be_written_with_a_point(api: Api) -> None:
    made = await make(api, await project(api), position=5.0)

    assert made["position"] == 5


async def test_domains_are_lower_case_and_belong_to_one_stage(api: Api) -> None:
    first = await make(api, await project(api), domains=["App.Example.com", "APP.example.COM"])
    other = await project(api, "other")

    taken = await api.caller.post(
        f"/api/projects/{other}/stages",
        {"name": "dev", "tag_pattern": "*", "domains": ["app.example.com"]},
    )
    kept = await api.caller.patch(f"/api/stages/{first['id']}", {"domains": ["app.example.com"]})

    assert first["domains"] == ["app.example.com"]
    assert (taken.status, kept.status) == (409, 200)
    assert taken.json["detail"] == "the stage dev of app has the domain app.example.com already"


async def test_names_are_unique_within_a_project_only(api: Api) -> None:
    project_id = await project(api)
    await make(api, project_id, "dev")
    second = await make(api, project_id, "prod", "v*", position=-1)

    again = await api.caller.post(
        f"/api/projects/{project_id}/stages", {"name": "dev", "tag_pattern": "x"}
    )
    renamed = await api.caller.patch(f"/api/stages/{second['id']}", {"name": "dev"})

    assert (again.status, renamed.status) == (409, 409)
    assert again.json["detail"] == "the project has a stage named dev already"
    await make(api, await project(api, "other"), "dev")


async def test_a_stage_needs_a_project_that_exists(api: Api) -> None:
    answer = await api.caller.post(
        f"/api/projects/{'0' * 24}/stages", {"name": "dev", "tag_pattern": "*"}
    )

    assert answer.status == 404
    assert (await api.caller.get(f"/api/projects/{'0' * 24}/stages")).status == 404


async def test_a_deleted_stage_takes_its_containers_and_deploys_along(api: Api) -> None:
    project_id = await project(api)
    stage, other = (
        await make(api, project_id, "dev"),
        await make(api, project_id, "prod", "v*", position=-1),
    )
    gone = await put_instance(api, project_id, stage["id"], InstanceState.LIVE)
    kept = await put_instance(api, project_id, other["id"], InstanceState.LIVE)
    queued = await put_deploy(
        api, deploy_record(project_id, stage["id"], "v2", DeployStatus.QUEUED)
    )

    answer = await api.caller.delete(f"/api/stages/{stage['id']}")

    assert answer.status == 204
    assert await api.engine.status(gone) is None
    assert await api.engine.status(kept) is not None
    assert (await api.caller.get(f"/api/deploys/{queued.id}")).status == 404
    assert (await api.caller.get(f"/api/stages/{other['id']}")).status == 200


async def test_a_stage_is_not_deleted_in_mid_deploy(api: Api) -> None:
    project_id = await project(api)
    stage = await make(api, project_id)
    container = await put_instance(api, project_id, stage["id"], InstanceState.LIVE)
    running = await put_deploy(
        api, deploy_record(project_id, stage["id"], "v2", DeployStatus.RUNNING)
    )

    answer = await api.caller.delete(f"/api/stages/{stage['id']}")

    assert answer.status == 409
    assert "v2" in answer.json["detail"]
    assert await api.engine.status(container) is not None
    assert (await api.caller.get(f"/api/deploys/{running.id}")).json["status"] == "running"
    assert api.abandoned == []


async def save_and_export(api: Api, path: str, wanted: dict[str, Any]) -> None:
    """Save fields of the stage at `path`; they come back, in a configuration file as well."""
    assert (await api.caller.patch(path, wanted)).status == 200
    assert (await api.caller.get(path)).json.items() >= wanted.items()
    exported = (await api.caller.get("/api/config")).json
    assert exported["projects"]["app"]["stages"]["dev"].items() >= wanted.items()
    unchanged = await api.caller.post("/api/config/plan", {"document": exported})
    assert unchanged.json["changes"] == []


async def test_several_tasks_and_their_places_need_a_cluster(api: Api) -> None:
    path = f"/api/stages/{(await make(api, await project(api)))['id']}"
    for field, value in (("replicas", 2), ("constraints", ["node.labels.zone==a"])):
        refused = await api.caller.patch(path, {field: value})
        assert refused.status == 422
        (error,) = refused.json["errors"]
        assert error["field"] == field
        assert "TAGBOAT_ENGINE=swarm" in error["message"]
    for wrong in ({"replicas": 0}, {"replicas": 101}, {"constraints": ["zone=a"]}):
        assert (await api.caller.patch(path, wrong)).status == 422

    api.engine.is_cluster = True
    wanted = {"replicas": 2, "constraints": ["node.labels.zone==a"]}
    await save_and_export(api, path, wanted)


async def test_a_stage_may_ask_for_an_engine_of_its_own(api: Api) -> None:
    path = f"/api/stages/{(await make(api, await project(api)))['id']}"
    assert (await api.caller.get(path)).json["engine"] is None
    wanted = {"engine": "swarm", "replicas": 2}
    await save_and_export(api, path, wanted)
    # With one machine again, two replicas are too many.
    refused = await api.caller.patch(path, {"engine": None})
    assert refused.json["errors"][0]["field"] == "replicas"
    assert (await api.caller.patch(path, {"engine": None, "replicas": 1})).status == 200
    assert (await api.caller.get(path)).json["engine"] is None
    assert (await api.caller.patch(path, {"engine": "podman"})).status == 422

    api.engine.is_cluster = True
    refused = await api.caller.patch(path, {"engine": "docker"})
    assert refused.json["errors"][0]["field"] == "engine"


async def test_on_a_cluster_data_needs_one_node(api: Api) -> None:
    api.engine.is_cluster = True
    project_id = await project(api)
    stage_id = (await make(api, project_id))["id"]
    path = f"/api/stages/{stage_id}"
    refused = await api.caller.patch(path, {"volumes": {"data": "/data"}})
    assert refused.status == 422
    assert refused.json["errors"][0]["field"] == "constraints"
    placed = {"volumes": {"data": "/data"}, "constraints": ["node.hostname==n1"]}
    assert (await api.caller.patch(path, placed)).status == 200

    await put_instance(api, project_id, stage_id, InstanceState.LIVE)

    def as_placed(tx: Tx) -> None:
        (live,) = tx.instances(stage_id=stage_id)
        tx.put_deploy_config(live.deploy_id, run_config(tx.project(project_id), tx.stage(stage_id)))

    await api.store.write(as_placed)
    assert (await api.caller.patch(path, placed)).json["warnings"] == []
    # A stage may ask for the swarm alone, and leave it.
    api.engine.is_cluster = False
    left = await api.caller.patch(path, {"constraints": []})
    (warning,) = left.json["warnings"]
    assert "kept at /data stays on node.hostname==n1: on the server's own machine" in warning
    api.engine.is_cluster = True
    moved = await api.caller.patch(path, {"constraints": ["node.hostname==n2"]})
    (warning,) = moved.json["warnings"]
    assert "kept at /data stays on node.hostname==n1: on node.hostname==n2" in warning
    dropped = await api.caller.patch(path, {"tmpfs": {"/scratch": "size=50%"}})
    assert dropped.json["errors"][0]["field"] == "tmpfs"
