"""What a store promises, asked of both databases."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import delete, event, select, update

from tagboat.core.catalog import (
    HeldPush,
    KnownTag,
    Project,
    Registry,
    RegistryKind,
    Stage,
    Strategy,
)
from tagboat.core.config import WEBHOOK_SECRET
from tagboat.core.delivery import (
    Delivery,
    DeliveryFilter,
    DeliveryOutcome,
    DeliverySummary,
    Named,
    PushResult,
    Receipt,
    SkippedEvent,
)
from tagboat.core.deploy import (
    ACTIVE_STATES,
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    Step,
    StepName,
    StepStatus,
    Trigger,
)
from tagboat.core.edge import Edge
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import ConflictError, NotFoundError, SettingsError, StoreUnavailableError
from tagboat.core.events import EventTopic
from tagboat.core.health import Trouble, Vitals
from tagboat.core.hosts import HostClaim
from tagboat.core.idempotency import RememberedAnswer
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageName
from tagboat.core.polling import PollState, RegistryBackoff
from tagboat.core.ports import Reader, Topic, Tx
from tagboat.core.project_webhook import (
    ProjectWebhook,
    Signature,
    SignatureKind,
    WebhookAccess,
    hash_secret,
)
from tagboat.core.push import Outcome, PushVerdict, Source
from tagboat.core.receipt import ReceiptLedger, SideCounts
from tagboat.core.request_counts import InstanceCounts
from tagboat.core.run import NO_OPTIONS, RunConfig, RunOptions
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tagboat.store import SqlStore, open_store, session, tables
from tagboat.store.settings import SettingReads
from tagboat.store.unit import UnitOfWork
from tagboat.store.upkeep_tables import leases_table
from tests.support.endpoints import at
from tests.support.notifications import at_rest
from tests.support.postgres import Postgres, running_postgres

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=UTC)
ONE = Digest("sha256:" + "1" * 64)
TWO = Digest("sha256:" + "2" * 64)
Open = Callable[[], SqlStore]
OPTIONS = RunOptions(
    secrets={"TOKEN": "correct horse", "EMPTY": "", "ü": "\u2028"},
    secret_files={"tls.key": "battery\nstaple"},
    volumes={"data": "/var/lib/data"},
    memory=1 << 50,
    cpus=0.25,
    pids=100,
    command=("serve", ""),
    user="1000:1000",
    networks=("backend", "db"),
    labels={"a.b": "c"},
    stop_signal="SIGINT",
    stop_timeout_s=0,
    release_command=("migrate",),
    release_timeout_s=86_400,
    entrypoint=("/init", ""),
    extra_hosts={"db": "host-gateway"},
    shm_size=1 << 20,
    init=False,
    tmpfs={"/cache": "size=1m"},
    read_only=True,
    cap_add=("NET_ADMIN",),
    devices=("/dev/a:/dev/a:rwm",),
    binds=("/srv/a:/a:ro",),
    publish=("127.0.0.1:53:53/udp",),
)
CONFIG = RunConfig(
    port=8080, healthcheck="/up", env={"A": "plain"}, options=OPTIONS, image_volumes=("/data", "/ü")
)


@pytest.fixture(params=["sqlite", "postgresql"])
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same database anew at each call, as another start of the server does."""
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


def a_project(name: str = "app", /, **changes: object) -> Project:
    image = ImageName("git.example.com:3000", f"acme/{name}")
    return replace(Project(id=new_id(), name=name, image=image, created_at=NOW), **changes)  # type: ignore[arg-type]


def a_stage(project: Project, name: str = "dev", **changes: object) -> Stage:
    stage = Stage(
        id=new_id(),
        project_id=project.id,
        name=name,
        pattern=parse_tag_pattern("*"),
        created_at=NOW,
    )
    return replace(stage, **changes)  # type: ignore[arg-type]


def a_deploy(stage: Stage, tag: str = "v1", **changes: object) -> Deploy:
    deploy = Deploy(
        id=new_id(),
        project_id=stage.project_id,
        stage_id=stage.id,
        tag=tag,
        digest=None,
        trigger=Trigger.WEBHOOK,
        created_at=NOW,
    )
    return replace(deploy, **changes)  # type: ignore[arg-type]


def an_instance(deploy: Deploy, state: InstanceState = InstanceState.LIVE) -> Instance:
    return Instance(
        id=new_id(),
        deploy_id=deploy.id,
        project_id=deploy.project_id,
        stage_id=deploy.stage_id,
        tag=deploy.tag,
        digest=ONE,
        state=state,
        container=f"app-dev-{deploy.id[-8:]}",
        endpoints=(Endpoint("127.0.0.1", 40000),),
        fingerprint="0123456789abcdef",
        started_at=NOW,
    )


def a_delivery(key: str = "") -> Delivery:
    key = key or new_id()
    return Delivery(id=key, sender="native", status=202, receipt=Receipt(key, ()), received_at=NOW)


def a_registry(name: str = "forge", **changes: object) -> Registry:
    registry = Registry(
        id=new_id(), name=name, url=f"https://{name}.example.com", kind=RegistryKind.GITEA
    )
    return replace(registry, **changes)  # type: ignore[arg-type]


def a_tag(
    project: Project, tag: str = "v1", digest: Digest | None = None, source: str = "webhook"
) -> KnownTag:
    return KnownTag(project_id=project.id, tag=tag, digest=digest, first_seen=NOW, source=source)


async def add(store: SqlStore, *values: object) -> None:
    """Add values, each to its table, in one transaction."""

    def work(tx: Tx) -> None:
        for value in values:
            match value:
                case Registry():
                    tx.add_registry(value)
                case Project():
                    tx.add_project(value)
                case Stage():
                    tx.add_stage(value)
                case Deploy():
                    tx.add_deploy(value)
                case Instance():
                    tx.add_instance(value)
                case KnownTag():
                    tx.record_tag(value)
                case _:
                    raise AssertionError(value)

    await store.write(work)


# What goes in comes out.


async def test_a_project_comes_back_as_it_was(store: SqlStore) -> None:
    registry = a_registry()
    project = a_project(
        port=8080,
        healthcheck="/ok",
        env={"A": "1", "ü": "\u2028"},
        registry_id=registry.id,
        inspected=False,
    )
    project = replace(project, port_set=True, healthcheck_set=True)
    await add(store, registry, project)
    assert await store.read(lambda reader: reader.project(project.id)) == project
    assert await store.read(lambda reader: reader.project_by_image(project.image)) == project
    assert await store.read(lambda reader: reader.project_by_name("app")) == project
    assert await store.read(lambda reader: reader.projects()) == [project]


async def test_a_stage_comes_back_as_it_was(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(
        project,
        pattern=parse_tag_pattern("semver:^1.2 || >=3.0.0-rc.1"),
        position=-3,
        auto_deploy=False,
        allow_downgrade=True,
        max_instances=4,
        env={"B": ""},
        domains=("a.example.com", "b.example.com"),
        health_timeout_s=7,
        healthcheck_host="internal.example.com",
        healthcheck_request_timeout_s=300,
        drain_timeout_s=0,
        held=True,
    )
    await add(store, project, stage)
    assert await store.read(lambda reader: reader.stage(stage.id)) == stage


async def test_how_apps_are_run_comes_back_as_it_was(store: SqlStore) -> None:
    project = a_project(run=OPTIONS)
    stage = a_stage(project, run=OPTIONS, strategy=Strategy.RECREATE, watch_s=0, ttl_h=87_600)
    stage = replace(stage, image_volumes=("/data", "/ü"), adopted_volumes={"/data": "f" * 64})
    await add(store, project, stage, a_project("bare"))
    assert await store.read(lambda reader: reader.project(project.id)) == project
    assert await store.read(lambda reader: reader.project_by_image(project.image)) == project
    assert await store.read(lambda reader: reader.stages(project.id)) == [stage]
    await store.write(
        lambda tx: tx.put_stage(
            replace(stage, run=replace(OPTIONS, entrypoint="image"), strategy=None)
        )
    )
    kept = await store.read(lambda reader: reader.stage(stage.id))
    assert (kept.run.entrypoint, kept.strategy) == ("image", None)
    bare = await store.read(lambda reader: reader.project_by_name("bare"))
    assert bare is not None
    assert bare.run == NO_OPTIONS


async def test_how_apps_are_run_is_changed_and_unsaid(store: SqlStore) -> None:
    project = a_project(run=OPTIONS)
    stage = a_stage(project, run=OPTIONS)
    await add(store, project, stage)
    changed = replace(OPTIONS, secrets={"TOKEN": "another"}, memory=0)
    for run in (changed, NO_OPTIONS):
        await store.write(lambda tx, run=run: tx.put_project(replace(project, run=run)))  # type: ignore[misc]
        await store.write(lambda tx, run=run: tx.put_stage(replace(stage, run=run)))  # type: ignore[misc]
        assert (await store.read(lambda reader: reader.project(project.id))).run == run
        assert (await store.read(lambda reader: reader.stage(stage.id))).run == run


async def test_the_configuration_of_a_deploy_is_kept_with_it(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    deploy, other = a_deploy(stage), a_deploy(stage, "v2")
    await add(store, project, stage, deploy, other)
    assert await store.read(lambda reader: reader.deploy_config(deploy.id)) is None

    def work(tx: Tx) -> RunConfig | None:
        tx.put_deploy_config(deploy.id, CONFIG)
        return tx.deploy_config(deploy.id)

    assert await store.write(work) == CONFIG
    assert await store.read(lambda reader: reader.deploy_config(deploy.id)) == CONFIG
    assert await store.read(lambda reader: reader.deploy_config(other.id)) is None
    second = replace(CONFIG, port=0, options=NO_OPTIONS)
    await store.write(lambda tx: tx.put_deploy_config(deploy.id, second))
    assert await store.read(lambda reader: reader.deploy_config(deploy.id)) == second


async def test_the_ledger_of_a_receipt_is_kept_with_its_deploy(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    deploy, other = a_deploy(stage), a_deploy(stage, "v2")
    await add(store, project, stage, deploy, other)
    ids = [deploy.id, other.id]
    assert await store.read(lambda reader: reader.receipt_ledgers(ids)) == {}
    ledger = ReceiptLedger(
        since=deploy.created_at,
        new="i1",
        endpoints={"i1": Endpoint("127.0.0.1", 20000)},
        counted={"i1": SideCounts(answered=3, aborted=1, left_by_client=1)},
        seen={"1": {"i1": InstanceCounts(answers=9)}},
        seen_away={"1": 0},
    )
    before = await store.read(lambda reader: reader.last_event_id())
    await store.write(lambda tx: tx.put_receipt_ledger(deploy.id, ledger))
    assert await store.read(lambda reader: reader.receipt_ledgers(ids)) == {deploy.id: ledger}
    # There is no receipt yet that anyone could see.
    assert await store.read(lambda reader: reader.events(before, 10)) == []
    ledger = ledger.routed_away([], "i1", deploy.created_at)
    await store.write(lambda tx: tx.put_receipt_ledger(deploy.id, ledger))
    (told,) = await store.read(lambda reader: reader.events(before, 10))
    receipt = told.state["receipt"]
    assert isinstance(receipt, dict)
    assert (told.topic, told.subject, receipt["requests"]) == (EventTopic.DEPLOY, deploy.id, 4)
    await store.write(lambda tx: tx.delete_stage(stage.id))
    assert await store.read(lambda reader: reader.receipt_ledgers(ids)) == {}


async def test_a_deploy_keeps_that_it_is_to_be_cancelled_and_has_been_released(
    store: SqlStore,
) -> None:
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)
    await add(store, project, stage, deploy)
    changed = replace(deploy, cancelling=True, released=True)
    await store.write(lambda tx: tx.put_deploy(changed))
    assert await store.read(lambda reader: reader.deploy(deploy.id)) == changed


def an_offer(stage: Stage, tag: str, minute: int = 0, digest: Digest | None = None) -> HeldPush:
    return HeldPush(
        stage_id=stage.id,
        tag=tag,
        digest=digest,
        source="poll",
        seen_at=NOW + timedelta(minutes=minute),
    )


def add_held_push(offer: HeldPush, tx: Tx) -> None:
    tx.add_held_push(offer)


async def test_offers_come_oldest_first_and_a_later_one_of_a_tag_takes_its_place(
    store: SqlStore,
) -> None:
    project = a_project()
    stage, other = a_stage(project), a_stage(project, "other")
    await add(store, project, stage, other)
    foreign = an_offer(other, "v1")
    first = [an_offer(stage, "v1", 1), an_offer(stage, "v3", 3), an_offer(stage, "v2", 2), foreign]
    for offer in first:
        await store.write(partial(add_held_push, offer))
    assert [
        offer.tag for offer in await store.read(lambda reader: reader.held_pushes(stage.id))
    ] == ["v1", "v2", "v3"]

    def work(tx: Tx) -> list[HeldPush]:
        tx.add_held_push(an_offer(stage, "v1", 4, ONE))
        return tx.held_pushes(stage.id)

    seen = await store.write(work)
    assert seen == [
        an_offer(stage, "v2", 2),
        an_offer(stage, "v3", 3),
        an_offer(stage, "v1", 4, ONE),
    ]
    assert await store.read(lambda reader: reader.held_pushes(stage.id)) == seen
    assert await store.read(lambda reader: reader.held_pushes(other.id)) == [foreign]


async def test_offers_are_deleted_by_stage(store: SqlStore) -> None:
    project = a_project()
    stage, other = a_stage(project), a_stage(project, "other")
    await add(store, project, stage, other)

    def work(tx: Tx) -> list[HeldPush]:
        for lane in (stage, other):
            tx.add_held_push(an_offer(lane, "v1"))
        tx.delete_held_pushes(stage.id)
        return tx.held_pushes(stage.id)

    assert await store.write(work) == []
    assert await store.read(lambda reader: reader.held_pushes(stage.id)) == []
    assert await store.read(lambda reader: reader.held_pushes(other.id)) == [an_offer(other, "v1")]


async def test_a_deploy_comes_back_as_it_was(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(
        stage,
        digest=ONE,
        trigger=Trigger.ROLLBACK,
        status=DeployStatus.RUNNING,
        reason="because",
        force=True,
        log="one\ntwo",
        merges=3,
        claimed_by="me",
        claimed_until=NOW + timedelta(seconds=15),
        started_at=NOW,
        finished_at=NOW + timedelta(microseconds=1),
    ).with_step(
        Step(StepName.PULL, StepStatus.FAILED, NOW, NOW + timedelta(seconds=1), "3 of 7 layers")
    )
    await add(store, project, stage, deploy)
    assert await store.read(lambda reader: reader.deploy(deploy.id)) == deploy


async def test_an_instance_comes_back_as_it_was(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)
    instance = replace(an_instance(deploy), stopped_at=NOW)
    await add(store, project, stage, deploy, instance)
    assert await store.read(lambda reader: reader.instance(instance.id)) == instance
    await store.write(lambda tx: tx.put_instance(replace(instance, state=InstanceState.STOPPED)))
    assert (
        await store.read(lambda reader: reader.instance(instance.id))
    ).state is InstanceState.STOPPED


@pytest.mark.parametrize(
    "endpoints",
    [
        (),
        (Endpoint("127.0.0.1", 40000),),
        (Endpoint("10.0.0.1", 40000),),
        (Endpoint("127.0.0.1", 40000), Endpoint("127.0.0.1", 40001)),
    ],
)
async def test_the_endpoints_of_an_instance_come_back_as_they_were(
    store: SqlStore, endpoints: tuple[Endpoint, ...]
) -> None:
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)
    instance = an_instance(deploy)
    await add(store, project, stage, deploy, instance)
    await store.write(lambda tx: tx.put_instance(replace(instance, endpoints=endpoints)))
    found = await store.read(lambda reader: reader.instance(instance.id))
    assert found.endpoints == endpoints


async def test_times_keep_their_microseconds_before_and_after_1970(store: SqlStore) -> None:
    early, late = (
        datetime(1900, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        datetime(2999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    )
    await add(store, a_project("early", created_at=early), a_project("late", created_at=late))
    assert [
        project.created_at for project in await store.read(lambda reader: reader.projects())
    ] == [early, late]


async def test_projects_are_counted_and_found_by_many_images_and_names(store: SqlStore) -> None:
    app, other = (
        a_project("app"),
        a_project("other", image=ImageName("git.example.com", "acme/other")),
    )
    await add(store, app, other)
    unknown = ImageName("git.example.com", "acme/unknown")
    for read in (store.read, store.write):
        assert await read(lambda tx: tx.count_projects()) == 2
        assert await read(lambda tx: tx.projects_by_image([app.image, unknown])) == {app.image: app}
        assert await read(lambda tx: tx.projects_by_image([])) == {}
        assert await read(lambda tx: tx.names_taken(["app", "app-2", "other"])) == {"app", "other"}


async def test_a_setting_of_none_is_unset(store: SqlStore) -> None:
    await store.write(lambda tx: tx.put_setting("name", "before"))
    await store.write(lambda tx: tx.put_setting("name", None))
    assert await store.read(lambda reader: reader.setting("name")) is None


@pytest.mark.parametrize("value", [True, False, 0, 1.5, "", "text", ["a", "b"], {"a": [1, None]}])
async def test_a_setting_is_any_json_value(store: SqlStore, value: object) -> None:
    await store.write(lambda tx: tx.put_setting("name", "before"))
    await store.write(lambda tx: tx.put_setting("name", value))
    assert await store.read(lambda reader: reader.setting("name")) == value
    assert await store.read(lambda reader: reader.setting("another")) is None


async def test_what_calls_need_is_read_once_in_a_transaction_and_again_after_a_change(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[object] = []
    plain = SettingReads.webhook_access

    def counted(reader: SettingReads) -> WebhookAccess:
        reads.append(reader)
        return plain(reader)

    monkeypatch.setattr(SettingReads, "webhook_access", counted)
    signature = Signature(kind=SignatureKind.HMAC_SHA256, secret="shared")

    def work(tx: Tx) -> list[WebhookAccess]:
        found = [tx.webhook_access(), tx.webhook_access()]
        tx.put_setting(WEBHOOK_SECRET, "a secret")
        found.append(tx.webhook_access())
        tx.put_webhook_signature(signature)
        return [*found, tx.webhook_access(), tx.webhook_access()]

    first, second, third, fourth, fifth = await store.write(work)
    assert first == second == (None, None)
    assert third[0] is not None
    assert third[0].matches("a secret")
    assert fourth == fifth == (third[0], signature)
    assert len(reads) == 3
    assert await store.read(lambda reader: reader.webhook_access()) == fourth


async def test_a_delivery_is_kept(store: SqlStore) -> None:
    key = new_id()
    pushes = (
        PushResult(
            image="git.example.com/acme/app",
            tag="v1",
            digest=ONE,
            project=Named("p", "app"),
            stage=Named("s", "dev"),
            project_created=True,
            outcome=Outcome.QUEUED,
            reason="so",
            deploy="d",
        ),
        PushResult(image="x", tag="", digest=None, outcome=Outcome.REFUSED, reason="no"),
    )
    skipped = (SkippedEvent("y", "a chart"), SkippedEvent(None, "2 more"))
    receipt = Receipt(key, pushes, "mend it", skipped, needs_you=True)
    delivery = replace(a_delivery(key), receipt=receipt, headers={"a": "b"}, body="{}", took_ms=1.5)
    other = replace(a_delivery(new_id()), truncated=True, hook_id="h")

    def work(tx: Tx) -> None:
        tx.add_delivery(delivery)
        tx.add_delivery(other)

    await store.write(work)
    assert await store.read(lambda reader: reader.delivery(key)) == delivery
    assert await store.read(lambda reader: reader.delivery(other.id)) == other
    listed = await store.read(lambda reader: reader.deliveries())
    assert listed == [_summary(other), _summary(delivery)]
    assert await store.write(lambda tx: tx.prune_deliveries(NOW, 1, 10)) == 1
    for table in (tables.delivery_pushes_table, tables.delivery_skips_table):
        with store._engine.connect() as connection:
            assert connection.execute(select(table)).all() == []


async def test_deliveries_are_found_by_sender_and_outcome(store: SqlStore) -> None:
    def made(sender: str, status: int, *outcomes: Outcome) -> Delivery:
        pushes = tuple(
            PushResult(image="i", tag="v1", digest=None, outcome=one, reason="so")
            for one in outcomes
        )
        blank = a_delivery(new_id())
        return replace(blank, sender=sender, status=status, receipt=Receipt(blank.id, pushes))

    calls = {
        "mixed": made("quay", 202, Outcome.REFUSED, Outcome.QUEUED),
        "queued": made("native", 202, Outcome.QUEUED),
        "empty": made("quay", 202),
        "failed": made("quay", 400),
    }
    for one in calls.values():
        await store.write(partial(_add_delivery, one))

    async def found(sender: str | None, outcome: DeliveryOutcome | None) -> list[str]:
        only = DeliveryFilter(sender, outcome)
        listed = await store.read(lambda reader: reader.deliveries("", 10, only))
        names = {one.id: name for name, one in calls.items()}
        return [names[one.id] for one in listed]

    assert await found(None, None) == ["failed", "empty", "queued", "mixed"]
    assert await found("quay", None) == ["failed", "empty", "mixed"]
    assert await found(None, DeliveryOutcome.QUEUED) == ["queued", "mixed"]
    assert await found("quay", DeliveryOutcome.QUEUED) == ["mixed"]
    assert await found(None, DeliveryOutcome.NOTHING) == ["empty"]
    assert await found(None, DeliveryOutcome.FAILED) == ["failed"]
    assert await found("harbor", None) == []


async def test_the_newest_call_of_each_sender_says_if_it_needs_a_person(store: SqlStore) -> None:
    def made(sender: str, hook_id: str | None, *, needs_you: bool) -> Delivery:
        blank = replace(a_delivery(new_id()), sender=sender, hook_id=hook_id)
        receipt = Receipt(blank.id, (), "so", needs_you=needs_you)
        return replace(blank, receipt=receipt)

    old = made("zot", None, needs_you=True)
    mended = (made("quay", None, needs_you=True), made("quay", None, needs_you=False))
    trouble = [
        made("quay", "h", needs_you=True),
        made("native", None, needs_you=True),
        made("native", None, needs_you=True),
    ]
    for one in (old, *mended, *trouble):
        await store.write(partial(_add_delivery, one))
    read = partial(store.read, lambda reader: reader.senders_needing_you(5))
    assert await read() == [_summary(trouble[2]), _summary(trouble[0])]

    # As servers of before write it: all in one text.
    older = made("harbor", None, needs_you=False)

    def as_before(tx: Tx) -> None:
        tx.add_delivery(replace(older, receipt=Receipt(older.id, ())))
        cast("UnitOfWork", tx)._session.execute(
            update(tables.deliveries_table)
            .where(tables.deliveries_table.c.id == older.id)
            .values(result='{"reason": "so", "needs_you": true}')
        )

    await store.write(as_before)
    assert [call.id for call in await read()] == [older.id, trouble[2].id, trouble[0].id]


@pytest.mark.parametrize(
    ("result", "reason", "pushes"),
    [
        ('{"reason":"a ping","pushes":[]}', "a ping", 0),
        ('{"title":"x","detail":"the body is too large"}', "the body is too large", 0),
        (
            '{"pushes":[{"image":"i","tag":"t","digest":null,"outcome":"queued","reason":"r"}]}',
            None,
            1,
        ),
        ('{"pushes":"none"}', None, 0),
        ("[]", None, 0),
        ("no JSON", None, 0),
    ],
)
async def test_a_receipt_that_an_older_server_wrote_is_read(
    store: SqlStore, result: str, reason: str | None, pushes: int
) -> None:
    delivery = a_delivery()

    def as_before(tx: Tx) -> None:
        tx.add_delivery(delivery)
        cast("UnitOfWork", tx)._session.execute(
            update(tables.deliveries_table).values(result=result)
        )

    await store.write(as_before)
    found = (await store.read(lambda reader: reader.delivery(delivery.id))).receipt
    assert (found.delivery, found.reason, len(found.pushes)) == (delivery.id, reason, pushes)


async def test_many_projects_and_poll_states_are_read_by_id(store: SqlStore) -> None:
    projects = [
        replace(
            a_project(), id=f"p{number}", name=f"app{number}", image=ImageName("h", f"a/{number}")
        )
        for number in range(3)
    ]
    await add(store, *projects)
    polled = PollState(project_id="p1", first_done=True, last_at=NOW)

    def work(tx: Tx) -> object:
        tx.put_poll_state(polled)
        return tx.poll_states(["p0", "p1"])

    states = {"p0": PollState(project_id="p0"), "p1": polled}
    assert await store.write(work) == states, "what a transaction has put, it sees"
    assert await store.read(lambda reader: reader.poll_states(["p0", "p1"])) == states
    assert await store.read(lambda reader: reader.poll_states([])) == {}
    stages = [
        a_stage(projects[2], name, position=place) for name, place in (("prod", 0), ("dev", 1))
    ]
    await add(store, *stages[::-1])
    assert await store.read(lambda reader: reader.stages_by_project(["p0", "p2"])) == {
        "p0": [],
        "p2": stages,
    }
    wanted = ["p2", "gone", "p0"]
    assert await store.read(lambda reader: reader.projects_by_id(wanted)) == {
        "p0": projects[0],
        "p2": projects[2],
    }


async def test_registries_that_fail_are_those_that_a_project_needs(store: SqlStore) -> None:
    needing = a_project()

    def fail(tx: Tx) -> None:
        for host in (
            "git.example.com:3000",
            "git.example.com",
            "git.example.com:300",
            "other.example.com",
        ):
            tx.put_registry_backoff(RegistryBackoff(host=host, failures=1, error="down"))

    await store.write(fail)
    assert await store.read(lambda reader: reader.failing_registries()) == []
    await store.write(lambda tx: tx.add_project(needing))
    (failing,) = await store.read(lambda reader: reader.failing_registries())
    assert (failing.host, failing.error) == (needing.image.host, "down")
    await store.write(lambda tx: tx.put_registry_backoff(RegistryBackoff(host=needing.image.host)))
    assert await store.read(lambda reader: reader.failing_registries()) == []


async def test_poll_state_and_backoff(store: SqlStore) -> None:
    project = a_project()
    await add(store, project)
    assert await store.read(lambda reader: reader.poll_state(project.id)) == PollState(
        project_id=project.id
    )
    assert await store.read(lambda reader: reader.registry_backoff("h")) == RegistryBackoff(
        host="h"
    )
    for state in (
        PollState(project_id=project.id, first_done=False, last_at=NOW, error="down"),
        PollState(project_id=project.id, first_done=True, last_at=NOW + timedelta(1)),
    ):
        await store.write(lambda tx, state=state: tx.put_poll_state(state))  # type: ignore[misc]
        assert await store.read(lambda reader: reader.poll_state(project.id)) == state
    for failures in (1, 2):
        backoff = RegistryBackoff(
            host="h", failures=failures, error="429", retry_at=NOW, refused_until=NOW
        )
        await store.write(lambda tx, backoff=backoff: tx.put_registry_backoff(backoff))  # type: ignore[misc]
        assert await store.read(lambda reader: reader.registry_backoff("h")) == backoff


# Secrets at rest.


async def test_a_registry_comes_back_with_its_password_which_is_not_stored_in_the_clear(
    store: SqlStore,
) -> None:
    registry = a_registry(username="bot", password="correct horse battery")
    await add(store, registry)
    assert await store.read(lambda reader: reader.registry(registry.id)) == registry
    with store._engine.connect() as connection:
        stored = connection.scalar(select(tables.registries_table.c.password))
    assert stored is not None
    assert b"horse" not in stored


async def test_two_registries_of_one_password_are_sealed_differently(store: SqlStore) -> None:
    await add(
        store, a_registry("a", password="same"), a_registry("b", password="same"), a_registry("c")
    )
    with store._engine.connect() as connection:
        stored = list(
            connection.scalars(
                select(tables.registries_table.c.password).order_by(tables.registries_table.c.name)
            )
        )
    assert stored[0] != stored[1]
    assert stored[2] is None


async def test_a_password_is_changed_and_cleared(store: SqlStore) -> None:
    registry = a_registry(password="old")
    await add(store, registry)
    for password in ("new", None, ""):
        await store.write(
            lambda tx, password=password: tx.put_registry(  # type: ignore[misc]
                replace(registry, password=password)
            )
        )
        assert (await store.read(lambda reader: reader.registry(registry.id))).password == password


def database_files(folder: Path) -> bytes:
    """What is in SQLite's files; nothing where the database is elsewhere."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("tagboat.db*")))


async def test_how_apps_are_run_is_nowhere_in_the_clear(store: SqlStore, tmp_path: Path) -> None:
    project = a_project(run=OPTIONS)
    stage = a_stage(project, run=OPTIONS)
    deploy = a_deploy(stage)
    await add(store, project, stage, deploy)
    await store.write(lambda tx: tx.put_deploy_config(deploy.id, CONFIG))
    with store._engine.connect() as connection:
        cells = [
            cell
            for table in tables.metadata.sorted_tables
            for row in connection.execute(select(table))
            for cell in row
        ]
    sealed = [cell for cell in cells if isinstance(cell, bytes)]
    everything = b"".join(
        [*sealed, *(str(cell).encode() for cell in cells if not isinstance(cell, bytes))]
    )
    everything += database_files(tmp_path)
    assert project.name.encode() in everything
    assert len(sealed) == 3
    assert [
        word
        for word in (b"correct horse", b"battery", b"staple", b"TOKEN", b"tls.key")
        if word in everything
    ] == []


async def test_another_key_is_refused_at_the_start(open_again: Open, tmp_path: Path) -> None:
    open_again().close()
    (tmp_path / "encryption.key").write_text("ab" * 32)
    with pytest.raises(SettingsError, match="another encryption key"):
        open_again()


def test_a_lost_key_is_not_replaced_by_another(open_again: Open, tmp_path: Path) -> None:
    open_again().close()
    key = tmp_path / "encryption.key"
    key.rename(tmp_path / "elsewhere")
    there = sorted(tmp_path.iterdir())
    for _ in range(2):
        with pytest.raises(SettingsError, match=f"the encryption key {key} is missing: .*backup"):
            open_again()
        assert sorted(tmp_path.iterdir()) == there
    (tmp_path / "elsewhere").rename(key)
    open_again()


# What must be one of its kind.


@pytest.mark.parametrize(
    "clash",
    [
        lambda: a_project("other", name="app"),
        lambda: a_project("other", image=a_project().image),
        lambda: a_registry("forge"),
        lambda: a_registry("other", url="http://forge.example.com/"),
    ],
    ids=["project name", "project image", "registry name", "registry host"],
)
async def test_a_second_of_the_same_is_a_conflict_and_changes_nothing(
    store: SqlStore, clash: Callable[[], object]
) -> None:
    await add(store, a_project(), a_registry())
    with pytest.raises(ConflictError):
        await add(store, a_project("beside"), clash())
    assert [project.name for project in await store.read(lambda reader: reader.projects())] == [
        "app"
    ]
    assert [registry.name for registry in await store.read(lambda reader: reader.registries())] == [
        "forge"
    ]


async def test_a_deploy_of_a_stage_that_went_meanwhile_is_a_conflict(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    await add(store, project, stage)
    with pytest.raises(ConflictError):
        await add(store, a_deploy(replace(stage, id="gone")))
    await add(store, a_deploy(stage))  # and the store goes on


async def test_stage_names_are_unique_within_their_project_only(store: SqlStore) -> None:
    one, two = a_project("one"), a_project("two")
    await add(store, one, two, a_stage(one), a_stage(two))
    with pytest.raises(ConflictError):
        await add(store, a_stage(one))


async def test_what_is_missing_is_not_found(store: SqlStore) -> None:
    kinds: list[Callable[[Reader], object]] = [
        lambda reader: reader.project("nobody"),
        lambda reader: reader.stage("nobody"),
        lambda reader: reader.registry("nobody"),
        lambda reader: reader.deploy("nobody"),
        lambda reader: reader.instance("nobody"),
    ]
    for kind in kinds:
        with pytest.raises(NotFoundError, match="nobody"):
            await store.read(kind)
        with pytest.raises(NotFoundError, match="nobody"):
            await store.write(kind)
    assert await store.read(lambda reader: reader.project_by_name("nobody")) is None
    assert await store.read(lambda reader: reader.registry_for_host("nobody")) is None


# Orders and pages.


async def test_projects_come_by_name_and_by_page(store: SqlStore) -> None:
    await add(store, *(a_project(name) for name in ("c", "a", "b", "a-b", "a.b", "a0")))
    names = [project.name for project in await store.read(lambda reader: reader.projects())]
    assert sorted(names) == ["a", "a-b", "a.b", "a0", "b", "c"]
    paged: list[str] = []

    def next_page(reader: Reader) -> list[Project]:
        return reader.projects(after=paged[-1] if paged else "", limit=2)

    while page := await store.read(next_page):
        assert len(page) <= 2
        paged += [project.name for project in page]
    assert paged == names


async def test_stages_come_by_position_and_then_by_name(store: SqlStore) -> None:
    project = a_project()
    stages = [
        a_stage(project, name, position=position)
        for name, position in (("b", 1), ("a", 2), ("c", 1), ("z", -1))
    ]
    await add(store, project, *stages)
    for look in (store.read, store.write):
        assert [stage.name for stage in await look(lambda tx: tx.stages(project.id))] == [
            "z",
            "b",
            "c",
            "a",
        ]


async def test_deploys_come_newest_first_by_page_and_by_filter(store: SqlStore) -> None:
    project = a_project()
    dev, prod = a_stage(project, "dev"), a_stage(project, "prod")
    deploys = [a_deploy(stage, tag) for tag in ("v1", "v2", "v3") for stage in (dev, prod)]
    deploys[0] = replace(deploys[0], status=DeployStatus.FAILED)
    await add(store, project, dev, prod, *deploys)
    newest_first = deploys[::-1]
    assert await store.read(lambda reader: reader.deploys(limit=2)) == newest_first[:2]
    assert (
        await store.read(lambda reader: reader.deploys(before=newest_first[1].id, limit=3))
        == newest_first[2:5]
    )
    assert await store.read(lambda reader: reader.deploys(stage_id=dev.id)) == deploys[0::2][::-1]
    assert await store.read(lambda reader: reader.deploys(project_id="another")) == []
    assert await store.read(lambda reader: reader.deploys(statuses=[DeployStatus.FAILED])) == [
        deploys[0]
    ]


async def test_open_deploys_are_those_queued_and_running_oldest_first(store: SqlStore) -> None:
    project = a_project()
    stage, other = a_stage(project), a_stage(project, "other")
    deploys = [a_deploy(stage, status=status) for status in DeployStatus]
    elsewhere = a_deploy(other)
    await add(store, project, stage, other, *deploys, elsewhere)
    for look in (store.read, store.write):
        assert await look(lambda tx: tx.open_deploys(stage.id)) == deploys[:2]
        assert await look(lambda tx: tx.all_open_deploys()) == [*deploys[:2], elsewhere]


async def test_instances_by_stage_and_state(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    deploys = [a_deploy(stage) for _ in InstanceState]
    instances = [
        an_instance(deploy, state) for deploy, state in zip(deploys, InstanceState, strict=True)
    ]
    await add(store, project, stage, *deploys, *instances)
    assert await store.read(lambda reader: reader.instances(stage_id=stage.id)) == instances[::-1]
    assert {
        one.state for one in await store.read(lambda reader: reader.instances(states=ACTIVE_STATES))
    } == ACTIVE_STATES
    assert await store.read(lambda reader: reader.instances(stage_id="another")) == []
    assert await store.read(lambda reader: reader.instances(before=instances[-1].id, limit=1)) == [
        instances[-2]
    ]


# Tags.


async def test_instances_that_ended_last_come_first_whenever_they_began(store: SqlStore) -> None:
    project = a_project()
    stage, other = a_stage(project), a_stage(project, "other")
    deploy, elsewhere = a_deploy(stage), a_deploy(other)
    first, second, third = [
        replace(an_instance(deploy, state), stopped_at=NOW + timedelta(minutes=minute))
        for state, minute in (
            (InstanceState.STOPPED, 3),
            (InstanceState.FAILED, 2),
            (InstanceState.STOPPED, 1),
        )
    ]
    others = [
        an_instance(deploy),
        replace(an_instance(elsewhere, InstanceState.STOPPED), stopped_at=NOW),
    ]
    await add(store, project, stage, other, deploy, elsewhere, first, second, third, *others)

    async def recent(states: list[InstanceState], limit: int) -> list[Instance]:
        return await store.read(lambda reader: reader.recent_instances(stage.id, states, limit))

    assert await recent([InstanceState.STOPPED, InstanceState.FAILED], 9) == [first, second, third]
    assert await recent([InstanceState.STOPPED, InstanceState.FAILED], 2) == [first, second]
    assert await recent([InstanceState.STOPPED], 2) == [first, third]
    assert await recent([InstanceState.LIVE], 2) == []


async def test_endpoints_in_use_are_those_of_all_that_may_have_a_container(
    store: SqlStore,
) -> None:
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)
    places = [(at(20001),), (Endpoint("10.0.0.7", 8080), Endpoint("10.0.0.8", 8080)), (), (at(9),)]
    instances = [
        replace(an_instance(deploy, state), endpoints=endpoints)
        for state, endpoints in zip(
            (*ACTIVE_STATES, InstanceState.STOPPED),
            places,
            strict=True,
        )
    ]
    await add(store, project, stage, deploy, *instances)
    found = await store.read(lambda reader: reader.active_endpoints())
    assert found == {*places[0], *places[1]}


async def test_what_a_deploy_at_work_watches_itself_is_left_to_it(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    ended = a_deploy(stage, status=DeployStatus.SUCCEEDED)
    running = a_deploy(stage, status=DeployStatus.RUNNING)
    unwatched, its_own = an_instance(ended), an_instance(running)
    watched = replace(an_instance(ended), watched=True)
    draining = replace(an_instance(ended, InstanceState.DRAINING), watched=False)
    live = [replace(one, watched=False) for one in (unwatched, its_own)]
    await add(store, project, stage, ended, running, *live, watched, draining)
    assert await store.read(lambda reader: reader.unwatched_instances()) == live[:1]


# Hosts.


def label(claims: Iterable[HostClaim]) -> set[tuple[str, str, bool]]:
    return {(claim.stage_id, claim.host, claim.is_domain) for claim in claims}


async def test_which_hosts_stages_claim_follows_their_names_and_domains(store: SqlStore) -> None:
    project = a_project("app")
    stage, other = a_stage(project, "dev", domains=("shop.example.com",)), a_stage(project, "prod")
    await add(store, project, stage, other)
    asked = ["app-dev", "app-prod", "shop.example.com", "new-dev", "new-prod", "nowhere"]

    async def claims() -> set[tuple[str, str, bool]]:
        return label(await store.read(lambda reader: reader.host_claims(asked)))

    assert await claims() == {
        (stage.id, "app-dev", False),
        (stage.id, "shop.example.com", True),
        (other.id, "app-prod", False),
    }
    await store.write(lambda tx: tx.put_project(replace(project, name="new")))
    await store.write(lambda tx: tx.put_stage(replace(stage, domains=())))
    assert await claims() == {(stage.id, "new-dev", False), (other.id, "new-prod", False)}
    await store.write(lambda tx: tx.delete_stage(other.id))
    assert await claims() == {(stage.id, "new-dev", False)}


async def test_a_host_is_of_one_stage(store: SqlStore) -> None:
    one, two = a_project("a"), a_project("a-b")
    stage, rival = a_stage(one, "b-c"), a_stage(two, "c")
    await add(store, one, two, stage)
    with pytest.raises(ConflictError):
        await add(store, rival)
    with pytest.raises(ConflictError):
        await add(store, a_stage(two, "d", domains=("a.example.com", "a.example.com")), rival)
    await add(store, a_stage(two, "d", domains=("a.example.com", "a.example.com")))
    found = await store.read(lambda reader: reader.host_claims(["a-b-c", "a.example.com"]))
    assert len(found) == 2
    await store.write(lambda tx: tx.delete_stage(stage.id))
    await add(store, rival)


async def test_projects_are_found_by_the_label_of_their_names(store: SqlStore) -> None:
    names = ("my_app", "my.app", "my-app2")
    for name in names:
        one = replace(a_project(), name=name, image=ImageName("git.example.com", name))
        await add(store, one)

    def found(reader: Reader) -> set[str]:
        return {project.name for project in reader.projects_by_slug("my-app")}

    assert await store.read(found) == {"my_app", "my.app"}
    renamed = await store.read(lambda reader: reader.project_by_name("my.app"))
    assert renamed is not None
    await store.write(lambda tx: tx.put_project(replace(renamed, name="other")))
    assert await store.read(found) == {"my_app"}


async def test_a_host_claimed_twice_since_long_ago_is_on_record_for_both(open_again: Open) -> None:
    store = open_again()
    project = a_project("app")
    first = a_stage(project, domains=("a.example.com",))
    second = a_stage(project, "prod", domains=("b.example.com",))
    await add(store, project, first, second)

    def as_before(tx: Tx) -> None:
        session = cast("UnitOfWork", tx)._session
        session.execute(
            delete(tables.hosts_table).where(tables.hosts_table.c.stage_id == second.id)
        )
        session.execute(
            update(tables.stages_table)
            .where(tables.stages_table.c.id == second.id)
            .values(domains=("a.example.com",))
        )

    await store.write(as_before)
    store = open_again()
    kept = await store.read(lambda reader: reader.stage(second.id))
    assert kept.domains == ("a.example.com",)
    await store.write(lambda tx: tx.put_stage(replace(kept, held=True)))
    found = await store.read(lambda reader: reader.host_claims(["a.example.com", "app-prod"]))
    assert label(found) == {
        (first.id, "a.example.com", True),
        (second.id, "a.example.com", True),
        (second.id, "app-prod", False),
    }
    with pytest.raises(ConflictError):
        await add(store, a_stage(project, "more", domains=("a.example.com",)))


async def test_claims_of_stages_that_an_older_server_wrote_are_put_on_record_at_the_start(
    open_again: Open,
) -> None:
    store, project = open_again(), a_project("app")
    stage, other = a_stage(project, domains=("shop.example.com",)), a_stage(project, "prod")
    await add(store, project, stage, other)

    def as_before(tx: Tx) -> None:
        cast("UnitOfWork", tx)._session.execute(
            delete(tables.hosts_table).where(tables.hosts_table.c.stage_id == stage.id)
        )

    await store.write(as_before)
    assert await store.read(lambda reader: reader.host_claims(["app-dev"])) == []
    found = await open_again().read(
        lambda reader: reader.host_claims(["app-dev", "shop.example.com", "app-prod"])
    )
    assert label(found) == {
        (stage.id, "app-dev", False),
        (stage.id, "shop.example.com", True),
        (other.id, "app-prod", False),
    }


async def test_stages_of_which_little_is_asked(store: SqlStore) -> None:
    project = a_project()
    lasting, mortal, several = (
        a_stage(project, "a"),
        a_stage(project, "b", ttl_h=3),
        a_stage(project, "c", max_instances=3),
    )
    deploys = [a_deploy(lasting), a_deploy(several)]
    live = [an_instance(deploy) for deploy in deploys]
    ended = an_instance(deploys[1], InstanceState.STOPPED)
    second = an_instance(deploys[1])
    await add(store, project, lasting, mortal, several, *deploys, *live, ended, second)
    assert await store.read(lambda reader: reader.stages_with_ttl()) == [mortal]
    assert await store.read(lambda reader: reader.side_by_side()) == [second, live[1]]


async def test_stages_with_run_options_and_what_runs_with_some(store: SqlStore) -> None:
    options = RunOptions(binds=("/srv/a:/a",))
    plain, said = a_project("plain"), a_project("said", run=options)
    none, own, inherits = a_stage(plain, "a"), a_stage(plain, "b", run=options), a_stage(said, "a")
    deploys = [a_deploy(own) for _ in InstanceState]
    made = [an_instance(one, state) for one, state in zip(deploys, InstanceState, strict=True)]
    await add(store, plain, said, none, own, inherits, *deploys, *made)
    config = RunConfig(port=1, healthcheck="", env={}, options=options)

    def put(tx: Tx) -> None:
        for one in deploys:
            tx.put_deploy_config(one.id, config)

    await store.write(put)
    found = await store.read(lambda reader: reader.stages_with_options())
    assert sorted(found, key=lambda stage: stage.id) == [own, inherits]
    running = await store.read(lambda reader: reader.running_configs())
    assert running == [(own.id, config)] * len(ACTIVE_STATES)


# Looks for work.


async def test_claims_are_renewed_that_nobody_has_come_after(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "database_time", lambda _: NOW)
    project = a_project()
    stage = a_stage(project, max_instances=3)
    before, until = NOW, NOW + timedelta(seconds=15)
    claimed = partial(replace, status=DeployStatus.RUNNING, claimed_until=before)
    mine = claimed(a_deploy(stage), claimed_by="here", claim=1)
    taken = claimed(a_deploy(stage), claimed_by="there", claim=2)
    await add(store, project, stage, mine, taken)
    await store.write(
        lambda tx: tx.open_deploys(stage.id)
    )  # read by now, and remembered where nobody else writes
    claims = {mine.id: 1, taken.id: 1}
    assert await store.write(lambda tx: tx.renew_claims(claims, 15)) == {mine.id}
    assert await store.write(lambda tx: tx.renew_claims({}, 15)) == frozenset()
    for look in (store.read, store.write):
        found = await look(lambda tx: tx.open_deploys(stage.id))
        assert [deploy.claimed_until for deploy in found] == [until, before]


async def test_what_disturbs_those_at_work_is_read_and_nothing_else(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    claimed = partial(replace, status=DeployStatus.RUNNING, claimed_by="here", claim=1)
    quiet, cancelled, taken = (
        claimed(a_deploy(stage), **change) for change in ({}, {"cancelling": True}, {"claim": 2})
    )
    other = claimed(a_deploy(stage), cancelling=True)
    await add(store, project, stage, quiet, cancelled, taken, other)
    mine = {quiet.id: 1, cancelled.id: 1, taken.id: 1}
    found = await store.read(lambda reader: reader.disturbed_deploys(mine))
    assert {deploy.id for deploy in found} == {cancelled.id, taken.id}
    assert await store.read(lambda reader: reader.disturbed_deploys({})) == []


async def test_new_ids_follow_those_on_record_whatever_the_clock_says(open_again: Open) -> None:
    store, project = open_again(), a_project()
    stage = a_stage(project)
    in_a_minute = f"{time.time_ns() + 60 * 10**9:016x}00000000"
    await add(store, project, stage, a_deploy(stage, id=in_a_minute))
    open_again()
    assert new_id() > in_a_minute


async def test_no_registry_of_a_strangers_host_is_remembered(store: SqlStore) -> None:
    memory = store._memory
    hosts = [f"h{number}.example.com" for number in range(5)]
    assert (
        await store.write(lambda tx: [tx.registry_for_host(host) for host in hosts]) == [None] * 5
    )
    assert memory.registries == {}
    await add(store, a_registry("h1"))
    assert await store.write(lambda tx: tx.registry_for_host("h1.example.com")) is not None


async def test_of_several_states_as_many_instances_come_as_are_asked_for(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)
    ended = [InstanceState.STOPPED, InstanceState.FAILED] * 3
    instances = [an_instance(deploy, state) for state in ended]
    await add(store, project, stage, deploy, *instances)
    found = await store.read(
        lambda reader: reader.instances(stage_id=stage.id, states=set(ended), limit=3)
    )
    assert found == instances[:2:-1]


async def test_of_a_known_tag_only_a_new_digest_is_taken(store: SqlStore) -> None:
    project = a_project()
    await add(store, project, a_tag(project))
    later = replace(a_tag(project, digest=ONE, source="poll"), first_seen=NOW + timedelta(days=1))
    await add(store, later)
    assert await store.read(lambda reader: reader.known_tag(project.id, "v1")) == a_tag(
        project, digest=ONE
    )
    await add(store, replace(later, digest=None))
    assert await store.read(lambda reader: reader.known_tag(project.id, "v1")) == a_tag(
        project, digest=ONE
    )
    await add(store, replace(later, digest=TWO))
    assert await store.read(lambda reader: reader.known_tag(project.id, "v1")) == a_tag(
        project, digest=TWO
    )


async def test_of_a_known_tag_the_last_verdict_is_kept(store: SqlStore) -> None:
    project = a_project()
    recorded = PushVerdict(
        at=NOW,
        source=Source.POLL,
        outcome=Outcome.RECORDED,
        reason='tag v1 matches v*, but "v2" is newer',
    )
    queued = PushVerdict(
        at=NOW,
        source=Source.WEBHOOK,
        outcome=Outcome.QUEUED,
        reason="tag v1 matches v*",
        deploy="d",
    )
    await add(store, project, a_tag(project, digest=ONE))
    await add(store, replace(a_tag(project), verdict=recorded))
    kept = await store.read(lambda reader: reader.known_tag(project.id, "v1"))
    assert kept == replace(a_tag(project, digest=ONE), verdict=recorded)
    await add(store, a_tag(project, digest=TWO))
    kept = await store.read(lambda reader: reader.known_tag(project.id, "v1"))
    assert kept == replace(a_tag(project, digest=TWO), verdict=recorded)
    await add(store, replace(a_tag(project), verdict=queued))
    assert await store.read(lambda reader: reader.known_tags(project.id)) == [
        replace(a_tag(project, digest=TWO), verdict=queued)
    ]


async def test_a_tag_recorded_twice_in_one_transaction_keeps_digest_and_verdict(
    store: SqlStore,
) -> None:
    project = a_project()
    verdict = PushVerdict(
        at=NOW, source=Source.POLL, outcome=Outcome.RECORDED, reason="it is the first poll"
    )
    later = a_tag(project, source="poll")
    await add(store, project, a_tag(project, digest=ONE), replace(later, verdict=verdict), later)
    assert await store.read(lambda reader: reader.known_tags(project.id)) == [
        replace(a_tag(project, digest=ONE), verdict=verdict)
    ]


async def test_tags_come_by_page_and_are_forgotten_with_the_polls(store: SqlStore) -> None:
    project, other = a_project(), a_project("other")
    await add(
        store, project, other, *(a_tag(project, tag) for tag in ("v3", "v1", "v2")), a_tag(other)
    )
    await store.write(
        lambda tx: tx.put_poll_state(PollState(project_id=project.id, first_done=True))
    )
    tags = await store.read(lambda reader: reader.known_tags(project.id, after="v1", limit=1))
    assert [known.tag for known in tags] == ["v2"]
    await store.write(lambda tx: tx.forget_tags(project.id))
    assert await store.read(lambda reader: reader.known_tags(project.id)) == []
    assert not (await store.read(lambda reader: reader.poll_state(project.id))).first_done
    assert len(await store.read(lambda reader: reader.known_tags(other.id))) == 1


# Registries and the projects they serve.


async def test_the_registry_of_a_project_is_the_one_it_names_else_that_of_its_host(
    store: SqlStore,
) -> None:
    by_host = a_registry("host", url="https://GIT.example.com:3000/")
    named = a_registry("named")
    project = a_project()
    await add(store, by_host, named, project)
    assert await store.read(lambda reader: reader.registry_of(project)) == by_host
    assert (
        await store.read(lambda reader: reader.registry_of(replace(project, registry_id=named.id)))
        == named
    )
    await store.write(lambda tx: tx.delete_registry(by_host.id))
    assert await store.read(lambda reader: reader.registry_of(project)) is None


async def test_a_registry_that_a_project_names_cannot_be_deleted(store: SqlStore) -> None:
    registry = a_registry()
    await add(store, registry, a_project(registry_id=registry.id))
    with pytest.raises(ConflictError):
        await store.write(lambda tx: tx.delete_registry(registry.id))
    assert await store.read(lambda reader: reader.registries()) == [registry]


# Deleting takes along what hangs on it.


async def test_a_deleted_project_takes_everything_along(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)
    await add(store, project, stage, deploy, an_instance(deploy), a_tag(project))
    await store.write(lambda tx: tx.delete_project(project.id))
    assert await store.read(lambda reader: reader.projects()) == []
    assert await store.read(lambda reader: reader.all_open_deploys()) == []
    assert await store.read(lambda reader: reader.instances()) == []
    assert await store.read(lambda reader: reader.known_tags(project.id)) == []
    assert await store.write(lambda tx: tx.project_by_image(project.image)) is None
    await add(store, a_project())


async def test_a_deleted_stage_takes_its_deploys_along_even_those_just_added(
    store: SqlStore,
) -> None:
    project = a_project()
    stage = a_stage(project)
    await add(store, project, stage)

    def work(tx: Tx) -> None:
        tx.add_deploy(a_deploy(stage))
        tx.delete_stage(stage.id)

    await store.write(work)
    assert await store.read(lambda reader: reader.deploys()) == []
    assert await store.write(lambda tx: tx.stages(project.id)) == []


async def test_what_came_while_a_stage_was_held_and_what_its_deploys_ran_with_goes_with_it(
    store: SqlStore,
) -> None:
    project = a_project()
    stage, other = a_stage(project), a_stage(project, "other")
    deploys = [a_deploy(stage), a_deploy(other)]
    await add(store, project, stage, other, *deploys)

    def fill(tx: Tx) -> None:
        for lane, deploy in zip((stage, other), deploys, strict=True):
            tx.put_deploy_config(deploy.id, CONFIG)
            tx.add_held_push(an_offer(lane, "v1"))

    await store.write(fill)
    await store.write(lambda tx: tx.delete_stage(stage.id))
    assert await store.read(lambda reader: reader.held_pushes(stage.id)) == []
    assert await store.read(lambda reader: reader.deploy_config(deploys[0].id)) is None
    assert await store.read(lambda reader: reader.deploy_config(deploys[1].id)) == CONFIG
    await store.write(lambda tx: tx.delete_project(project.id))
    with store._engine.connect() as connection:
        left = [
            list(connection.execute(select(table)))
            for table in (tables.offers_table, tables.deploy_configs_table)
        ]
    assert left == [[], []]


# Inside one transaction, everything written is seen.


async def test_a_transaction_sees_what_it_has_written(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)

    def work(tx: Tx) -> None:
        tx.add_project(project)
        assert tx.project_by_image(project.image) == project
        tx.add_stage(stage)
        assert tx.stages(project.id) == [stage]
        tx.add_deploy(deploy)
        assert tx.deploy(deploy.id) == deploy
        assert tx.open_deploys(stage.id) == tx.all_open_deploys() == tx.deploys() == [deploy]
        ended = replace(deploy, status=DeployStatus.SUPERSEDED)
        tx.put_deploy(ended)
        assert tx.deploy(deploy.id) == ended
        assert tx.open_deploys(stage.id) == tx.all_open_deploys() == []
        tx.record_tag(a_tag(project))
        assert tx.known_tag(project.id, "v1") == a_tag(project)
        tx.put_project(replace(project, port=80))
        assert tx.project(project.id).port == 80
        tx.put_stage(replace(stage, held=True))
        assert tx.stages(project.id)[0].held

    await store.write(work)
    assert (
        await store.read(lambda reader: reader.deploy(deploy.id))
    ).status is DeployStatus.SUPERSEDED


async def test_what_raises_leaves_nothing_and_is_forgotten_by_later_transactions(
    store: SqlStore,
) -> None:
    project = a_project()

    def work(tx: Tx) -> None:
        tx.add_project(project)
        assert tx.project_by_image(project.image) is not None
        tx.stages(project.id)
        tx.put_setting("half", value=True)
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await store.write(work)
    assert await store.write(lambda tx: tx.project_by_image(project.image)) is None
    assert await store.read(lambda reader: reader.setting("half")) is None


async def test_one_that_fails_takes_none_of_its_neighbours_along(store: SqlStore) -> None:
    await add(store, a_project("taken"))
    works = [add(store, a_project(f"p{number:02}")) for number in range(20)]
    works.insert(7, add(store, a_project("new", name="taken")))
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    assert [isinstance(outcome, ConflictError) for outcome in outcomes].index(True) == 7
    assert sum(outcome is None for outcome in outcomes) == 20
    assert len(await store.read(lambda reader: reader.projects())) == 21


async def test_many_writers_at_once_lose_no_update(store: SqlStore) -> None:
    def work(tx: Tx) -> None:
        count = tx.setting("count") or 0
        assert isinstance(count, int)
        tx.put_setting("count", count + 1)

    await asyncio.gather(*(store.write(work) for _ in range(300)))
    assert await store.read(lambda reader: reader.setting("count")) == 300


# Durability, other replicas, announcements.


async def test_what_is_written_is_there_after_a_restart(open_again: Open) -> None:
    first, project, registry = open_again(), a_project(), a_registry(password="kept")
    await add(first, project, registry)
    first.close()
    second = open_again()
    assert await second.read(lambda reader: reader.project(project.id)) == project
    assert await second.read(lambda reader: reader.registry(registry.id)) == registry


async def test_only_sqlite_is_exclusive(store: SqlStore) -> None:
    assert store.exclusive is (store._engine.dialect.name == "sqlite")


async def test_replicas_see_one_anothers_writes_and_take_turns(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.new_database()
    here, there = open_store(url, tmp_path), open_store(url, tmp_path)
    project = a_project()
    stage = a_stage(project)

    def work(tx: Tx) -> None:
        count = tx.setting("count") or 0
        assert isinstance(count, int)
        tx.put_setting("count", count + 1)

    try:
        await add(here, project, stage)
        assert await there.write(lambda tx: tx.stages(project.id)) == [stage]
        await here.write(lambda tx: tx.put_stage(replace(stage, held=True)))
        assert (await there.write(lambda tx: tx.stages(project.id)))[0].held
        await asyncio.gather(*(store.write(work) for store in (here, there) for _ in range(100)))
        assert await here.read(lambda reader: reader.setting("count")) == 200
    finally:
        here.close()
        there.close()


async def test_a_replica_that_stands_still_in_mid_write_is_not_waited_for_without_end(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.new_database()
    here, there = open_store(url, tmp_path), open_store(url, tmp_path)
    held, go_on = threading.Event(), threading.Event()

    def stand_still(tx: Tx) -> None:
        tx.put_setting("a", 1)
        held.set()
        go_on.wait(120)

    still = asyncio.ensure_future(here.write(stand_still))
    try:
        await asyncio.to_thread(held.wait, 60)
        async with asyncio.timeout(60):
            with pytest.raises(StoreUnavailableError, match="lock timeout"):
                await there.write(lambda tx: tx.put_setting("b", 2))
        go_on.set()
        await still
        await there.write(lambda tx: tx.put_setting("b", 2))
        assert await here.read(lambda reader: (reader.setting("a"), reader.setting("b"))) == (1, 2)
    finally:
        go_on.set()
        here.close()
        there.close()


async def test_a_database_that_is_out_of_reach_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "key"
    folder.mkdir()
    with running_postgres() as server:
        url = server.new_database()
        store = open_store(url, folder)
        await add(store, a_project())
    try:
        with pytest.raises(StoreUnavailableError, match="the database cannot be used"):
            await store.read(lambda reader: reader.projects())
        with pytest.raises(StoreUnavailableError, match="the database cannot be used"):
            await add(store, a_project("other"))
        with pytest.raises(StoreUnavailableError, match="the database cannot be used"):
            open_store(url, folder)
    finally:
        store.close()


async def test_a_topic_is_announced_after_the_commit_and_to_its_listeners_only(
    store: SqlStore,
) -> None:
    await at_rest(store)
    heard = asyncio.Event()
    wrong: list[Topic] = []
    store.listen(Topic.DEPLOYS, heard.set)
    store.listen(Topic.SETTINGS, lambda: wrong.append(Topic.SETTINGS))
    await store.write(lambda tx: tx.announce(Topic.DEPLOYS))
    await asyncio.wait_for(heard.wait(), 60)
    assert wrong == []


async def test_a_transaction_that_fails_announces_nothing(store: SqlStore) -> None:
    await at_rest(store)
    heard: list[Topic] = []
    store.listen(Topic.DEPLOYS, lambda: heard.append(Topic.DEPLOYS))

    def work(tx: Tx) -> None:
        tx.announce(Topic.DEPLOYS)
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(work)
    await store.write(lambda tx: tx.setting("anything"))
    assert heard == []


async def test_a_claim_counts_up_and_lasts_by_the_clock_of_the_database(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)
    await add(store, project, stage, deploy)
    monkeypatch.setattr(session, "database_time", lambda _: NOW)
    first = await store.write(lambda tx: tx.claim_deploy(tx.deploy(deploy.id), "here", 15))
    assert first == await store.read(lambda reader: reader.deploy(deploy.id))
    assert (first.status, first.claimed_by, first.claim) == (DeployStatus.RUNNING, "here", 1)
    assert first.claimed_until == NOW + timedelta(seconds=15)
    again = await store.write(lambda tx: tx.claim_deploy(tx.deploy(deploy.id), "here", 15))
    assert again.claim == 2
    assert await store.write(lambda tx: tx.renew_claims({deploy.id: 1}, 15)) == frozenset()


async def test_an_instance_is_not_written_over_a_newer_state(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)
    instance = an_instance(deploy)
    await add(store, project, stage, deploy, instance)
    stopped = replace(instance, state=InstanceState.STOPPED)
    draining, live = [InstanceState.DRAINING], [InstanceState.LIVE, InstanceState.STARTING]
    before = await store.read(lambda reader: reader.last_event_id())
    assert not await store.write(lambda tx: tx.put_instance(stopped, draining))
    assert await store.read(lambda reader: reader.instance(instance.id)) == instance
    assert await store.read(lambda reader: reader.last_event_id()) == before
    assert await store.write(lambda tx: tx.put_instance(stopped, live))
    assert await store.read(lambda reader: reader.instance(instance.id)) == stopped


async def test_the_clock_of_the_database_is_right(store: SqlStore) -> None:
    deploy = await claimed_now(store)
    assert deploy.claimed_until is not None
    left = deploy.claimed_until - datetime.now(UTC)
    assert timedelta(seconds=3000) < left <= timedelta(seconds=3600)


async def claimed_now(store: SqlStore) -> Deploy:
    """Return a deploy that is claimed for an hour."""
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)
    await add(store, project, stage, deploy)
    return await store.write(lambda tx: tx.claim_deploy(deploy, "here", 3600))


async def test_a_lease_has_one_holder_until_it_runs_out(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = NOW
    monkeypatch.setattr(session, "database_time", lambda _: now)
    assert await store.write(lambda tx: tx.acquire_lease("poll", "a", 10))
    assert not await store.write(lambda tx: tx.acquire_lease("poll", "b", 10))
    assert await store.write(lambda tx: tx.acquire_lease("other", "b", 10))
    assert await store.write(lambda tx: tx.acquire_lease("poll", "a", 20))
    now += timedelta(seconds=10)
    assert not await store.write(lambda tx: tx.acquire_lease("poll", "b", 10))
    now += timedelta(seconds=10)
    assert await store.write(lambda tx: tx.acquire_lease("poll", "b", 10))


async def test_leases_are_listed_by_their_names_while_they_last(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = NOW
    monkeypatch.setattr(session, "database_time", lambda _: now)

    def take(tx: Tx) -> None:
        for name, for_s in (("of_a/one", 10), ("of_a/two", 70), ("ofXa/three", 90), ("four", 90)):
            assert tx.acquire_lease(name, name, for_s)

    await store.write(take)
    assert await store.read(lambda reader: reader.leases("of_a/")) == {
        "of_a/one": 10.0,
        "of_a/two": 70.0,
    }
    now += timedelta(seconds=10)
    assert await store.read(lambda reader: reader.leases("of_a/")) == {"of_a/two": 60.0}


async def test_a_lease_is_forgotten_a_day_after_it_ran_out(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = NOW
    monkeypatch.setattr(session, "database_time", lambda _: now)
    await store.write(lambda tx: tx.acquire_lease("old", "here", 10))
    now += timedelta(days=1, seconds=10)
    await store.write(lambda tx: tx.acquire_lease("newer", "here", 10))
    assert names_of_leases(store) == {"old", "newer"}
    now += timedelta(seconds=1)
    await store.write(lambda tx: tx.acquire_lease("newest", "here", 10))
    assert names_of_leases(store) == {"newer", "newest"}


def names_of_leases(store: SqlStore) -> set[str]:
    with store._engine.connect() as connection:
        return set(connection.execute(select(leases_table.c.name)).scalars())


async def test_ingresses_report_by_the_clock_of_the_database_and_are_forgotten_after_a_day(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = NOW
    monkeypatch.setattr(session, "database_time", lambda _: now)
    await store.write(lambda tx: tx.put_edge("one", 7, {"127.0.0.1:1": 2}))
    now += timedelta(seconds=3)
    await store.write(lambda tx: tx.put_edge("two", 2**40, {}))
    await store.write(lambda tx: tx.put_edge("two", 2**41, {}))
    assert await store.read(lambda reader: reader.edges()) == [
        Edge(id="one", age_s=3.0, led=7, in_flight={"127.0.0.1:1": 2}),
        Edge(id="two", age_s=0.0, led=2**41),
    ]
    now += timedelta(days=1)
    await store.write(lambda tx: tx.put_edge("three", 1, {}))
    found = await store.read(lambda reader: reader.edges())
    assert [one.id for one in found] == ["three", "two"]


async def test_a_read_sees_one_moment(store: SqlStore) -> None:
    seen_once, changed = threading.Event(), threading.Event()

    def look_twice(reader: Reader) -> tuple[object, object]:
        first = reader.setting("poll_schedule")
        seen_once.set()
        assert changed.wait(60)
        return first, reader.setting("poll_schedule")

    await store.write(lambda tx: tx.put_setting("poll_schedule", "@hourly"))
    reading = asyncio.create_task(store.read(look_twice))
    assert await asyncio.to_thread(seen_once.wait, 10)
    await store.write(lambda tx: tx.put_setting("poll_schedule", "@daily"))
    changed.set()
    assert await reading == ("@hourly", "@hourly")
    assert await store.read(lambda reader: reader.setting("poll_schedule")) == "@daily"


async def test_hooks_keep_their_signature_and_go_with_their_project(store: SqlStore) -> None:
    project = a_project()
    await add(store, project)
    signature = Signature(kind=SignatureKind.HMAC_SHA256, secret="shared")
    hook = ProjectWebhook(
        id=new_id(),
        project_id=project.id,
        name="ci",
        secret_hash=hash_secret("uuid"),
        created_at=NOW,
    )
    await store.write(lambda tx: tx.add_hook(hook))
    assert await store.read(lambda reader: reader.hooks()) == [hook]
    signed = replace(hook, signature=signature, secret_hash=hash_secret("another"))
    await store.write(lambda tx: tx.put_hook(signed))
    assert await store.read(lambda reader: reader.hook(hook.id)) == signed
    with pytest.raises(ConflictError):
        await store.write(lambda tx: tx.add_hook(replace(hook, id=new_id())))
    await store.write(lambda tx: tx.delete_project(project.id))
    assert await store.read(lambda reader: reader.hooks(project.id)) == []


async def test_the_signature_of_the_global_url(store: SqlStore) -> None:
    signature = Signature(kind=SignatureKind.HEADER, secret="shared", header="authorization")
    assert await store.read(lambda reader: reader.webhook_signature()) is None
    await store.write(lambda tx: tx.put_webhook_signature(signature))
    assert await store.read(lambda reader: reader.webhook_signature()) == signature
    await store.write(lambda tx: tx.put_webhook_signature(None))
    assert await store.read(lambda reader: reader.webhook_signature()) is None


async def test_deliveries_newest_first_and_pruned_by_age_and_number(store: SqlStore) -> None:
    kept = [
        Delivery(
            id=f"{number:024d}",
            sender="native",
            status=202,
            receipt=Receipt(f"{number:024d}", ()),
            received_at=NOW + timedelta(days=number),
            headers={"user-agent": "ci"},
            body="{}",
            took_ms=1.5,
        )
        for number in range(6)
    ]
    for delivery in kept:
        await store.write(partial(_add_delivery, delivery))
    listed = [_summary(delivery) for delivery in kept]
    assert await store.read(lambda reader: reader.deliveries()) == listed[::-1]
    assert await store.read(lambda reader: reader.deliveries(before=kept[3].id, limit=2)) == [
        listed[2],
        listed[1],
    ]
    assert await store.read(lambda reader: reader.delivery(kept[2].id)) == kept[2]
    assert await store.write(lambda tx: tx.prune_deliveries(NOW + timedelta(days=1), 100, 10)) == 1
    assert await store.write(lambda tx: tx.prune_deliveries(NOW, 3, 1)) == 1
    assert await store.write(lambda tx: tx.prune_deliveries(NOW, 3, 10)) == 1
    assert await store.read(lambda reader: reader.deliveries()) == listed[:2:-1]
    with pytest.raises(NotFoundError):
        await store.read(lambda reader: reader.delivery(kept[0].id))


async def test_it_is_known_whether_there_are_more_deliveries_than_so_many(store: SqlStore) -> None:
    def work(tx: Tx) -> None:
        for _ in range(3):
            tx.add_delivery(a_delivery())

    await store.write(work)
    assert await store.read(lambda reader: reader.has_more_deliveries(2))
    assert not await store.read(lambda reader: reader.has_more_deliveries(3))


async def test_what_calls_have_sent_is_not_read_for_their_list(store: SqlStore) -> None:
    asked: list[str] = []
    event.listen(
        store._reads, "before_cursor_execute", lambda _c, _cursor, query, *_: asked.append(query)
    )
    await store.read(lambda reader: reader.deliveries("v", limit=50))
    (query,) = [query for query in asked if "FROM deliveries" in query]
    assert [name for name in ("headers", "body", "truncated", "*") if name in query] == []


async def test_a_delivery_is_listed_in_the_transaction_that_adds_it(store: SqlStore) -> None:
    delivery = a_delivery()

    def add_and_list(tx: Tx) -> list[DeliverySummary]:
        tx.add_delivery(delivery)
        return tx.deliveries()

    assert await store.write(add_and_list) == [_summary(delivery)]


def _add_delivery(delivery: Delivery, tx: Tx) -> None:
    tx.add_delivery(delivery)


def _summary(delivery: Delivery) -> DeliverySummary:
    """The delivery as lists have it."""
    return DeliverySummary(
        id=delivery.id,
        sender=delivery.sender,
        status=delivery.status,
        receipt=delivery.receipt,
        received_at=delivery.received_at,
        took_ms=delivery.took_ms,
        hook_id=delivery.hook_id,
    )


# What is kept.


async def live_in_turn(store: SqlStore, stage: Stage, *digests: Digest) -> list[Instance]:
    """Instances that were live in the stage, one after the other; the last one is."""
    made = []
    for digest in digests:
        deploy = a_deploy(stage, status=DeployStatus.SUCCEEDED, finished_at=NOW, digest=digest)
        made.append(replace(an_instance(deploy, InstanceState.STOPPED), digest=digest))
        await add(store, deploy, made[-1])
    made[-1] = replace(made[-1], state=InstanceState.LIVE)
    await store.write(lambda tx: tx.put_instance(made[-1]))
    return made


async def test_an_image_is_unwanted_once_newer_ones_have_been_live(store: SqlStore) -> None:
    project = a_project()
    await add(store, project, stage := a_stage(project))
    three = [Digest("sha256:" + number * 64) for number in "123"]
    await live_in_turn(store, stage, *three)
    for digest in three:
        await store.write(partial(_note_pull, project.image, digest))

    async def unwanted(keep: int, after: tuple[str, str] = ("", ""), limit: int = 9) -> list[str]:
        found = await store.read(lambda reader: reader.unwanted_images(keep, after, limit))
        return [pulled.digest for pulled in found]

    assert await unwanted(3) == []
    assert await unwanted(2) == three[:1]
    assert await unwanted(0) == three[:2]  # what has a container stays
    assert await unwanted(0, limit=1) == three[:1]
    assert await unwanted(0, after=(str(project.image), three[0])) == three[1:2]
    await add(store, a_deploy(stage, digest=three[1]))
    assert await unwanted(0) == three[:1]
    offer = HeldPush(stage_id=stage.id, tag="v1", digest=three[0], source="webhook", seen_at=NOW)
    await store.write(lambda tx: tx.add_held_push(offer))
    assert await unwanted(0) == []


def _note_pull(image: ImageName, digest: Digest, tx: Tx) -> None:
    tx.note_pull(image, digest, NOW)


async def test_of_two_that_remove_an_image_one_does(store: SqlStore) -> None:
    image, until = a_project().image, NOW + timedelta(minutes=2)
    await store.write(partial(_note_pull, image, ONE))

    async def begin(now: datetime) -> bool:
        return await store.write(lambda tx: tx.begin_removal(image, ONE, 3, now, until))

    assert [await begin(NOW), await begin(NOW), await begin(until)] == [True, False, True]
    await store.write(lambda tx: tx.end_removal(image, ONE, gone=False))
    assert await begin(NOW)
    pulled = await store.read(lambda reader: reader.pulled_image(image, ONE))
    assert pulled is not None
    assert (str(pulled), pulled.removing_until) == (f"{image}@{ONE}", until)
    await store.write(partial(_note_pull, image, ONE))  # it was gone, and is pulled again
    assert await begin(NOW)
    await store.write(lambda tx: tx.end_removal(image, ONE, gone=True))
    assert not await begin(NOW)
    assert await store.read(lambda reader: reader.pulled_image(image, ONE)) is None


async def test_a_removal_sees_what_was_queued_in_the_same_transaction(store: SqlStore) -> None:
    project = a_project()
    await add(store, project, stage := a_stage(project))
    await store.write(partial(_note_pull, project.image, ONE))

    def queue_and_begin(tx: Tx) -> bool:
        tx.add_deploy(a_deploy(stage, digest=ONE))
        return tx.begin_removal(project.image, ONE, 3, NOW, NOW)

    assert not await store.write(queue_and_begin)


async def test_deploys_are_forgotten_with_all_that_hangs_on_them(store: SqlStore) -> None:
    project = a_project()
    await add(store, project, stage := a_stage(project))
    made = await live_in_turn(
        store, stage, *(Digest("sha256:" + number * 64) for number in "12345")
    )
    await store.write(lambda tx: tx.put_deploy_config(made[0].deploy_id, CONFIG))
    later = NOW + timedelta(seconds=1)

    async def old(
        before: datetime = later, newest: int = 1, keep: int = 0, limit: int = 9
    ) -> list[str]:
        return await store.read(lambda reader: reader.old_deploys(before, newest, keep, limit))

    ids = [instance.deploy_id for instance in made]
    assert await old() == ids[:3]
    assert await old(before=NOW) == []
    assert await old(newest=4) == ids[:1]
    assert await old(newest=6) == []
    assert await old(keep=4) == ids[:1]
    assert len(await old(limit=2)) == 2
    assert await store.write(lambda tx: tx.forget_deploys(ids, later, 1, 0)) == 3
    assert await store.read(lambda reader: reader.deploy_config(ids[0])) is None
    assert [deploy.id for deploy in await store.read(lambda reader: reader.deploys())] == ids[:2:-1]
    assert [instance.id for instance in await store.read(lambda reader: reader.instances())] == [
        made[4].id,
        made[3].id,
    ]


async def test_what_is_known_of_an_instance_is_replaced_and_goes_with_it(store: SqlStore) -> None:
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)
    instance, other = an_instance(deploy), an_instance(deploy)
    await add(store, project, stage)
    await store.write(lambda tx: tx.add_deploy(deploy))
    for one in (instance, other):
        await store.write(lambda tx, one=one: tx.add_instance(one))  # type: ignore[misc]
    first = Vitals(
        instance_id=instance.id,
        running=True,
        restarting=False,
        paused=False,
        restarts=0,
        health=None,
        changed_at=NOW,
    )
    second = replace(
        first,
        running=False,
        restarting=True,
        restarts=7,
        health="unhealthy",
        crashes=7,
        crashed_at=NOW,
        trouble=Trouble.CRASH_LOOP,
        detail="it ends again and again",
    )
    for vitals in (first, second):
        await store.write(lambda tx, vitals=vitals: tx.put_vitals(vitals))  # type: ignore[misc]
        found = await store.read(lambda reader: reader.vitals([instance.id, other.id]))
        assert found == {instance.id: vitals}
        troubled = await store.read(lambda reader: reader.vitals([instance.id], troubled=True))
        assert troubled == ({} if vitals.trouble is Trouble.NONE else found)
    await store.write(lambda tx: tx.delete_stage(stage.id))
    assert await store.read(lambda reader: reader.vitals([instance.id])) == {}


async def test_projects_that_a_webhook_has_named_and_no_poll_has_seen(store: SqlStore) -> None:
    by_hand, heard, polled, failed, passed_over = (
        a_project(name) for name in ("a", "b", "c", "d", "e")
    )
    await add(store, by_hand, heard, polled, failed, passed_over)

    def work(tx: Tx) -> None:
        tx.record_tag(
            KnownTag(
                project_id=by_hand.id, tag="v1", digest=None, first_seen=NOW, source=Source.MANUAL
            )
        )
        for project in (heard, polled, failed, passed_over):
            tx.record_tag(
                KnownTag(
                    project_id=project.id,
                    tag="v1",
                    digest=None,
                    first_seen=NOW,
                    source=Source.WEBHOOK,
                )
            )
        tx.put_poll_state(PollState(project_id=polled.id, first_done=True, last_at=NOW))
        tx.put_poll_state(PollState(project_id=passed_over.id, error="the registry is out"))
        tx.put_poll_state(PollState(project_id=failed.id, last_at=NOW, error="down"))
        assert tx.unpolled_projects(10) == [heard.id]

    await store.write(work)
    assert await store.read(lambda reader: reader.unpolled_projects(10)) == [heard.id]
    assert await store.read(lambda reader: reader.unpolled_projects(0)) == []


async def test_an_answer_is_remembered_by_key_and_route(store: SqlStore) -> None:
    answer = RememberedAnswer(
        key="k", route="POST /api/x", fingerprint="f", status=202, body='{"a":"ü"}', at=NOW
    )
    await store.write(lambda tx: tx.remember_answer(answer))
    assert await store.read(lambda reader: reader.remembered_answer("k", "POST /api/x")) == answer
    assert await store.read(lambda reader: reader.remembered_answer("k", "POST /api/y")) is None
    with pytest.raises(ConflictError):
        await store.write(lambda tx: tx.remember_answer(replace(answer, status=409)))
    await store.write(lambda tx: tx.remember_answer(replace(answer, route="POST /api/y")))
    before = NOW + timedelta(seconds=1)
    assert await store.write(lambda tx: tx.prune_answers(NOW, 10)) == 0
    assert await store.write(lambda tx: tx.prune_answers(before, 1)) == 1
    assert await store.write(lambda tx: tx.prune_answers(before, 10)) == 1
