"""The poller over the real store, with a registry that fails as it is told."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tagboat.core.catalog import Project, Registry
from tagboat.core.errors import RegistryError, RegistryRateLimitedError, RegistryUnreachableError
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.core.ports import Tx
from tagboat.core.tally import Tally
from tagboat.deploy.queue import DeployQueue
from tagboat.registry.poller import Poller
from tagboat.store import SqlStore, open_store

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOST = "git.example.com"


@dataclass
class Tags:
    """A registry of the given tags; `error` is what it fails with."""

    tags: list[str] = field(default_factory=list)
    error: RegistryError | None = None
    asked: int = 0

    async def list_tags(self, image: ImageName, registry: Registry | None) -> list[str]:  # noqa: ARG002 - the port's
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.tags

    async def resolve(self, image: ImageName, tag: str, registry: Registry | None) -> Digest:  # noqa: ARG002 - the port's
        return Digest("sha256:" + "a" * 64)

    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo:  # noqa: ARG002 - the port's
        return ImageInfo()


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = open_store(None, tmp_path)
    yield opened
    opened.close()


def poller(store: SqlStore, tags: Tags, clock: Clock) -> Poller:
    return Poller(store, DeployQueue(clock), tags, clock=clock, holder="me", tally=Tally())


async def add_projects(store: SqlStore, count: int) -> None:
    def work(tx: Tx) -> None:
        for number in range(count):
            image = ImageName(HOST, f"acme/app{number}")
            tx.add_project(Project(id=f"p{number}", name=f"app{number}", image=image, created_at=NOW))

    await store.write(work)


async def test_a_project_deleted_while_its_registry_fails_stops_nothing(store: SqlStore) -> None:
    await add_projects(store, 1)
    project = await store.read(lambda reader: reader.project("p0"))
    subject = poller(store, Tags(error=RegistryUnreachableError("down")), Clock())
    await store.write(lambda tx: tx.delete_project("p0"))
    report = await subject._poll(project)
    assert report.error == "the project was deleted meanwhile"
    await subject._note_error("p0", "down")


async def test_an_outage_counts_once_however_many_projects_it_hits(store: SqlStore) -> None:
    await add_projects(store, 4)
    clock = Clock()
    subject = poller(store, Tags(error=RegistryUnreachableError("down")), clock)
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
    tags = Tags(["v1"], RegistryUnreachableError("down"))
    subject = poller(store, tags, Clock())
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
    clock = Clock()
    tags = Tags(["v1"], RegistryRateLimitedError("slow down", NOW + timedelta(minutes=2)))
    subject = poller(store, tags, clock)
    await subject.poll_now("p0")
    report = await subject.poll_now("p0")
    assert report.error == f"{HOST} asks to be left alone until 2026-01-01T00:02:00Z"
    assert tags.asked == 1
    clock.now += timedelta(minutes=3)
    tags.error = None
    assert (await subject.poll_now("p0")).new_tags == ("v1",)
