"""Taking a container over by the API, over a real store and an engine in memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.deploy import InstanceState
from tagboat.core.errors import RegistryDeniedError, RegistryError, RegistryNotFoundError
from tagboat.core.host_access import Bind
from tagboat.core.image import Digest, ImageInfo, parse_image_name
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec
from tagboat.runtime.memory import MemoryImage
from tests.support.api import Api, running_api
from tests.support.asgi import Answer

pytestmark = pytest.mark.anyio
SECRET = "correct horse battery staple"
IMAGE = parse_image_name("git.example.com/acme/shop")
THEIRS = "shop-web-1"
DIGEST = Digest("sha256:" + "a" * 64)
SPEC = WorkloadSpec(
    name=THEIRS,
    image=f"{IMAGE}@{DIGEST}",
    labels={"traefik.http.routers.w.rule": "Host(`shop.test`)"},
    env={"LOG_LEVEL": "info", "DB_PASSWORD": SECRET},
    memory=1 << 30,
)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def run_theirs(api: Api, spec: WorkloadSpec = SPEC, tag: str = "v1.4.0") -> None:
    """Run a container that a person has made; the registry has its tag."""
    api.registries.digests[tag] = DIGEST
    name, _, digest = spec.image.partition("@")
    content = MemoryImage(info=ImageInfo(tcp_ports=(8080,)), names=(f"{name}:{tag}",))
    api.engine.publish(parse_image_name(name), Digest(digest), content)
    await api.engine.pull(parse_image_name(name), Digest(digest), None, lambda _: None)
    await api.engine.create(spec)
    await api.engine.start(spec.name)


async def adopt(api: Api, **fields: object) -> Answer:
    return await api.caller.post("/api/adopt", {"container": THEIRS, **fields})


async def listed(api: Api, path: str) -> list[Any]:
    items: list[Any] = (await api.caller.get(path)).json["items"]
    return items


async def test_a_dry_run_shows_the_plan_and_changes_nothing(api: Api) -> None:
    await run_theirs(api)
    answer = await adopt(api, dry_run=True)
    assert answer.status == 200, answer.body
    plan = answer.json
    assert (plan["dry_run"], plan["project"]["id"], plan["stage"]["id"]) == (True, None, None)
    assert plan["project"] | {"id": None} == {
        "id": None,
        "name": "shop",
        "image": str(IMAGE),
        "port": 8080,
        "healthcheck": "",
        "created": True,
    }
    assert plan["stage"]["tag_pattern"] == "semver:1.x"
    assert plan["stage"]["domains"] == ["shop.test"]
    assert plan["stage"]["env"] == {"LOG_LEVEL": "info"}
    assert plan["stage"]["options"] == {"secrets": ["DB_PASSWORD"], "memory": 1 << 30}
    assert SECRET not in json.dumps(plan)
    assert await listed(api, "/api/projects") == []
    assert (await listed(api, "/api/audit"))[:1] == []


async def test_it_becomes_the_live_instance_of_a_held_stage(api: Api) -> None:
    await run_theirs(api)
    answer = await adopt(api, stage="live")
    assert answer.status == 200, answer.body
    (project,) = await listed(api, "/api/projects")
    (stage,) = await listed(api, f"/api/projects/{project['id']}/stages")
    assert answer.json["project"]["id"] == project["id"]
    assert answer.json["stage"]["id"] == stage["id"]
    assert (stage["name"], stage["held"], stage["secrets"]) == ("live", True, ["DB_PASSWORD"])
    (instance,) = await listed(api, f"/api/instances?stage={stage['id']}")
    assert (instance["container"], instance["state"], instance["tag"]) == (THEIRS, "live", "v1.4.0")
    (deploy,) = await listed(api, "/api/deploys")
    assert (deploy["status"], deploy["reason"]) == (
        "succeeded",
        f"took over the running container {THEIRS}",
    )
    (tag,) = await listed(api, f"/api/projects/{project['id']}/tags")
    assert (tag["tag"], tag["digest"]) == ("v1.4.0", DIGEST)
    actions = [entry["action"] for entry in await listed(api, "/api/audit")]
    assert actions == ["project.adopt", "stage.hold", "stage.create", "project.create"]
    assert SECRET not in json.dumps(await listed(api, "/api/audit"))
    # A deploy of the tag that runs replaces the container: it is not `already live`.
    queued = await api.caller.post(f"/api/stages/{stage['id']}/deploys", {"tag": "v1.4.0"})
    assert queued.status == 202


async def test_a_second_stage_joins_the_project_of_its_image(api: Api) -> None:
    await run_theirs(api)
    assert (await adopt(api)).status == 200
    again = await adopt(api, stage="other")
    assert (again.status, "adopted already" in again.json["detail"]) == (409, True)
    await api.engine.create(replace(SPEC, name="second", labels={}))
    await api.engine.start("second")
    same = await adopt(api, container="second")
    assert (same.status, "a stage named prod already" in same.json["detail"]) == (409, True)
    named = await adopt(api, container="second", stage="dev", project="store")
    assert (named.status, named.json["errors"][0]["field"]) == (422, "project")
    port = await adopt(api, container="second", stage="dev", port=99)
    assert (port.status, port.json["errors"][0]["field"]) == (422, "port")
    joined = await adopt(api, container="second", stage="dev")
    assert (joined.status, joined.json["project"]["created"]) == (200, False)
    assert len(await listed(api, "/api/projects")) == 1


async def test_what_differs_from_the_project_that_there_is_is_named(api: Api) -> None:
    body = {"name": "shop", "image": str(IMAGE), "stages": [{"name": "dev", "tag_pattern": "x"}]}
    assert (await api.caller.post("/api/projects", body | {"port": 0})).status == 201
    await run_theirs(api)
    remarks = "; ".join((await adopt(api, dry_run=True)).json["remarks"])
    assert "port stays unset in the project shop, and is 8080 here" in remarks
    assert "by now" not in remarks


async def test_a_tag_that_points_elsewhere_by_now_is_named(api: Api) -> None:
    await run_theirs(api)
    api.registries.digests["v1.4.0"] = Digest("sha256:" + "b" * 64)
    remarks = "; ".join((await adopt(api, dry_run=True)).json["remarks"])
    assert "v1.4.0 is another image in the registry by now (sha256:bbbb" in remarks


async def test_a_domain_of_another_stage_is_left_out_and_named(api: Api) -> None:
    stages = [{"name": "dev", "tag_pattern": "*", "domains": ["shop.test"]}]
    body = {"name": "other", "image": "git.example.com/acme/other", "stages": stages}
    assert (await api.caller.post("/api/projects", body)).status == 201
    await run_theirs(api)
    answer = await adopt(api)
    assert (answer.status, answer.json["stage"]["domains"]) == (200, [])
    assert "shop.test: another stage has the domain" in "; ".join(answer.json["remarks"])


async def test_a_stage_that_another_covers_is_warned_of(api: Api) -> None:
    stages = [{"name": "dev", "tag_pattern": "*"}]
    body = {"name": "shop", "image": str(IMAGE), "port": 8080, "stages": stages}
    assert (await api.caller.post("/api/projects", body)).status == 201
    await run_theirs(api)
    answer = await adopt(api)
    assert answer.status == 200
    assert "dev" in answer.json["remarks"][-1]


async def test_what_the_app_may_miss_needs_force(api: Api) -> None:
    spec = replace(SPEC, cap_add=("SYS_ADMIN", "NET_ADMIN"), binds=(Bind("/etc", "/x"),))
    await run_theirs(api, spec)
    dry = await adopt(api, dry_run=True)
    assert (dry.status, len(dry.json["dangers"])) == (200, 2)
    refused = await adopt(api)
    assert refused.status == 409
    for part in ("SYS_ADMIN", "/etc is a path of the server's host", "--force"):
        assert part in refused.json["detail"]
    assert await listed(api, "/api/projects") == []
    forced = await adopt(api, force=True)
    assert forced.status == 200
    assert forced.json["stage"]["options"]["cap_add"] == ["NET_ADMIN"]
    assert "binds" not in forced.json["stage"]["options"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(RegistryNotFoundError("there is no v1.4.0"), 409), (RegistryDeniedError("401"), 200)],
)
async def test_the_image_must_be_in_its_registry(
    api: Api, error: RegistryError, status: int
) -> None:
    await run_theirs(api)
    api.registries.error = error
    answer = await adopt(api, dry_run=True)
    assert answer.status == status
    said = answer.json["detail"] if status == 409 else "; ".join(answer.json["remarks"])
    assert str(error) in said


async def test_what_there_is_not_and_what_is_ours(api: Api) -> None:
    await run_theirs(api, replace(SPEC, labels={"tagboat.managed": "true"}))
    assert (await adopt(api, container="gone")).status == 404
    ours = await adopt(api)
    assert (ours.status, "Tagboat has made it" in ours.json["detail"]) == (409, True)
    for fields in ({"container": "a/b"}, {"container": ""}, {"stage": "A B"}, {"pattern": "["}):
        assert (await adopt(api, **fields)).status == 422


async def test_on_a_swarm_nothing_can_be_taken_over(api: Api) -> None:
    api.engine.is_cluster = True
    refused = await api.caller.post("/api/adopt", {"container": "oldapp"})
    assert refused.status == 409
    assert "tagboat projects add" in refused.json["detail"]


async def test_deleting_the_project_leaves_the_container_running(api: Api) -> None:
    await run_theirs(api)
    project = (await adopt(api)).json["project"]["id"]
    assert (await api.caller.call("DELETE", f"/api/projects/{project}")).status < 300
    status = await api.engine.status(THEIRS)
    assert status is not None
    assert status.running
    assert await api.store.read(lambda reader: reader.instances(states=[InstanceState.LIVE])) == []
