"""The poller over the real store, with a registry that fails as it is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar, cast

import pytest
from structlog.testing import capture_logs

from tagboat.core.audit import AuditFilter
from tagboat.core.catalog import KnownTag, Project, Stage
from tagboat.core.counters import Counters
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, Trigger
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import (
    BudgetSpentError,
    NotAnImageError,
    RegistryDeniedError,
    RegistryError,
    RegistryFailedError,
    RegistryNotFoundError,
    RegistryProtocolError,
    RegistryRateLimitedError,
    RegistryUnreachableError,
    RepositoryUnknownError,
)
from tagboat.core.heard import HeardCall
from tagboat.core.image import Digest, ImageName
from tagboat.core.polling import PollReport, RegistryBackoff
from tagboat.core.ports import Reader, Topic, Tx
from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.core.push import Outcome, PushVerdict, Source
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tagboat.deploy.queue import DeployQueue
from tagboat.operations.stage_actions import StageActions
from tagboat.polling.host_poll import BATCH, MAX_CONCURRENT
from tagboat.polling.poller import Poller
from tagboat.store import SqlStore, open_store
from tests.support.clock import FakeClock
from tests.support.polling import admission
from tests.support.tag_source import FakeTagSource

T = TypeVar("T")
pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOST = "git.example.com"
ADA = Principal(kind=PrincipalKind.ACCOUNT, name="ada", role=Role.DEPLOYER)

COUNT = 100


@dataclass
class Watched:
    """A store that notes, for each transaction, what was called in it."""

    store: SqlStore
    writes: list[list[str]]
    reads: list[list[str]] = field(default_factory=list)

    @property
    def exclusive(self) -> bool:
        return self.store.exclusive

    @property
    def failed_writes(self) -> int:
        return self.store.failed_writes

    async def read(self, work: Callable[[Reader], T]) -> T:
        calls: list[str] = []
        self.reads.append(calls)
        return await self.store.read(lambda reader: work(cast("Reader", _Recorder(reader, calls))))

    async def write(self, work: Callable[[Tx], T]) -> T:
        calls: list[str] = []
        self.writes.append(calls)
        return await self.store.write(lambda tx: work(cast("Tx", _Recorder(tx, calls))))

    def listen(self, topic: Topic, callback: Callable[[], None]) -> None:
        self.store.listen(topic, callback)


class _Recorder:
    def __init__(self, tx: Reader, calls: list[str]) -> None:
        self._tx = tx
        self._calls = calls

    def __getattr__(self, name: str) -> object:
        self._calls.append(name)
        return getattr(self._tx, name)


class Ticking(FakeClock):
    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = open_store(None, tmp_path)
    yield opened
    opened.close()


def poller(store: SqlStore, tags: FakeTagSource, clock: FakeClock) -> Poller:
    return Poller(
        store, admission(DeployQueue(clock)), tags, clock=clock, holder="me", counters=Counters()
    )


async def cycle(subject: Poller) -> None:
    """Have it poll every project on schedule, and return when all is done."""
    async with asyncio.TaskGroup() as rounds:
        await subject.start_cycle(rounds)


def calls_in(transactions: list[list[str]]) -> set[str]:
    return {call for calls in transactions for call in calls}


async def add_projects(store: SqlStore, count: int) -> None:
    def work(tx: Tx) -> None:
        for number in range(count):
            image = ImageName(HOST, f"acme/app{number}")
            tx.add_project(
                Project(id=f"p{number}", name=f"app{number}", image=image, created_at=NOW)
            )

    await store.write(work)


async def test_a_project_deleted_while_its_registry_fails_stops_nothing(store: SqlStore) -> None:
    await add_projects(store, 2)
    project = await store.read(lambda reader: reader.project("p0"))
    tags = FakeTagSource(["v1"], RegistryUnreachableError("down"))
    subject = poller(store, tags, FakeClock(NOW))
    tags.on_asked = lambda: store.write(lambda tx: tx.delete_project("p0"))
    await cycle(subject)
    assert (
        await subject._projects.poll_now(project.id, tags)
    ).error == "the project was deleted during the poll"
    assert (await store.read(lambda reader: reader.poll_state("p1"))).error == "down"


async def test_a_person_does_not_wait_for_ever(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_projects(store, 1)
    monkeypatch.setattr("tagboat.polling.project_poll.MANUAL_POLL_S", 0.05)
    tags = FakeTagSource(["v1"], on_asked=lambda: asyncio.sleep(0.2))
    clock = FakeClock(NOW)
    subject = poller(store, tags, clock)
    report = await subject.poll_now("p0")
    assert (
        report.error
        == f"{HOST} did not finish answering within 0.05 seconds; polls on schedule wait longer"
    )
    clock.now += timedelta(minutes=5)
    await cycle(subject)
    assert (await store.read(lambda reader: reader.poll_state("p0"))).first_done


async def test_a_poll_by_hand_is_in_the_audit_and_one_on_schedule_if_it_queued(
    store: SqlStore,
) -> None:
    await staged(store)
    tags, clock = FakeTagSource(["v1"]), FakeClock(NOW)
    subject = poller(store, tags, clock)

    async def polls() -> list[tuple[str, str]]:
        found = await store.read(lambda reader: reader.audit_entries(AuditFilter(), None, 9))
        return [(one.actor_name, one.note) for one in found if one.action == "project.poll"]

    await cycle(subject)
    assert await polls() == []
    tags.tags = ["v1", "v2"]
    clock.now += timedelta(minutes=5)
    await cycle(subject)
    assert await polls() == [("poll", "v2 is queued")]
    clock.now += timedelta(minutes=5)
    await subject.poll_now("p0", ADA)
    tags.error = RegistryUnreachableError("down")
    clock.now += timedelta(minutes=5)
    await subject.poll_now("p0", ADA)
    assert await polls() == [
        ("ada", "down"),
        ("ada", "found nothing to deploy"),
        ("poll", "v2 is queued"),
    ]


async def test_a_poll_by_hand_that_is_refused_is_in_the_audit_too(store: SqlStore) -> None:
    await add_projects(store, 1)
    until = NOW + timedelta(minutes=5)
    refusing = RegistryBackoff(
        host=HOST, failures=1, error="429", retry_at=until, refused_until=until
    )
    await store.write(lambda tx: tx.put_registry_backoff(refusing))
    tags = FakeTagSource(["v1"])
    report = await poller(store, tags, FakeClock(NOW)).poll_now("p0", ADA)
    assert (tags.asked, "(Retry-After)" in str(report.error)) == (0, True)
    (entry,) = await store.read(lambda reader: reader.audit_entries(AuditFilter(), None, 9))
    assert (entry.action, entry.actor_name, entry.subject_name, entry.note) == (
        "project.poll",
        "ada",
        "app0",
        report.error,
    )


async def test_a_registry_that_names_other_tags_each_time_does_not_fill_the_database(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_projects(store, 1)
    monkeypatch.setattr("tagboat.polling.project_poll.MAX_KNOWN_TAGS", 5)
    tags = FakeTagSource()
    subject = poller(store, tags, Ticking(NOW))
    reports = []
    for prefix in ("a", "b", "c"):
        tags.tags = [f"{prefix}{number}" for number in range(3)]
        reports.append(await subject.poll_now("p0"))
    assert [report.error is None for report in reports] == [True, True, False]
    assert str(reports[-1].error).startswith(
        f"{HOST}/acme/app0 has had more than 5 different tags over time"
    )
    known, state = await store.read(
        lambda reader: (reader.known_tags("p0"), reader.poll_state("p0"))
    )
    assert (len(known), state.error, state.first_done) == (6, reports[-1].error, True)


async def test_a_round_at_rest_writes_nothing_but_its_time(store: SqlStore) -> None:
    await add_projects(store, 40)
    clock = FakeClock(NOW)
    tags = FakeTagSource(["v1"])
    subject = poller(store, tags, clock)
    await cycle(subject)
    clock.now += timedelta(minutes=5)
    writes: list[list[str]] = []
    subject._store = Watched(store, writes)
    await cycle(subject)
    assert {
        call for calls in writes for call in calls if call.startswith(("put", "add", "record"))
    } == {"put_poll_state"}
    assert [len(calls) <= 2 * BATCH for calls in writes] == [True] * len(writes)
    assert tags.asked == 80
    states = await store.read(
        lambda reader: [reader.poll_state(f"p{number}") for number in range(40)]
    )
    assert {state.last_at for state in states} == {clock.now}


async def test_news_found_in_a_round_is_written_and_deployed(store: SqlStore) -> None:
    await add_projects(store, 20)
    pattern = parse_tag_pattern("v*")
    await store.write(
        lambda tx: tx.add_stage(
            Stage(id="s", project_id="p7", name="live", pattern=pattern, created_at=NOW)
        )
    )
    tags = FakeTagSource(["v1"])
    subject = poller(store, tags, Ticking(NOW))
    await cycle(subject)
    await cycle(subject)
    tags.tags = ["v1", "v2"]
    await cycle(subject)
    deploys = await store.read(lambda reader: reader.deploys())
    assert [(deploy.project_id, deploy.tag) for deploy in deploys] == [("p7", "v2")]
    await cycle(subject)
    assert len(await store.read(lambda reader: reader.deploys())) == 1


async def test_pushes_that_only_polls_find_add_up_until_a_call(store: SqlStore) -> None:
    await add_projects(store, 2)
    tags, clock = FakeTagSource(["v1"]), Ticking(NOW)
    subject = poller(store, tags, clock)
    await cycle(subject)
    assert await store.read(lambda reader: reader.poll_finds()) == [], "the first poll finds none"
    tags.tags = ["v1", "v2", "v3"]
    await cycle(subject)
    await cycle(subject)
    tags.tags = ["v1", "v2", "v3", "v4"]
    await cycle(subject)
    (finds,) = await store.read(lambda reader: reader.poll_finds())
    assert finds.pushes == 2 * 3, "of two projects at one host"
    assert finds.first_at < finds.last_at

    call = HeardCall(host=finds.host, sender="gitea", at=clock.now, delivery_id="d")
    await store.write(lambda tx: tx.note_call(call))
    tags.tags = ["v4", "v5"]
    await cycle(subject)
    (since,) = await store.read(lambda reader: reader.poll_finds())
    assert since.pushes == 2


async def test_a_repository_at_rest_is_remembered_until_something_changes(store: SqlStore) -> None:
    """What is on record of it is not read again, and each kind of change has it read."""
    await add_projects(store, 1)
    tags = FakeTagSource(["v1"])
    subject = poller(store, tags, Ticking(NOW))
    reads: list[list[str]] = []
    for _ in range(2):
        await cycle(subject)
    subject._store = Watched(store, [], reads)
    await cycle(subject)
    assert "known_tags" not in calls_in(reads)
    pattern = parse_tag_pattern("v1")
    stage = Stage(id="s", project_id="p0", name="live", pattern=pattern, created_at=NOW)
    for change in (lambda tx: tx.add_stage(stage), lambda tx: tx.announce(Topic.DEPLOYS)):
        await store.write(change)
        await cycle(subject)
        assert "known_tags" in calls_in(reads)
        await cycle(subject)
        reads.clear()
        await cycle(subject)
        assert "known_tags" not in calls_in(reads)
    assert tags.resolved == 6


async def test_a_digest_that_moved_while_its_repository_was_at_rest_is_deployed(
    store: SqlStore,
) -> None:
    await add_projects(store, 1)
    pattern = parse_tag_pattern("v1")
    await store.write(
        lambda tx: tx.add_stage(
            Stage(id="s", project_id="p0", name="live", pattern=pattern, created_at=NOW)
        )
    )
    tags = FakeTagSource(["v1"])
    subject = poller(store, tags, Ticking(NOW))
    for _ in range(3):
        await cycle(subject)
    assert subject._cache.get("p0") is not None
    tags.digest = Digest("sha256:" + "b" * 64)
    await cycle(subject)
    (deploy,) = await store.read(lambda reader: reader.deploys())
    assert (deploy.tag, deploy.digest) == ("v1", tags.digest)
    asked = tags.asked
    await cycle(subject)
    assert tags.asked == asked + 1
    assert len(await store.read(lambda reader: reader.deploys())) == 1


async def test_a_manual_poll_between_two_rounds_leaves_nothing_stale(store: SqlStore) -> None:
    await add_projects(store, 1)
    clock = FakeClock(NOW)
    tags = FakeTagSource(["v1"])
    subject = poller(store, tags, clock)
    for _ in range(3):
        await cycle(subject)
    clock.now += timedelta(minutes=1)
    assert (await subject.poll_now("p0")).error is None
    for _ in range(2):
        clock.now += timedelta(minutes=1)
        await cycle(subject)
        assert (await store.read(lambda reader: reader.poll_state("p0"))).last_at == clock.now


async def test_a_quiet_poll_of_an_image_that_was_changed_meanwhile_is_not_its_first(
    store: SqlStore,
) -> None:
    await add_projects(store, 1)
    tags = FakeTagSource(["v1"])
    subject = poller(store, tags, FakeClock(NOW))
    await cycle(subject)

    def change(tx: Tx) -> None:
        tx.put_project(replace(tx.project("p0"), image=ImageName(HOST, "acme/other")))
        tx.forget_tags("p0")

    tags.on_asked = lambda: store.write(change)
    await cycle(subject)
    assert (await store.read(lambda reader: reader.poll_state("p0"))).first_done is False
    tags.on_asked = None
    assert (await subject.poll_now("p0")).first_poll


async def test_a_registry_in_trouble_is_asked_no_more_and_its_projects_say_why(
    store: SqlStore,
) -> None:
    await add_projects(store, 40)
    clock = FakeClock(NOW)
    tags = FakeTagSource(["v1"])
    subject = poller(store, tags, clock)
    await cycle(subject)
    tags.error = RegistryUnreachableError("down")
    await cycle(subject)
    assert tags.asked <= 40 + MAX_CONCURRENT + BATCH
    states = await store.read(
        lambda reader: [reader.poll_state(f"p{number}") for number in range(40)]
    )
    assert {state.error for state in states} == {"down"}
    tags.error = None
    clock.now += timedelta(minutes=1)
    await cycle(subject)
    states = await store.read(
        lambda reader: [reader.poll_state(f"p{number}") for number in range(40)]
    )
    assert {state.error for state in states} == {None}
    assert (await store.read(lambda reader: reader.registry_backoff(HOST))).failures == 0


async def test_one_broken_repository_keeps_no_other_from_being_polled(store: SqlStore) -> None:
    await add_projects(store, COUNT)
    clock = FakeClock(NOW)
    tags = FakeTagSource(["v1"], RegistryUnreachableError("status 500"), broken="acme/app0")
    subject = poller(store, tags, clock)
    for _ in range(2):
        clock.now += timedelta(minutes=5)
        await cycle(subject)
        states = await store.read(
            lambda reader: reader.poll_states([f"p{number}" for number in range(COUNT)])
        )
        assert {project for project, state in states.items() if state.error} == {"p0"}
        assert {state.last_at for state in states.values()} == {clock.now}
    assert (await store.read(lambda reader: reader.registry_backoff(HOST))).failures == 0


async def test_what_was_passed_over_comes_first_next_time(store: SqlStore) -> None:
    await add_projects(store, COUNT)
    clock = FakeClock(NOW)
    tags = FakeTagSource(["v1"], RegistryUnreachableError("down"))
    subject = poller(store, tags, clock)
    await cycle(subject)
    asked_first = set(tags.images)
    assert 0 < len(asked_first) < COUNT
    tags.images.clear()
    clock.now += timedelta(minutes=5)
    await cycle(subject)
    assert asked_first.isdisjoint(tags.images[:MAX_CONCURRENT])


async def test_no_more_than_a_few_are_asked_at_a_time(store: SqlStore) -> None:
    await add_projects(store, 30)
    tags = FakeTagSource(["v1"])
    await cycle(poller(store, tags, FakeClock(NOW)))
    assert 1 < tags.most_at_a_time <= MAX_CONCURRENT


async def test_an_outage_counts_once_however_many_projects_it_hits(store: SqlStore) -> None:
    await add_projects(store, 4)
    clock = FakeClock(NOW)
    subject = poller(store, FakeTagSource(error=RegistryUnreachableError("down")), clock)
    for number in range(4):
        assert (await subject.poll_now(f"p{number}")).error == "down"
    backoff = await store.read(lambda reader: reader.registry_backoff(HOST))
    assert (backoff.failures, backoff.retry_at) == (1, NOW + timedelta(seconds=5))
    clock.now += timedelta(seconds=6)
    await subject.poll_now("p0")
    backoff = await store.read(lambda reader: reader.registry_backoff(HOST))
    assert (backoff.failures, backoff.retry_at) == (2, clock.now + timedelta(seconds=10))


async def test_a_failure_is_shown_and_a_success_clears_it(store: SqlStore) -> None:
    await add_projects(store, 1)
    tags = FakeTagSource(["v1"], RegistryUnreachableError("down"))
    subject = poller(store, tags, FakeClock(NOW))
    assert (await subject.poll_now("p0")).first_poll
    assert (await store.read(lambda reader: reader.poll_state("p0"))).error == "down"
    tags.error = None
    report = await subject.poll_now("p0")
    assert (report.first_poll, report.new_tags, report.error) == (True, ("v1",), None)
    state = await store.read(lambda reader: reader.poll_state("p0"))
    assert (state.first_done, state.error) == (True, None)
    assert (await store.read(lambda reader: reader.registry_backoff(HOST))).failures == 0


async def test_retry_after_binds_manual_polls_too(store: SqlStore) -> None:
    await add_projects(store, 1)
    clock = FakeClock(NOW)
    tags = FakeTagSource(["v1"], RegistryRateLimitedError("slow down", NOW + timedelta(minutes=2)))
    subject = poller(store, tags, clock)
    await subject.poll_now("p0")
    report = await subject.poll_now("p0")
    assert report.error == f"{HOST} is rate limiting us until 2026-01-01T00:02:00Z (Retry-After)"
    assert tags.asked == 1
    clock.now += timedelta(minutes=3)
    tags.error = None
    assert (await subject.poll_now("p0")).new_tags == ("v1",)


async def test_what_a_poll_finds_while_a_stage_is_held_is_kept_for_its_release(
    store: SqlStore,
) -> None:
    await add_projects(store, 1)
    held = Stage(
        id="s",
        project_id="p0",
        name="prod",
        pattern=parse_tag_pattern("v*"),
        held=True,
        created_at=NOW,
    )
    await store.write(lambda tx: tx.add_stage(held))
    tags = FakeTagSource(["v1"])
    clock = FakeClock(NOW)
    subject = poller(store, tags, clock)
    await subject.poll_now("p0")
    tags.tags = ["v1", "v3", "v2"]
    report = await subject.poll_now("p0")
    assert (report.new_tags, report.deploys) == (("v3", "v2"), ())
    offers = await store.read(lambda reader: reader.held_pushes("s"))
    assert [(offer.tag, offer.source) for offer in offers] == [("v3", "poll")]
    (queued,) = await store.write(
        lambda tx: StageActions(DeployQueue(clock), clock).release(tx, "s")
    )
    assert (await store.read(lambda reader: reader.deploy(queued.deploy_id))).tag == "v3"


async def test_a_poll_says_why_each_tag_was_or_was_not_deployed(store: SqlStore) -> None:
    await add_projects(store, 1)
    pattern = parse_tag_pattern("v*")
    await store.write(
        lambda tx: tx.add_stage(
            Stage(id="s", project_id="p0", name="prod", pattern=pattern, created_at=NOW)
        )
    )
    tags = FakeTagSource(["v1"])
    subject = poller(store, tags, FakeClock(NOW))
    assert reasons(await subject.poll_now("p0")) == {
        "v1": ("new", "recorded", "the first poll of an image records its tags and deploys none")
    }
    tags.tags = ["v1", "v1.9", "v1.10", "main"]
    report = await subject.poll_now("p0")
    assert reasons(report) == {
        "main": ("new", "unmatched", "tag main matches no stage's pattern (tried prod v*)"),
        "v1.9": (
            "new",
            "recorded",
            "tag v1.9 matches v*, but v1.10 is the higher version and the stage prod takes one",
        ),
        "v1.10": ("new", "queued", "tag v1.10 matches v* and is the newest of 2 found"),
    }
    assert [one.verdict.deploy for one in report.tags] == [None, None, *report.deploys]
    assert [one.stage and one.stage.name for one in report.tags] == [None, "prod", "prod"]
    assert reasons(await subject.poll_now("p0")) == {}
    on_record = {
        known.tag: known.verdict
        for known in await store.read(lambda reader: reader.known_tags("p0"))
    }
    first = "the first poll of an image records its tags and deploys none"
    recorded = PushVerdict(at=NOW, source=Source.POLL, outcome=Outcome.RECORDED, reason=first)
    assert on_record == {"v1": recorded} | {one.tag: one.verdict for one in report.tags}


async def test_a_digest_that_changed_and_a_deploy_under_way_are_named(store: SqlStore) -> None:
    await add_projects(store, 1)
    pattern = parse_tag_pattern("edge")
    await store.write(
        lambda tx: tx.add_stage(
            Stage(id="s", project_id="p0", name="edge", pattern=pattern, created_at=NOW)
        )
    )
    tags = FakeTagSource(["edge"])
    subject = poller(store, tags, FakeClock(NOW))
    await subject.poll_now("p0")
    tags.digest = Digest("sha256:" + "b" * 64)
    changed = "the digest of edge, which the stage edge names, has changed: tag edge matches edge"
    waiting = await store.write(
        lambda tx: DeployQueue(FakeClock(NOW)).trigger_deploy("p0", "s", "edge", tx=tx)
    )
    report = await subject.poll_now("p0")
    assert reasons(report) == {
        "edge": ("changed", "merged", f"{changed}, and a deploy of it is under way already")
    }
    assert report.deploys == (waiting.deploy_id,)


async def test_a_changed_digest_is_left_by_the_first_poll_to_the_next(store: SqlStore) -> None:
    await add_projects(store, 1)
    pattern = parse_tag_pattern("edge")
    await store.write(
        lambda tx: tx.add_stage(
            Stage(id="s", project_id="p0", name="edge", pattern=pattern, created_at=NOW)
        )
    )
    tags = FakeTagSource(["edge"])
    was = KnownTag(
        project_id="p0",
        tag="edge",
        digest=Digest("sha256:" + "b" * 64),
        first_seen=NOW,
        source="webhook",
    )
    await store.write(lambda tx: tx.record_tag(was))
    subject = poller(store, tags, FakeClock(NOW))
    first = await subject.poll_now("p0")
    left = await store.read(lambda reader: reader.known_tag("p0", "edge"))
    assert left == replace(was, verdict=first.tags[0].verdict)
    second = await subject.poll_now("p0")
    assert [reasons(report)["edge"][:2] for report in (first, second)] == [
        ("changed", "recorded"),
        ("changed", "queued"),
    ]
    assert (first.deploys, len(second.deploys)) == ((), 1)


async def test_news_found_on_schedule_is_logged_with_its_reasons(store: SqlStore) -> None:
    await add_projects(store, 1)
    pattern = parse_tag_pattern("v*")
    await store.write(
        lambda tx: tx.add_stage(
            Stage(id="s", project_id="p0", name="prod", pattern=pattern, created_at=NOW)
        )
    )
    tags = FakeTagSource(["v1"])
    subject = poller(store, tags, Ticking(NOW))
    await cycle(subject)
    tags.tags = [*(f"v{number}" for number in range(1, 20))]
    with capture_logs() as lines:
        await cycle(subject)
        await cycle(subject)
    (line,) = lines
    assert (line["event"], line["action"], line["project"], line["news"]) == (
        "polled",
        "poll",
        "app0",
        18,
    )
    assert line["tags"][-1] == "v19 queued: tag v19 matches v* and is the newest of 18 found"
    assert len(line["tags"]) < 18


def reasons(report: PollReport) -> dict[str, tuple[str, str, str]]:
    """What was said of each tag."""
    return {
        one.tag: (one.change.value, one.verdict.outcome.value, one.verdict.reason)
        for one in report.tags
    }


def reply(status: int) -> RegistryError:
    """What the client makes of a status for one tag."""
    if status in {401, 403}:
        return RegistryDeniedError(f"denied with {status}")
    if status == 404:
        return RegistryNotFoundError("there is no such tag, 404")
    return (
        RegistryFailedError(f"failed with {status}")
        if status >= 500
        else RegistryProtocolError(f"answered {status}")
    )


async def staged(store: SqlStore, pattern: str = "*") -> None:
    """One project `p0` with one stage."""
    await add_projects(store, 1)
    stage = Stage(
        id="s", project_id="p0", name="dev", pattern=parse_tag_pattern(pattern), created_at=NOW
    )
    await store.write(lambda tx: tx.add_stage(stage))


async def make_live(store: SqlStore, tag: str, digest: str = "a") -> None:
    """Have `tag` be live in the stage, as a webhook and a worker would have it."""

    def work(tx: Tx) -> None:
        tx.record_tag(
            KnownTag(project_id="p0", tag=tag, digest=None, first_seen=NOW, source="webhook")
        )
        deploy = Deploy(
            id=f"d-{tag}",
            project_id="p0",
            stage_id="s",
            tag=tag,
            digest=Digest("sha256:" + digest * 64),
            trigger=Trigger.WEBHOOK,
            status=DeployStatus.SUCCEEDED,
            created_at=NOW,
        )
        tx.add_deploy(deploy)
        tx.add_instance(
            Instance(
                id=f"i-{tag}",
                deploy_id=deploy.id,
                project_id="p0",
                stage_id="s",
                tag=tag,
                digest=Digest("sha256:" + digest * 64),
                state=InstanceState.LIVE,
                container=tag,
                endpoints=(Endpoint("127.0.0.1", 1),),
                fingerprint="f",
                started_at=NOW,
            )
        )

    await store.write(work)


async def queued(store: SqlStore) -> list[str]:
    """The tags of the deploys that wait."""
    return [deploy.tag for deploy in await store.read(lambda reader: reader.open_deploys("s"))]


async def complaint(store: SqlStore) -> str:
    return (await store.read(lambda reader: reader.poll_state("p0"))).error or ""


STATUSES = [401, 403, 404, 412, 451, 400, 500]


@pytest.mark.parametrize("status", STATUSES)
async def test_a_live_tag_that_the_registry_refuses_does_not_hide_its_fix(
    store: SqlStore, status: int
) -> None:
    await staged(store)
    await make_live(store, "v1")
    tags = FakeTagSource(["v1"])
    subject = poller(store, tags, FakeClock(NOW))
    assert (await subject.poll_now("p0")).error is None
    tags.refusals["v1"] = reply(status)
    assert str(status) in ((await subject.poll_now("p0")).error or "")
    tags.tags.append("v2")
    report = await subject.poll_now("p0")
    assert (report.new_tags, report.error) == (("v2",), None)
    assert await queued(store) == ["v2"]
    assert str(status) in await complaint(store)


@pytest.mark.parametrize("status", STATUSES)
async def test_a_new_tag_that_is_refused_hides_no_other_and_is_tried_again(
    store: SqlStore, status: int
) -> None:
    await staged(store, "main-*")
    tags = FakeTagSource(["main-1"])
    clock = Ticking(NOW)
    subject = poller(store, tags, clock)
    await subject.poll_now("p0")
    tags.tags += ["main-2", "main-3"]
    tags.refusals["main-3"] = reply(status)
    report = await subject.poll_now("p0")
    assert (report.new_tags, report.error) == (("main-2",), None)
    assert await queued(store) == ["main-2"]
    assert "the next poll looks at it again" in await complaint(store)
    await cycle(subject)
    assert await queued(store) == ["main-2"]
    tags.refusals.clear()
    await cycle(subject)
    assert await queued(store) == ["main-3"]
    assert await complaint(store) == ""


async def test_what_is_not_an_image_is_recorded_and_never_deployed(store: SqlStore) -> None:
    await staged(store)
    tags = FakeTagSource(["main-1"])
    subject = poller(store, tags, Ticking(NOW))
    await subject.poll_now("p0")
    tags.tags += ["main-2", "zcache"]
    tags.refusals["zcache"] = NotAnImageError(
        "acme/app0:zcache is not a container image: it is a cache"
    )
    report = await subject.poll_now("p0")
    assert {one.tag: one.verdict.outcome.value for one in report.tags} == {
        "zcache": "recorded",
        "main-2": "queued",
    }
    assert await complaint(store) == ""
    tags.tags.append("zcache2")
    tags.refusals["zcache2"] = tags.refusals["zcache"]
    assert (await subject.poll_now("p0")).deploys == ()


@pytest.mark.parametrize("listed", [[], ["1.30"]])
async def test_a_live_tag_is_looked_at_whether_it_is_listed_or_not(
    store: SqlStore, listed: list[str]
) -> None:
    await staged(store, "latest")
    await make_live(store, "latest")
    tags = FakeTagSource(listed)
    subject = poller(store, tags, Ticking(NOW))
    for _ in range(2):
        assert (await subject.poll_now("p0")).deploys == ()
    tags.digests["latest"] = "b"
    await cycle(subject)
    assert await queued(store) == ["latest"]


@pytest.mark.parametrize("status", [401, 403, 404, 405, 400, 500])
async def test_a_live_tag_is_looked_at_where_the_list_is_refused(
    store: SqlStore, status: int
) -> None:
    await staged(store, "latest")
    await make_live(store, "latest")
    tags = FakeTagSource(error=reply(status))
    subject = poller(store, tags, Ticking(NOW))
    report = await subject.poll_now("p0")
    assert "new tags cannot be seen" in (report.error or "")
    assert "new tags cannot be seen" in await complaint(store)
    tags.digests["latest"] = "b"
    await cycle(subject)
    assert await queued(store) == ["latest"]
    tags.error, tags.tags = None, ["latest", "old"]
    assert (await subject.poll_now("p0")).first_poll
    assert await queued(store) == ["latest"]


async def test_where_list_and_tags_are_refused_the_poll_has_failed(store: SqlStore) -> None:
    await staged(store)
    await make_live(store, "v1")
    subject = poller(
        store, FakeTagSource(error=reply(403), refusals={"v1": reply(403)}), FakeClock(NOW)
    )
    report = await subject.poll_now("p0")
    assert (report.error, report.first_poll) == ("denied with 403", True)


async def test_a_repository_that_is_still_to_come_is_an_empty_list(store: SqlStore) -> None:
    await staged(store)
    tags = FakeTagSource(error=RepositoryUnknownError("NAME_UNKNOWN"))
    subject = poller(store, tags, Ticking(NOW))
    report = await subject.poll_now("p0")
    assert (report.first_poll, report.error) == (True, None)
    tags.error, tags.tags = None, ["v1"]
    assert (await subject.poll_now("p0")).new_tags == ("v1",)
    assert await queued(store) == ["v1"]


@pytest.mark.parametrize(
    ("pattern", "live", "missed"),
    [("semver:>=1.0.0", "v1.0.2", "v1.0.1"), ("main-*", "main-102", "main-101")],
)
async def test_a_push_that_nobody_heard_of_does_not_take_back_what_came_after_it(
    store: SqlStore, pattern: str, live: str, missed: str
) -> None:
    await staged(store, pattern)
    tags = FakeTagSource([live.replace("2", "0")])
    subject = poller(store, tags, Ticking(NOW))
    await subject.poll_now("p0")
    await make_live(store, live)
    tags.tags += [missed, live]
    report = await subject.poll_now("p0")
    assert (report.new_tags, report.deploys) == ((missed,), ())
    (told,) = report.tags
    assert f"but {live}, which is live, is the higher version" in told.verdict.reason


async def test_a_stage_that_allows_it_goes_back(store: SqlStore) -> None:
    await staged(store, "v*")
    await store.write(lambda tx: tx.put_stage(replace(tx.stage("s"), allow_downgrade=True)))
    tags = FakeTagSource([])
    subject = poller(store, tags, Ticking(NOW))
    await subject.poll_now("p0")
    await make_live(store, "v2")
    tags.tags = ["v1", "v2"]
    await subject.poll_now("p0")
    assert await queued(store) == ["v1"]


async def test_what_a_webhook_brings_while_images_are_looked_at_is_compared_too(
    store: SqlStore,
) -> None:
    await staged(store)
    tags = FakeTagSource(["aaa"])
    tags.built = {"new": NOW + timedelta(hours=1), "lost": NOW}
    subject = poller(store, tags, FakeClock(NOW + timedelta(days=1)))
    await subject.poll_now("p0")
    tags.tags += ["lost", "new"]

    async def webhook() -> None:
        tags.on_inspected = None
        await make_live(store, "new")

    tags.tags.remove("new")
    tags.on_inspected = webhook
    report = await subject.poll_now("p0")
    assert (report.new_tags, report.deploys) == (("lost",), ())
    assert "but new, which is live, was built later" in report.tags[0].verdict.reason


@pytest.mark.parametrize(("new", "deployed"), [(["v2"], ["v2"]), (["ab", "cd"], [])])
async def test_a_budget_that_is_spent_delays_only_what_must_be_looked_at(
    store: SqlStore, new: list[str], deployed: list[str]
) -> None:
    await staged(store)
    tags = FakeTagSource(["v1"])
    subject = poller(store, tags, Ticking(NOW))
    await cycle(subject)
    tags.tags += new
    tags.refusals = dict.fromkeys(new, BudgetSpentError("half is spent"))
    await cycle(subject)
    assert await queued(store) == deployed
    assert ("half is spent" in await complaint(store)) is not bool(deployed)


async def test_a_live_tag_that_is_gone_from_the_registry_goes_on_serving_without_complaint(
    store: SqlStore,
) -> None:
    await staged(store)
    await make_live(store, "v1")
    subject = poller(store, FakeTagSource([], refusals={"v1": reply(404)}), FakeClock(NOW))
    for _ in range(2):
        report = await subject.poll_now("p0")
        assert (report.deploys, report.error) == ((), None)
