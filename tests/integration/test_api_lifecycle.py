"""Restart, stop and start over HTTP. What they do is shown in test_stage_life.py."""

from pathlib import Path
from typing import Any

import pytest

from tagboat.core.deploy import InstanceState
from tests.support.api import Api, running_api
from tests.support.asgi import Answer
from tests.support.records import DIGEST, put_instance

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(tmp_path: Path) -> Any:  # noqa: ANN401 - pytest knows
    with running_api(tmp_path) as running:
        yield running


async def live_stage(api: Api) -> str:
    stages = [{"name": "dev", "tag_pattern": "*"}]
    body = {"name": "app", "image": "git.example.com/acme/app", "stages": stages}
    made = (await api.caller.post("/api/projects", body)).json
    stage = str(made["stages"][0]["id"])
    await put_instance(api, made["id"], stage, InstanceState.LIVE)
    return stage


async def order(api: Api, stage: str, verb: str, body: object = None) -> Answer:
    path = f"/api/stages/{stage}/{verb}"
    return await (api.caller.post(path) if body is None else api.caller.post(path, body))


async def audited(api: Api) -> list[tuple[str, str]]:
    entries = (await api.caller.get("/api/audit")).json["items"]
    return [(one["action"], one["note"]) for one in entries if one["action"].startswith("stage.")]


async def test_a_restart_is_answered_with_its_deploy(api: Api) -> None:
    stage = await live_stage(api)
    answer = await order(api, stage, "restart", {"note": "hangs"})
    deploy = answer.json
    assert (answer.status, deploy["tag"], deploy["digest"]) == (202, "v1", DIGEST)
    assert (deploy["trigger"], deploy["status"], deploy["note"]) == ("manual", "queued", "hangs")
    assert deploy["deploys"] == [deploy["id"]]
    assert answer.headers["location"] == f"/api/deploys/{deploy['id']}"
    assert (await audited(api))[0] == ("stage.restart", "v1")


async def test_a_stop_is_shown_everywhere_and_a_start_ends_it(api: Api) -> None:
    stage = await live_stage(api)
    stopped = await order(api, stage, "stop")
    assert (stopped.status, stopped.json["stopped_by"]) == (202, "TAGBOAT_ADMIN_TOKEN")
    again = await order(api, stage, "stop")
    assert (again.status, again.json) == (202, stopped.json)
    (shown,) = (await api.caller.get("/api/stages")).json["items"]
    assert shown["stopped_at"] == stopped.json["stopped_at"]
    overview = (await api.caller.get("/api/overview?project=app")).json
    assert overview["items"][0]["stage"]["stopped_at"] == stopped.json["stopped_at"]
    assert (overview["needs"], overview["items"][0]["needs_you"]) == ([], [])
    assert (await api.caller.get("/api/instances?state=live")).json["items"] == []

    pushed = await api.caller.get("/api/explain?image=git.example.com/acme/app:v2")
    assert pushed.json["outcome"] == "waiting"
    assert pushed.json["reason"] == "tag v2 matches *, but the stage dev is stopped"

    started = await order(api, stage, "start")
    assert (started.status, started.json["reason"]) == (202, "v1 is started again")
    (deploy,) = started.json["deploys"]
    assert (await api.caller.get(f"/api/deploys/{deploy}")).json["digest"] == DIGEST
    twice = await order(api, stage, "start")
    assert (twice.status, twice.json["deploys"]) == (202, [deploy])
    assert await audited(api) == [
        ("stage.start", "v1"),
        ("stage.stop", ""),
        ("stage.create", ""),
    ]


async def test_starting_what_runs_changes_nothing(api: Api) -> None:
    stage = await live_stage(api)
    answer = await order(api, stage, "start")
    assert (answer.status, answer.json["deploys"]) == (202, [])
    assert answer.json["reason"] == "it is running already; nothing was changed"
    assert await audited(api) == [("stage.create", "")]


async def test_what_cannot_be_done_says_what_to_do(api: Api) -> None:
    stage = await live_stage(api)
    await api.caller.post(f"/api/stages/{stage}/deploys", {"tag": "v2"})
    for verb in ("restart", "stop"):
        answer = await order(api, stage, verb)
        assert answer.status == 409
        assert "tagboat cancel app dev" in answer.json["detail"]
    assert (await order(api, "0" * 24, "stop")).status == 404
    assert (await order(api, stage, "start", {"force": True})).status == 422
