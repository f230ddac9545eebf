"""Reads that pages are made of, asked of both databases."""

from datetime import timedelta

import pytest

from tagboat.core.delivery import Named, PastPush, PushResult, Receipt
from tagboat.core.deploy import DeployStatus, InstanceState, made_live
from tagboat.core.health import Trouble, Vitals
from tagboat.core.heard import HeardCall, PollFinds
from tagboat.core.image import ImageName
from tagboat.core.page_port import WaitingPushes
from tagboat.core.ports import Tx
from tagboat.core.push import Outcome
from tagboat.core.values import replace
from tagboat.store import SqlStore
from tests.contract.test_store import (
    NOW,
    ONE,
    TWO,
    a_delivery,
    a_deploy,
    a_project,
    a_stage,
    a_tag,
    add,
    an_instance,
    an_offer,
    open_again,
    store,
)

__all__ = ["open_again", "store"]
pytestmark = pytest.mark.anyio


def minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


async def test_instances_that_lived_come_newest_first_and_by_page(store: SqlStore) -> None:
    project = a_project()
    stage, other = a_stage(project, "a"), a_stage(project, "b")
    deploys = [a_deploy(stage, f"v{number}", note="why") for number in range(4)]
    lived = [
        made_live(an_instance(deploy, InstanceState.STOPPED), NOW + minutes(place), watched=True)
        for place, deploy in enumerate(deploys[:3])
    ]
    # Left for another, and read back as it was.
    lived[0] = replace(lived[0], left_at=NOW + minutes(1), left_for=deploys[1].id)
    never = an_instance(deploys[3], InstanceState.FAILED)
    elsewhere = made_live(an_instance(foreign := a_deploy(other)), NOW, watched=True)
    await add(store, project, stage, other, *deploys, foreign, *lived, never, elsewhere)

    newest = await store.read(lambda reader: reader.instances_that_lived(stage.id, limit=2))
    assert newest == [lived[2], lived[1]]
    rest = await store.read(lambda reader: reader.instances_that_lived(stage.id, newest[-1].id, 2))
    assert rest == [lived[0]]

    ids = [deploys[0].id, deploys[2].id, "0" * 24]
    found = await store.read(lambda reader: reader.deploys_by_id(ids))
    assert found == {deploys[0].id: deploys[0], deploys[2].id: deploys[2]}
    assert found[deploys[0].id].note == "why"


async def test_the_newest_release_and_the_images_that_are_there(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    deploys = [a_deploy(stage, f"v{number}", release_id=f"c{number}") for number in range(2)]
    await add(store, project, stage, *deploys, a_deploy(stage, "v9"))
    here = ImageName("git.example.com", "acme/app")

    def write(tx: Tx) -> None:
        tx.note_pull(here, ONE, NOW)
        tx.note_pull(here, TWO, NOW)
        assert tx.begin_removal(here, TWO, 0, NOW, NOW + minutes(1))

    await store.write(write)

    assert await store.read(lambda reader: reader.newest_release(stage.id)) == deploys[1]
    assert await store.read(lambda reader: reader.newest_release("none")) is None
    assert await store.read(lambda reader: reader.pulled_among([ONE, TWO])) == {(here, ONE)}
    assert await store.read(lambda reader: reader.pulled_among([])) == set()


async def test_tags_newest_first_by_page_and_by_text(store: SqlStore) -> None:
    project, other = a_project(), a_project("other")
    tags = [
        replace(a_tag(project, tag), first_seen=NOW + minutes(place // 2))
        for place, tag in enumerate(("v1", "V2-beta", "main", "v10%", "v_3"))
    ]
    await add(store, project, other, *tags, a_tag(other, "v5"))

    async def names(text: str = "", after: object = None, limit: int | None = None) -> list[str]:
        found = await store.read(
            lambda reader: reader.tags_page(project.id, text, after, limit)  # type: ignore[arg-type]
        )
        return [tag.tag for tag in found]

    assert await names() == ["v_3", "v10%", "main", "v1", "V2-beta"]
    assert await names(after=(NOW + minutes(1), "v10%"), limit=2) == ["main", "v1"]
    assert await names("v") == ["v_3", "v10%", "v1", "V2-beta"]
    assert await names("BETA") == ["V2-beta"]
    # The signs of LIKE are taken as they are.
    assert await names("%") == ["v10%"]
    assert await names("_") == ["v_3"]
    by_name = await store.read(lambda reader: reader.known_tags(project.id, text="0"))
    assert [tag.tag for tag in by_name] == ["v10%"]
    first = await store.read(lambda reader: reader.tag_names(project.id, 2))
    assert first == [("v_3", NOW + minutes(2)), ("v10%", NOW + minutes(1))]


async def test_the_last_pushes_of_a_project(store: SqlStore) -> None:
    project, stage = a_project(), a_stage(a_project())

    def push(tag: str, project_id: str, outcome: Outcome) -> PushResult:
        matched = outcome is Outcome.QUEUED
        return PushResult(
            image="git.example.com/acme/app",
            tag=tag,
            digest=None,
            project=Named(project_id, "app"),
            stage=Named(stage.id, "dev") if matched else None,
            outcome=outcome,
            reason="",
        )

    pushes = (
        push("v1", project.id, Outcome.QUEUED),
        push("v2", project.id, Outcome.UNMATCHED),
        push("chart", project.id, Outcome.REFUSED),
        push("v3", "another", Outcome.QUEUED),
    )
    deliveries = [a_delivery(), a_delivery()]

    def write(tx: Tx) -> None:
        for place, one in enumerate(deliveries):
            receipt = Receipt(one.id, pushes[: 4 - 3 * place])
            tx.add_delivery(replace(one, receipt=receipt, received_at=NOW + minutes(place)))

    await store.write(write)

    here = Named(stage.id, "dev")
    found = [
        PastPush("v1", here, NOW + minutes(1)),
        PastPush("v2", None, NOW),
        PastPush("v1", here, NOW),
    ]
    assert await store.read(lambda reader: reader.last_pushes(project.id, 9)) == found
    assert await store.read(lambda reader: reader.last_pushes(project.id, 2)) == found[:2]


async def test_failures_that_nothing_has_mended(store: SqlStore) -> None:
    project = a_project()
    mended, broken, old, queued, stopped = stages = [a_stage(project, name) for name in "abcde"]
    # Somebody has stopped it after its failure, and so knows that nothing serves there.
    stages[-1] = stopped = replace(stopped, stopped_at=NOW + minutes(5))
    failed = DeployStatus.FAILED

    def ended(stage: object, tag: str, at: int, status: DeployStatus = failed) -> object:
        return a_deploy(stage, tag, status=status, finished_at=NOW + minutes(at))  # type: ignore[arg-type]

    well = ended(broken, "v0", 0, DeployStatus.SUCCEEDED)
    first, second = ended(broken, "v1", 1), ended(broken, "v2", 5)
    last = ended(queued, "v1", 3)
    await add(
        store,
        project,
        *stages,
        *(ended(mended, "v1", 1), ended(mended, "v2", 2, DeployStatus.SUCCEEDED)),
        *(well, first, second),
        *(ended(old, "v1", -9), last, a_deploy(queued, "v2")),
        ended(stopped, "v1", 4),
    )

    async def found(limit: int) -> list[str]:
        failures = await store.read(lambda reader: reader.failures(NOW, limit))
        assert all(one.project_id == project.id for one in failures)
        assert [one.stage_id for one in failures] == [broken.id, queued.id][:limit]
        return [one.deploy_id for one in failures]

    # Of each stage the last one: one that fails again and again must not hide the others.
    assert await found(9) == [second.id, last.id]  # type: ignore[attr-defined]
    assert await found(1) == [second.id]  # type: ignore[attr-defined]

    # A start that fails after somebody has stopped it is news.
    await add(store, ended(stopped, "v2", 6))
    failures = await store.read(lambda reader: reader.failures(NOW, 9))
    assert [one.stage_id for one in failures] == [stopped.id, broken.id, queued.id]


async def test_pushes_that_wait_are_counted_by_stage(store: SqlStore) -> None:
    project = a_project()
    one, two = a_stage(project, "a"), a_stage(project, "b")
    await add(store, project, one, two)
    offers = (an_offer(one, "v1", 1), an_offer(one, "v3", 3), an_offer(one, "v2", 2))

    def write(tx: Tx) -> None:
        for offer in (*offers, an_offer(two, "main", 9)):
            tx.add_held_push(offer)

    await store.write(write)

    waits = [
        WaitingPushes(stage_id=two.id, pushes=1, newest="main", since=NOW + minutes(9)),
        WaitingPushes(stage_id=one.id, pushes=3, newest="v3", since=NOW + minutes(1)),
    ]
    assert await store.read(lambda reader: reader.waiting_pushes(9)) == waits
    assert await store.read(lambda reader: reader.waiting_pushes(1)) == waits[:1]


async def test_live_instances_in_trouble(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    deploys = [a_deploy(stage, f"v{number}") for number in range(3)]
    well, sick = an_instance(deploys[0]), an_instance(deploys[1])
    gone = an_instance(deploys[2], InstanceState.STOPPED)
    await add(store, project, stage, *deploys, well, sick, gone)

    def vitals(instance_id: str, trouble: Trouble) -> Vitals:
        return Vitals(
            instance_id=instance_id,
            running=True,
            restarting=False,
            paused=False,
            restarts=0,
            health=None,
            trouble=trouble,
            detail=trouble.value,
            changed_at=NOW,
        )

    reports = [
        vitals(well.id, Trouble.NONE),
        vitals(sick.id, Trouble.UNHEALTHY),
        vitals(gone.id, Trouble.DOWN),
    ]

    def write(tx: Tx) -> None:
        for report in reports:
            tx.put_vitals(report)

    await store.write(write)

    assert await store.read(lambda reader: reader.troubled_instances(9)) == [(sick, reports[1])]
    assert await store.read(lambda reader: reader.troubled_instances(0)) == []


async def test_calls_and_finds_are_remembered_by_host(store: SqlStore) -> None:
    def call(host: str, sender: str, at: int) -> HeardCall:
        return HeardCall(host=host, sender=sender, at=NOW + minutes(at), delivery_id=f"d{at}")

    finds = PollFinds(host="a.example", first_at=NOW, last_at=NOW + minutes(1), pushes=2)

    def write(tx: Tx) -> None:
        for one in (
            call("a.example", "gitea", 1),
            call("a.example", "native", 2),
            call("b.example", "gitea", 3),
            call("a.example", "gitea", 4),
        ):
            tx.note_call(one)
        assert tx.last_call_of("a.example") == NOW + minutes(4)
        tx.put_poll_finds(replace(finds, pushes=1))
        tx.put_poll_finds(finds)

    await store.write(write)
    await store.write(lambda tx: tx.note_call(call("b.example", "gitea", 5)))

    assert await store.read(lambda reader: reader.heard_calls()) == [
        call("b.example", "gitea", 5),
        call("a.example", "gitea", 4),
        call("a.example", "native", 2),
    ]
    assert await store.read(lambda reader: reader.last_call_of("c.example")) is None
    assert await store.read(lambda reader: reader.poll_finds()) == [finds]
    assert await store.read(lambda reader: reader.poll_finds("b.example")) == []
