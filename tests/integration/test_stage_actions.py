"""Rollback, promote, cancel, hold and release: what each changes on record, and what it refuses
without changing anything.

Over the real SQLite store and queue, with the pushes of a real intake.
"""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.catalog import HeldPush, Project, Registry, Stage, run_config
from tagboat.core.deploy import (
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    Step,
    StepName,
    StepStatus,
    Trigger,
)
from tagboat.core.errors import ConflictError, NotFoundError, RegistryNotFoundError
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageInfo, ImageRef, parse_image_name, parse_image_ref
from tagboat.core.ports import Queued, Topic, Tx
from tagboat.core.push import Outcome, Push, Source
from tagboat.core.run import RunOptions
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tagboat.deploy.queue import DeployQueue
from tagboat.intake.intake import Intake
from tagboat.operations.stage_actions import StageActions
from tagboat.store import SqlStore, open_store
from tests.support.endpoints import at

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NAME = "git.example.com/acme/app"
NOBODY = "0" * 24


def digest_of(digit: str) -> Digest:
    return Digest(f"sha256:{digit * 64}")


class NoInspector:
    """Is only asked about new tags: the project exists."""

    async def inspect_image(self, image_ref: ImageRef) -> ImageInfo:
        raise AssertionError(image_ref)

    async def inspect_at_registry(
        self, image_ref: ImageRef, _registry: Registry | None
    ) -> ImageInfo:
        raise RegistryNotFoundError(f"there is no {image_ref}")


@dataclass(slots=True)
class Desk:
    """StageActions and what they stand on: one project with the stages `dev` and `prod`.
    `announced` is what was heard of.
    """

    store: SqlStore
    orders: StageActions
    intake: Intake
    project: Project
    dev: Stage
    prod: Stage
    announced: list[Topic] = field(default_factory=list)

    async def order(self, work: Callable[[Tx], Any]) -> Any:  # noqa: ANN401 - whatever the order answers
        return await self.store.write(work)

    async def refused(
        self, work: Callable[[Tx], Any], error: type[Exception] = ConflictError
    ) -> str:
        """Why an order was refused; it must have changed nothing."""
        before = await self.everything()
        with pytest.raises(error) as caught:
            await self.store.write(work)
        assert await self.everything() == before
        return str(caught.value)

    async def everything(self) -> object:
        def read(reader: Any) -> object:  # noqa: ANN401 - a reader
            stages = reader.stages(self.project.id)
            deploys = reader.deploys()
            configs = [reader.deploy_config(deploy.id) for deploy in deploys]
            return (
                stages,
                deploys,
                configs,
                reader.instances(),
                [reader.held_pushes(stage.id) for stage in stages],
            )

        return await self.store.read(read)

    async def stage(self, stage: Stage | None = None) -> Stage:
        return await self.store.read(lambda reader: reader.stage((stage or self.dev).id))

    async def change(self, **changes: object) -> None:
        await self.store.write(lambda tx: tx.put_stage(replace(tx.stage(self.dev.id), **changes)))  # type: ignore[arg-type]

    async def deploy(self, deploy_id: str) -> Deploy:
        return await self.store.read(lambda reader: reader.deploy(deploy_id))

    async def open(self, stage: Stage | None = None) -> list[tuple[str, Trigger]]:
        """Tags and triggers of what is queued or running, oldest first."""
        deploys = await self.store.read(lambda reader: reader.open_deploys((stage or self.dev).id))
        return [(deploy.tag, deploy.trigger) for deploy in deploys]

    async def push(
        self, tag: str, digest: Digest | None = None, source: Source = Source.WEBHOOK
    ) -> Any:  # noqa: ANN401 - JSON
        """Push a tag, and return what came of it."""
        ref = parse_image_ref(f"{NAME}:{tag}" + (f"@{digest}" if digest else ""))
        (result,) = json.loads(await self.intake.accept([Push(ref, source)], "native"))["pushes"]
        return result

    async def begin(self, deploy: Deploy) -> Deploy:
        await self.store.write(lambda tx: tx.add_deploy(deploy))
        return deploy

    def a_deploy(self, tag: str, status: DeployStatus, stage: Stage | None = None) -> Deploy:
        stage = stage or self.dev
        return Deploy(
            id=new_id(),
            project_id=self.project.id,
            stage_id=stage.id,
            tag=tag,
            digest=None,
            trigger=Trigger.WEBHOOK,
            status=status,
            created_at=NOON,
        )

    async def ran(
        self,
        tag: str,
        digit: str,
        state: InstanceState,
        *,
        minute: int = 0,
        stage: Stage | None = None,
        kept: bool = True,
    ) -> str:
        """Put on record that `tag` ran, was stopped at `minute` where it was, and with what;
        return the deploy's id.
        """
        deploy = replace(self.a_deploy(tag, DeployStatus.SUCCEEDED, stage), digest=digest_of(digit))

        def work(tx: Tx) -> None:
            config = run_config(tx.project(deploy.project_id), tx.stage(deploy.stage_id))
            instance = Instance(
                id=new_id(),
                deploy_id=deploy.id,
                project_id=deploy.project_id,
                stage_id=deploy.stage_id,
                tag=tag,
                digest=digest_of(digit),
                state=state,
                container=f"app-{deploy.id}",
                endpoints=(at(40000),),
                fingerprint=config.fingerprint,
                started_at=NOON,
                stopped_at=NOON + timedelta(minutes=minute) if state.final else None,
            )
            tx.add_deploy(deploy)
            if kept:
                tx.put_deploy_config(deploy.id, config)
            tx.add_instance(instance)

        await self.store.write(work)
        return deploy.id


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = open_store(None, tmp_path)
    ticks = iter(range(1_000_000))

    def clock() -> datetime:
        return NOON + timedelta(seconds=next(ticks))

    queue = DeployQueue(clock)
    project = Project(id=new_id(), name="app", image=parse_image_name(NAME), created_at=NOON)
    dev, prod = [
        Stage(
            id=new_id(),
            project_id=project.id,
            name=name,
            pattern=parse_tag_pattern("*"),
            created_at=NOON,
        )
        for name in ("dev", "prod")
    ]

    def begin(tx: Tx) -> None:
        tx.add_project(project)
        for stage in (dev, prod):
            tx.add_stage(stage)

    await store.write(begin)
    made = Desk(
        store,
        StageActions(queue, clock),
        Intake(store, queue, NoInspector(), clock=clock),
        project,
        dev,
        prod,
    )
    store.listen(Topic.DEPLOYS, lambda: made.announced.append(Topic.DEPLOYS))
    yield made
    store.close()


# Rollback.


async def test_rollback_brings_back_what_was_stopped_last_with_its_configuration(
    desk: Desk,
) -> None:
    await desk.change(env={"A": "old"}, run=RunOptions(secrets={"S": "old"}, memory=1 << 30))
    await desk.ran("v1", "1", InstanceState.STOPPED, minute=1)
    second = await desk.ran("v2", "2", InstanceState.STOPPED, minute=2)
    await desk.change(env={"A": "new"}, run=RunOptions())
    await desk.ran("v3", "3", InstanceState.LIVE)

    queued: Queued = await desk.order(lambda tx: desk.orders.rollback(tx, desk.dev.id))

    deploy = await desk.deploy(queued.deploy_id)
    assert queued.outcome is Outcome.QUEUED
    assert (deploy.tag, deploy.digest, deploy.trigger) == ("v2", digest_of("2"), Trigger.ROLLBACK)
    configs = [
        await desk.store.read(lambda reader, key=key: reader.deploy_config(key))  # type: ignore[misc]
        for key in (second, deploy.id)
    ]
    assert configs[0] == configs[1] is not None
    assert (configs[1].env, configs[1].options.secrets) == ({"A": "old"}, {"S": "old"})
    stage = await desk.stage()
    assert (stage.held, stage.env) == (True, {"A": "new"})
    assert desk.announced == [Topic.DEPLOYS]


async def test_rollback_leaves_what_waits_to_the_release_and_does_not_merge_into_it(
    desk: Desk,
) -> None:
    await desk.ran("v1", "1", InstanceState.STOPPED)
    await desk.ran("v2", "2", InstanceState.LIVE)
    waiting = (await desk.push("v1", digest_of("1")))["deploy"]

    queued = await desk.order(lambda tx: desk.orders.rollback(tx, desk.dev.id))

    assert queued.deploy_id != waiting
    assert (await desk.deploy(waiting)).status is DeployStatus.QUEUED
    assert sorted(await desk.open()) == [("v1", Trigger.ROLLBACK), ("v1", Trigger.WEBHOOK)]


async def test_rollback_of_another_configuration_of_the_same_digest(desk: Desk) -> None:
    await desk.change(env={"A": "old"})
    first = await desk.ran("v1", "1", InstanceState.STOPPED)
    await desk.change(env={"A": "broken"})
    await desk.ran("v1", "1", InstanceState.LIVE)

    queued = await desk.order(lambda tx: desk.orders.rollback(tx, desk.dev.id))

    old, new = [
        await desk.store.read(lambda reader, key=key: reader.deploy_config(key))  # type: ignore[misc]
        for key in (first, queued.deploy_id)
    ]
    assert old == new


async def test_rollback_skips_what_is_live_already_and_what_never_was(desk: Desk) -> None:
    await desk.ran("v1", "1", InstanceState.STOPPED, minute=1)
    await desk.ran("v2", "2", InstanceState.STOPPED, minute=2)
    await desk.ran("v3", "3", InstanceState.FAILED, minute=3)
    await desk.ran("v2", "2", InstanceState.LIVE)

    await desk.order(lambda tx: desk.orders.rollback(tx, desk.dev.id))

    assert await desk.open() == [("v1", Trigger.ROLLBACK)]


async def test_rollback_of_a_stage_with_nothing_live_brings_the_last_back(desk: Desk) -> None:
    await desk.ran("v1", "1", InstanceState.STOPPED, minute=1)
    await desk.ran("v2", "2", InstanceState.STOPPED, minute=2)

    await desk.order(lambda tx: desk.orders.rollback(tx, desk.dev.id))

    assert await desk.open() == [("v2", Trigger.ROLLBACK)]


async def test_rollback_to_a_deploy_that_is_named(desk: Desk) -> None:
    first = await desk.ran("v1", "1", InstanceState.STOPPED, minute=1)
    await desk.ran("v2", "2", InstanceState.STOPPED, minute=2)
    await desk.ran("v3", "3", InstanceState.LIVE)

    await desk.order(lambda tx: desk.orders.rollback(tx, desk.dev.id, first))

    assert await desk.open() == [("v1", Trigger.ROLLBACK)]


async def test_what_rollback_refuses(desk: Desk) -> None:
    nothing = await desk.refused(lambda tx: desk.orders.rollback(tx, desk.dev.id))
    await desk.ran("v1", "1", InstanceState.LIVE)
    only = await desk.refused(lambda tx: desk.orders.rollback(tx, desk.dev.id))
    failed = await desk.ran("v2", "2", InstanceState.FAILED)
    never = await desk.refused(lambda tx: desk.orders.rollback(tx, desk.dev.id, failed))
    other = await desk.ran("v3", "3", InstanceState.STOPPED, stage=desk.prod)
    elsewhere = await desk.refused(lambda tx: desk.orders.rollback(tx, desk.dev.id, other))
    await desk.ran("v0", "0", InstanceState.STOPPED, kept=False)
    lost = await desk.refused(lambda tx: desk.orders.rollback(tx, desk.dev.id))

    assert nothing == "there is nothing to go back to: nothing was ever live in the stage dev"
    assert only == "there is nothing to go back to: nothing was live before v1 in the stage dev"
    assert never == f"the deploy {failed} brought nothing live in the stage dev; name one that did"
    assert (
        elsewhere == f"the deploy {other} brought nothing live in the stage dev; name one that did"
    )
    assert lost == "the configuration of v0 was not kept; deploy the tag v0 instead"


# Promote.


async def test_promote_brings_the_digest_that_is_live_elsewhere(desk: Desk) -> None:
    await desk.ran("v1", "1", InstanceState.STOPPED)
    await desk.ran("v2", "2", InstanceState.LIVE)

    queued = await desk.order(lambda tx: desk.orders.promote(tx, desk.prod.id, desk.dev.id))

    deploy = await desk.deploy(queued.deploy_id)
    assert (deploy.stage_id, deploy.tag, deploy.digest, deploy.trigger) == (
        desk.prod.id, "v2", digest_of("2"), Trigger.PROMOTE,
    )  # fmt: skip
    assert not (await desk.stage(desk.prod)).held
    assert await desk.open() == []


async def test_promote_takes_the_newest_of_several(desk: Desk) -> None:
    await desk.change(max_instances=3)
    for number in (1, 2, 3):
        await desk.ran(f"pr-{number}", str(number), InstanceState.LIVE)

    await desk.order(lambda tx: desk.orders.promote(tx, desk.prod.id, desk.dev.id))

    assert await desk.open(desk.prod) == [("pr-3", Trigger.PROMOTE)]


async def test_what_promote_refuses(desk: Desk) -> None:
    stranger = Project(
        id=new_id(),
        name="other",
        image=parse_image_name("git.example.com/acme/other"),
        created_at=NOON,
    )
    theirs = replace(desk.dev, id=new_id(), project_id=stranger.id)
    await desk.store.write(lambda tx: tx.add_project(stranger))
    await desk.store.write(lambda tx: tx.add_stage(theirs))
    await desk.ran("v1", "1", InstanceState.STOPPED)

    empty = await desk.refused(lambda tx: desk.orders.promote(tx, desk.prod.id, desk.dev.id))
    itself = await desk.refused(lambda tx: desk.orders.promote(tx, desk.dev.id, desk.dev.id))
    foreign = await desk.refused(lambda tx: desk.orders.promote(tx, desk.dev.id, theirs.id))

    assert empty == "nothing is live in the stage dev that could be promoted"
    assert itself == "the stage dev cannot be promoted to itself; name the stage to take from"
    assert foreign == "the stage dev belongs to another project, whose image is not this one's"


# Cancel.


async def test_cancel_ends_what_is_queued(desk: Desk) -> None:
    deploy_id = (await desk.push("v1"))["deploy"]
    desk.announced.clear()

    cancelled: Deploy = await desk.order(lambda tx: desk.orders.cancel(tx, deploy_id))

    assert (cancelled.status, cancelled.reason, cancelled.cancelling) == (
        DeployStatus.CANCELLED,
        "cancelled",
        False,
    )
    assert cancelled.finished_at is not None
    assert await desk.deploy(deploy_id) == cancelled
    assert await desk.open() == []
    assert desk.announced == [Topic.DEPLOYS]


@pytest.mark.parametrize(
    "step", [None, *(name for name in StepName if name is not StepName.RETIRE)]
)
async def test_cancel_asks_for_the_end_of_what_runs_at_every_step_before_the_last(
    desk: Desk, step: StepName | None
) -> None:
    deploy = desk.a_deploy("v1", DeployStatus.RUNNING)
    await desk.begin(deploy.with_step(Step(step, StepStatus.RUNNING)) if step else deploy)

    cancelled = await desk.order(lambda tx: desk.orders.cancel(tx, deploy.id))

    assert (cancelled.status, cancelled.cancelling, cancelled.finished_at) == (
        DeployStatus.RUNNING,
        True,
        None,
    )
    assert await desk.deploy(deploy.id) == cancelled
    assert desk.announced == [Topic.DEPLOYS]


@pytest.mark.parametrize("status", [status for status in DeployStatus if status.final])
async def test_what_has_ended_is_not_cancelled(desk: Desk, status: DeployStatus) -> None:
    deploy = await desk.begin(desk.a_deploy("v1", status))

    assert (
        await desk.refused(lambda tx: desk.orders.cancel(tx, deploy.id))
        == f"the deploy has ended already: {status}"
    )


@pytest.mark.parametrize("status", [StepStatus.RUNNING, StepStatus.DONE])
async def test_what_has_begun_to_stop_the_old_one_is_not_cancelled(
    desk: Desk, status: StepStatus
) -> None:
    deploy = await desk.begin(
        desk.a_deploy("v1", DeployStatus.RUNNING).with_step(Step(StepName.RETIRE, status))
    )

    said = await desk.refused(lambda tx: desk.orders.cancel(tx, deploy.id))
    assert said == "v1 is live and the old instance is being stopped; roll back instead"


# Hold and release.


async def test_what_is_pushed_while_a_stage_is_held_waits_and_the_newest_is_deployed_at_its_release(
    desk: Desk,
) -> None:
    held: Stage = await desk.order(lambda tx: desk.orders.hold(tx, desk.dev.id))
    outcomes = [
        (await desk.push(tag, digest, source))["outcome"]
        for tag, digest, source in [
            ("v1.0.0", None, Source.WEBHOOK),
            ("v1.2.0", digest_of("2"), Source.POLL),
            ("v1.1.0", None, Source.WEBHOOK),
        ]
    ]
    before = await desk.open()

    queued: list[Queued] = await desk.order(lambda tx: desk.orders.release(tx, desk.dev.id))

    assert held.held
    assert (outcomes, before) == (["waiting"] * 3, [])
    assert [one.outcome for one in queued] == [Outcome.QUEUED]
    deploy = await desk.deploy(queued[0].deploy_id)
    assert (deploy.tag, deploy.digest, deploy.trigger) == ("v1.2.0", None, Trigger.POLL), (
        "looked up anew"
    )
    assert await desk.open() == [("v1.2.0", Trigger.POLL)]
    assert not (await desk.stage()).held
    assert (await desk.push("v1.3.0"))["outcome"] == "queued"


async def test_what_a_release_did_stands_on_the_tags(desk: Desk) -> None:
    await desk.order(lambda tx: desk.orders.hold(tx, desk.dev.id))
    for tag in ("v1", "v2"):
        await desk.push(tag)

    (queued,) = await desk.order(lambda tx: desk.orders.release(tx, desk.dev.id))

    known = await desk.store.read(lambda reader: reader.known_tags(desk.dev.project_id))
    verdicts = [tag.verdict for tag in known if tag.verdict]
    reason = "the stage dev was released, and takes the newest of what came while it was held"
    assert [(verdict.outcome, verdict.reason, verdict.deploy) for verdict in verdicts] == [
        (Outcome.RECORDED, reason, None),
        (Outcome.QUEUED, reason, queued.deploy_id),
    ]


async def test_a_tag_pushed_again_while_its_stage_is_held_counts_once_with_what_came_last(
    desk: Desk,
) -> None:
    await desk.order(lambda tx: desk.orders.hold(tx, desk.dev.id))
    for digit in "12":
        await desk.push("main", digest_of(digit))

    queued = await desk.order(lambda tx: desk.orders.release(tx, desk.dev.id))

    assert [(await desk.deploy(one.deploy_id)).tag for one in queued] == ["main"]


async def test_release_of_several_deploys_as_many_as_may_run_oldest_first(desk: Desk) -> None:
    await desk.change(max_instances=2)
    await desk.order(lambda tx: desk.orders.hold(tx, desk.dev.id))
    for number in (1, 2, 3):
        await desk.push(f"pr-{number}")

    await desk.order(lambda tx: desk.orders.release(tx, desk.dev.id))

    assert [tag for tag, _ in await desk.open()] == ["pr-2", "pr-3"]


async def test_a_release_does_not_go_back_to_a_lower_version_unless_told_to(desk: Desk) -> None:
    await desk.change(pattern=parse_tag_pattern("semver:*"))
    await desk.begin(desk.a_deploy("v2.0.0", DeployStatus.RUNNING))
    await desk.order(lambda tx: desk.orders.hold(tx, desk.dev.id))
    await desk.push("v1.0.0")

    assert await desk.order(lambda tx: desk.orders.release(tx, desk.dev.id)) == []
    assert [
        offer.tag for offer in await desk.store.read(lambda reader: reader.held_pushes(desk.dev.id))
    ] == ["v1.0.0"]
    (queued,) = await desk.order(lambda tx: desk.orders.release(tx, desk.dev.id, including=True))
    assert (await desk.deploy(queued.deploy_id)).tag == "v1.0.0"
    assert await desk.store.read(lambda reader: reader.held_pushes(desk.dev.id)) == []


async def test_release_of_a_stage_that_deploys_nothing_by_itself(desk: Desk) -> None:
    await desk.order(lambda tx: desk.orders.hold(tx, desk.dev.id))
    await desk.push("v1")
    await desk.change(auto_deploy=False)

    assert await desk.order(lambda tx: desk.orders.release(tx, desk.dev.id)) == []
    assert await desk.store.read(lambda reader: reader.held_pushes(desk.dev.id)) == []


async def test_what_waits_for_another_reason_is_not_offered(desk: Desk) -> None:
    await desk.change(auto_deploy=False)
    assert (await desk.push("v1"))["outcome"] == "waiting"

    assert await desk.store.read(lambda reader: reader.held_pushes(desk.dev.id)) == []


async def test_a_release_tells_what_goes_on_that_was_queued_before_the_hold(desk: Desk) -> None:
    await desk.push("v1")
    (before,) = await desk.store.read(lambda reader: reader.open_deploys(desk.dev.id))
    await desk.order(lambda tx: desk.orders.hold(tx, desk.dev.id))
    queued = await desk.order(lambda tx: desk.orders.release(tx, desk.dev.id))
    assert [(one.outcome, one.deploy_id) for one in queued] == [(Outcome.QUEUED, before.id)]


async def test_holding_twice_and_releasing_twice_is_no_different(desk: Desk) -> None:
    for _ in range(2):
        assert (await desk.order(lambda tx: desk.orders.hold(tx, desk.dev.id))).held
    await desk.push("v1")
    first, second = [
        await desk.order(lambda tx: desk.orders.release(tx, desk.dev.id)) for _ in range(2)
    ]

    assert (len(first), second) == (1, [])


async def test_release_merges_into_what_was_ordered_by_hand_meanwhile(desk: Desk) -> None:
    await desk.order(lambda tx: desk.orders.hold(tx, desk.dev.id))
    await desk.push("v1")
    by_hand = await desk.order(
        lambda tx: desk.orders.deployer.trigger_deploy(desk.project.id, desk.dev.id, "v1", tx=tx)
    )

    queued = await desk.order(lambda tx: desk.orders.release(tx, desk.dev.id))

    assert queued == [Queued(Outcome.MERGED, by_hand.deploy_id)]


async def test_a_rollback_is_not_undone_by_pushes_until_its_release(desk: Desk) -> None:
    await desk.ran("v1", "1", InstanceState.STOPPED)
    await desk.ran("v2", "2", InstanceState.LIVE)
    await desk.order(lambda tx: desk.orders.rollback(tx, desk.dev.id))

    assert (await desk.push("v3"))["outcome"] == "waiting"
    assert await desk.open() == [("v1", Trigger.ROLLBACK)]
    await desk.order(lambda tx: desk.orders.release(tx, desk.dev.id))
    assert await desk.open() == [("v3", Trigger.WEBHOOK)]


# What does not exist.


async def test_orders_about_nothing_are_not_found(desk: Desk) -> None:
    live = await desk.ran("v1", "1", InstanceState.LIVE)
    orders = desk.orders
    attempts: list[Callable[[Tx], object]] = [
        lambda tx: orders.rollback(tx, NOBODY),
        lambda tx: orders.rollback(tx, desk.dev.id, NOBODY),
        lambda tx: orders.promote(tx, NOBODY, desk.dev.id),
        lambda tx: orders.promote(tx, desk.prod.id, NOBODY),
        lambda tx: orders.cancel(tx, NOBODY),
        lambda tx: orders.hold(tx, NOBODY),
        lambda tx: orders.release(tx, NOBODY),
    ]

    said = [await desk.refused(attempt, NotFoundError) for attempt in attempts]

    assert all(NOBODY in words for words in said)
    assert [deploy.id for deploy in await desk.store.read(lambda reader: reader.deploys())] == [
        live
    ]


async def test_an_offer_keeps_what_brought_it(desk: Desk) -> None:
    await desk.order(lambda tx: desk.orders.hold(tx, desk.dev.id))
    await desk.push("v1", digest_of("1"), Source.POLL)

    offers: list[HeldPush] = await desk.store.read(lambda reader: reader.held_pushes(desk.dev.id))

    assert [(offer.tag, offer.digest, offer.source) for offer in offers] == [
        ("v1", digest_of("1"), "poll")
    ]
