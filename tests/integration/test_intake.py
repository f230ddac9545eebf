"""From a push to a queued deploy: the intake over the real SQLite store and queue, with an
inspector that obeys the test.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.auto_create import MOST_NEW_PROJECTS
from tagboat.core.catalog import KnownTag, Project, Registry, RegistryKind, Stage
from tagboat.core.config import AUTO_CREATE, AUTO_CREATE_IMAGES
from tagboat.core.deploy import Deploy, DeployStatus, Step, StepName, StepStatus, TakenBack, Trigger
from tagboat.core.errors import (
    EngineUnavailableError,
    NotAnImageError,
    RegistryNotFoundError,
    TagboatError,
)
from tagboat.core.ids import new_id
from tagboat.core.image import ImageInfo, ImageRef, parse_digest, parse_image_name, parse_image_ref
from tagboat.core.ports import Tx
from tagboat.core.push import Outcome, Push, PushVerdict, Source
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tagboat.deploy.queue import DeployQueue
from tagboat.intake import inspections
from tagboat.intake.explain import explain_image
from tagboat.intake.intake import Intake
from tagboat.intake.tag_checks import CHECKS
from tagboat.store import SqlStore, open_store

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NAME = "git.example.com/acme/app"
ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@dataclass(slots=True)
class Inspector:
    """Answers `info`, or raises the error of the tag, else `error`, once it may.

    `asked` is what it was asked for.
    """

    info: ImageInfo = field(default_factory=ImageInfo)
    error: TagboatError | None = None
    errors: dict[str, TagboatError] = field(default_factory=dict)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[ImageRef] = field(default_factory=list)

    async def inspect_image(self, image_ref: ImageRef) -> ImageInfo:
        self.asked.append(image_ref)
        await self.may_answer.wait()
        if error := self.errors.get(image_ref.tag, self.error):
            raise error
        return self.info

    async def inspect_at_registry(
        self, image_ref: ImageRef, _registry: Registry | None
    ) -> ImageInfo:
        return await self.inspect_image(image_ref)


@dataclass(frozen=True, slots=True)
class Desk:
    """An intake and what it stands on."""

    store: SqlStore
    inspector: Inspector
    intake: Intake

    async def push(self, *refs: str, source: Source = Source.WEBHOOK) -> list[dict[str, Any]]:
        """Push, and return what came of each."""
        pushes = [Push(parse_image_ref(ref), source) for ref in refs]
        answer = json.loads(await self.intake.accept(pushes, "native"))
        assert answer["delivery"]
        results: list[dict[str, Any]] = answer["pushes"]
        return results

    async def push_one(self, ref: str) -> dict[str, Any]:
        """Push one image, and return what came of it."""
        (result,) = await self.push(ref)
        return result

    async def deploy(self, deploy_id: str) -> Deploy:
        """The deploy as it stands."""
        return await self.store.read(lambda reader: reader.deploy(deploy_id))

    async def change(self, deploy_id: str, change: Callable[[Deploy], Deploy]) -> None:
        """Change a deploy as the worker would."""
        await self.store.write(lambda tx: tx.put_deploy(change(tx.deploy(deploy_id))))

    async def known(self, project_id: str) -> list[KnownTag]:
        """The tags known of a project."""
        return await self.store.read(lambda reader: reader.known_tags(project_id))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store, inspector = open_store(None, tmp_path), Inspector()
    inspector.may_answer.set()
    yield Desk(
        store, inspector, Intake(store, DeployQueue(lambda: NOW), inspector, clock=lambda: NOW)
    )
    store.close()


async def make_project(
    desk: Desk, *stages: tuple[str, str], image: str = NAME, **changes: object
) -> Project:
    """A project with stages of these names and patterns; `changes` are those of each stage."""
    project = Project(id=new_id(), name="app", image=parse_image_name(image), created_at=NOW)
    made = [
        Stage(
            id=new_id(), project_id=project.id, name=n, pattern=parse_tag_pattern(p), created_at=NOW
        )
        for n, p in stages
    ]

    def work(tx: Tx) -> None:
        tx.add_project(project)
        for stage in made:
            tx.add_stage(replace(stage, **changes))  # type: ignore[arg-type]  # fields by name; a wrong one raises

    await desk.store.write(work)
    return project


# Outcomes.


async def test_a_push_that_matches_is_queued(desk: Desk) -> None:
    project = await make_project(desk, ("beta", "*-beta"), ("prod", "v*"))
    result = await desk.push_one(f"{NAME}:v1@{ONE}")
    assert result["outcome"] == "queued"
    assert (result["image"], result["tag"], result["digest"]) == (NAME, "v1", ONE)
    assert result["project"] == {"id": project.id, "name": "app"}
    assert result["stage"]["name"] == "prod"
    assert result["project_created"] is False
    assert result["reason"] == "tag v1 matches v*"
    deploy = await desk.deploy(result["deploy"])
    assert (deploy.tag, deploy.digest, deploy.trigger, deploy.status) == (
        "v1",
        ONE,
        Trigger.WEBHOOK,
        DeployStatus.QUEUED,
    )
    # Only whether the tag is an image.
    assert desk.inspector.asked == [parse_image_ref(f"{NAME}:v1")]


async def test_the_source_is_the_trigger(desk: Desk) -> None:
    await make_project(desk, ("dev", "*"))
    (result,) = await desk.push(f"{NAME}:v1", source=Source.POLL)
    assert (await desk.deploy(result["deploy"])).trigger is Trigger.POLL


async def test_a_push_that_matches_nothing_is_unmatched_and_its_tag_is_known(desk: Desk) -> None:
    project = await make_project(desk, ("prod", "v*"))
    result = await desk.push_one(f"{NAME}:latest")
    assert (result["outcome"], result["stage"], result["deploy"]) == ("unmatched", None, None)
    assert "prod v*" in result["reason"]
    assert [known.tag for known in await desk.known(project.id)] == ["latest"]


@pytest.mark.parametrize(
    ("change", "word"), [({"auto_deploy": False}, "auto_deploy"), ({"held": True}, "held")]
)
async def test_a_stage_that_waits_offers_the_tag(
    desk: Desk, change: dict[str, bool], word: str
) -> None:
    project = await make_project(desk, ("dev", "*"), **change)  # type: ignore[arg-type]  # fields by name; a wrong one raises
    result = await desk.push_one(f"{NAME}:v1@{ONE}")
    assert (result["outcome"], result["stage"]["name"], result["deploy"]) == (
        "waiting",
        "dev",
        None,
    )
    assert word in result["reason"]
    assert await desk.store.read(lambda reader: reader.all_open_deploys()) == []
    verdict = PushVerdict(
        at=NOW, source=Source.WEBHOOK, outcome=Outcome.WAITING, reason=result["reason"]
    )
    assert await desk.known(project.id) == [
        KnownTag(
            project_id=project.id,
            tag="v1",
            digest=None,  # what a call names need not be the tag's
            first_seen=NOW,
            source="webhook",
            verdict=verdict,
        )
    ]


async def test_a_known_tag_says_what_was_done_about_its_last_push(desk: Desk) -> None:
    project = await make_project(desk, ("prod", "v*"))
    first = await desk.push_one(f"{NAME}:v1@{ONE}")
    again = await desk.push_one(f"{NAME}:v1")
    (known,) = await desk.known(project.id)
    assert (first["outcome"], first["reason"]) == ("queued", "tag v1 matches v*")
    assert (again["outcome"], again["deploy"]) == ("merged", first["deploy"])
    assert again["reason"] == "tag v1 matches v*, and a deploy of it is under way already"
    assert known.digest is None
    assert known.verdict == PushVerdict(
        at=NOW,
        source=Source.WEBHOOK,
        outcome=Outcome.MERGED,
        reason=again["reason"],
        deploy=first["deploy"],
    )


async def test_every_push_of_a_call_has_an_outcome_of_its_own(desk: Desk) -> None:
    await make_project(desk, ("prod", "v*"))
    await desk.store.write(lambda tx: tx.put_setting(AUTO_CREATE, value=False))
    results = await desk.push(f"{NAME}:v1", f"{NAME}:latest", "nginx:1", f"{NAME}:v1")
    assert [result["outcome"] for result in results] == ["queued", "unmatched", "refused"]


async def test_the_same_image_and_tag_twice_is_one_push_and_the_digest_is_kept(desk: Desk) -> None:
    await make_project(desk, ("dev", "*"))
    (result,) = await desk.push(f"{NAME}:v1", f"{NAME}:v1@{ONE}", f"{NAME}:v1")
    assert (result["outcome"], result["digest"]) == ("queued", ONE)


async def test_a_call_without_pushes_has_a_reason(desk: Desk) -> None:
    answer = json.loads(await desk.intake.accept([], "gitea", "a ping"))
    assert (answer["pushes"], answer["reason"]) == ([], "a ping")


# Merging.


async def test_the_same_again_is_merged_and_counted(desk: Desk) -> None:
    await make_project(desk, ("dev", "*"))
    first = await desk.push_one(f"{NAME}:v1")
    again = await desk.push_one(f"{NAME}:v1")
    assert (again["outcome"], again["deploy"]) == ("merged", first["deploy"])
    assert (await desk.deploy(first["deploy"])).merges == 1


async def test_two_pushes_of_one_digest_merge_and_keep_it(desk: Desk) -> None:
    await make_project(desk, ("dev", "*"))
    first = await desk.push_one(f"{NAME}:v1@{ONE}")
    again = await desk.push_one(f"{NAME}:v1@{ONE}")
    assert (again["outcome"], again["deploy"]) == ("merged", first["deploy"])
    assert (await desk.deploy(first["deploy"])).digest == ONE


async def test_a_merge_without_digest_makes_the_deploy_look_the_tag_up(desk: Desk) -> None:
    await make_project(desk, ("dev", "*"))
    first = await desk.push_one(f"{NAME}:v1@{ONE}")
    again = await desk.push_one(f"{NAME}:v1")
    assert (again["outcome"], again["deploy"]) == ("merged", first["deploy"])
    deploy = await desk.deploy(first["deploy"])
    assert (deploy.digest, deploy.merges) == (None, 1)


async def test_another_digest_of_the_same_tag_is_a_deploy_of_its_own(desk: Desk) -> None:
    await make_project(desk, ("dev", "*"))
    first = await desk.push_one(f"{NAME}:v1@{ONE}")
    again = await desk.push_one(f"{NAME}:v1@{TWO}")
    assert again["outcome"] == "queued"
    assert (await desk.deploy(first["deploy"])).status is DeployStatus.SUPERSEDED
    assert (await desk.deploy(again["deploy"])).digest == TWO


async def test_a_running_deploy_is_merged_into_until_it_has_resolved_its_digest(desk: Desk) -> None:
    await make_project(desk, ("dev", "*"))
    first = await desk.push_one(f"{NAME}:v1")
    await desk.change(first["deploy"], lambda deploy: replace(deploy, status=DeployStatus.RUNNING))
    assert (await desk.push_one(f"{NAME}:v1"))["outcome"] == "merged"
    resolved = Step(StepName.RESOLVE, StepStatus.DONE)
    await desk.change(first["deploy"], lambda deploy: deploy.with_step(resolved))
    last = await desk.push_one(f"{NAME}:v1")
    assert last["outcome"] == "queued"
    assert (await desk.deploy(first["deploy"])).status is DeployStatus.RUNNING


async def test_a_push_after_the_deploy_ended_is_queued_again(desk: Desk) -> None:
    await make_project(desk, ("dev", "*"))
    first = await desk.push_one(f"{NAME}:v1")
    await desk.change(
        first["deploy"], lambda deploy: replace(deploy, status=DeployStatus.SUCCEEDED)
    )
    again = await desk.push_one(f"{NAME}:v1")
    assert again["outcome"] == "queued"
    assert again["deploy"] != first["deploy"]


# Superseding.


async def test_with_one_instance_a_newer_push_supersedes_those_queued_but_not_the_one_running(
    desk: Desk,
) -> None:
    await make_project(desk, ("dev", "*"))
    running = await desk.push_one(f"{NAME}:v1")
    await desk.change(
        running["deploy"], lambda deploy: replace(deploy, status=DeployStatus.RUNNING)
    )
    queued = await desk.push_one(f"{NAME}:v2")
    newest = await desk.push_one(f"{NAME}:v3")
    assert (await desk.deploy(running["deploy"])).status is DeployStatus.RUNNING
    superseded = await desk.deploy(queued["deploy"])
    assert (superseded.status, superseded.finished_at) == (DeployStatus.SUPERSEDED, NOW)
    assert "v3" in str(superseded.reason)
    assert (await desk.deploy(newest["deploy"])).status is DeployStatus.QUEUED


async def test_several_pushes_of_one_call_supersede_one_another_in_their_order(desk: Desk) -> None:
    await make_project(desk, ("dev", "*"))
    results = await desk.push(f"{NAME}:v1", f"{NAME}:v2", f"{NAME}:v3")
    assert [result["outcome"] for result in results] == ["queued"] * 3
    statuses = [(await desk.deploy(result["deploy"])).status for result in results]
    assert statuses == [DeployStatus.SUPERSEDED, DeployStatus.SUPERSEDED, DeployStatus.QUEUED]


async def test_with_three_instances_nothing_is_superseded(desk: Desk) -> None:
    await make_project(desk, ("dev", "*"), max_instances=3)
    for tag in ("v1", "v2", "v3", "v4"):
        await desk.push_one(f"{NAME}:{tag}")
    waiting = await desk.store.read(lambda reader: reader.all_open_deploys())
    assert [deploy.tag for deploy in waiting] == ["v1", "v2", "v3", "v4"]


async def test_stages_do_not_supersede_one_another(desk: Desk) -> None:
    await make_project(desk, ("beta", "*-beta"), ("prod", "v*"))
    await desk.push(f"{NAME}:v1-beta", f"{NAME}:v1")
    assert len(await desk.store.read(lambda reader: reader.all_open_deploys())) == 2


# Unknown images.


async def test_an_unknown_image_becomes_a_project_with_a_stage_dev(desk: Desk) -> None:
    desk.inspector.info = ImageInfo(tcp_ports=(8080, 9000), has_healthcheck=True)
    result = await desk.push_one(f"{NAME}:v1")
    assert (result["outcome"], result["project_created"]) == ("queued", True)
    assert (result["project"]["name"], result["stage"]["name"]) == ("app", "dev")
    project = await desk.store.read(lambda reader: reader.project(result["project"]["id"]))
    assert (str(project.image), project.port, project.healthcheck, project.inspected) == (
        NAME,
        8080,
        "image",
        True,
    )
    (stage,) = await desk.store.read(lambda reader: reader.stages(project.id))
    assert (stage.name, stage.pattern.text, stage.auto_deploy, stage.max_instances) == (
        "dev",
        "*",
        True,
        1,
    )
    assert [known.tag for known in await desk.known(project.id)] == ["v1"]


async def test_the_images_labels_win(desk: Desk) -> None:
    labels = {"tagboat.port": "9999", "tagboat.healthcheck": "/ready", "tagboat.protocol": "h2c"}
    desk.inspector.info = ImageInfo(tcp_ports=(80,), has_healthcheck=True, labels=labels)
    result = await desk.push_one(f"{NAME}:v1")
    project = await desk.store.read(lambda reader: reader.project(result["project"]["id"]))
    assert (project.port, project.healthcheck, project.protocol) == (9999, "/ready", "h2c")


async def test_of_what_is_not_an_image_no_project_is_made(desk: Desk) -> None:
    desk.inspector.error = NotAnImageError(f"{NAME}:1.2.0 is not a container image: it is a chart")
    result = await desk.push_one(f"{NAME}:1.2.0")
    assert (result["outcome"], result["project"], result["deploy"]) == ("refused", None, None)
    assert result["reason"] == f"{NAME}:1.2.0 is not a container image: it is a chart"
    assert await desk.store.read(lambda reader: reader.projects()) == []


async def test_a_chart_pushed_to_a_project_is_refused_and_its_tag_recorded(desk: Desk) -> None:
    project = await make_project(desk, ("dev", "*"))
    desk.inspector.error = NotAnImageError(f"{NAME}:1.2.0 is not a container image: it is a chart")
    chart = await desk.push_one(f"{NAME}:1.2.0")
    assert (chart["outcome"], chart["project"]["id"]) == ("refused", project.id)
    assert (chart["stage"], chart["deploy"]) == (None, None)
    assert chart["reason"] == f"{NAME}:1.2.0 is not a container image: it is a chart"
    verdicts = {tag.tag: tag.verdict for tag in await desk.known(project.id)}
    assert verdicts["1.2.0"] is not None
    assert verdicts["1.2.0"].reason == chart["reason"]
    # Asked again, although the tag is known now; and once it is an image, it is deployed.
    assert (await desk.push_one(f"{NAME}:1.2.0"))["outcome"] == "refused"
    desk.inspector.error = None
    assert (await desk.push_one(f"{NAME}:1.2.0"))["outcome"] == "queued"


async def test_of_a_new_image_each_tag_of_a_call_is_looked_at(desk: Desk) -> None:
    desk.inspector.errors["c1"] = NotAnImageError("a chart")
    image, chart = await desk.push(f"{NAME}:v1", f"{NAME}:c1")
    assert (image["outcome"], chart["outcome"], chart["reason"]) == ("queued", "refused", "a chart")


async def test_an_image_behind_a_full_call_is_not_taken_for_the_chart_beside_it(desk: Desk) -> None:
    host = "git.example.com/acme"
    desk.inspector.errors["c1"] = NotAnImageError("a chart")
    others = [f"{host}/app-{number}:v1" for number in range(MOST_NEW_PROJECTS - 1)]
    chart, *rest = await desk.push(f"{NAME}:c1", *others, f"{NAME}:v1")
    assert chart["outcome"] == "refused"
    assert {one["outcome"] for one in rest} == {"queued"}


async def test_known_images_take_no_place_from_new_ones(desk: Desk) -> None:
    await make_project(desk, ("dev", "*"))
    new = [f"git.example.com/acme/app-{number}:v1" for number in range(MOST_NEW_PROJECTS)]
    known = [f"{NAME}:v{number}" for number in range(5)]
    desk.inspector.errors["v1"] = NotAnImageError("a chart")
    results = await desk.push(*known, *new)
    assert [one["reason"] for one in results[5:]] == ["a chart"] * MOST_NEW_PROJECTS
    desk.inspector.errors.clear()
    assert {one["outcome"] for one in (await desk.push(*known, *new))[5:]} == {"queued"}


async def test_gitea_s_tags_in_upper_case_are_looked_at_for_new_images(desk: Desk) -> None:
    registry = Registry(
        id=new_id(), name="g", url="https://git.example.com", kind=RegistryKind.GITEA
    )
    await desk.store.write(lambda tx: tx.add_registry(registry))
    desk.inspector.errors["c1"] = NotAnImageError("a chart")
    chart, image = await desk.push(f"{NAME}:C1", f"{NAME}:V1")
    assert (chart["outcome"], image["outcome"], image["tag"]) == ("refused", "queued", "v1")


async def test_a_digest_that_only_a_caller_names_is_not_recorded_as_the_tag_s(desk: Desk) -> None:
    project = await make_project(desk, ("dev", "*"))
    await desk.push_one(f"{NAME}:v1@{ONE}")
    desk.inspector.error = NotAnImageError("a chart")
    await desk.push_one(f"{NAME}:v2@{ONE}")
    assert [tag.digest for tag in await desk.known(project.id)] == [None, None]
    # So a poll that finds another one has news, and the fuse does not go by it.
    desk.inspector.error = None
    (stage,) = await desk.store.read(lambda reader: reader.stages(project.id))
    back = TakenBack(
        stage_id=stage.id, digest=parse_digest(ONE), fingerprint="f", tag="v0", reason="r", at=NOW
    )
    await desk.store.write(lambda tx: tx.put_taken_back(back))
    assert (await desk.push_one(f"{NAME}:v2@{ONE}"))["outcome"] == "queued"


async def test_what_the_registry_says_of_the_tag_decides_about_the_fuse(desk: Desk) -> None:
    project = await make_project(desk, ("dev", "*"))
    (stage,) = await desk.store.read(lambda reader: reader.stages(project.id))
    back = TakenBack(
        stage_id=stage.id, digest=parse_digest(ONE), fingerprint="f", tag="v0", reason="r", at=NOW
    )
    await desk.store.write(lambda tx: tx.put_taken_back(back))
    desk.inspector.info = ImageInfo(digest=parse_digest(ONE))
    for ref in (f"{NAME}:v1", f"{NAME}:v1@{TWO}"):
        explained = await desk.intake.explain(parse_image_ref(ref))
        assert explained.outcome is Outcome.WAITING
        result = await desk.push_one(ref)
        assert (result["outcome"], result["reason"]) == ("waiting", explained.reason)
        assert "its image was taken back in the stage dev" in result["reason"]
    (offer,) = await desk.store.read(lambda reader: reader.held_pushes(stage.id))
    assert (offer.tag, offer.digest) == ("v1", ONE)
    desk.inspector.info = ImageInfo(digest=parse_digest(TWO))
    assert (await desk.push_one(f"{NAME}:v1@{ONE}"))["outcome"] == "queued"


async def test_what_is_refused_does_not_wait_for_a_release_any_more(desk: Desk) -> None:
    project = await make_project(desk, ("dev", "*"), held=True)
    (stage,) = await desk.store.read(lambda reader: reader.stages(project.id))
    for tag in ("v1@" + ONE, "w1"):
        assert (await desk.push_one(f"{NAME}:{tag}"))["outcome"] == "waiting"
    offers = await desk.store.read(lambda reader: reader.held_pushes(stage.id))
    assert [(offer.tag, offer.digest) for offer in offers] == [("v1", None), ("w1", None)]
    desk.inspector.errors["w1"] = NotAnImageError("a chart")
    assert (await desk.push_one(f"{NAME}:w1"))["outcome"] == "refused"
    offers = await desk.store.read(lambda reader: reader.held_pushes(stage.id))
    assert [offer.tag for offer in offers] == ["v1"]


async def test_a_tag_that_was_an_image_and_is_a_chart_now_is_refused(desk: Desk) -> None:
    project = await make_project(desk, ("dev", "*"))
    first = await desk.push_one(f"{NAME}:latest")
    desk.inspector.error = NotAnImageError(f"{NAME}:latest is not a container image: it is a chart")
    explained = await desk.intake.explain(parse_image_ref(f"{NAME}:latest"))
    assert (explained.outcome, explained.reason) == (Outcome.REFUSED, str(desk.inspector.error))
    chart = await desk.push_one(f"{NAME}:latest")
    assert (chart["outcome"], chart["reason"]) == ("refused", str(desk.inspector.error))
    # What the tag was when it was pushed is still to come.
    assert (await desk.deploy(first["deploy"])).status is DeployStatus.QUEUED
    desk.inspector.error = None
    assert (await desk.push_one(f"{NAME}:latest"))["outcome"] == "merged"
    (known,) = await desk.known(project.id)
    assert known.verdict is not None
    assert known.verdict.outcome is Outcome.MERGED


async def test_of_a_registry_that_is_silent_a_push_is_queued_after_a_second(desk: Desk) -> None:
    await make_project(desk, ("dev", "*"), max_instances=9)
    desk.inspector.may_answer.clear()
    async with asyncio.timeout(60):
        assert (await desk.push_one(f"{NAME}:v1"))["outcome"] == "queued"
        # It is not asked again for a while.
        assert (await desk.push_one(f"{NAME}:v2"))["outcome"] == "queued"
    assert len(desk.inspector.asked) == 1


@pytest.mark.parametrize(
    ("pattern", "allow_downgrade", "pushed", "outcome"),
    [
        ("semver:>=1.0.0", False, "1.9.5", "waiting"),
        ("semver:>=1.0.0", False, "v1.9.5", "waiting"),
        ("semver:>=1.0.0", True, "1.9.5", "queued"),
        ("semver:>=1.0.0", False, "2.0.0", "merged"),
        ("semver:>=1.0.0", False, "v2.0.0", "queued"),
        ("semver:>=1.0.0", False, "2.0.1", "queued"),
        ("*", False, "1.9.5", "queued"),
    ],
)
async def test_a_stage_that_goes_by_versions_takes_no_lower_one(
    desk: Desk, pattern: str, allow_downgrade: bool, pushed: str, outcome: str
) -> None:
    project = await make_project(desk, ("prod", pattern), allow_downgrade=allow_downgrade)
    await desk.push_one(f"{NAME}:2.0.0")
    explained = await desk.store.read(
        lambda reader: explain_image(reader, parse_image_ref(f"{NAME}:{pushed}"))
    )
    result = await desk.push_one(f"{NAME}:{pushed}")
    assert (result["outcome"], explained.outcome) == (outcome, outcome)
    assert result["reason"] == explained.reason
    (stage,) = await desk.store.read(lambda reader: reader.stages(project.id))
    offers = await desk.store.read(lambda reader: reader.held_pushes(stage.id))
    if outcome == "waiting":
        assert "but 2.0.0, which is under way, is the higher version" in result["reason"]
        assert [offer.tag for offer in offers] == [pushed]
    else:
        assert offers == []


async def test_one_call_with_a_higher_and_a_lower_version_deploys_the_higher(desk: Desk) -> None:
    await make_project(desk, ("prod", "semver:*"))
    higher, lower = await desk.push(f"{NAME}:1.2.0", f"{NAME}:1.1.0")
    assert (higher["outcome"], lower["outcome"]) == ("queued", "waiting")
    assert (await desk.deploy(higher["deploy"])).status is DeployStatus.QUEUED


@pytest.mark.parametrize(
    "error", [RegistryNotFoundError("no such image"), EngineUnavailableError("no engine")]
)
async def test_an_inspection_that_fails_leaves_the_rest_to_the_first_pull(
    desk: Desk, error: TagboatError
) -> None:
    desk.inspector.error = error
    result = await desk.push_one(f"{NAME}:v1")
    project = await desk.store.read(lambda reader: reader.project(result["project"]["id"]))
    assert (result["outcome"], project.port, project.healthcheck, project.inspected) == (
        "queued",
        0,
        "",
        False,
    )


async def test_an_inspection_that_hangs_does_not_hold_up_the_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspections, "INSPECTION_LIMIT_S", 0.05)
    desk.inspector.may_answer.clear()
    result = await asyncio.wait_for(desk.push_one(f"{NAME}:v1"), 5)
    project = await desk.store.read(lambda reader: reader.project(result["project"]["id"]))
    assert (result["outcome"], project.port, project.inspected) == ("queued", 0, False)


async def test_fifty_simultaneous_first_pushes_make_one_project(desk: Desk) -> None:
    desk.inspector.may_answer.clear()
    calls = [asyncio.create_task(desk.push(f"{NAME}:v{number}")) for number in range(50)]
    async with asyncio.timeout(60):
        while not desk.inspector.asked:  # noqa: ASYNC110 - what is awaited is told by nobody
            await asyncio.sleep(0)
    for _ in range(3):  # until all wait for that inspection: reads and writes keep their order
        await desk.store.read(lambda reader: reader.count_projects())
        await desk.store.write(lambda tx: tx.count_projects())
    desk.inspector.may_answer.set()
    results = [result for (result,) in await asyncio.gather(*calls)]
    assert len({result["project"]["id"] for result in results}) == 1
    assert [result["project_created"] for result in results].count(True) == 1
    assert len(await desk.store.read(lambda reader: reader.projects())) == 1
    # Each tag: some of them could be charts.
    assert len(set(desk.inspector.asked)) == len(desk.inspector.asked) == 50
    assert len(await desk.known(results[0]["project"]["id"])) == 50


async def test_several_unknown_images_in_one_call(desk: Desk) -> None:
    results = await desk.push(
        "git.example.com/a/one:v1", "git.example.com/a/two:v1", "git.example.com/a/one:v2"
    )
    assert [result["project_created"] for result in results] == [True, True, False]
    assert [result["project"]["name"] for result in results] == ["one", "two", "one"]


async def test_an_address_that_is_taken_makes_the_name_unique_too(desk: Desk) -> None:
    taken = Project(
        id=new_id(),
        name="shop",
        image=parse_image_name("git.example.com/acme/shop"),
        created_at=NOW,
    )
    stage = Stage(
        id=new_id(),
        project_id=taken.id,
        name="app-dev",
        pattern=parse_tag_pattern("*"),
        created_at=NOW,
    )
    await desk.store.write(lambda tx: tx.add_project(taken))
    await desk.store.write(lambda tx: tx.add_stage(stage))
    push = await desk.push_one("git.example.com/other/shop-app:v1")
    assert push["project"]["name"] == "shop-app-2"


async def test_names_that_come_to_one_address_are_told_apart(desk: Desk) -> None:
    names = [
        (await desk.push_one(f"git.example.com/{path}:v1"))["project"]["name"]
        for path in ("a/my_app", "b/my-app")
    ]
    assert names == ["my_app", "my-app-2"]


async def test_a_name_that_is_taken_is_made_unique(desk: Desk) -> None:
    names = [
        (await desk.push_one(f"git.example.com/{org}/app:v1"))["project"]["name"]
        for org in ("a", "b", "c")
    ]
    assert names == ["app", "app-2", "app-3"]


async def test_an_image_that_keeps_data_waits_for_a_person(desk: Desk) -> None:
    desk.inspector.may_answer.set()
    desk.inspector.info = ImageInfo(tcp_ports=(80,), volumes=("/data", "/more"))
    first = await desk.push_one(f"{NAME}:v1")
    later = await desk.push_one(f"{NAME}:v2")
    assert (first["project_created"], first["outcome"], first["deploy"]) == (True, "waiting", None)
    why = (
        "; the image keeps data, in the VOLUMEs /data, /more, "
        "and a second instance must not start on it automatically: deploy it by "
    )
    for result, tag in ((first, "v1"), (later, "v2")):
        assert result["reason"].startswith(
            f"tag {tag} matches *, but auto_deploy of the stage dev is off{why}"
        )
    (stage,) = await desk.store.read(lambda reader: reader.stages(first["project"]["id"]))
    assert (stage.auto_deploy, stage.image_volumes) == (False, ("/data", "/more"))


async def test_with_auto_create_off_nothing_is_made_or_looked_at(desk: Desk) -> None:
    await desk.store.write(lambda tx: tx.put_setting(AUTO_CREATE, value=False))
    result = await desk.push_one(f"{NAME}:v1")
    assert (result["outcome"], result["project"], result["stage"], result["deploy"]) == (
        "refused",
        None,
        None,
        None,
    )
    assert "auto_create" in result["reason"]
    assert await desk.store.read(lambda reader: reader.projects()) == []
    assert desk.inspector.asked == []


async def test_auto_create_images_says_which_images_may(desk: Desk) -> None:
    await desk.store.write(
        lambda tx: tx.put_setting(AUTO_CREATE_IMAGES, ["git.example.com/acme/*"])
    )
    results = await desk.push(f"{NAME}:v1", "nginx:1")
    assert [result["outcome"] for result in results] == ["queued", "refused"]
    assert "auto_create_images" in results[1]["reason"]


async def test_a_setting_that_loosens_during_the_inspection_is_obeyed(desk: Desk) -> None:
    await desk.store.write(lambda tx: tx.put_setting(AUTO_CREATE_IMAGES, ["git.example.com/**"]))
    desk.inspector.may_answer.clear()
    call = asyncio.create_task(desk.push(f"{NAME}:v1", "nginx:1"))
    async with asyncio.timeout(60):
        while not desk.inspector.asked:  # noqa: ASYNC110 - what is awaited is told by nobody
            await asyncio.sleep(0)
    await desk.store.write(lambda tx: tx.put_setting(AUTO_CREATE_IMAGES, ["**"]))
    desk.inspector.may_answer.set()
    assert [result["outcome"] for result in await call] == ["queued", "queued"]


# Gitea.


async def add_registry(desk: Desk, kind: RegistryKind) -> None:
    registry = Registry(id=new_id(), name="forge", url="https://git.example.com", kind=kind)
    await desk.store.write(lambda tx: tx.add_registry(registry))


@pytest.mark.parametrize(
    ("kind", "tag"), [(RegistryKind.GITEA, "v1-rc"), (RegistryKind.OCI, "V1-RC")]
)
async def test_a_gitea_registry_knows_tags_in_lower_case_only(
    desk: Desk, kind: RegistryKind, tag: str
) -> None:
    await add_registry(desk, kind)
    result = await desk.push_one(f"{NAME}:V1-RC")
    assert result["tag"] == tag
    assert (await desk.deploy(result["deploy"])).tag == tag
    assert [known.tag for known in await desk.known(result["project"]["id"])] == [tag]


async def test_on_gitea_one_tag_in_two_cases_is_one_tag(desk: Desk) -> None:
    await add_registry(desk, RegistryKind.GITEA)
    await make_project(desk, ("dev", "*"))
    (result,) = await desk.push(f"{NAME}:V1", f"{NAME}:v1@{ONE}")
    assert (result["tag"], result["digest"], result["outcome"]) == ("v1", ONE, "queued")


async def test_who_only_asks_uses_up_nothing_of_what_pushes_may_ask(desk: Desk) -> None:
    await make_project(desk, ("dev", "*"))
    for number in range(CHECKS.burst + 1):
        await desk.intake.explain(parse_image_ref(f"{NAME}:v{number}"))
    desk.inspector.error = NotAnImageError("a chart")
    assert (await desk.push_one(f"{NAME}:chart"))["outcome"] == "refused"
