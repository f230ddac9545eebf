"""Deploys and instances, over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.deploy import DeployStatus, InstanceState, StepName
from tagboat.core.receipt import ReceiptLedger, SideCounts
from tests.support.api import Api, running_api
from tests.support.records import DIGEST, deploy_record, put_deploy, put_instance

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def stage(api: Api, image: str = "git.example.com/acme/app") -> Any:  # noqa: ANN401 - JSON
    project = (
        await api.caller.post("/api/projects", {"name": image.rpartition("/")[2], "image": image})
    ).json
    made = await api.caller.post(
        f"/api/projects/{project['id']}/stages", {"name": "dev", "tag_pattern": "*"}
    )
    assert made.status == 201
    return made.json


async def test_a_deploy_is_queued_whole(api: Api) -> None:
    dev = await stage(api)

    answer = await api.caller.post(f"/api/stages/{dev['id']}/deploys", {"tag": "v1"})

    deploy = answer.json
    assert answer.status == 202
    assert deploy | {"id": "", "created_at": ""} == {
        "id": "",
        "project": dev["project"],
        "stage": {"id": dev["id"], "name": "dev"},
        "tag": "v1",
        "digest": None,
        "trigger": "manual",
        "ordered_by": "TAGBOAT_ADMIN_TOKEN",
        "note": "",
        "status": "queued",
        "reason": None,
        "cancelling": False,
        "receipt": None,
        "steps": [
            {
                "name": name,
                "status": "pending",
                "started_at": None,
                "finished_at": None,
                "detail": "",
            }
            for name in StepName
        ],
        "log": "",
        "created_at": "",
        "started_at": None,
        "finished_at": None,
    }
    assert (await api.caller.get(f"/api/deploys/{deploy['id']}")).json == deploy
    tags = (await api.caller.get(f"/api/projects/{dev['project']['id']}/tags")).json["items"]
    assert [(tag["tag"], tag["source"]) for tag in tags] == [("v1", "manual")]
    assert tags[0]["last"] | {"at": ""} == {
        "at": "",
        "source": "manual",
        "outcome": "queued",
        "reason": "deployed by hand to the stage dev, whatever its pattern says",
        "deploy": deploy["id"],
    }


async def test_the_same_again_is_the_same_deploy_and_a_newer_one_supersedes_it(api: Api) -> None:
    dev = await stage(api)
    path = f"/api/stages/{dev['id']}/deploys"

    first, again, newer = [
        (await api.caller.post(path, {"tag": tag})).json for tag in ("v1", "v1", "v2")
    ]

    assert again["id"] == first["id"] != newer["id"]
    assert (await api.caller.get(f"/api/deploys/{first['id']}")).json["status"] == "superseded"


async def test_a_forced_deploy_does_not_hide_in_another(api: Api) -> None:
    dev = await stage(api)
    path = f"/api/stages/{dev['id']}/deploys"

    first, forced = [
        (await api.caller.post(path, {"tag": "v1", "force": force})).json for force in (False, True)
    ]

    assert forced["id"] != first["id"]


async def test_a_deploy_has_its_receipt_alone_and_in_lists(api: Api) -> None:
    dev = await stage(api)
    deploy = await put_deploy(api, deploy_record(dev["project"]["id"], dev["id"]))
    now = deploy.created_at
    ledger = ReceiptLedger(
        since=now,
        counted={
            "old": SideCounts(answered=31, in_flight=2),
            "new": SideCounts(answered=377, failed_5xx=1, aborted=3, left_by_client=2),
        },
        turned_away=1,
        dark_s=1.5,
        missed="HAProxy was restarted",
    ).routed_away(["old"], "new", now)
    await api.store.write(lambda tx: tx.put_receipt_ledger(deploy.id, ledger))

    shown = (await api.caller.get(f"/api/deploys/{deploy.id}")).json["receipt"]

    assert shown["old"] == {
        "requests": 31,
        "answered": 31,
        "failed_5xx": 0,
        "aborted": 0,
        "left_by_client": 0,
        "in_flight": 2,
    }
    assert (shown["new"]["requests"], shown["requests"], shown["failed"]) == (381, 412, 5)
    assert (shown["longest_drain_s"], shown["downtime_s"], shown["turned_away"]) == (0, 1.5, 1)
    assert (shown["complete"], shown["reason"]) == (False, "HAProxy was restarted")
    assert shown["until"] is None
    (listed,) = (await api.caller.get("/api/deploys")).json["items"]
    assert listed["receipt"] == shown


async def test_gitea_knows_tags_in_lower_case(api: Api) -> None:
    await api.caller.post(
        "/api/registries", {"name": "Ours", "url": "https://git.example.com", "kind": "gitea"}
    )
    dev = await stage(api)

    deploy = (await api.caller.post(f"/api/stages/{dev['id']}/deploys", {"tag": "V1-RC"})).json

    assert deploy["tag"] == "v1-rc"


@pytest.mark.parametrize(
    "tag", ["", "a" * 129, "-x", ".x", "a b", "a/b", "a:b", "é", "a\u0000", "$(id)", None, 1]
)
async def test_what_is_no_tag_is_refused(api: Api, tag: object) -> None:
    dev = await stage(api)

    answer = await api.caller.post(f"/api/stages/{dev['id']}/deploys", {"tag": tag})

    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "tag")
    assert (await api.caller.get("/api/deploys")).json["items"] == []


async def test_an_unknown_stage_is_404(api: Api) -> None:
    assert (await api.caller.post(f"/api/stages/{'0' * 24}/deploys", {"tag": "v1"})).status == 404


async def test_deploys_are_filtered_and_come_newest_first_in_pages(api: Api) -> None:
    dev, other = await stage(api), await stage(api, "git.example.com/acme/other")
    project_id = dev["project"]["id"]
    made = [
        await put_deploy(api, deploy_record(project_id, dev["id"], f"v{number}", status))
        for number, status in enumerate(
            [DeployStatus.SUCCEEDED, DeployStatus.FAILED, DeployStatus.SUCCEEDED]
        )
    ]
    foreign = await put_deploy(api, deploy_record(other["project"]["id"], other["id"]))

    async def ids(query: str) -> list[str]:
        answer = await api.caller.get(f"/api/deploys?{query}")
        assert answer.status == 200
        return [item["id"] for item in answer.json["items"]]

    newest_first = [deploy.id for deploy in reversed(made)]
    assert await ids("") == [foreign.id, *newest_first]
    assert await ids(f"project={project_id}") == newest_first
    assert await ids(f"stage={dev['id']}") == newest_first
    assert await ids(f"stage={dev['id']}&status=failed") == [made[1].id]
    assert await ids("status=failed&status=succeeded") == [foreign.id, *newest_first]
    assert (
        await ids("project=unknown")
        == await ids("stage=%00")
        == await ids(f"project={'0' * 24}")
        == []
    )
    page = (await api.caller.get(f"/api/deploys?stage={dev['id']}&limit=2")).json
    assert [item["id"] for item in page["items"]] == newest_first[:2]
    assert await ids(f"stage={dev['id']}&limit=2&cursor={page['next']}") == newest_first[2:]
    assert (await api.caller.get("/api/deploys?status=lost")).status == 422


async def test_instances_are_shown_with_their_address(api: Api) -> None:
    dev = await stage(api)
    project_id = dev["project"]["id"]
    stopped = await put_instance(api, project_id, dev["id"], InstanceState.STOPPED)
    live = await put_instance(api, project_id, dev["id"], InstanceState.LIVE)

    listed = (await api.caller.get(f"/api/instances?stage={dev['id']}")).json["items"]

    assert [item["container"] for item in listed] == [live, stopped]
    assert listed[0] | {"id": "", "started_at": "", "deploy": ""} == {
        "id": "",
        "project": dev["project"],
        "stage": {"id": dev["id"], "name": "dev"},
        "deploy": "",
        "tag": "v1",
        "digest": DIGEST,
        "state": "live",
        "url": "http://127.0.0.1:40001",
        "address": None,
        "container": live,
        "started_at": "",
        "stopped_at": None,
        **dict.fromkeys(
            ["running", "restarting", "paused", "restarts", "health", "trouble", "trouble_since"]
        ),
    }
    only_live = (await api.caller.get(f"/api/instances?project={project_id}&state=live")).json[
        "items"
    ]
    assert [item["container"] for item in only_live] == [live]
    assert (await api.caller.get("/api/instances?stage=unknown")).json["items"] == []


async def test_logs_are_the_last_lines(api: Api) -> None:
    dev = await stage(api)
    container = await put_instance(api, dev["project"]["id"], dev["id"], InstanceState.LIVE)
    for number in range(150):
        api.engine.say(container, f"line {number}")
    instance = (await api.caller.get("/api/instances")).json["items"][0]["id"]

    default = await api.caller.get(f"/api/instances/{instance}/logs")
    two = await api.caller.get(f"/api/instances/{instance}/logs?tail=2")

    assert len(default.json["lines"]) == 100
    assert two.json == {"lines": ["line 148", "line 149"]}
    for tail in ("0", "10001", "x", str(2**70)):
        assert (await api.caller.get(f"/api/instances/{instance}/logs?tail={tail}")).status == 422


async def test_logs_show_no_secret_of_the_app(api: Api) -> None:
    dev = await stage(api)
    await api.caller.patch(f"/api/stages/{dev['id']}", {"secrets": {"PASSWORD": "S3CR3T-needle"}})
    container = await put_instance(api, dev["project"]["id"], dev["id"], InstanceState.LIVE)
    api.engine.say(container, "PASSWORD=S3CR3T-needle")
    instance = (await api.caller.get("/api/instances")).json["items"][0]["id"]
    assert (await api.caller.get(f"/api/instances/{instance}/logs")).json == {
        "lines": ["PASSWORD=***"]
    }


async def test_the_log_of_a_container_that_is_gone_is_404(api: Api) -> None:
    dev = await stage(api)
    container = await put_instance(api, dev["project"]["id"], dev["id"], InstanceState.STOPPED)
    await api.engine.remove(container)
    instance = (await api.caller.get("/api/instances")).json["items"][0]["id"]

    answer = await api.caller.get(f"/api/instances/{instance}/logs")

    assert answer.status == 404
    assert answer.json["detail"] == f"the container {container} is gone, and its log with it"
    assert (
        (await api.caller.get(f"/api/instances/{'0' * 24}/logs"))
        .json["detail"]
        .startswith("there is no instance")
    )
