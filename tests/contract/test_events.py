"""Events are recorded by what the store writes, on both databases."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from tagboat.core.catalog import Stage
from tagboat.core.deploy import Deploy, DeployStatus, InstanceState, Step, StepName, StepStatus
from tagboat.core.events import Event, EventTopic
from tagboat.core.polling import PollState
from tagboat.core.ports import Topic, Tx
from tagboat.core.values import replace
from tagboat.store import SqlStore, notifications, open_store
from tagboat.store.notifications import CommitNotifications
from tests.contract.test_store import (
    a_delivery,
    a_deploy,
    a_project,
    a_stage,
    add,
    an_instance,
)
from tests.support.notifications import at_rest
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
Open = Callable[[], SqlStore]


@pytest.fixture(params=["sqlite", "postgresql"])
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    url = None
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    opened: list[SqlStore] = []

    def open_one() -> SqlStore:
        opened.append(open_store(url, tmp_path))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_again: Open) -> SqlStore:
    return open_again()


async def a_lane(store: SqlStore) -> tuple[Stage, Deploy]:
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)
    await add(store, project, stage, deploy)
    return stage, deploy


async def events(store: SqlStore, after: int = 0) -> list[Event]:
    return await store.read(lambda reader: reader.events(after, 1000))


async def newest(store: SqlStore) -> int:
    return await store.read(lambda reader: reader.last_event_id())


async def test_what_is_added_is_an_event_of_its_own_transaction(store: SqlStore) -> None:
    stage, deploy = await a_lane(store)
    found = [one for one in await events(store) if one.topic is not EventTopic.SETTING]
    assert [(one.topic, one.subject) for one in found] == [
        (EventTopic.PROJECT, stage.project_id),
        (EventTopic.STAGE, stage.id),
        (EventTopic.DEPLOY, deploy.id),
    ]
    assert [one.id for one in found] == sorted({one.id for one in found})
    last = found[-1]
    assert (last.project_id, last.stage_id, last.deploy_id) == (
        deploy.project_id,
        deploy.stage_id,
        deploy.id,
    )
    assert last.state == {
        "status": "queued",
        "reason": None,
        "tag": "v1",
        "digest": None,
        "trigger": "webhook",
    }
    assert abs(last.at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_nothing_is_an_event_of_what_was_undone(store: SqlStore) -> None:
    stage, _ = await a_lane(store)
    before = await newest(store)

    def fails(tx: Tx) -> None:
        tx.put_stage(replace(stage, held=True))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await store.write(fails)
    assert await newest(store) == before


async def test_a_deploy_is_followed_by_its_steps_its_log_and_its_status(store: SqlStore) -> None:
    _, deploy = await a_lane(store)
    before = await newest(store)
    pulling = replace(
        deploy.with_step(Step(StepName.PULL, StepStatus.RUNNING, detail="12 of 40 MB")), log="a"
    )
    ended = replace(pulling, status=DeployStatus.FAILED, reason="no", log="a\nb")

    def twice(tx: Tx) -> None:
        tx.put_deploy(pulling)
        tx.put_deploy(pulling)
        tx.put_deploy(ended)

    await store.write(twice)
    found = await events(store, before)
    assert [(one.topic, dict(one.state)) for one in found] == [
        (EventTopic.STEP, {"name": "pull", "status": "running", "detail": "12 of 40 MB"}),
        (EventTopic.LOG, {"text": "a"}),
        (EventTopic.LOG, {"text": "b"}),
        (
            EventTopic.DEPLOY,
            {
                "status": "failed",
                "reason": "no",
                "tag": "v1",
                "digest": None,
                "trigger": "webhook",
            },
        ),
    ]


async def test_a_change_is_found_without_the_caller_having_read_the_deploy(store: SqlStore) -> None:
    _, deploy = await a_lane(store)
    before = await newest(store)
    done = deploy.with_step(Step(StepName.RESOLVE, StepStatus.DONE))
    await store.write(lambda tx: tx.put_deploy(done))
    await store.write(lambda tx: tx.put_deploy(replace(done, claimed_by="one")))
    assert [one.topic for one in await events(store, before)] == [EventTopic.STEP]


async def test_instances_stages_deliveries_polls_and_settings_are_events_too(
    store: SqlStore,
) -> None:
    stage, deploy = await a_lane(store)
    before, instance = await newest(store), an_instance(deploy)
    delivery = a_delivery()

    def work(tx: Tx) -> None:
        tx.add_instance(instance)
        tx.put_instance(replace(instance, state=InstanceState.DRAINING))
        tx.put_stage(replace(stage, held=True))
        tx.add_delivery(delivery)
        tx.put_poll_state(PollState(project_id=stage.project_id, error="out"))
        tx.put_setting("auto_create", value=False)
        tx.delete_stage(stage.id)

    await store.write(work)
    found = await events(store, before)
    assert [(one.topic, one.subject) for one in found] == [
        (EventTopic.INSTANCE, instance.id),
        (EventTopic.INSTANCE, instance.id),
        (EventTopic.STAGE, stage.id),
        (EventTopic.DELIVERY, delivery.id),
        (EventTopic.POLL, stage.project_id),
        (EventTopic.SETTING, "auto_create"),
        (EventTopic.STAGE, stage.id),
    ]
    assert [one.state.get("state") for one in found[:2]] == ["live", "draining"]
    assert found[2].state == {
        "name": "dev",
        "held": True,
        "stopped": False,
        "deleted": False,
    }
    assert found[4].state == {"error": "out"}
    assert found[5].state == {}
    assert found[6].state["deleted"] is True


async def test_they_are_read_from_an_id_on_also_after_a_restart(open_again: Open) -> None:
    store = open_again()
    stage, _ = await a_lane(store)
    before = await newest(store)
    await store.write(lambda tx: tx.put_stage(replace(stage, held=True)))
    other = open_again()
    (found,) = await events(other, before)
    assert found.subject == stage.id
    assert await other.read(lambda reader: reader.events(before, 0)) == []
    assert await events(other, found.id) == []


async def test_a_commit_with_events_announces_them(store: SqlStore) -> None:
    await at_rest(store)
    heard: list[str] = []
    store.listen(Topic.EVENTS, lambda: heard.append("events"))
    await store.write(lambda tx: tx.setting("auto_create"))
    assert heard == []
    await store.write(lambda tx: tx.put_setting("auto_create", value=False))
    await store.read(lambda reader: reader.last_event_id())
    assert heard == ["events"]


async def test_old_ones_go_and_the_newest_stays(store: SqlStore) -> None:
    for _ in range(5):
        await store.write(lambda tx: tx.put_setting("auto_create", value=False))
    last = await newest(store)
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert await store.write(lambda tx: tx.prune_events(LONG_AGO, 1000, 10)) == 0
    assert await store.write(lambda tx: tx.prune_events(LONG_AGO, 3, 100)) == last - 3
    assert [one.id for one in await events(store)] == [last - 2, last - 1, last]
    assert await store.read(lambda reader: reader.first_event_id()) == last - 2
    assert await store.write(lambda tx: tx.prune_events(soon, 1000, 1)) == 1
    assert await store.write(lambda tx: tx.prune_events(soon, 1000, 100)) == 1
    await store.write(lambda tx: tx.put_setting("auto_create", value=True))
    assert await newest(store) == last + 1


async def heard_by(store: SqlStore, topic: Topic) -> asyncio.Event:
    heard = asyncio.Event()
    store.listen(topic, heard.set)
    return heard


async def soon(heard: asyncio.Event) -> None:
    async with asyncio.timeout(60):
        await heard.wait()


@pytest.fixture
def by_notice_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks at the database by itself for what it was not told of."""
    monkeypatch.setattr(notifications, "CONNECTION_CHECK_S", 3600)


@pytest.mark.usefixtures("by_notice_only")
async def test_another_server_is_woken_by_a_commit(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database()
    one, other = open_store(url, tmp_path), open_store(url, tmp_path)
    try:
        stage, deploy = await a_lane(one)
        events, routes = await heard_by(other, Topic.EVENTS), await heard_by(other, Topic.ROUTES)
        # Once it listens, whatever was committed before; that may be before the second is there.
        await soon(events)
        events.clear()
        routes.clear()
        await one.write(lambda tx: tx.add_instance(an_instance(deploy)))
        await soon(events)
        await soon(routes)
        own = await heard_by(one, Topic.ROUTES)
        await soon(own)
        own.clear()
        await one.write(lambda tx: tx.add_instance(an_instance(deploy)))
        await one.write(lambda tx: tx.put_stage(replace(stage, held=True)))
        await soon(own)
    finally:
        one.close()
        other.close()


async def test_it_connects_again_and_catches_up(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "RECONNECT_S", 0.05)
    url = postgres.new_database()
    store = open_store(url, tmp_path)
    try:
        heard = await heard_by(store, Topic.SETTINGS)
        await soon(heard)
        heard.clear()
        # Once it follows, that is its last query.
        ended = 0
        async with asyncio.timeout(60):
            while not ended:
                await asyncio.sleep(0.01)
                with store._engine.connect() as connection:
                    ended = connection.execute(
                        text(
                            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                            " WHERE query LIKE '%max(events.id)%' AND pid <> pg_backend_pid()"
                        )
                    ).scalar_one()
        await soon(heard)
    finally:
        store.close()


async def test_a_lost_notification_is_made_up_for(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "CONNECTION_CHECK_S", 0.1)
    monkeypatch.setattr(CommitNotifications, "notify", lambda *_: None)  # as behind some poolers
    url = postgres.new_database()
    one, other = open_store(url, tmp_path), open_store(url, tmp_path)
    try:
        heard = await heard_by(other, Topic.SETTINGS)
        await soon(heard)
        heard.clear()
        await one.write(lambda tx: tx.put_setting("auto_create", value=False))
        await soon(heard)
    finally:
        one.close()
        other.close()
