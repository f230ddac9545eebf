"""Composed calls: the overview, all stages, a stage's log, cancelling a stage; filters by name."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, event

from tagboat.api.app import api_routes
from tagboat.api.pagination import write_cursor
from tagboat.core.catalog import HeldPush, run_config
from tagboat.core.deploy import (
    DeployStatus,
    Instance,
    InstanceState,
    Step,
    StepName,
    StepStatus,
)
from tagboat.core.errors import RegistryNotFoundError, RegistryUnreachableError
from tagboat.core.health import Trouble, Vitals
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageName
from tagboat.core.polling import PollState
from tagboat.core.ports import Tx
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec
from tests.support.api import Api, running_api
from tests.support.endpoints import at
from tests.support.records import deploy_record, put_deploy

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
NOBODY = "0" * 24


@pytest.fixture
async def api(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Api]:  # noqa: ARG001 - it runs this
    with running_api(tmp_path) as api:
        yield api


async def make(api: Api, name: str, *stages: str) -> tuple[str, list[str]]:
    """Make a project with stages; return the ids."""
    body = {
        "name": name,
        "image": f"git.example.com/acme/{name}",
        "stages": [{"name": stage, "tag_pattern": f"{stage}*"} for stage in stages],
    }
    made = (await api.caller.post("/api/projects", body)).json
    return made["id"], [stage["id"] for stage in made["stages"]]


async def ran(
    api: Api,
    project: str,
    stage: str,
    tag: str,
    state: InstanceState,
    *,
    status: DeployStatus = DeployStatus.SUCCEEDED,
    log: str = "",
) -> Instance:
    """Put on record that a deploy made an instance; its tag ends with the digit of its digest."""
    digest = Digest(f"sha256:{tag[-1] * 64}")
    deploy = replace(deploy_record(project, stage, tag, status), digest=digest, log=log)
    instance = Instance(
        id=new_id(),
        deploy_id=deploy.id,
        project_id=project,
        stage_id=stage,
        tag=tag,
        digest=digest,
        state=state,
        container=f"app-{deploy.id}",
        endpoints=(at(40000),),
        fingerprint=tag[-1],
        started_at=NOON,
        stopped_at=NOON if state.final else None,
    )

    def work(tx: Tx) -> None:
        tx.add_deploy(deploy)
        tx.put_deploy_config(deploy.id, run_config(tx.project(project), tx.stage(stage)))
        tx.add_instance(instance)

    await api.store.write(work)
    return instance


def hold_push(push: HeldPush, tx: Tx) -> None:
    tx.add_held_push(push)


async def writes(api: Api, instance: Instance, *lines: str) -> None:
    """Run the container of an instance, which writes `lines`."""
    image = ImageName("git.example.com", "acme/app")
    api.engine.publish(image, instance.digest)
    await api.engine.pull(image, instance.digest, None, lambda _: None)
    await api.engine.create(
        WorkloadSpec(name=instance.container, image=f"{image}@{instance.digest}", labels={})
    )
    await api.engine.start(instance.container)
    for line in lines:
        api.engine.say(instance.container, line)


@contextmanager
def statements() -> Iterator[list[str]]:
    """Gather the statements that read from any database."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


# The overview.


async def test_the_overview_has_what_is_live_under_way_and_waiting(api: Api) -> None:
    project, (dev, prod) = await make(api, "app", "dev", "prod")
    old = await ran(api, project, dev, "v1", InstanceState.STOPPED)
    live = await ran(api, project, dev, "v2", InstanceState.LIVE)
    queued = await put_deploy(api, deploy_record(project, dev, "v3", DeployStatus.QUEUED))
    push = HeldPush(stage_id=dev, tag="v4", digest=None, source="webhook", seen_at=NOON)
    await api.store.write(lambda tx: tx.add_held_push(push))

    answer = (await api.caller.get("/api/overview")).json

    first, second = answer["items"]
    assert answer["next"] is None
    assert first["project"] == {"id": project, "name": "app"}
    assert first["stage"] == (await api.caller.get(f"/api/stages/{dev}")).json
    assert [one["id"] for one in first["live"]] == [live.id]
    assert [one["id"] for one in first["under_way"]] == [queued.id]
    assert first["last_deploy"]["id"] == queued.id
    assert [one["tag"] for one in first["waiting"]] == ["v4"]
    assert first["way_back"] == {
        "possible": True,
        "reason": "",
        "deploy": old.deploy_id,
        "tag": "v1",
        "digest": old.digest,
    }
    assert first["way_back"] == (await api.caller.get(f"/api/stages/{dev}/rollback")).json
    assert (first["warnings"], first["needs_you"]) == ([], [])
    assert (second["stage"]["id"], second["live"], second["last_deploy"]) == (prod, [], None)
    nowhere = (await api.caller.get(f"/api/stages/{prod}/rollback")).json
    assert second["way_back"] == nowhere
    assert "nothing was ever live" in nowhere["reason"]


async def test_the_way_back_of_each_stage_is_that_of_a_rollback(api: Api) -> None:
    project, stages = await make(api, "app", "a", "b", "c", "d", "e")
    for stage in stages[1:]:
        await ran(api, project, stage, "v1", InstanceState.STOPPED)
        await ran(api, project, stage, "v2", InstanceState.STOPPED)
    await ran(api, project, stages[2], "v2", InstanceState.LIVE)
    await ran(api, project, stages[3], "v3", InstanceState.LIVE)
    await api.caller.post(f"/api/stages/{stages[3]}/rollback")
    running = replace(
        deploy_record(project, stages[4], "v4", DeployStatus.RUNNING),
        steps=tuple(Step(name) for name in StepName),
    )
    await ran(api, project, stages[4], "v3", InstanceState.LIVE)
    await put_deploy(api, running)

    found = (await api.caller.get("/api/overview")).json["items"]

    for stage, row in zip(stages, found, strict=True):
        assert row["way_back"] == (await api.caller.get(f"/api/stages/{stage}/rollback")).json


@pytest.mark.parametrize(
    ("error", "possible"),
    [(RegistryNotFoundError("gone"), False), (RegistryUnreachableError("silent"), True)],
)
async def test_a_way_back_is_possible_unless_its_image_is_nowhere(
    api: Api, error: RegistryNotFoundError | RegistryUnreachableError, possible: bool
) -> None:
    project, (dev,) = await make(api, "app", "dev")
    await ran(api, project, dev, "v1", InstanceState.STOPPED)
    await ran(api, project, dev, "v2", InstanceState.LIVE)
    api.registries.error = error

    (row,) = (await api.caller.get("/api/overview")).json["items"]

    assert row["way_back"]["possible"] is possible
    assert row["way_back"]["tag"] == "v1"


async def test_the_overview_says_what_needs_a_person(api: Api) -> None:
    project, (dev,) = await make(api, "app", "dev")
    live = await ran(api, project, dev, "v2", InstanceState.LIVE)
    vitals = Vitals(
        instance_id=live.id,
        running=False,
        restarting=True,
        paused=False,
        restarts=7,
        health=None,
        trouble=Trouble.CRASH_LOOP,
        detail="it ends again and again",
        changed_at=NOON,
    )

    def work(tx: Tx) -> None:
        tx.put_vitals(vitals)
        tx.put_poll_state(PollState(project_id=project, error="401 from git.example.com"))

    await api.store.write(work)
    (row,) = (await api.caller.get("/api/overview")).json["items"]

    assert row["needs_you"] == [
        "v2: it ends again and again",
        "polls of app fail: 401 from git.example.com",
    ]
    assert row["live"][0]["trouble"] == "it ends again and again"


async def test_the_overview_warns_of_stages_that_no_tag_reaches(api: Api) -> None:
    project, _ = await make(api, "app", "dev")
    body = {"name": "prod", "tag_pattern": "dev1", "position": 1}
    saved = (await api.caller.post(f"/api/projects/{project}/stages", body)).json

    rows = (
        await api.caller.get(
            "/api/overview",
        )
    ).json["items"]

    assert saved["warnings"]
    assert rows[1]["warnings"] == saved["warnings"]


async def test_the_overview_comes_in_pages_in_order_of_project_and_position(api: Api) -> None:
    for name in ("beta", "alpha"):
        await make(api, name, "a", "b", "c")
    seen: list[tuple[str, str]] = []
    cursor = ""
    while cursor is not None:
        page = (await api.caller.get(f"/api/overview?limit=2&cursor={cursor}")).json
        assert len(page["items"]) <= 2
        seen += [(row["project"]["name"], row["stage"]["name"]) for row in page["items"]]
        cursor = page["next"]

    assert seen == [(project, stage) for project in ("alpha", "beta") for stage in ("a", "b", "c")]


async def test_a_cursor_of_another_list_is_refused_by_every_list(api: Api) -> None:
    (project, _), (other, _) = [await make(api, name, "dev", "prod") for name in ("app", "other")]
    for number in range(2):
        forge = {"name": f"forge{number}", "url": f"https://git{number}.example.com"}
        await api.caller.post("/api/registries", forge)
    lists = [
        *("/api/projects", "/api/stages", "/api/overview", "/api/registries"),
        *(f"/api/projects/{one}/stages" for one in (project, other)),
        *("/api/deploys", "/api/instances", "/api/deliveries"),
        *(f"/api/projects/{project}/{part}" for part in ("tags", "webhooks")),
    ]
    first_pages = {path: (await api.caller.get(f"{path}?limit=1")).json for path in lists}
    cursors = {path: page["next"] for path, page in first_pages.items() if page["next"]}
    assert len(cursors) == 6

    for path in lists:
        for of, cursor in cursors.items():
            answer = await api.caller.get(f"{path}?cursor={cursor}")
            if path == of:
                assert answer.status == 200
            else:
                assert (answer.status, answer.json["errors"][0]["field"]) == (422, "cursor")
                assert "is of another list" in answer.json["detail"]
    forged_keys = [
        write_cursor("/api/stages", key)
        for key in ("alpha", "alpha x beta", "alpha 99999999999999999999 beta")
    ]
    for forged in ("ab", "3030", "303030303030" + "70", *forged_keys):
        answer = await api.caller.get(f"/api/stages?cursor={forged}")
        assert answer.status == 422


@pytest.mark.parametrize("by_id", [True, False])
async def test_the_overview_is_limited_to_a_project_and_a_stage(api: Api, by_id: bool) -> None:
    project, (dev, _) = await make(api, "app", "dev", "prod")
    await make(api, "other", "dev")

    async def found(query: str) -> list[tuple[str, str]]:
        rows = (await api.caller.get(f"/api/overview?{query}")).json["items"]
        return [(row["project"]["name"], row["stage"]["name"]) for row in rows]

    asked, stage = (project, dev) if by_id else ("app", "dev")
    assert await found(f"project={asked}") == [("app", "dev"), ("app", "prod")]
    assert await found(f"project={asked}&stage={stage}") == [("app", "dev")]
    assert await found("stage=dev") == [("app", "dev"), ("other", "dev")]
    assert await found("project=nobody") == []
    assert await found("project=%00") == []


async def test_the_number_of_statements_does_not_grow_with_projects(api: Api) -> None:
    first, _ = await make(api, "first", "dev")
    paths = [
        *("overview", "stages", "projects", "deploys", "instances", "deliveries", "registries"),
        *(f"{path}?project=app0" for path in ("overview", "stages", "deploys", "instances")),
        *(f"projects/{first}/{path}" for path in ("stages", "tags", "webhooks")),
    ]

    async def count() -> dict[str, int]:
        counts = {}
        for path in paths:
            with statements() as found:
                answer = await api.caller.get(f"/api/{path}{'&' if '?' in path else '?'}limit=200")
            assert answer.status == 200
            counts[path] = len(found)
        with statements() as found:
            assert (await api.caller.get("/metrics")).status == 200
        return counts | {"metrics": len(found)}

    async def fill_first(number: int) -> None:
        body = {"name": f"stage{number}", "tag_pattern": f"stage{number}-*", "position": number}
        made = (await api.caller.post(f"/api/projects/{first}/stages", body)).json["id"]
        await api.caller.post(f"/api/stages/{made}/deploys", {"tag": f"v{number}"})
        await api.caller.post(f"/api/projects/{first}/webhooks", {"name": f"hook{number}"})

    async def fill(number: int) -> None:
        project, stages = await make(api, f"app{number}", "dev", "prod")
        for stage in stages:
            await ran(api, project, stage, "v1", InstanceState.STOPPED)
            await ran(api, project, stage, "v2", InstanceState.LIVE)
            await put_deploy(api, deploy_record(project, stage, "v3", DeployStatus.QUEUED))
            push = HeldPush(stage_id=stage, tag="v4", digest=None, source="poll", seen_at=NOON)
            await api.store.write(partial(hold_push, push))
        body = {"name": f"r{number}", "url": f"https://r{number}.example.com", "kind": "oci"}
        assert (await api.caller.post("/api/registries", body)).status == 201
        hook = f"/api/projects/{project}/webhooks"
        url = (await api.caller.post(hook, {"name": "ci"})).json["url"]
        push_body = {"image": f"git.example.com/acme/app{number}:v5"}
        assert (await api.anonymous.post(urlsplit(url).path, push_body)).status == 202

    await fill(0)
    await fill_first(0)
    at_one = await count()
    for number in range(1, 30):
        await fill(number)
        await fill_first(number)

    assert await count() == at_one
    assert len((await api.caller.get("/api/overview?limit=200")).json["items"]) == 91


# All stages.


async def test_stages_are_found_by_name_and_project(api: Api) -> None:
    project, (dev, prod) = await make(api, "app", "dev", "prod")
    _, (other,) = await make(api, "other", "dev")

    async def found(query: str) -> list[str]:
        answer = (await api.caller.get(f"/api/stages{query}")).json
        return [stage["id"] for stage in answer["items"]]

    assert await found("") == [dev, prod, other]
    assert await found("?name=dev") == [dev, other]
    assert await found("?project=app&name=dev") == [dev]
    assert await found(f"?project={project}") == [dev, prod]
    assert await found("?limit=1") == [dev]


# Filters by name.


@pytest.mark.parametrize("path", ["deploys", "instances"])
async def test_lists_are_limited_by_names(api: Api, path: str) -> None:
    project, (dev, _) = await make(api, "app", "dev", "prod")
    other, (other_dev,) = await make(api, "other", "dev")
    await ran(api, project, dev, "v1", InstanceState.LIVE)
    await ran(api, other, other_dev, "v2", InstanceState.LIVE)

    async def found(query: str) -> list[str]:
        answer = await api.caller.get(f"/api/{path}?{query}")
        return [one["tag"] for one in answer.json["items"]]

    assert await found("project=app") == ["v1"]
    assert await found("project=app&stage=dev") == ["v1"]
    assert await found(f"project={other}&stage=dev") == ["v2"]
    assert await found(f"stage={dev}") == ["v1"]
    assert await found("project=app&stage=prod") == []
    assert await found("project=app&stage=nobody") == []
    assert await found("stage=prod") == []
    assert await found("project=nobody") == []
    assert await found(f"stage={NOBODY}") == []

    several = await api.caller.get(f"/api/{path}?stage=dev")
    assert (several.status, several.json["detail"]) == (
        422,
        "stage: several projects have a stage named dev: add project=NAME",
    )


# Unknown parameters.


async def test_scrapers_may_add_parameters(api: Api) -> None:
    assert (await api.caller.get("/metrics?collect=all")).status == 200


async def test_unknown_parameters_are_refused_with_the_nearest_known_one(api: Api) -> None:
    project, _ = await make(api, "app", "dev")
    answer = await api.caller.get("/api/deploys?projct=app&stage=dev&zzz=1")
    assert answer.status == 422
    assert answer.json["errors"] == [
        {"field": "projct", "message": "there is no such parameter; did you mean project?"},
        {
            "field": "zzz",
            "message": (
                "there is no such parameter; known are: cursor, limit, project, stage, status"
            ),
        },
    ]
    without = await api.caller.get(f"/api/projects/{project}?x=1")
    assert without.json["detail"] == "x: there is no such parameter; known are: none"
    assert (await api.caller.get(f"/api/projects/{project}")).status == 200
    assert (await api.caller.patch("/api/settings?x=1", {})).status == 422


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("deploys?project=beta&project=shop", "project"),
        ("deploys?limit=1&limit=2", "limit"),
        ("deploys?limit=1&limit=1", "limit"),
        ("events?project=a&topic=deploy&project=b", "project"),
    ],
)
async def test_a_parameter_that_is_given_twice_is_refused(api: Api, query: str, name: str) -> None:
    answer = await api.caller.get(f"/api/{query}")
    assert answer.status == 422
    assert answer.json["errors"] == [
        {"field": name, "message": "is given more than once; give one value"}
    ]


async def test_lists_are_given_twice(api: Api) -> None:
    assert (await api.caller.get("/api/deploys?status=failed&status=running")).status == 200
    assert (await api.caller.get("/api/instances?state=live&state=failed&limit=10")).status == 200


async def test_integers_are_written_in_digits(api: Api) -> None:
    seen = set()
    for path, of in api_routes("1").openapi()["paths"].items():
        for given in of.get("get", {}).get("parameters", ()):
            forms = given["schema"].get("anyOf", [given["schema"]])
            if given["in"] != "query" or forms[0].get("type") != "integer":
                continue
            seen.add(given["name"])
            for text in ("1_0", "+1", "%2010", "1.0", "%D9%A1", ""):
                url = f"{re.sub('{[^}]+}', '0' * 24, path)}?{given['name']}={text}"
                answer = await api.caller.get(url)
                assert answer.status == 422, (url, answer.json)
                assert answer.json["errors"] == [
                    {"field": given["name"], "message": "must be a whole number, in digits"}
                ]
    assert seen == {"limit", "tail", "position", "last_event_id"}


async def test_open_addresses_take_any_parameter(api: Api) -> None:
    assert (await api.anonymous.get("/api/health/live?probe=1")).status == 200
    assert (await api.anonymous.get("/api/ingress/ask?domian=x")).status == 404


# The log of a stage.


async def log_of(api: Api, stage: str, query: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = (await api.caller.get(f"/api/stages/{stage}/logs{query}")).json
    return answer


async def test_the_log_of_a_stage_is_that_of_its_live_instance(api: Api) -> None:
    project, (dev,) = await make(api, "app", "dev")
    live = await ran(api, project, dev, "v1", InstanceState.LIVE)
    await writes(api, live, "one", "two", "three")

    answer = await log_of(api, dev, "?tail=2")

    assert (answer["source"], answer["instance"]["id"], answer["deploy"]) == (
        "instance",
        live.id,
        None,
    )
    assert answer["lines"] == ["two", "three"]


async def test_the_log_of_an_instance_that_starts_comes_after_the_live_one(api: Api) -> None:
    project, (dev,) = await make(api, "app", "dev")
    running = DeployStatus.RUNNING
    unborn = await ran(api, project, dev, "v2", InstanceState.STARTING, status=running)
    live = await ran(api, project, dev, "v1", InstanceState.LIVE)
    await writes(api, live, "old")
    assert (await log_of(api, dev))["lines"] == ["old"]

    await writes(api, unborn, "new")

    assert (await log_of(api, dev))["lines"] == ["old"]


async def test_the_log_of_the_first_instance_while_it_starts(api: Api) -> None:
    project, (dev,) = await make(api, "app", "dev")
    running = DeployStatus.RUNNING
    first = await ran(api, project, dev, "v1", InstanceState.STARTING, status=running)
    await writes(api, first, "hello")

    assert (await log_of(api, dev))["lines"] == ["hello"]


async def test_without_a_container_it_is_what_the_last_failed_deploy_kept(api: Api) -> None:
    project, (dev,) = await make(api, "app", "dev")
    await ran(
        api, project, dev, "v1", InstanceState.FAILED, status=DeployStatus.FAILED, log="a\nb\nc"
    )

    answer = await log_of(api, dev, "?tail=2")

    assert (answer["source"], answer["deploy"]["tag"], answer["lines"]) == (
        "deploy",
        "v1",
        ["b", "c"],
    )


async def test_a_stage_without_any_log(api: Api) -> None:
    _, (dev,) = await make(api, "app", "dev")
    assert (await log_of(api, dev))["detail"] == (
        "nothing runs in app dev, and no failed deploy has left a log;"
        " deploy with 'tagboat deploy app dev TAG'"
    )
    assert (await log_of(api, NOBODY))["status"] == 404


# Cancelling a stage.


async def test_all_deploys_of_a_stage_are_cancelled_at_once(api: Api) -> None:
    project, (dev, prod) = await make(api, "app", "dev", "prod")
    running = await put_deploy(api, deploy_record(project, dev, "v1", DeployStatus.RUNNING))
    queued = await put_deploy(api, deploy_record(project, dev, "v2", DeployStatus.QUEUED))
    other = await put_deploy(api, deploy_record(project, prod, "v3", DeployStatus.QUEUED))

    answer = await api.caller.post(f"/api/stages/{dev}/cancel")

    assert answer.status == 202
    assert [(one["id"], one["status"], one["cancelling"]) for one in answer.json["items"]] == [
        (queued.id, "cancelled", False),
        (running.id, "running", True),
    ]
    assert (await api.caller.get(f"/api/deploys/{other.id}")).json["status"] == "queued"


async def test_one_that_is_too_late_to_cancel_does_not_stop_the_others(api: Api) -> None:
    project, (dev,) = await make(api, "app", "dev")
    steps = tuple(
        Step(name, StepStatus.RUNNING if name is StepName.RETIRE else StepStatus.DONE)
        for name in StepName
    )
    late = replace(deploy_record(project, dev, "v1", DeployStatus.RUNNING), steps=steps)
    await put_deploy(api, late)
    refused = await api.caller.post(f"/api/stages/{dev}/cancel")
    queued = await put_deploy(api, deploy_record(project, dev, "v2", DeployStatus.QUEUED))

    answer = await api.caller.post(f"/api/stages/{dev}/cancel")

    assert (refused.status, refused.json["detail"]) == (
        409,
        "v1 is live and the old instance is being stopped; roll back instead",
    )
    assert [one["id"] for one in answer.json["items"]] == [queued.id]


async def test_nothing_to_cancel_is_a_conflict(api: Api) -> None:
    _, (dev,) = await make(api, "app", "dev")
    answer = await api.caller.post(f"/api/stages/{dev}/cancel")
    assert (answer.status, answer.json["detail"]) == (
        409,
        "nothing is queued or running in app dev",
    )
    assert (await api.caller.post(f"/api/stages/{NOBODY}/cancel")).status == 404
