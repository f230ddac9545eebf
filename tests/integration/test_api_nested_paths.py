"""Paths of the host below what an app may write to: refused when saved, planned, adopted or run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.deploy import InstanceState
from tagboat.core.host_access import Bind
from tagboat.core.run import RunOptions
from tagboat.core.values import replace
from tests.integration.test_api_adopt import SPEC, adopt, run_theirs
from tests.integration.test_api_run import path_of, project, stage
from tests.support.api import Api, running_api
from tests.support.asgi import Answer
from tests.support.records import put_instance

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path, host_path=str) as api:
        yield api


def refused(answer: Answer, *says: str) -> None:
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "binds"), answer.body
    for words in says:
        assert words in answer.json["detail"]


async def patch(api: Api, thing: Any, **fields: object) -> Answer:  # noqa: ANN401 - JSON
    return await api.caller.patch(path_of(thing), fields)


async def test_a_stage_alone_with_its_project_and_with_others(api: Api) -> None:
    shop, blog = await project(api, "shop", binds=["/srv/a:/a"]), await project(api, "blog")
    body = {"name": "dev", "tag_pattern": "*", "binds": ["/srv/a/sub:/s:ro"]}
    stages = f"/api/projects/{shop['id']}/stages"
    refused(await api.caller.post(stages, body), "/srv/a/sub lies below /srv/a, which the stage")

    dev, prod = await stage(api, shop, "dev"), await stage(api, blog, "prod")
    refused(await patch(api, dev, binds=["/srv/a/sub:/s"]))
    refused(
        await patch(api, prod, binds=["/srv/a/sub:/s:ro"]),
        "/srv/a/sub of the stage prod of blog lies below /srv/a, which the stage dev of shop may",
        "bind /srv/a with :ro, or use a path that is not below it",
    )
    refused(await patch(api, prod, binds=["/srv:/s"]), "/srv/a of the stage dev of shop lies below")
    refused(await patch(api, blog, binds=["/srv/a/b:/s"]), "of the stage prod of blog lies")
    assert (await patch(api, prod, devices=["/srv/a/null"])).status == 422
    for binds in (["/srv/a:/s"], ["/srv:/s:ro"], ["/srv/b:/s"]):
        assert (await patch(api, prod, binds=binds)).status == 200


async def test_a_project_without_stages_and_one_that_is_made_with_some(api: Api) -> None:
    body: dict[str, Any] = {"name": "app", "image": "git.example.com/acme/app"}
    both = {"binds": ["/srv/a:/a", "/srv/a/sub:/s:ro"]}
    refused(await api.caller.post("/api/projects", body | both), "which the project app may write")
    lane = {"name": "dev", "tag_pattern": "*", "binds": ["/srv/a/sub:/s"]}
    several = {"binds": ["/srv/a:/a"], "stages": [lane]}
    assert (await api.caller.post("/api/projects", body | several)).status == 422
    # A stage that is made has the project's, too.
    made = await project(api, "app", binds=["/srv/a:/a"])
    await stage(api, await project(api, "other", binds=["/srv/a/sub:/s"]))
    lane = {"name": "dev", "tag_pattern": "*"}
    refused(await api.caller.post(f"/api/projects/{made['id']}/stages", lane))


async def saved_before(api: Api, *binds: str) -> tuple[Any, Any]:
    """Return a project and a stage, with binds from before there was a rule."""
    owner = await project(api)
    lane = await stage(api, owner)
    await api.store.write(
        lambda tx: tx.put_stage(replace(tx.stage(lane["id"]), run=RunOptions(binds=binds)))
    )
    return owner, lane


async def test_what_is_nested_already_is_named_and_keeps_nobody_from_other_changes(
    api: Api,
) -> None:
    nested = ["/srv/a:/a", "/srv/a/sub:/s:ro"]
    owner, lane = await saved_before(api, *nested)
    for thing in (owner, lane):
        assert (await patch(api, thing, memory="64m", env={"A": "1"})).status == 200
    saved = await patch(api, lane, binds=[*nested, "/srv/b:/b"])
    row = (await api.caller.get("/api/overview")).json["items"][0]
    for warnings in (saved.json["warnings"], row["warnings"]):
        assert "it cannot be deployed: /srv/a/sub lies below /srv/a" in "; ".join(warnings)
    refused(await patch(api, lane, binds=[*nested, "/srv/a/c:/c"]), "/srv/a/c lies below")
    mended = await patch(api, lane, binds=["/srv/a:/a:ro", "/srv/a/sub:/s:ro"])
    assert (mended.status, mended.json.get("warnings", [])) == (200, [])


async def test_no_command_is_run_with_it(api: Api) -> None:
    owner, lane = await saved_before(api, "/srv/a:/a", "/srv/a/sub:/s:ro")
    await put_instance(api, owner["id"], lane["id"], InstanceState.LIVE)
    body = {"command": ["true"], "timeout_s": 1}
    answer = await api.caller.post(f"/api/stages/{lane['id']}/runs", body)
    assert (answer.status, "lies below /srv/a" in answer.json["detail"]) == (409, True)


async def ask(api: Api, action: str, **projects: Any) -> Any:  # noqa: ANN401 - JSON
    document = {
        "projects": {
            name: {
                "image": f"git.example.com/acme/{name}",
                "stages": {
                    lane: {"tag_pattern": "*", "binds": binds} for lane, binds in stages.items()
                },
            }
            for name, stages in projects.items()
        }
    }
    answer = await api.caller.post(f"/api/config/{action}", {"document": document, "prune": True})
    return answer.json if answer.status == 200 else answer.json["errors"][0]


@pytest.mark.parametrize("action", ["plan", "apply"])
async def test_a_file_is_refused_for_what_it_leads_to(api: Api, action: str) -> None:
    said = await ask(api, action, a={"dev": ["/srv/a/sub:/s"]}, b={"dev": ["/srv/a:/a"]})
    assert said["field"] in {"projects.a.stages.dev.binds", "projects.b.stages.dev.binds"}
    assert "/srv/a/sub of the stage dev of a lies below /srv/a" in said["message"]

    assert "changes" in await ask(api, "apply", a={"dev": ["/srv/a:/a"]})
    said = await ask(
        api, action, a={"dev": ["/srv/a:/a", "/srv/z:/z"]}, b={"dev": ["/srv/a/sub:/s"]}
    )
    assert said["field"] == "projects.b.stages.dev.binds"
    # The path is given up, by a change or by the stage's end: in any order.
    afters: list[dict[str, Any]] = [
        {"a": {"dev": ["/srv/a:/a:ro"]}},
        {"a": {}},
        {"z": {"dev": ["/srv/a:/b:ro"]}},
    ]
    for after in afters:
        done = await ask(api, "plan", **after, b={"dev": ["/srv/a/sub:/s"]})
        assert "changes" in done, done


async def test_a_container_is_taken_over_without_it_by_force_only(api: Api) -> None:
    spec = replace(
        SPEC, binds=(Bind("/srv/a", "/a"), Bind("/srv/a/sub", "/s"), Bind("/srv/b", "/b"))
    )
    await run_theirs(api, spec)
    answer = await adopt(api)
    assert (answer.status, "binds: /srv/a/sub lies below" in answer.json["detail"]) == (409, True)
    forced = await adopt(api, force=True)
    assert forced.status == 200, forced.body
    assert forced.json["stage"]["options"]["binds"] == ["/srv/a:/a", "/srv/b:/b"]
