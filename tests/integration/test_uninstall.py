"""Removal of an installation from an engine that is a memory."""

import errno
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tagboat.cli.uninstall import plan_document, plan_rows
from tagboat.core.config import INSTALLATION_ID
from tagboat.core.deploy import InstanceState
from tagboat.core.errors import (
    ConflictError,
    EngineError,
    EngineUnavailableError,
    IngressUnavailableError,
    SettingsError,
)
from tagboat.core.image import ImageName
from tagboat.core.one_off import OneOff
from tagboat.core.ports import Tx
from tagboat.core.run import RunOptions
from tagboat.core.storage import volume_name
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec
from tagboat.deploy.edges import GRACE_S
from tagboat.deploy.networks import ensure_project_network
from tagboat.deploy.ownership import RUN
from tagboat.ingress.run_lock import LOCK_FILE, hold_run_lock
from tagboat.installation.uninstall import UninstallPlan, carry_out, plan_uninstall
from tagboat.runtime.memory import MemoryRuntime
from tagboat.store import open_store
from tagboat.store.snapshot import DatabasePlace
from tests.contract.test_store import NOW, ONE, TWO, a_deploy, a_project, a_stage, add, an_instance

pytestmark = pytest.mark.anyio
OURS, THEIRS = ImageName("git.example.com", "acme/app"), ImageName("git.example.com", "acme/db")
DIGESTS = {OURS: ONE, THEIRS: TWO}
LABELS = {"tagboat.managed": "true", "tagboat.installation": "here"}


@dataclass
class Scene:
    """An installation with one live app, next to things of others. `volume` is the app's."""

    place: DatabasePlace
    runtime: MemoryRuntime
    volume: str
    network: str

    async def plan(self, login: Path | None = None) -> UninstallPlan:
        return await plan_uninstall(self.place, self.runtime, login)

    async def names(self) -> list[str]:
        return [one.name for one in await self.runtime.list_workloads({})]


@pytest.fixture
async def scene(tmp_path: Path, anyio_backend: str) -> Scene:  # noqa: ARG001 - it runs this
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    runtime, store = MemoryRuntime(), open_store(None, data_dir)
    for image, digest in DIGESTS.items():
        runtime.publish(image, digest)
        await runtime.pull(image, digest, None, lambda _: None)
    project = a_project()
    stage = a_stage(project)
    deploy = a_deploy(stage)
    volume = volume_name(stage.id, "data")
    await add(store, project, stage, deploy)
    await store.write(lambda tx: tx.put_setting(INSTALLATION_ID, "here"))
    await store.write(lambda tx: tx.note_pull(OURS, ONE, NOW))
    await ensure_project_network(runtime, "here", project)
    await ensure_project_network(runtime, "elsewhere", a_project("other"))
    labels = {**LABELS, "tagboat.deploy": deploy.id}
    await make(runtime, "app", OURS, labels, {volume: "/data"})
    status = await runtime.status("app")
    assert status is not None
    instance = replace(an_instance(deploy), container="app", container_id=status.id)
    await add(store, replace(instance, state=InstanceState.LIVE))
    await make(runtime, "db", THEIRS, {}, {"precious": "/data"})
    await make(runtime, "copy", THEIRS, labels, {})
    await make(runtime, "neighbour", THEIRS, LABELS | {"tagboat.installation": "elsewhere"}, {})
    store.close()
    return Scene(DatabasePlace(None, data_dir), runtime, volume, f"tagboat-{project.id}")


async def make(
    runtime: MemoryRuntime,
    name: str,
    image: ImageName,
    labels: dict[str, str],
    volumes: dict[str, str],
) -> None:
    spec = WorkloadSpec(
        name=name, image=f"{image}@{DIGESTS[image]}", labels=labels, volumes=volumes
    )
    await runtime.create(spec)
    await runtime.start(name)


async def test_only_what_it_has_made_is_found(scene: Scene) -> None:
    plan = await scene.plan()
    assert plan.engine is not None
    assert [one.name for one in plan.engine.containers] == ["app"]
    assert [one.name for one in plan.engine.unknown] == ["copy"]
    assert plan.engine.networks == (scene.network,)
    assert plan.engine.images == (f"{OURS}@{ONE}",)
    assert plan.engine.volumes == (scene.volume,)
    assert {path.name for path in plan.entries} == {"tagboat.db", "encryption.key"}
    assert len(await scene.names()) == 4


async def test_volumes_on_nodes_of_a_swarm_are_named_and_stay(scene: Scene) -> None:
    scene.runtime.is_cluster = True
    scene.runtime.volumes.clear()
    with closing(open_store(None, scene.place.data_dir)) as store:

        def keep_data(tx: Tx) -> None:
            ((stage,),) = tx.stages_by_project([one.id for one in tx.projects()]).values()
            options = RunOptions(volumes={"data": "/data"})
            tx.put_stage(replace(stage, run=options, constraints=("node.hostname==n2",)))

        await store.write(keep_data)
    plan = await scene.plan()
    assert plan.engine is not None
    assert plan.engine.on_nodes == (f"{scene.volume} (n2)",)
    for volumes in (False, True):
        rows = dict(plan_rows(plan, volumes=volumes))
        assert (
            f"'docker volume rm NAME' there removes one: {scene.volume} (n2)"
            in (rows["volumes (kept)"])
        )
        kept = plan_document(plan, volumes=volumes)["kept"]
        assert isinstance(kept, dict)
        assert kept["volumes"] == [f"{scene.volume} (n2)"]


@pytest.mark.parametrize("volumes", [False, True])
async def test_all_of_that_is_removed_and_nothing_else(scene: Scene, *, volumes: bool) -> None:
    login = scene.place.data_dir.parent / "login.json"
    login.write_text("{}")
    removed = await carry_out(await scene.plan(login), scene.runtime, volumes=volumes)

    assert (removed.failures, removed.in_use) == ((), ())
    assert sorted(await scene.names()) == ["copy", "db", "neighbour"]
    assert scene.network not in await scene.runtime.list_networks({})
    assert len(await scene.runtime.list_networks({"tagboat.installation": "elsewhere"})) == 1
    assert await scene.runtime.inspect_image(f"{OURS}@{ONE}") is None
    assert await scene.runtime.inspect_image(f"{THEIRS}@{TWO}") is not None
    left = {"precious"} if volumes else {"precious", scene.volume}
    assert scene.runtime.volumes == left
    assert not scene.place.data_dir.exists()
    assert not login.exists()
    again = await scene.plan()
    assert again.is_empty
    assert (await carry_out(again, scene.runtime, volumes=True)).failures == ()


async def test_a_command_that_runs_is_ours(scene: Scene) -> None:
    await make(scene.runtime, "app-dev-run-1", OURS, LABELS | {RUN: "run-1"}, {})
    await make(scene.runtime, "copied", OURS, LABELS | {RUN: "run-1"}, {})
    store = open_store(None, scene.place.data_dir)
    command = OneOff(id="run-1", stage_id="s1", container="app-dev-run-1", kept_until=NOW)
    await store.write(lambda tx: tx.put_one_off(command))
    store.close()
    plan = await scene.plan()
    assert plan.engine is not None
    assert sorted(one.name for one in plan.engine.containers) == ["app", "app-dev-run-1"]


async def test_nothing_is_removed_under_another_server(scene: Scene) -> None:
    (scene.place.data_dir / "replica").write_text("own-replica\n")
    store = open_store(None, scene.place.data_dir)
    await store.write(lambda tx: tx.put_edge("own-replica", 1, {}))
    await store.write(lambda tx: tx.put_edge("01other-replica", 1, {}))
    names = await scene.names()
    plan = await scene.plan()
    assert plan.record is not None
    assert [one.id for one in plan.record.others] == ["01other-replica"]
    assert "server 01other-, seen 0 s ago" in dict(plan_rows(plan, volumes=False)).values()
    assert plan_document(plan, volumes=False)["other_servers"] == ["01other-replica"]
    for without_engine in (False, True):
        with pytest.raises(ConflictError, match=r"server 01other-, seen \d+ s ago\), and"):
            await carry_out(plan, scene.runtime, volumes=False, without_engine=without_engine)
    assert await scene.names() == names
    # Its last report is a minute old: it has been stopped.
    store.close()
    with closing(sqlite3.connect(scene.place.data_dir / "tagboat.db")) as database, database:
        database.execute("UPDATE edges SET seen_at = seen_at - 61000000")
    plan = await scene.plan()
    assert plan.record is not None
    assert plan.record.others == ()
    await carry_out(plan, scene.runtime, volumes=False)
    assert "app" not in await scene.names()


async def test_another_server_without_an_ingress_is_seen_too(scene: Scene) -> None:
    (scene.place.data_dir / "replica").write_text("own-replica\n")

    def sign(tx: Tx) -> None:
        for name in ("own-replica", "01other-replica"):
            assert tx.acquire_lease(f"server/{name}", name, GRACE_S)

    with closing(open_store(None, scene.place.data_dir)) as store:
        await store.write(sign)
    plan = await scene.plan()
    assert plan_document(plan, volumes=False)["other_servers"] == ["01other-replica"]
    with pytest.raises(ConflictError, match=r"server 01other-, seen \d+ s ago\), and"):
        await carry_out(plan, scene.runtime, volumes=False)


async def test_files_of_others_stay_with_their_directory(scene: Scene) -> None:
    notes = scene.place.data_dir / "notes.txt"
    notes.write_text("mine")
    plan = await scene.plan()
    assert plan.foreign_entries == (notes,)
    await carry_out(plan, scene.runtime, volumes=False)
    assert list(scene.place.data_dir.iterdir()) == [notes]


async def test_if_a_container_stays_the_record_stays_too(scene: Scene) -> None:
    scene.runtime.fail("remove", EngineError("the engine could not remove app: busy"))
    removed = await carry_out(await scene.plan(), scene.runtime, volumes=False)
    assert removed.failures == ("the engine could not remove app: busy",)
    assert (scene.place.data_dir / "tagboat.db").exists()
    removed = await carry_out(await scene.plan(), scene.runtime, volumes=False)
    assert removed.failures == ()
    assert "app" not in await scene.names()
    assert not scene.place.data_dir.exists()


async def test_an_engine_that_is_away_keeps_what_it_has(scene: Scene) -> None:
    scene.runtime.fail("list_workloads", EngineUnavailableError("the engine does not answer"))
    plan = await scene.plan()
    assert (plan.engine, plan.why_not) == (None, "the engine does not answer")
    assert plan.record is not None
    assert plan.record.installation == "here"
    with pytest.raises(ConflictError, match="does not answer.* or use --without-engine"):
        await carry_out(plan, scene.runtime, volumes=True)
    assert (scene.place.data_dir / "tagboat.db").exists()
    removed = await carry_out(plan, scene.runtime, volumes=True, without_engine=True)
    assert removed.failures == ()
    assert "app" in await scene.names()
    assert not scene.place.data_dir.exists()


async def test_the_record_of_another_release_is_not_guessed_at(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tagboat.installation.uninstall.HEAD", "9999")
    with pytest.raises(SettingsError, match="of another release .* uninstall with it"):
        await scene.plan()


async def test_a_directory_that_no_server_has_used_is_empty(tmp_path: Path) -> None:
    plan = await plan_uninstall(DatabasePlace(None, tmp_path / "none"), MemoryRuntime(), None)
    assert plan.is_empty
    assert plan.record is None


@pytest.mark.parametrize(
    ("lost", "why", "installation"),
    [
        ("tagboat.db", "tagboat.db is missing", None),
        ("encryption.key", "encryption.key", "here"),
    ],
)
async def test_a_lost_record_is_like_an_engine_that_is_away(
    scene: Scene, lost: str, why: str, installation: str | None
) -> None:
    (scene.place.data_dir / lost).unlink()
    plan = await scene.plan()
    assert why in plan.why_not
    assert (plan.record.installation if plan.record else None) == installation
    with pytest.raises(ConflictError, match="--without-engine"):
        await carry_out(plan, scene.runtime, volumes=True)
    await carry_out(plan, scene.runtime, volumes=True, without_engine=True)
    assert len(await scene.names()) == 4
    assert not scene.place.data_dir.exists()


async def test_a_process_in_another_container_is_not_signalled(scene: Scene) -> None:
    ingress = scene.place.data_dir / "ingress"
    ingress.mkdir()
    with hold_run_lock(ingress):
        # The id of this test's own process, in another namespace.
        (ingress / LOCK_FILE).write_text(f"{os.getpid()} pid:[1]")
        with pytest.raises(IngressUnavailableError, match="docker compose stop ingress"):
            await carry_out(await scene.plan(), scene.runtime, volumes=False)
    assert "app" in await scene.names()
    assert (scene.place.data_dir / "tagboat.db").exists()


async def test_a_mount_point_is_emptied(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    ingress, remove = scene.place.data_dir / "ingress", shutil.rmtree
    ingress.mkdir()
    (ingress / "haproxy.cfg").touch()

    def remove_and_refuse(path: Path) -> None:
        remove(path)
        path.mkdir()
        raise OSError(errno.EBUSY, "Device or resource busy", str(path))

    monkeypatch.setattr("tagboat.installation.uninstall.shutil.rmtree", remove_and_refuse)
    removed = await carry_out(await scene.plan(), scene.runtime, volumes=False)
    assert removed.failures == ()
    assert list(scene.place.data_dir.iterdir()) == [ingress]
    assert (await scene.plan()).is_empty


async def test_a_volume_that_a_person_has_made_stays(scene: Scene) -> None:
    store = open_store(None, scene.place.data_dir)
    (project,) = await store.read(lambda reader: reader.projects())
    (stage,) = await store.read(lambda reader: reader.stages(project.id))
    await store.write(
        lambda tx: tx.put_stage(replace(stage, adopted_volumes={"/data": "precious"}))
    )
    store.close()
    plan = await scene.plan()
    assert plan.engine is not None
    assert (plan.engine.volumes, plan.engine.adopted) == ((scene.volume,), ("precious",))
    await carry_out(plan, scene.runtime, volumes=True)
    assert scene.runtime.volumes == {"precious"}
