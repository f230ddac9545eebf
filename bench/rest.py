"""The cost of sixty live stages at rest, and memory after a thousand deploys.

Also at rest: ten thousand projects, on SQLite and on PostgreSQL, next to one.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.rig import (
    BenchError,
    Server,
    end,
    free_port,
    remove_images,
    rss_mb,
    show,
    start_until,
    tagboat,
)
from bench.stub_engine import READY
from tagboat.core.catalog import Project, Stage
from tagboat.core.ids import new_id
from tagboat.core.image import ImageName
from tagboat.core.ports import Tx
from tagboat.core.tags import parse_tag_pattern
from tagboat.ingress.process import our_processes
from tagboat.store import open_store
from tests.support.docker_registry import docker_registry
from tests.support.images import push_image
from tests.support.postgres import running_postgres

STAGES = 60
PROJECTS = 10_000
REST_S = 60.0
_START_S = 30.0
"""Seconds after which a start is over."""
_SETTLE_S = 5.0
_LOOK_S = 30.0
_DEPLOYS = (500, 1000)
_TICKS = os.sysconf("SC_CLK_TCK")
_STUB_ENGINE = Path(__file__).with_name("stub_engine.py")


@dataclass(frozen=True, slots=True)
class AtRest:
    """A server at rest: processor in percent of a core, wake-ups a second, and memory in MB."""

    cpu: float
    wakes: float
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Spent:
    """The use of processes until now: processor seconds, and wake-ups of their threads."""

    cpu_s: float
    wakes: int


def measure(folder: Path) -> None:
    """Print all three."""
    _many_projects(folder)
    with docker_registry() as registry:
        for number in range(STAGES):
            push_image(registry.host, f"bench/rest{number}", "v1", body="at rest")
        try:
            _at_rest(folder / "rest", registry.host)
        finally:
            remove_images(f"{registry.host}/")
        _after_deploys(folder, registry.host)


def _many_projects(folder: Path) -> None:
    with running_postgres() as postgres:
        for name in ("SQLite", "PostgreSQL"):
            one, many = (
                _projects_at_rest(
                    folder / f"rest-{name}-{count}",
                    postgres.new_database() if name == "PostgreSQL" else None,
                    count,
                )
                for count in (1, PROJECTS)
            )
            beside = "one project"
            title = f"{name}, {PROJECTS} projects"
            show(title, [many.cpu], beside, [one.cpu], "% core", "<= 0.5 %")
            show(f"{title}: woken", [many.wakes], beside, [one.wakes], "a s", "< 10 a second")
            show(f"{title}: memory", [many.rss_mb], beside, [one.rss_mb], "MB")


def _projects_at_rest(data_dir: Path, url: str | None, count: int) -> AtRest:
    data_dir.mkdir(mode=0o700)
    asyncio.run(_fill(data_dir, url, count))
    database = {"TAGBOAT_DATABASE_URL": url} if url else {}
    with tagboat(data_dir, free_port(), in_memory=True, **database) as server:
        time.sleep(_START_S)
        before = _spent([server.pid])
        time.sleep(REST_S)
        after = _spent([server.pid])
        return AtRest(
            (after.cpu_s - before.cpu_s) / REST_S * 100,
            (after.wakes - before.wakes) / REST_S,
            rss_mb(server.pid),
        )


async def _fill(data_dir: Path, url: str | None, count: int) -> None:
    now = datetime.now(UTC)

    def work(numbers: range, tx: Tx) -> None:
        for number in numbers:
            # Never pushed, nor polled: only the schedule polls them, once an hour.
            image = ImageName("127.0.0.1:1", f"bench/rest{number}")
            project = Project(id=new_id(), name=f"rest{number}", image=image, created_at=now)
            tx.add_project(project)
            pattern = parse_tag_pattern("*")
            tx.add_stage(
                Stage(
                    id=new_id(), project_id=project.id, name="dev", pattern=pattern, created_at=now
                )
            )

    store = open_store(url, data_dir)
    try:
        for first in range(0, count, 200):
            await store.write(partial(work, range(first, min(first + 200, count))))
    finally:
        store.close()


def _at_rest(data_dir: Path, host: str) -> None:
    port = free_port()
    with tagboat(data_dir, port) as server:
        try:
            _deploy_all(server, host)
            time.sleep(_SETTLE_S)
            haproxy = our_processes(data_dir / "ingress")
            before = [_spent([server.pid]), _spent(haproxy)]
            time.sleep(_LOOK_S)
            after = [_spent([server.pid]), _spent(haproxy)]
        finally:
            server.remove_projects()
    cpu = [
        (late.cpu_s - early.cpu_s) / _LOOK_S * 100
        for early, late in zip(before, after, strict=True)
    ]
    wakes = [
        (late.wakes - early.wakes) / _LOOK_S for early, late in zip(before, after, strict=True)
    ]
    show(
        f"at rest, {STAGES} live stages", [cpu[0]], "HAProxy's part", [cpu[1]], "% core", "<= 0.5 %"
    )
    show("times woken", [wakes[0]], "HAProxy's part", [wakes[1]], "a s", "< 10 a second")


def _deploy_all(server: Server, host: str) -> None:
    for number in range(STAGES):
        server.push(f"{host}/bench/rest{number}:v1")
    server.await_rest()
    live = server.call("GET", "/api/instances?state=live&limit=200")["items"]
    if len(live) != STAGES:
        raise BenchError(f"{len(live)} of {STAGES} stages are live")


def _after_deploys(folder: Path, host: str) -> None:
    """Run with a real server, HAProxy and registry; the engine is a stub in its own process."""
    engine = folder / "engine.sock"
    stub, _ = start_until((sys.executable, str(_STUB_ENGINE), str(engine)), READY)
    try:
        with tagboat(
            folder / "deploys", free_port(), TAGBOAT_DOCKER_HOST=f"unix://{engine}"
        ) as server:
            time.sleep(_SETTLE_S)
            idle = rss_mb(server.pid)
            _deploy_all(server, host)
            began, sizes, done = rss_mb(server.pid), dict[int, float](), STAGES
            for wanted in _DEPLOYS:
                done += _redeploy(server, wanted - done)
                sizes[wanted] = rss_mb(server.pid)
    finally:
        end(stub)
    few, many = _DEPLOYS
    show(f"memory after {STAGES} deploys", [began], "before the first", [idle], "MB")
    show(f"memory after {few} deploys", [sizes[few]], f"after {STAGES}", [began], "MB", "<= 105 MB")
    show(
        f"memory after {many} deploys",
        [sizes[many]],
        f"after {few}",
        [sizes[few]],
        "MB",
        "ratio <= 1.02",
    )


def _redeploy(server: Server, count: int) -> int:
    """Deploy anew what is live, stage by stage; how many deploys that were."""
    stages: list[Mapping[str, str]] = []
    for project in server.call("GET", "/api/projects?limit=200")["items"]:
        stages += server.call("GET", f"/api/projects/{project['id']}/stages")["items"]
    done = 0
    while done < count:
        for stage in stages[: count - done]:
            server.call("PATCH", f"/api/stages/{stage['id']}", {"watch_s": 1})
            server.call("POST", f"/api/stages/{stage['id']}/deploys", {"tag": "v1", "force": True})
            done += 1
        server.await_rest()
    return done


def _spent(pids: list[int]) -> Spent:
    return Spent(sum(cpu_s(pid) for pid in pids), sum(_wakes(pid) for pid in pids))


def cpu_s(pid: int) -> float:
    """Return the processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _wakes(pid: int) -> int:
    """How often its threads, those that there are now, have given up the processor to wait."""
    return sum(
        int(line.split()[1])
        for task in Path(f"/proc/{pid}/task").iterdir()
        for line in (task / "status").read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches:")
    )
