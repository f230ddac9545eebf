"""Rollback, promote, cancel, hold and release, over HTTP. What they do is shown in
test_orders.py.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.catalog import HeldPush, run_config
from tagboat.core.deploy import (
    DeployStatus,
    Instance,
    InstanceState,
    Step,
    StepName,
    StepStatus,
    Trigger,
)
from tagboat.core.errors import RegistryNotFoundError
from tagboat.core.ids import new_id
from tagboat.core.image import Digest
from tagboat.core.values import replace
from tests.support.api import Api, running_api
from tests.support.endpoints import at
from tests.support.pages import signed_in, words
from tests.support.records import deploy_record, put_deploy

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
NOBODY = "0" * 24


@dataclass(frozen=True)
class Scene:
    """A project `app` with the stages `dev` and `prod`."""

    api: Api
    project: str
    dev: str
    prod: str

    async def ran(
        self, stage: str, tag: str, digit: str, state: InstanceState, minute: int = 0
    ) -> str:
        """Put on record that a deploy made an instance, stopped at `minute` where it is; return
        the deploy's id.
        """
        digest = Digest(f"sha256:{digit * 64}")
        deploy = replace(deploy_record(self.project, stage, tag), digest=digest)
        instance = Instance(
            id=new_id(),
            deploy_id=deploy.id,
            project_id=self.project,
            stage_id=stage,
            tag=tag,
            digest=digest,
            state=state,
            container=f"app-{deploy.id}",
            endpoints=(at(40000),),
            fingerprint=digit,
            started_at=NOON,
            stopped_at=NOON + timedelta(minutes=minute) if state.final else None,
        )

        def work(tx: Any) -> None:  # noqa: ANN401 - a transaction
            tx.add_deploy(deploy)
            tx.put_deploy_config(deploy.id, run_config(tx.project(self.project), tx.stage(stage)))
            tx.add_instance(instance)

        await self.api.store.write(work)
        return deploy.id

    async def held(self) -> bool:
        return bool((await self.api.caller.get(f"/api/stages/{self.dev}")).json["held"])

    async def deploys(self) -> list[Any]:
        items: list[Any] = (await self.api.caller.get("/api/deploys")).json["items"]
        return items


@pytest.fixture
async def scene(tmp_path: Path) -> Any:  # noqa: ANN401 - pytest knows
    with running_api(tmp_path) as api:
        project = (
            await api.caller.post(
                "/api/projects", {"name": "app", "image": "git.example.com/acme/app"}
            )
        ).json["id"]
        stages = [
            (
                await api.caller.post(
                    f"/api/projects/{project}/stages", {"name": name, "tag_pattern": f"{name}*"}
                )
            ).json["id"]
            for name in ("dev", "prod")
        ]
        yield Scene(api, project, *stages)


async def test_rollback_queues_what_was_live_before_and_holds(scene: Scene) -> None:
    await scene.ran(scene.dev, "v1", "1", InstanceState.STOPPED, minute=1)
    await scene.ran(scene.dev, "v2", "2", InstanceState.STOPPED, minute=2)
    await scene.ran(scene.dev, "v3", "3", InstanceState.LIVE)

    answer = await scene.api.caller.post(f"/api/stages/{scene.dev}/rollback")

    deploy = answer.json
    assert answer.status == 202
    assert (deploy["tag"], deploy["digest"], deploy["trigger"]) == (
        "v2",
        "sha256:" + "2" * 64,
        "rollback",
    )
    assert deploy["status"] == "queued"
    assert await scene.held()


@pytest.mark.parametrize("body", [{}, {"to": None}, None])
async def test_rollback_may_say_nothing(scene: Scene, body: object) -> None:
    await scene.ran(scene.dev, "v1", "1", InstanceState.STOPPED)
    await scene.ran(scene.dev, "v2", "2", InstanceState.LIVE)

    assert (await scene.api.caller.post(f"/api/stages/{scene.dev}/rollback", body)).json[
        "tag"
    ] == "v1"


async def test_rollback_to_a_deploy_that_is_named(scene: Scene) -> None:
    first = await scene.ran(scene.dev, "v1", "1", InstanceState.STOPPED, minute=1)
    await scene.ran(scene.dev, "v2", "2", InstanceState.STOPPED, minute=2)

    answer = await scene.api.caller.post(f"/api/stages/{scene.dev}/rollback", {"to": first})

    assert (answer.status, answer.json["tag"]) == (202, "v1")


async def test_the_way_back_is_told_before_it_is_taken(scene: Scene) -> None:
    path = f"/api/stages/{scene.dev}/rollback"
    nothing = await scene.api.caller.get(path)
    first = await scene.ran(scene.dev, "v1", "1", InstanceState.STOPPED)
    await scene.ran(scene.dev, "v2", "2", InstanceState.LIVE)
    something = await scene.api.caller.get(path)
    scene.api.registries.error = RegistryNotFoundError("there is no such image")
    gone = await scene.api.caller.get(path)
    refused = await scene.api.caller.post(path)

    assert (nothing.json["possible"], nothing.json["tag"]) == (False, None)
    assert "nothing was ever live in the stage dev" in nothing.json["reason"]
    digest = "sha256:" + "1" * 64
    assert something.json == {
        "possible": True,
        "reason": "",
        "deploy": first,
        "tag": "v1",
        "digest": digest,
    }
    assert (gone.json["possible"], gone.json["tag"]) == (False, "v1")
    assert (refused.status, refused.json["detail"].startswith(gone.json["reason"])) == (409, True)
    assert not await scene.held()
    assert [one for one in await scene.deploys() if one["status"] == "queued"] == []


async def test_rollback_with_nothing_to_go_back_to_changes_nothing(scene: Scene) -> None:
    never = await scene.api.caller.post(f"/api/stages/{scene.dev}/rollback")
    live = await scene.ran(scene.dev, "v1", "1", InstanceState.LIVE)
    elsewhere = await scene.ran(scene.prod, "v9", "9", InstanceState.STOPPED)
    nothing = await scene.api.caller.post(f"/api/stages/{scene.dev}/rollback")
    foreign = await scene.api.caller.post(f"/api/stages/{scene.dev}/rollback", {"to": elsewhere})
    unknown = [
        await scene.api.caller.post(f"/api/stages/{scene.dev}/rollback", {"to": to})
        for to in (NOBODY, "\u0000")
    ]

    assert (never.status, nothing.status, foreign.status) == (409, 409, 409)
    assert (
        never.json["detail"]
        == "there is nothing to go back to: nothing was ever live in the stage dev"
    )
    assert (
        nothing.json["detail"]
        == "there is nothing to go back to: nothing was live before v1 in the stage dev"
    )
    assert elsewhere in foreign.json["detail"]
    assert [answer.status for answer in unknown] == [404, 404]
    assert not await scene.held()
    assert {deploy["id"] for deploy in await scene.deploys()} == {live, elsewhere}


@pytest.mark.parametrize(
    ("body", "field"), [({"to": 1}, "to"), ({"back": "x"}, "back"), ([], "body")]
)
async def test_what_rollback_does_not_understand(scene: Scene, body: object, field: str) -> None:
    answer = await scene.api.caller.post(f"/api/stages/{scene.dev}/rollback", body)

    assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)


async def test_promote_queues_the_digest_that_is_live_elsewhere(scene: Scene) -> None:
    await scene.ran(scene.dev, "v1", "1", InstanceState.LIVE)

    answer = await scene.api.caller.post(f"/api/stages/{scene.prod}/promote", {"from": scene.dev})

    deploy = answer.json
    assert answer.status == 202
    assert (deploy["stage"]["name"], deploy["tag"], deploy["trigger"]) == ("prod", "v1", "promote")
    assert deploy["digest"] == "sha256:" + "1" * 64


async def test_what_cannot_be_promoted(scene: Scene) -> None:
    path = f"/api/stages/{scene.prod}/promote"

    empty = await scene.api.caller.post(path, {"from": scene.dev})
    itself = await scene.api.caller.post(path, {"from": scene.prod})
    unknown = await scene.api.caller.post(path, {"from": NOBODY})
    said = [
        await scene.api.caller.post(path, body)
        for body in ({}, {"from": 1}, {"from": None}, {"source": scene.dev})
    ]

    assert (empty.status, empty.json["detail"]) == (
        409,
        "nothing is live in the stage dev that could be promoted",
    )
    assert (itself.status, unknown.status) == (409, 404)
    assert [(answer.status, answer.json["errors"][0]["field"]) for answer in said] == [
        (422, "from")
    ] * 4
    assert [one for one in await scene.deploys() if one["status"] == "queued"] == []


async def test_a_queued_deploy_is_cancelled_at_once_and_only_once(scene: Scene) -> None:
    queued = (await scene.api.caller.post(f"/api/stages/{scene.dev}/deploys", {"tag": "v1"})).json

    answer = await scene.api.caller.post(f"/api/deploys/{queued['id']}/cancel")
    again = await scene.api.caller.post(f"/api/deploys/{queued['id']}/cancel")

    assert (answer.status, answer.json["status"], answer.json["cancelling"]) == (
        200,
        "cancelled",
        False,
    )
    assert answer.json["finished_at"]
    assert (again.status, again.json["detail"]) == (409, "the deploy has ended already: cancelled")


async def test_a_running_deploy_is_asked_to_be_cancelled_until_the_old_instance_goes(
    scene: Scene,
) -> None:
    running = replace(deploy_record(scene.project, scene.dev), status=DeployStatus.RUNNING)
    late = replace(deploy_record(scene.project, scene.prod), status=DeployStatus.RUNNING).with_step(
        Step(StepName.RETIRE, StepStatus.RUNNING)
    )
    for deploy in (running, late):
        await put_deploy(scene.api, deploy)

    asked = await scene.api.caller.post(f"/api/deploys/{running.id}/cancel")
    too_late = await scene.api.caller.post(f"/api/deploys/{late.id}/cancel")

    assert (asked.status, asked.json["status"], asked.json["cancelling"]) == (200, "running", True)
    assert (await scene.api.caller.get(f"/api/deploys/{running.id}")).json["cancelling"]
    assert (too_late.status, "roll back instead" in too_late.json["detail"]) == (409, True)


async def test_hold_and_release_deploy_the_newest_that_came(scene: Scene) -> None:
    held = await scene.api.caller.post(f"/api/stages/{scene.dev}/hold")
    await offer(scene, "dev-1", 1)
    await offer(scene, "dev-2", 2)

    released = await scene.api.caller.post(f"/api/stages/{scene.dev}/release")
    again = await scene.api.caller.post(f"/api/stages/{scene.dev}/release")

    assert (held.status, held.json["held"]) == (200, True)
    assert (released.status, released.json["held"]) == (200, False)
    deploys = await scene.deploys()
    assert [(deploy["id"], deploy["tag"], deploy["trigger"]) for deploy in deploys] == [
        (released.json["deploys"][0], "dev-2", Trigger.WEBHOOK)
    ]
    assert again.json == released.json | {"deploys": []}


async def test_a_queued_deploy_says_what_it_waits_for(scene: Scene) -> None:
    pushed = deploy_record(scene.project, scene.dev, status=DeployStatus.QUEUED)
    ordered = replace(pushed, id=new_id(), trigger=Trigger.MANUAL)
    for deploy in (pushed, ordered):
        await put_deploy(scene.api, deploy)

    async def reasons() -> list[str | None]:
        row = next(
            one
            for one in (await scene.api.caller.get("/api/overview")).json["items"]
            if one["stage"]["id"] == scene.dev
        )
        shown = {one["id"]: one["reason"] for one in await scene.deploys()}
        assert {one["id"]: one["reason"] for one in row["under_way"]} == shown
        for one in (pushed, ordered):
            alone = await scene.api.caller.get(f"/api/deploys/{one.id}")
            assert alone.json["reason"] == shown[one.id]
        return [shown[pushed.id], shown[ordered.id]]

    assert await reasons() == [None, None]
    await scene.api.caller.post(f"/api/stages/{scene.dev}/hold")
    assert await reasons() == ["the stage dev is held; it waits for the release", None]
    page = await (await signed_in(scene.api)).get(f"/deploys/{pushed.id}")
    assert "is queued: the stage dev is held; it waits for the release." in words(page)
    stage = await scene.api.store.read(lambda reader: reader.stage(scene.dev))
    stopped = replace(stage, stopped_at=pushed.created_at, stopped_by="eva")
    await scene.api.store.write(lambda tx: tx.put_stage(stopped))
    assert await reasons() == ["the stage dev is stopped; it waits for the start", None]
    kept = await scene.api.store.read(lambda reader: reader.deploy(pushed.id))
    assert kept.reason is None


async def test_changing_held_is_the_same(scene: Scene) -> None:
    await scene.api.caller.patch(f"/api/stages/{scene.dev}", {"held": True})
    await offer(scene, "dev-1", 1)

    unrelated = await scene.api.caller.patch(
        f"/api/stages/{scene.dev}", {"position": 3, "held": True}
    )
    before = await scene.deploys()
    changed = await scene.api.caller.patch(
        f"/api/stages/{scene.dev}", {"held": False, "position": 4}
    )

    assert (unrelated.json["held"], before) == (True, [])
    assert (changed.json["held"], changed.json["position"]) == (False, 4)
    assert [deploy["tag"] for deploy in await scene.deploys()] == ["dev-1"]
    assert not await scene.api.store.read(lambda reader: reader.held_pushes(scene.dev))


@pytest.mark.parametrize(
    "path",
    [f"stages/{NOBODY}/{order}" for order in ("rollback", "promote", "hold", "release")]
    + ["stages/x/hold", f"deploys/{NOBODY}/cancel", "deploys/x/cancel"],
)
async def test_what_does_not_exist_is_404(scene: Scene, path: str) -> None:
    body = {"from": scene.dev} if path.endswith("promote") else {}

    assert (await scene.api.caller.post(f"/api/{path}", body)).status == 404


async def offer(scene: Scene, tag: str, minute: int) -> None:
    seen_at = NOON + timedelta(minutes=minute)
    made = HeldPush(stage_id=scene.dev, tag=tag, digest=None, source="webhook", seen_at=seen_at)
    await scene.api.store.write(lambda tx: tx.add_held_push(made))
