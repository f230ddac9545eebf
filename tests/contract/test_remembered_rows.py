"""Rows that are as they were are not parsed again, and rows that have changed are."""

from datetime import UTC, datetime

import pytest

from tagboat.core.catalog import Project, Stage
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, Trigger
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageName
from tagboat.core.ports import Reader
from tagboat.core.run import RunOptions
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tagboat.store import SqlStore
from tests.contract.test_store import open_again, store

__all__ = ["open_again", "store"]
pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 29, tzinfo=UTC)
PROJECT = Project(
    id=new_id(),
    name="app",
    image=ImageName("git.example.com", "acme/app"),
    port=80,
    created_at=NOW,
)
STAGE = Stage(
    id=new_id(),
    project_id=PROJECT.id,
    name="prod",
    pattern=parse_tag_pattern("v*"),
    run=RunOptions(secrets={"KEY": "first"}),
    env={"PLACE": "here"},
    created_at=NOW,
)


async def read(store: SqlStore) -> tuple[Project, Stage]:
    def work(reader: Reader) -> tuple[Project, Stage]:
        return reader.projects_page("", None, "", 9)[0], reader.stages(PROJECT.id)[0]

    return await store.read(work)


async def test_what_has_changed_is_read_and_nothing_else_is_parsed(store: SqlStore) -> None:
    await store.write(lambda tx: tx.add_project(PROJECT))
    await store.write(lambda tx: tx.add_stage(STAGE))
    project, stage = await read(store)
    assert (project, stage) == (PROJECT, STAGE)
    again = await read(store)
    assert again[0] is project
    assert again[1] is stage

    for changed in (
        replace(STAGE, held=True),
        replace(STAGE, env={"PLACE": "there"}),
        replace(STAGE, run=RunOptions(secrets={"KEY": "second"})),
        STAGE,
    ):
        await store.write(lambda tx, changed=changed: tx.put_stage(changed))  # type: ignore[misc]
        assert await read(store) == (PROJECT, changed)


async def test_an_instance_is_as_its_row_is(store: SqlStore) -> None:
    deploy = Deploy(
        id=new_id(),
        project_id=PROJECT.id,
        stage_id=STAGE.id,
        tag="v1",
        digest=None,
        trigger=Trigger.WEBHOOK,
        status=DeployStatus.SUCCEEDED,
        created_at=NOW,
    )
    instance = Instance(
        id=new_id(),
        deploy_id=deploy.id,
        project_id=PROJECT.id,
        stage_id=STAGE.id,
        tag="v1",
        digest=Digest("sha256:" + "a" * 64),
        state=InstanceState.LIVE,
        container="app",
        endpoints=(),
        fingerprint="0",
        started_at=NOW,
    )

    async def live() -> list[Instance]:
        return await store.read(
            lambda reader: reader.instances_in([STAGE.id], [InstanceState.LIVE])
        )

    await store.write(lambda tx: tx.add_project(PROJECT))
    await store.write(lambda tx: tx.add_stage(STAGE))
    await store.write(lambda tx: tx.add_deploy(deploy))
    await store.write(lambda tx: tx.add_instance(instance))
    (first,) = await live()
    assert first == instance
    assert (await live())[0] is first

    await store.write(lambda tx: tx.put_instance(replace(instance, container_id="0123")))
    assert await live() == [replace(instance, container_id="0123")]
