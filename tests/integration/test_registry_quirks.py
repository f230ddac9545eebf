"""Registries as they are.

Each quirk of `registry_quirks` alone, in a test of its name, against a server that has it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tagboat.core.catalog import KnownTag, Project, Registry, RegistryKind, Stage
from tagboat.core.counters import Counters
from tagboat.core.errors import (
    BudgetSpentError,
    RegistryDeniedError,
    RegistryProtocolError,
    RegistryRateLimitedError,
    RegistryUnreachableError,
)
from tagboat.core.image import ImageName, ImageRef
from tagboat.core.polling import PollState
from tagboat.core.ports import Tx
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tagboat.deploy.queue import DeployQueue
from tagboat.polling.poller import Poller
from tagboat.registry.client import RegistryClient
from tagboat.registry.connections import Timeouts
from tagboat.registry.manifests import OCI_INDEX
from tagboat.store import SqlStore, open_store
from tests.support.clock import FakeClock
from tests.support.fake_registry import Answerer, FakeRegistry, cut_short, fake_registry, status
from tests.support.polling import admission
from tests.support.registry_quirks import QUIRKS
from tests.unit.registry.conftest import Sleeps, clock, sleeps

__all__ = ["clock", "sleeps"]

pytestmark = pytest.mark.anyio
LIST = "GET /v2/acme/app/tags/list"
TAGS = ["v1", "v2", "v3", "v4", "v5"]
HEX = "0123456789abcdef" * 4
CONFIG: Mapping[str, object] = {"config": {"ExposedPorts": {"8080/tcp": {}}}}


@pytest.fixture
async def client(clock: FakeClock, sleeps: Sleeps) -> AsyncIterator[RegistryClient]:
    made = RegistryClient(
        clock=clock, sleep=sleeps, machine="x86_64", timeouts=Timeouts(connect=2, read=5, total=20)
    )
    yield made
    await made.close()


@pytest.fixture
async def fake(request: pytest.FixtureRequest) -> AsyncIterator[FakeRegistry]:
    """The registry with the quirk that the test is named after, and an image of five tags in it."""
    async with fake_registry(QUIRKS[request.node.name.removeprefix("test_")]) as made:
        for tag in TAGS:
            made.add_image("acme/app", tag, {**CONFIG, "created": f"2026-11-24T12:00:0{tag[1]}Z"})
        yield made


def test_every_quirk_has_its_test() -> None:
    assert [name for name in QUIRKS if f"test_{name}" not in globals()] == []


def app(fake: FakeRegistry) -> ImageName:
    return ImageName(fake.host, "acme/app")


def ours(fake: FakeRegistry, kind: RegistryKind = RegistryKind.OCI) -> Registry:
    return Registry(id="r1", name="fake", url=fake.url, kind=kind, username="ci", password="secret")


def gitea(fake: FakeRegistry) -> Registry:
    return ours(fake, RegistryKind.GITEA)


async def listed(client: RegistryClient, fake: FakeRegistry) -> list[str]:
    return await client.list_tags(app(fake), ours(fake))


# Gitea and Forgejo


async def _gitea_is_read(client: RegistryClient, fake: FakeRegistry) -> None:
    digest = fake.add_image("acme/app", "RC-1", CONFIG)
    assert await client.list_tags(app(fake), gitea(fake)) == [*TAGS, "rc-1"]
    assert await client.resolve(app(fake), "RC-1", gitea(fake)) == digest
    assert (await client.inspect(ImageRef(app(fake), "rc-1"), gitea(fake))).tcp_ports == (8080,)
    tokens = [asked.path for asked in fake.asked if asked.path.startswith("/v2/token")]
    assert len(tokens) == 1
    assert await client.gitea_version(gitea(fake)) == fake.quirks.version


async def test_gitea_old(client: RegistryClient, fake: FakeRegistry) -> None:
    await _gitea_is_read(client, fake)
    assert "service=" not in fake.asked[1].path


async def test_gitea_new(client: RegistryClient, fake: FakeRegistry) -> None:
    await _gitea_is_read(client, fake)


async def test_forgejo(client: RegistryClient, fake: FakeRegistry) -> None:
    await _gitea_is_read(client, fake)


# Lists


async def test_n_1000_refused(client: RegistryClient, fake: FakeRegistry) -> None:
    assert await listed(client, fake) == TAGS
    assert fake.paths()[0] == LIST


async def test_last_ignored(client: RegistryClient, fake: FakeRegistry) -> None:
    """The pages say nothing of what is missing; one that is wide enough does."""
    assert await listed(client, fake) == TAGS
    assert fake.paths() == [LIST, f"{LIST}?n=2&last=v2", f"{LIST}?n=3", f"{LIST}?n=6"]


async def test_last_and_n_ignored(client: RegistryClient, fake: FakeRegistry) -> None:
    assert await listed(client, fake) == TAGS


async def test_last_ignored_and_n_refused(client: RegistryClient, fake: FakeRegistry) -> None:
    with pytest.raises(
        RegistryProtocolError, match="every page with the same 2 tags and says that there are more"
    ):
        await listed(client, fake)


async def test_link_relative(client: RegistryClient, fake: FakeRegistry) -> None:
    assert await listed(client, fake) == TAGS
    assert len(fake.asked) == 3


async def test_link_absolute(client: RegistryClient, fake: FakeRegistry) -> None:
    assert await listed(client, fake) == TAGS
    assert len(fake.asked) == 3


async def test_link_without_brackets(client: RegistryClient, fake: FakeRegistry) -> None:
    assert await listed(client, fake) == TAGS


async def test_link_with_lost_port(client: RegistryClient, fake: FakeRegistry) -> None:
    assert await listed(client, fake) == TAGS


async def test_link_with_lost_path(client: RegistryClient, fake: FakeRegistry) -> None:
    assert await listed(client, fake) == TAGS


async def test_link_on_the_last_page(client: RegistryClient, fake: FakeRegistry) -> None:
    assert await listed(client, fake) == TAGS
    assert fake.paths()[-1] == f"{LIST}?n=2&last=v5"


async def test_link_repeating(client: RegistryClient, fake: FakeRegistry) -> None:
    """Every page is the first, and links to itself.

    It is asked for more in one, until that is all there is.
    """
    assert await listed(client, fake) == TAGS
    assert fake.paths() == [LIST, f"{LIST}?n=2", f"{LIST}?n=3", f"{LIST}?n=6", f"{LIST}?n=10"]


async def test_tags_null(client: RegistryClient, fake: FakeRegistry) -> None:
    fake.tags["acme/app"] = []
    assert await listed(client, fake) == []


async def test_tags_like_digests(client: RegistryClient, fake: FakeRegistry) -> None:
    fake.tags["acme/app"] += [
        f"sha256-{HEX}",
        f"sha256:{HEX}",
        f"sha512-{HEX}{HEX}",
        f"sha512-{HEX}",
    ]
    assert await listed(client, fake) == TAGS


async def test_tags_of_signatures_and_attestations(
    client: RegistryClient, fake: FakeRegistry
) -> None:
    fake.tags["acme/app"] += [f"sha256-{HEX}.{kind}" for kind in ("sig", "att", "sbom")]
    assert await listed(client, fake) == TAGS


async def test_twenty_thousand_tags(client: RegistryClient, fake: FakeRegistry) -> None:
    fake.tags["acme/app"] = [f"build-{number}" for number in range(20_000)]
    assert await listed(client, fake) == fake.tags["acme/app"]
    assert len(fake.asked) == 20
    fake.quirks = QUIRKS["tags_null"]  # which gives them all at once
    assert await listed(client, fake) == fake.tags["acme/app"]
    fake.tags["acme/app"].append("one-more")
    for quirks in (QUIRKS["tags_null"], QUIRKS["twenty_thousand_tags"]):
        fake.quirks = quirks
        with pytest.raises(
            RegistryProtocolError,
            match="acme/app has more than 20000 tags, which is the most that is listed",
        ):
            await listed(client, fake)


# Logins


async def test_realm_unreachable(
    client: RegistryClient, fake: FakeRegistry, sleeps: Sleeps, clock: FakeClock
) -> None:
    assert await client.list_tags(app(fake), gitea(fake)) == TAGS
    assert sleeps == []
    for pauses in (2, 2):  # Not known to be a Gitea, it is asked where it says; but once only.
        assert await listed(client, fake) == TAGS
        assert len(sleeps) == pauses
        clock.advance(3600)
    fake.quirks = replace(fake.quirks, token_path="/none")
    with pytest.raises(RegistryUnreachableError, match=r"127\.0\.0\.1:1 refused the connection"):
        await client.list_tags(app(fake), None)


async def test_realm_with_upper_case(client: RegistryClient, fake: FakeRegistry) -> None:
    assert await listed(client, fake) == TAGS
    assert fake.asked[1].path.startswith("/Auth/ToKen?")


async def test_no_service(client: RegistryClient, fake: FakeRegistry) -> None:
    assert await listed(client, fake) == TAGS
    assert fake.asked[1].path == "/token?scope=repository:acme/app:pull"


async def test_two_challenges_in_one_header(client: RegistryClient, fake: FakeRegistry) -> None:
    assert await listed(client, fake) == TAGS
    assert fake.asked[-1].authorization.startswith("Bearer ")


async def test_two_challenges_in_two_headers(client: RegistryClient, fake: FakeRegistry) -> None:
    assert await listed(client, fake) == TAGS
    assert fake.asked[-1].authorization.startswith("Bearer ")


async def test_tokens_without_expires_in(
    client: RegistryClient, fake: FakeRegistry, clock: FakeClock
) -> None:
    for seconds, tokens in ((0, 1), (30, 1), (60, 2)):
        clock.advance(seconds)
        assert await listed(client, fake) == TAGS
        assert len(fake.tokens) == tokens


async def test_tokens_for_five_seconds(
    client: RegistryClient, fake: FakeRegistry, clock: FakeClock
) -> None:
    """Such a token serves the requests of one moment, and is not sent when it may have expired."""
    await listed(client, fake)
    await client.resolve(app(fake), "v1", ours(fake))
    assert len(fake.tokens) == 1
    clock.advance(4)
    fake.revoke_tokens()
    fake.asked.clear()
    assert await listed(client, fake) == TAGS
    assert [path.partition("?")[0] for path in fake.paths()] == ["GET /token", LIST]


async def test_endless_401(client: RegistryClient, fake: FakeRegistry) -> None:
    with pytest.raises(RegistryDeniedError, match="although credentials were sent"):
        await listed(client, fake)
    assert len(fake.asked) == 3


# Manifests


async def test_head_refused(client: RegistryClient, fake: FakeRegistry) -> None:
    digest = fake.add_image("acme/app", "new", {})
    assert await client.resolve(app(fake), "new", None) == digest
    fake.quirks = QUIRKS["no_docker_content_digest"]
    fake.asked.clear()
    assert await client.resolve(app(fake), "new", None) == digest
    assert [asked.method for asked in fake.asked] == ["HEAD", "GET"]


async def test_no_docker_content_digest(client: RegistryClient, fake: FakeRegistry) -> None:
    digest = fake.add_image("acme/app", "new", {})
    assert await client.resolve(app(fake), "new", None) == digest
    media_type, body = fake.contents["acme/app", "new"]
    fake.contents["acme/app", "new"] = (media_type, body[:-1])
    with pytest.raises(
        RegistryProtocolError, match="not JSON"
    ):  # cut short: it has a digest, but not the image's
        await client.resolve(app(fake), "new", None)


async def test_nested_index(client: RegistryClient, fake: FakeRegistry) -> None:
    image = fake.add_image("acme/app", None, {"config": {"ExposedPorts": {"9000/tcp": {}}}})
    platform = {"os": "linux", "architecture": "amd64"}
    inner = {"schemaVersion": 2, "manifests": [{"digest": image, "platform": platform}]}
    nested = {
        "schemaVersion": 2,
        "manifests": [{"digest": fake.add_manifest("acme/app", None, inner, OCI_INDEX)}],
    }
    outer = fake.add_manifest("acme/app", "multi", nested, OCI_INDEX)
    info = await client.inspect(ImageRef(app(fake), "multi"), None)
    assert (info.digest, info.tcp_ports) == (outer, (9000,))


async def test_attestations(client: RegistryClient, fake: FakeRegistry) -> None:
    """Buildx says that they are of an unknown platform.

    Some copies of an index say nothing of a platform at all.
    """
    image = fake.add_image("acme/app", None, {"config": {"ExposedPorts": {"9000/tcp": {}}}})
    attestation = fake.add_manifest(
        "acme/app", None, {"config": {"digest": fake.add_blob("acme/app", b"[]")}}
    )
    annotations = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image,
    }
    unknown = {"os": "unknown", "architecture": "unknown"}
    elsewhere = {"os": "linux", "architecture": "arm64"}
    for entry in (
        {"digest": attestation, "platform": unknown},
        {"digest": attestation, "annotations": annotations},
        {"digest": attestation, "artifactType": "application/vnd.in-toto+json"},
    ):
        index = {"schemaVersion": 2, "manifests": [entry, {"digest": image, "platform": elsewhere}]}
        fake.add_manifest("acme/app", "signed", index, OCI_INDEX)
        assert (await client.inspect(ImageRef(app(fake), "signed"), None)).tcp_ports == (9000,)


# Trouble


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = open_store(None, tmp_path)
    yield opened
    opened.close()


async def _watch(store: SqlStore, fake: FakeRegistry) -> None:
    """Make a project whose first poll is done and found `v1`."""

    def work(tx: Tx) -> None:
        made = datetime(2026, 11, 24, tzinfo=UTC)
        tx.add_project(Project(id="p1", name="app", image=app(fake), created_at=made))
        tx.add_stage(
            Stage(
                id="s1",
                project_id="p1",
                name="dev",
                pattern=parse_tag_pattern("*"),
                created_at=made,
            )
        )
        tx.put_poll_state(PollState(project_id="p1", first_done=True))
        tx.record_tag(
            KnownTag(project_id="p1", tag="v1", digest=None, first_seen=made, source="poll")
        )

    await store.write(work)


async def _known(store: SqlStore) -> list[str]:
    return [known.tag for known in await store.read(lambda reader: reader.known_tags("p1"))]


def _poller(store: SqlStore, client: RegistryClient, clock: FakeClock) -> Poller:
    return Poller(
        store,
        admission(DeployQueue(clock)),
        client,
        clock=clock,
        holder="me",
        counters=Counters(),
        scheduled_source=client.rate_limited_view(),
    )


async def _is_told_when_to_come_back(
    client: RegistryClient, fake: FakeRegistry, after: timedelta, clock: FakeClock
) -> None:
    with pytest.raises(
        RegistryRateLimitedError, match="has had too many requests from here; it may be asked"
    ) as caught:
        await listed(client, fake)
    assert caught.value.retry_at == clock.now + after
    assert len(fake.asked) == 1


async def test_too_many_requests_with_seconds(
    client: RegistryClient, fake: FakeRegistry, clock: FakeClock
) -> None:
    await _is_told_when_to_come_back(client, fake, timedelta(seconds=120), clock)


async def test_too_many_requests_with_a_date(
    client: RegistryClient, fake: FakeRegistry, clock: FakeClock
) -> None:
    await _is_told_when_to_come_back(client, fake, timedelta(minutes=10), clock)


async def test_too_many_requests_with_unix_time(
    client: RegistryClient, fake: FakeRegistry, clock: FakeClock
) -> None:
    await _is_told_when_to_come_back(client, fake, timedelta(minutes=10), clock)


async def test_docker_hub_rate_limit(
    client: RegistryClient, fake: FakeRegistry, clock: FakeClock, store: SqlStore
) -> None:
    """Polls on schedule leave half of the pulls to people, and find their way back when the window
    has passed.
    """
    sparing = client.rate_limited_view()
    for tag in TAGS:
        await sparing.inspect(ImageRef(app(fake), tag), None)
    assert fake.pulls == 5
    with pytest.raises(
        BudgetSpentError,
        match=r"allows 10 requests in 6 h, 5 are left, and polls on schedule leave .* 50%",
    ):
        await sparing.inspect(ImageRef(app(fake), "v1"), None)
    assert await sparing.list_tags(app(fake), None) == TAGS
    assert fake.paths()[-2].startswith("HEAD ")  # which Docker Hub does not count
    await sparing.resolve(app(fake), "v1", None)
    await client.inspect(ImageRef(app(fake), "v1"), None)
    assert fake.pulls == 6
    fake.pulls = 0
    await sparing.inspect(ImageRef(app(fake), "v1"), None)
    await _a_poll_waits_for_its_budget(client, fake, store, clock)


async def _a_poll_waits_for_its_budget(
    client: RegistryClient, fake: FakeRegistry, store: SqlStore, clock: FakeClock
) -> None:
    """Which of two new tags is newer, only their images tell.

    On schedule that waits, by hand it does not.
    """
    await _watch(store, fake)
    fake.tags["acme/app"][:] = ["v1"]
    fake.add_image("acme/app", "blue", {"created": "2026-11-24T12:30:00Z"})
    fake.add_image("acme/app", "green", {"created": "2026-11-24T12:20:00Z"})
    fake.pulls = 5
    await client.resolve(app(fake), "blue", None)
    subject = _poller(store, client, clock)
    async with asyncio.TaskGroup() as rounds:
        await subject.start_cycle(rounds)
    waiting = await store.read(lambda reader: reader.poll_state("p1"))
    assert "polls on schedule leave the last 50% to people" in str(waiting.error)
    assert await _known(store) == ["v1"]
    assert (await store.read(lambda reader: reader.registry_backoff(fake.host))).failures == 0
    report = await subject.poll_now("p1")
    (deploy,) = await store.read(lambda reader: reader.all_open_deploys())
    assert (report.new_tags, deploy.tag) == (("blue", "green"), "blue")


async def test_sometimes_500(
    client: RegistryClient, fake: FakeRegistry, sleeps: Sleeps, store: SqlStore
) -> None:
    assert await listed(client, fake) == TAGS
    assert sleeps == [0.2]
    await _a_part_decides_nothing(client, fake, store, status(500))


async def test_body_cut_short(
    client: RegistryClient, fake: FakeRegistry, sleeps: Sleeps, store: SqlStore
) -> None:
    assert await listed(client, fake) == TAGS
    assert sleeps == [0.2]
    await _a_part_decides_nothing(client, fake, store, cut_short)


async def _a_part_decides_nothing(
    client: RegistryClient, fake: FakeRegistry, store: SqlStore, broken: Answerer
) -> None:
    """Let every page but the first fail for good.

    The poll fails, and records and deploys nothing of what it saw.
    """
    await _watch(store, fake)
    fake.quirks = QUIRKS["link_relative"]
    fake.answer_next(lambda _: None, *[broken] * 3)
    subject = _poller(store, client, FakeClock())
    report = await subject.poll_now("p1")
    assert report.error is not None
    assert (report.new_tags, report.deploys) == ((), ())
    assert await _known(store) == ["v1"]
    report = await subject.poll_now("p1")
    assert (report.error, report.new_tags, len(report.deploys)) == (
        None,
        ("v2", "v3", "v4", "v5"),
        1,
    )
