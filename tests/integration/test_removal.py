"""Deleting projects and stages while deploys come and go."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tagboat.core.deploy import DeployStatus, InstanceState
from tagboat.core.errors import ConflictError, EngineUnavailableError, NotFoundError
from tagboat.deploy.removal import Removal
from tests.support.api import Api, running_api
from tests.support.records import deploy_record, put_deploy, put_instance

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def project_with_stage(api: Api) -> tuple[str, str]:
    project = (await api.caller.post("/api/projects", {"name": "app", "image": "nginx"})).json
    stage = (await api.caller.post(f"/api/projects/{project['id']}/stages", {"name": "dev", "tag_pattern": "*"})).json
    return project["id"], stage["id"]


class Worker:
    """Stands in for the worker: each time it is told to let go, the next of `late` deploys turns out to have started."""

    def __init__(self, api: Api, project_id: str, late: int = 0) -> None:
        self._api = api
        self._project_id = project_id
        self._late = late
        self.statuses: list[DeployStatus] = []

    async def abandon(self, stage_ids: Iterable[str]) -> None:
        for stage_id in stage_ids:
            deploys = await self._api.store.read(lambda reader: reader.deploys(project_id=self._project_id))
            self.statuses = [deploy.status for deploy in deploys]
            if self._late:
                self._late -= 1
                await put_instance(self._api, self._project_id, stage_id, InstanceState.STARTING)


def removal(api: Api, worker: Worker) -> Removal:
    return Removal(api.store, api.engine, worker.abandon, lambda: datetime.now(UTC))


async def test_open_deploys_are_withdrawn_before_the_worker_lets_go(api: Api) -> None:
    project_id, stage_id = await project_with_stage(api)
    for status in (DeployStatus.QUEUED, DeployStatus.RUNNING):
        await put_deploy(api, deploy_record(project_id, stage_id, status, status))
    worker = Worker(api, project_id)

    await removal(api, worker).remove_project(project_id)

    assert worker.statuses == [DeployStatus.CANCELLED, DeployStatus.CANCELLED]


async def test_a_stage_is_not_deleted_under_a_deploy(api: Api) -> None:
    project_id, stage_id = await project_with_stage(api)
    await put_deploy(api, deploy_record(project_id, stage_id, "v2", DeployStatus.RUNNING))
    worker = Worker(api, project_id)

    with pytest.raises(ConflictError, match=r"the deploy of v2 is at work in the stage"):
        await removal(api, worker).remove_stage(stage_id)

    assert worker.statuses == []
    (deploy,) = await api.store.read(lambda reader: reader.deploys(stage_id=stage_id))
    assert deploy.status is DeployStatus.RUNNING


async def test_a_container_that_was_just_being_started_is_removed_too(api: Api) -> None:
    project_id, stage_id = await project_with_stage(api)
    await put_instance(api, project_id, stage_id, InstanceState.DRAINING)

    await removal(api, Worker(api, project_id, late=1)).remove_stage(stage_id)

    assert await api.engine.containers({}) == []
    with pytest.raises(NotFoundError):
        await api.store.read(lambda reader: reader.stage(stage_id))


async def test_one_that_appears_after_the_removal_of_the_others_is_not_forgotten(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_id, stage_id = await project_with_stage(api)
    first = await put_instance(api, project_id, stage_id, InstanceState.LIVE)
    remove = api.engine.remove

    async def remove_and_start_another(container: str) -> None:
        await remove(container)
        if container == first:
            await put_instance(api, project_id, stage_id, InstanceState.STARTING)

    monkeypatch.setattr(api.engine, "remove", remove_and_start_another)

    await removal(api, Worker(api, project_id)).remove_project(project_id)

    assert await api.engine.containers({}) == []
    assert await api.store.read(lambda reader: reader.instances()) == []


async def test_it_gives_up_where_new_ones_never_cease(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    project_id, stage_id = await project_with_stage(api)
    await put_instance(api, project_id, stage_id, InstanceState.LIVE)
    remove = api.engine.remove

    async def remove_and_start_another(container: str) -> None:
        await remove(container)
        await put_instance(api, project_id, stage_id, InstanceState.STARTING)

    monkeypatch.setattr(api.engine, "remove", remove_and_start_another)

    with pytest.raises(ConflictError, match="keep coming in"):
        await removal(api, Worker(api, project_id)).remove_project(project_id)


async def test_what_was_removed_before_a_failure_is_on_record_as_stopped(api: Api) -> None:
    project_id, stage_id = await project_with_stage(api)
    containers = [await put_instance(api, project_id, stage_id, InstanceState.LIVE) for _ in range(2)]
    api.engine.fail("remove", EngineUnavailableError("the engine went away"))

    with pytest.raises(EngineUnavailableError):
        await removal(api, Worker(api, project_id)).remove_project(project_id)

    instances = await api.store.read(lambda reader: reader.instances())
    left = {status.name for status in await api.engine.containers({})}
    assert len(left) == 1
    assert {instance.container for instance in instances if not instance.state.final} == left
    assert left < set(containers)


async def test_what_does_not_exist_cannot_be_removed(api: Api) -> None:
    project_id, _ = await project_with_stage(api)

    with pytest.raises(NotFoundError):
        await removal(api, Worker(api, project_id)).remove_stage("nothing")
