"""One-off commands, stopped stages and exact deploys in the store, asked of both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tagboat.core.catalog import Project, Stage
from tagboat.core.deploy import Deploy, Trigger
from tagboat.core.image import Digest, ImageName
from tagboat.core.one_off import OneOff
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tagboat.store import SqlStore, open_store
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 11, 29, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    url = None
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    opened = open_store(url, tmp_path)
    yield opened
    opened.close()


async def test_commands_are_recorded_renewed_and_forgotten(store: SqlStore) -> None:
    first, second = (
        OneOff(id=key, stage_id="s1", container=f"app-dev-{key}", kept_until=NOON)
        for key in ("1", "2")
    )
    for one in (second, first):
        await store.write(lambda tx, one=one: tx.put_one_off(one))  # type: ignore[misc]
    assert await store.read(lambda reader: reader.one_offs()) == [first, second]
    renewed = replace(first, container_id="c1", kept_until=NOON + timedelta(seconds=30))
    await store.write(lambda tx: tx.put_one_off(renewed))
    assert await store.read(lambda reader: reader.one_offs()) == [renewed, second]
    await store.write(lambda tx: tx.delete_one_off("2"))
    await store.write(lambda tx: tx.delete_one_off("nothing"))
    assert await store.read(lambda reader: reader.one_offs()) == [renewed]


async def test_a_stopped_stage_gives_only_deploys_by_hand(store: SqlStore) -> None:
    image = ImageName("git.example.com", "acme/app")
    project = Project(id="p1", name="app", image=image, port=0, created_at=NOON)
    stage = Stage(
        id="s1", project_id="p1", name="dev", pattern=parse_tag_pattern("*"), created_at=NOON
    )
    stopped = replace(stage, stopped_at=NOON, stopped_by="ada")
    news, exact = (
        Deploy(
            id=key,
            project_id="p1",
            stage_id="s1",
            tag="v1",
            digest=Digest(f"sha256:{'a' * 64}"),
            trigger=trigger,
            exact=trigger is Trigger.MANUAL,
            created_at=NOON,
        )
        for key, trigger in (("d1", Trigger.WEBHOOK), ("d2", Trigger.MANUAL))
    )
    await store.write(lambda tx: tx.add_project(project))
    await store.write(lambda tx: tx.add_stage(stage))
    await store.write(lambda tx: tx.put_stage(stopped))
    assert await store.read(lambda reader: reader.stage("s1")) == stopped

    async def claimable() -> list[Deploy]:
        return await store.read(lambda reader: reader.claimable_deploys("me", (), 10))

    await store.write(lambda tx: tx.add_deploy(news))
    assert await claimable() == []
    await store.write(lambda tx: tx.add_deploy(exact))
    assert await claimable() == [exact]
    await store.write(lambda tx: tx.put_stage(stage))
    assert await claimable() == [exact]
