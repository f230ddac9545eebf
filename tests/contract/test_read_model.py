"""Reads for many stages at once, asked of both databases: each answers as the one for a stage
does.
"""

import pytest

from tagboat.core.catalog import Project, Stage
from tagboat.core.deploy import ACTIVE_STATES, DeployStatus, Instance, InstanceState, TakenBack
from tagboat.core.image import Digest
from tagboat.core.ports import Reader, Tx
from tagboat.core.run import NO_OPTIONS, RunConfig
from tagboat.core.values import replace
from tagboat.store import SqlStore
from tests.contract.test_store import (
    NOW,
    a_deploy,
    a_project,
    a_stage,
    add,
    an_instance,
    an_offer,
    open_again,
    store,
)

__all__ = ["open_again", "store"]
pytestmark = pytest.mark.anyio


async def ran(store: SqlStore, stage: Stage, digit: str, state: InstanceState) -> Instance:
    deploy = a_deploy(stage, f"v{digit}")
    digest = Digest("sha256:" + digit * 64)
    instance = replace(an_instance(deploy, state), digest=digest, fingerprint=digit)
    await add(store, deploy, instance)
    return instance


async def fill(store: SqlStore) -> tuple[Project, list[Stage]]:
    """Make stages with different pasts; the last one has none."""
    project = a_project()
    stages = [a_stage(project, name) for name in ("a", "b", "c", "d", "e")]
    await add(store, project, *stages)
    for stage in stages[:4]:
        await ran(store, stage, "1", InstanceState.STOPPED)
        await ran(store, stage, "2", InstanceState.STOPPED)
    await ran(store, stages[1], "2", InstanceState.LIVE)
    await ran(store, stages[2], "3", InstanceState.LIVE)
    await ran(store, stages[3], "4", InstanceState.DRAINING)
    await ran(store, stages[3], "5", InstanceState.LIVE)
    back = TakenBack(
        stage_id=stages[2].id,
        digest=Digest("sha256:" + "2" * 64),
        fingerprint="2",
        tag="v2",
        reason="sick",
        at=NOW,
    )
    await store.write(lambda tx: tx.put_taken_back(back))
    return project, stages


async def test_previous_instances_are_those_of_each_stage(store: SqlStore) -> None:
    _, stages = await fill(store)

    def expected(reader: Reader, stage: Stage) -> Instance | None:
        without = [(one.digest, one.fingerprint) for one in reader.taken_back(stage.id)]
        live = reader.instances(stage_id=stage.id, states=[InstanceState.LIVE])[:1]
        return reader.previous_instance(stage.id, [*without, *(one.version for one in live)])

    def work(reader: Reader) -> None:
        ids = [stage.id for stage in stages]
        found = reader.previous_instances(ids)
        singly = {stage.id: expected(reader, stage) for stage in stages}
        assert found == {stage_id: one for stage_id, one in singly.items() if one}
        assert reader.previous_instances([]) == {}

    await store.read(work)


async def test_deploys_and_instances_of_many_stages(store: SqlStore) -> None:
    _, stages = await fill(store)
    await add(store, a_deploy(stages[0], "v8", status=DeployStatus.FAILED))
    queued = a_deploy(stages[0], "v9", status=DeployStatus.QUEUED)
    failed = a_deploy(stages[1], "v9", status=DeployStatus.FAILED)
    await add(store, queued, failed)

    def work(reader: Reader) -> None:
        ids = [stage.id for stage in stages]
        newest = {stage_id: reader.deploys(stage_id=stage_id, limit=1) for stage_id in ids}
        assert reader.newest_deploys(ids) == {
            key: found[0] for key, found in newest.items() if found
        }
        # Older failures of a stage are not its newest deploy.
        assert reader.newest_deploys(ids, DeployStatus.FAILED) == {stages[1].id: failed}
        assert reader.open_deploys_in(ids) == sorted(
            reader.all_open_deploys(), key=lambda one: one.id
        )
        assert reader.open_deploys_in(ids[4:]) == []
        assert reader.instances_in(ids, ACTIVE_STATES) == reader.instances(states=ACTIVE_STATES)
        assert reader.stages_by_id(ids) == {stage.id: reader.stage(stage.id) for stage in stages}

    await store.read(work)


async def test_what_waits_in_many_stages(store: SqlStore) -> None:
    _, stages = await fill(store)
    config = RunConfig(port=80, healthcheck="", env={}, options=NO_OPTIONS)

    def write(tx: Tx) -> str:
        tx.add_held_push(an_offer(stages[0], "v2", 2))
        tx.add_held_push(an_offer(stages[1], "v1", 1))
        (deploy,) = tx.deploys(stage_id=stages[1].id, limit=1)
        tx.put_deploy_config(deploy.id, config)
        return deploy.id

    deploy_id = await store.write(write)

    def work(reader: Reader) -> None:
        ids = [stage.id for stage in stages]
        assert [one.tag for one in reader.held_pushes_in(ids)] == ["v1", "v2"]
        assert reader.held_pushes_in(ids[1:2]) == reader.held_pushes(ids[1])
        assert reader.taken_back_in(ids) == reader.taken_back(ids[2])
        assert reader.configured_deploys([deploy_id, "0" * 24]) == {deploy_id}

    await store.read(work)


async def test_stages_come_in_order_of_project_position_and_name(store: SqlStore) -> None:
    beta, alpha = a_project("beta"), a_project("alpha")
    stages = [
        a_stage(beta, "a"),
        a_stage(alpha, "a", position=1),
        a_stage(alpha, "c"),
        a_stage(alpha, "b"),
    ]
    await add(store, beta, alpha, *stages)

    def work(reader: Reader) -> None:
        found = reader.stages_page()
        assert [stage.id for stage in found] == [stages[n].id for n in (3, 2, 1, 0)]
        assert reader.stages_page(after=("alpha", 0, "c"), limit=1) == [found[2]]
        assert reader.stages_page(project="alpha", stage="b") == [found[0]]
        assert reader.stages_page(project=beta.id) == [found[3]]
        assert reader.stages_page(stage=stages[1].id) == [found[2]]
        assert reader.stages_page(project="nobody") == []

    await store.read(work)
