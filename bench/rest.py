"""The cost of sixty live stages at rest, and memory after a thousand deploys."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
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
from tagboat.ingress.process import our_processes
from tests.support.docker_registry import docker_registry
from tests.support.images import push_image

STAGES = 60
_SETTLE_S = 5.0
_LOOK_S = 30.0
_DEPLOYS = (500, 1000)
_TICKS = os.sysconf("SC_CLK_TCK")
_STUB_ENGINE = Path(__file__).with_name("stub_engine.py")


@dataclass(frozen=True, slots=True)
class Spent:
    """The use of processes until now: processor seconds, and wake-ups of their threads."""

    cpu_s: float
    wakes: int


def measure(folder: Path) -> None:
    """Print both."""
    with docker_registry() as registry:
        for number in range(STAGES):
            push_image(registry.host, f"bench/rest{number}", "v1", body="at rest")
        try:
            _at_rest(folder / "rest", registry.host)
        finally:
            remove_images(f"{registry.host}/")
        _after_deploys(folder, registry.host)


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
