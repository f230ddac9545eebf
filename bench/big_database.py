"""Pushes a second, and a rollback's transaction, in a large database.

It has a long queue, many projects and a long history.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import insert

from bench.rig import show, tagboat
from bench.webhook_rate import SCRIPT, load
from tagboat.core.catalog import Project, Stage
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, Trigger
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageName
from tagboat.core.ports import Tx
from tagboat.core.run import RunConfig
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tagboat.deploy.queue import DeployQueue
from tagboat.operations.stage_actions import StageActions
from tagboat.store import open_store, tables
from tagboat.store.database import open_database
from tagboat.store.rows import to_row

PROJECTS = 5000
ENDED = 50_000
ROUNDS = 3
ROLLBACKS = 9
HOST, PUSHED = "registry.example.com", "bench/pushed"
_START = datetime(2026, 1, 1, tzinfo=UTC)
_DIGESTS = (Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64))


def measure(folder: Path) -> None:
    """Print both.

    The engine is one in memory whose pulls never end, so that what waits goes on waiting.
    """
    script = folder / "pushes.lua"
    script.write_text(SCRIPT)
    few, many = folder / "few", folder / "many"
    _fill(few, projects=1, ended=1)
    stage = _fill(many, projects=PROJECTS, ended=ENDED)
    rates: dict[Path, list[float]] = {few: [], many: []}
    for turn in range(ROUNDS):
        for data_dir, found in rates.items():
            with tagboat(data_dir, in_memory=True, BENCH_PULLS_GO_ON="1") as server:
                url = f"http://127.0.0.1:{server.port}{server.webhook_path()}"
                found.append(load(script, url, (f"{HOST}/{PUSHED}", f"t{turn}", "distinct")).rate)
    name = f"{PROJECTS} wait, {ENDED} have ended"
    show(name, rates[many], "one of each", rates[few], "calls/s", "ratio >= 0.8")
    held_ms = asyncio.run(_rollbacks(many, stage))
    show("a rollback holds the writer for", held_ms, "the target", [20.0], "ms", "< 20 ms")


def _fill(data_dir: Path, *, projects: int, ended: int) -> str:
    """Create projects with a queued deploy each; return the id of the last stage.

    That stage has the history.
    """
    data_dir.mkdir(mode=0o700)
    names = [PUSHED, *(f"bench/many{number}" for number in range(1, projects))]
    made = [_project(name) for name in names]
    store = open_store(None, data_dir)
    asyncio.run(_add(store.write, made))
    store.close()
    project, stage = made[-1]
    engine = open_database(None, data_dir)
    with engine.begin() as connection:
        for first in range(0, ended, 1000):
            numbers = range(first, min(first + 1000, ended))
            deploys = [_deploy(project, stage, f"v{number}", number) for number in numbers]
            connection.execute(insert(tables.deploys_table), [to_row(deploy) for deploy in deploys])
            rows = [
                to_row(_instance(deploy, number))
                for deploy, number in zip(deploys, numbers, strict=True)
            ]
            connection.execute(insert(tables.instances_table), rows)
    engine.dispose()
    return stage.id


async def _add(
    write: Callable[[Callable[[Tx], None]], Awaitable[None]], made: list[tuple[Project, Stage]]
) -> None:
    def work(some: list[tuple[Project, Stage]], tx: Tx) -> None:
        for project, stage in some:
            tx.add_project(project)
            tx.add_stage(stage)
            # One that names its image: a push would be looked up, at a registry that is not there.
            waiting = replace(_deploy(project, stage, "v1", 0), trigger=Trigger.PROMOTE)
            tx.add_deploy(replace(waiting, status=DeployStatus.QUEUED, finished_at=None))

    for first in range(0, len(made), 500):
        await write(partial(work, made[first : first + 500]))


def _project(path: str) -> tuple[Project, Stage]:
    name = path.rpartition("/")[2]
    project = Project(
        id=new_id(), name=name, image=ImageName(HOST, path), port=8080, created_at=_START
    )
    return project, Stage(
        id=new_id(),
        project_id=project.id,
        name="dev",
        pattern=parse_tag_pattern("*"),
        created_at=_START,
    )


def _deploy(project: Project, stage: Stage, tag: str, number: int) -> Deploy:
    return Deploy(
        id=new_id(),
        project_id=project.id,
        stage_id=stage.id,
        tag=tag,
        digest=_DIGESTS[number % 2],
        trigger=Trigger.WEBHOOK,
        status=DeployStatus.SUCCEEDED,
        created_at=_START,
        finished_at=_START + timedelta(seconds=number),
    )


def _instance(deploy: Deploy, number: int) -> Instance:
    return Instance(
        id=new_id(),
        deploy_id=deploy.id,
        project_id=deploy.project_id,
        stage_id=deploy.stage_id,
        tag=deploy.tag,
        digest=deploy.digest or _DIGESTS[0],
        state=InstanceState.STOPPED,
        container=f"many-{deploy.id}",
        endpoints=(),
        fingerprint="0",
        started_at=_START,
        stopped_at=_START + timedelta(seconds=number),
    )


class _UndoneError(Exception):
    """Undoes the transaction that it is raised in."""


async def _rollbacks(data_dir: Path, stage_id: str) -> list[float]:
    """Return the milliseconds of a rollback's transaction; each is undone."""
    took: list[float] = []
    store = open_store(None, data_dir)
    clock = partial(datetime.now, UTC)
    orders = StageActions(DeployQueue(clock), clock)

    def work(tx: Tx) -> None:
        last = tx.recent_instances(stage_id, [InstanceState.STOPPED], 1)
        tx.put_deploy_config(last[0].deploy_id, RunConfig(port=8080, healthcheck="", env={}))
        began = time.perf_counter()
        orders.rollback(tx, stage_id)
        took.append((time.perf_counter() - began) * 1000)
        raise _UndoneError

    try:
        for _ in range(ROLLBACKS + 1):
            with contextlib.suppress(_UndoneError):
                await store.write(work)
    finally:
        store.close()
    return took[1:]  # the first one has its statements to make
