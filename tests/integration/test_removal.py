"""Deleting projects and stages while deploys come and go."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tagboat.core.audit import AuditAction, AuditFilter
from tagboat.core.deploy import DeployStatus, InstanceState
from tagboat.core.errors import ConflictError, EngineUnavailableError, NotFoundError
from tagboat.core.image import ImageName
from tagboat.core.keeping import Deletion
from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.core.run import EngineKind
from tagboat.core.storage import volume_name
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec
from tagboat.deploy.removal import Removal
from tests.support.api import Api, running_api
from tests.support.records import DIGEST, deploy_record, put_deploy, put_instance
from tests.unit.deploy.interceptor import Died

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def project_with_stage(api: Api) -> tuple[str, str]:
    project = (await api.caller.post("/api/projects", {"name": "app", "image": "nginx"})).json
    stage = (
        await api.caller.post(
            f"/api/projects/{project['id']}/stages", {"name": "dev", "tag_pattern": "*"}
        )
    ).json
    return project["id"], stage["id"]


class Worker:
    """Stands in for the worker: each time it is told to let go, the next of `late` deploys turns
    out to have started.
    """

    def __init__(self, api: Api, project_id: str, late: int = 0) -> None:
        self._api = api
        self._project_id = project_id
        self._late = late
        self.statuses: list[DeployStatus] = []

    async def abandon(self, stage_ids: Iterable[str]) -> None:
        for stage_id in stage_ids:
            deploys = await self._api.store.read(
                lambda reader: reader.deploys(project_id=self._project_id)
            )
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

    assert await api.engine.list_workloads({}) == []
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

    assert await api.engine.list_workloads({}) == []
    assert await api.store.read(lambda reader: reader.instances()) == []


async def test_it_gives_up_where_new_ones_never_cease(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    containers = [
        await put_instance(api, project_id, stage_id, InstanceState.LIVE) for _ in range(2)
    ]
    api.engine.fail("remove", EngineUnavailableError("the engine went away"))

    with pytest.raises(EngineUnavailableError):
        await removal(api, Worker(api, project_id)).remove_project(project_id)

    instances = await api.store.read(lambda reader: reader.instances())
    left = {status.name for status in await api.engine.list_workloads({})}
    assert len(left) == 1
    assert {instance.container for instance in instances if not instance.state.final} == left
    assert left < set(containers)


async def test_what_does_not_exist_cannot_be_removed(api: Api) -> None:
    project_id, _ = await project_with_stage(api)

    with pytest.raises(NotFoundError):
        await removal(api, Worker(api, project_id)).remove_stage("nothing")


async def with_volumes(api: Api) -> tuple[str, str, list[str]]:
    """A project with a stage that has two volumes, beside another's."""
    project_id, stage_id = await project_with_stage(api)
    names = [volume_name(stage_id, name) for name in ("cache", "data")]
    api.engine.volumes |= {*names, volume_name("another", "data")}
    return project_id, stage_id, names


@pytest.mark.parametrize("what", ["project", "stage"])
async def test_volumes_stay_and_are_named(api: Api, what: str) -> None:
    project_id, stage_id, names = await with_volumes(api)
    path = f"/api/projects/{project_id}" if what == "project" else f"/api/stages/{stage_id}"
    answer = await api.caller.delete(path)
    assert (answer.status, answer.json) == (200, {"volumes_kept": names, "volumes_removed": []})
    assert api.engine.volumes == {*names, volume_name("another", "data")}


@pytest.mark.parametrize("what", ["project", "stage"])
async def test_volumes_go_where_that_is_said(api: Api, what: str) -> None:
    project_id, stage_id, names = await with_volumes(api)
    path = f"/api/projects/{project_id}" if what == "project" else f"/api/stages/{stage_id}"
    answer = await api.caller.delete(f"{path}?volumes=delete")
    assert (answer.status, answer.json) == (200, {"volumes_kept": [], "volumes_removed": names})
    assert api.engine.volumes == {volume_name("another", "data")}


@pytest.mark.parametrize("node", ["n1", ""])
@pytest.mark.parametrize("what", ["projects", "stages"])
async def test_volumes_on_nodes_of_a_swarm_stay_and_are_named(
    api: Api, what: str, node: str
) -> None:
    project_id, stage_id = await project_with_stage(api)
    stage = await api.store.read(lambda reader: reader.stage(stage_id))
    run = replace(stage.run, volumes={"data": "/data", "cache": "/cache"})
    names = (f"node.hostname=={node}",) if node else ()
    placed = replace(stage, run=run, engine=EngineKind.SWARM, constraints=names)
    await api.store.write(lambda tx: tx.put_stage(placed))
    # One that a swarm of this one machine has.
    here, there = (volume_name(stage_id, name) for name in ("cache", "data"))
    api.engine.volumes |= {here}

    id_ = project_id if what == "projects" else stage_id
    answer = await api.caller.delete(f"/api/{what}/{id_}?volumes=delete")
    kept = [f"{there} (on {node or 'a node of the swarm'})"]
    assert (answer.status, answer.json) == (200, {"volumes_kept": kept, "volumes_removed": [here]})


async def test_a_volume_that_somebody_uses_stays(api: Api) -> None:
    project_id, _, names = await with_volumes(api)
    image = ImageName("git.example.com", "acme/backup")
    api.engine.publish(image, DIGEST)
    await api.engine.pull(image, DIGEST, None, lambda _: None)
    await api.engine.create(
        WorkloadSpec(
            name="backup", image=f"{image}@{DIGEST}", labels={}, volumes={names[1]: "/data"}
        )
    )
    answer = await api.caller.delete(f"/api/projects/{project_id}?volumes=delete")
    assert answer.json == {"volumes_kept": names[1:], "volumes_removed": names[:1]}


async def test_what_is_to_become_of_volumes_is_said_clearly_or_not_at_all(api: Api) -> None:
    project_id, _, names = await with_volumes(api)
    assert (await api.caller.delete(f"/api/projects/{project_id}?volumes=yes")).status == 422
    assert set(names) < api.engine.volumes
    assert (await api.caller.get(f"/api/projects/{project_id}")).status == 200


async def test_without_the_engine_only_volumes_that_shall_go_keep_a_project(api: Api) -> None:
    project_id, _, names = await with_volumes(api)
    for _ in range(2):
        api.engine.fail("list_volumes", EngineUnavailableError("the engine went away"))
    assert (await api.caller.delete(f"/api/projects/{project_id}?volumes=delete")).status == 503
    assert (await api.caller.delete(f"/api/projects/{project_id}")).status == 204
    assert set(names) < api.engine.volumes


# A death in between.


@pytest.mark.parametrize("call", ["stop", "remove", "list_volumes", "remove_volume"])
@pytest.mark.parametrize("what", ["project", "stage"])
async def test_what_was_being_deleted_as_the_server_died_is_deleted_by_the_next(
    api: Api, monkeypatch: pytest.MonkeyPatch, call: str, what: str
) -> None:
    project_id, stage_id, _ = await with_volumes(api)
    await put_instance(api, project_id, stage_id, InstanceState.LIVE)
    removing = removal(api, Worker(api, project_id))

    async def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(api.engine, call, die)
        remove = removing.remove_project(project_id, volumes=True)
        if what == "stage":
            remove.close()
            remove = removing.remove_stage(stage_id, volumes=True)
        with pytest.raises(Died):
            await remove

    await removing.go_on()

    assert await api.engine.list_workloads({}) == []
    assert api.engine.volumes == {volume_name("another", "data")}
    assert await api.store.read(lambda reader: reader.deletions()) == []
    with pytest.raises(NotFoundError):
        await api.store.read(lambda reader: reader.stage(stage_id))
    assert len(await api.store.read(lambda reader: reader.projects())) == (
        0 if what == "project" else 1
    )


async def test_what_could_not_be_deleted_is_not_deleted_later_behind_anybodys_back(
    api: Api,
) -> None:
    project_id, stage_id, _ = await with_volumes(api)
    await put_instance(api, project_id, stage_id, InstanceState.LIVE)
    api.engine.fail("stop", EngineUnavailableError("the engine went away"))
    removing = removal(api, Worker(api, project_id))
    with pytest.raises(EngineUnavailableError):
        await removing.remove_project(project_id)
    await removing.go_on()
    assert await api.store.read(lambda reader: reader.project(project_id))
    only = AuditFilter(action=AuditAction.PROJECT_DELETE)
    assert await api.store.read(lambda reader: reader.audit_entries(only, None, 9)) == []


async def test_what_cannot_be_deleted_after_a_start_is_tried_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_id, stage_id, _ = await with_volumes(api)
    await put_instance(api, project_id, stage_id, InstanceState.LIVE)
    ada = Principal(kind=PrincipalKind.ACCOUNT, name="ada", role=Role.ADMIN)
    await api.store.write(lambda tx: tx.begin_deletion(Deletion(project_id, actor=ada)))
    api.engine.fail("stop", EngineUnavailableError("the engine went away"))
    monkeypatch.setattr("tagboat.deploy.removal.AGAIN_S", 0)
    await removal(api, Worker(api, project_id)).go_on()
    assert await api.store.read(lambda reader: reader.projects()) == []
    # Once, although it took two tries, and of the one who ordered it before the start.
    only = AuditFilter(action=AuditAction.PROJECT_DELETE)
    (entry,) = await api.store.read(lambda reader: reader.audit_entries(only, None, 9))
    assert (entry.actor_name, entry.project_id) == ("ada", project_id)
