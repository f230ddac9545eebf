"""One-off commands over HTTP: what they get, what is masked, who is told, and what stays."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.deploy import InstanceState
from tagboat.core.errors import EngineUnavailableError
from tagboat.core.image import ImageName
from tagboat.core.workload import WorkloadSpec
from tagboat.deploy import one_offs
from tagboat.runtime.memory import MemoryImage
from tests.support.api import Api, running_api
from tests.support.asgi import Answer
from tests.support.records import DIGEST, put_instance

pytestmark = pytest.mark.anyio
IMAGE = ImageName("git.example.com", "acme/app")
SECRET = "correct-horse-battery"


@pytest.fixture
async def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - pytest knows
    monkeypatch.setattr(one_offs, "_SILENCE_S", 0.01)
    with running_api(tmp_path) as running:
        yield running


async def stage_of(api: Api, content: MemoryImage, *, live: bool = True) -> str:
    """Make a project with a stage, and let an instance of an image that does that be live in it."""
    stage = {
        "name": "dev",
        "tag_pattern": "*",
        "env": {"COLOUR": "blue"},
        "secrets": {"PASSWORD": SECRET},
        "volumes": {"data": "/data"},
        "networks": ["backend"],
    }
    body = {"name": "app", "image": str(IMAGE), "stages": [stage]}
    made = (await api.caller.post("/api/projects", body)).json
    api.engine.publish(IMAGE, DIGEST, content)
    api.engine.add_network("backend")
    await api.engine.pull(IMAGE, DIGEST, None, lambda _: None)
    stage_id = str(made["stages"][0]["id"])
    if live:
        await put_instance(api, made["id"], stage_id, InstanceState.LIVE)
    return stage_id


async def run(api: Api, stage: str, *command: str, **more: Any) -> Answer:  # noqa: ANN401 - any field
    return await api.caller.post(f"/api/stages/{stage}/runs", {"command": list(command), **more})


def events(answer: Answer) -> list[tuple[str, Any]]:
    found = []
    for block in filter(None, answer.body.decode().split("\n\n")):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def test_output_and_exit_code_come_and_nothing_stays(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await stage_of(api, MemoryImage(log=("hello", f"it is {SECRET}"), exit_code=7))
    specs: list[WorkloadSpec] = []
    create = api.engine.create

    async def seen(spec: WorkloadSpec) -> str:
        specs.append(spec)
        return await create(spec)

    monkeypatch.setattr(api.engine, "create", seen)
    answer = await run(api, stage, "bin/console", "cache:clear")

    assert (answer.status, answer.headers["content-type"]) == (
        200,
        "text/event-stream; charset=utf-8",
    )
    (first, began), *lines, last = events(answer)
    assert (first, began["container"].startswith("app-dev-run-")) == ("started", True)
    assert [(name, data["text"]) for name, data in lines] == [
        ("line", "hello"),
        ("line", "it is ***"),
    ]
    assert last == ("end", {"exit_code": 7})
    (spec,) = specs
    assert (spec.command, spec.entrypoint, spec.image) == (
        ("bin/console", "cache:clear"),
        (),
        f"{IMAGE}@{DIGEST}",
    )
    assert dict(spec.env) == {"COLOUR": "blue", "PASSWORD": SECRET}
    assert list(spec.volumes.values()) == ["/data"]
    assert spec.networks == ("backend",)
    assert (spec.restarts, spec.port, spec.publish, spec.aliases) == (False, 0, (), {})
    assert spec.labels["tagboat.role"] == "run"
    assert "tagboat.deploy" not in spec.labels
    left = [one.name for one in await api.engine.list_workloads({})]
    assert len(left) == 1
    assert await api.store.read(lambda reader: reader.one_offs()) == []


async def test_the_audit_names_the_command_without_secrets(api: Api) -> None:
    stage = await stage_of(api, MemoryImage(exit_code=0))
    await run(api, stage, "sh", "-c", f"curl -u x:{SECRET} example.com")
    (entry,) = (await api.caller.get("/api/audit?action=stage.run")).json["items"]
    assert (entry["subject"]["name"], entry["note"]) == ("dev", "sh -c 'curl -u x:*** example.com'")


async def test_one_that_is_left_is_ended(api: Api) -> None:
    stage = await stage_of(api, MemoryImage(log=("working",)))
    started = await api.operations.one_offs.run(stage, ["sleep", "60"])
    output = started.output()
    assert (await anext(output)).text == "working"
    assert len(await api.engine.list_workloads({})) == 2
    await output.aclose()
    assert len(await api.engine.list_workloads({})) == 1
    assert await api.store.read(lambda reader: reader.one_offs()) == []


async def test_after_its_time_it_is_ended(api: Api) -> None:
    stage = await stage_of(api, MemoryImage())
    answer = await run(api, stage, "sleep", "60", timeout_s=1)
    assert events(answer)[-1] == (
        "error",
        {"detail": "the command was still running after 1 s and was ended"},
    )
    assert len(await api.engine.list_workloads({})) == 1


async def test_one_that_cannot_be_started_says_why(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await stage_of(api, MemoryImage())
    api.engine._images[f"{IMAGE}@{DIGEST}"] = MemoryImage(start_error="exec: nope: not found")
    answer = await run(api, stage, "nope")
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "command"
    assert re.search(
        r"cannot be run in app dev: .* the container app-dev-run-\w+: exec: nope: not found",
        answer.json["detail"],
    )
    assert len(await api.engine.list_workloads({})) == 1

    async def away(_spec: WorkloadSpec) -> str:
        raise EngineUnavailableError("the engine is away")

    monkeypatch.setattr(api.engine, "create", away)
    assert (await run(api, stage, "nope")).status == 503
    assert await api.store.read(lambda reader: reader.one_offs()) == []


async def test_where_nothing_is_live_it_says_what_to_do(api: Api) -> None:
    stage = await stage_of(api, MemoryImage(), live=False)
    answer = await run(api, stage, "true")
    assert (answer.status, "'tagboat deploy app dev TAG'" in answer.json["detail"]) == (409, True)
    await api.caller.post(f"/api/stages/{stage}/stop")
    answer = await run(api, stage, "true")
    assert (answer.status, "'tagboat start app dev'" in answer.json["detail"]) == (409, True)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"command": []},
        {"command": [""]},
        {"command": "ls -l"},
        {"command": ["a\0b"]},
        {"command": ["ls"], "timeout_s": 0},
        {"command": ["ls"], "tty": True},
    ],
)
async def test_what_cannot_be_run_is_refused(api: Api, body: object) -> None:
    stage = await stage_of(api, MemoryImage())
    assert (await api.caller.post(f"/api/stages/{stage}/runs", body)).status == 422
