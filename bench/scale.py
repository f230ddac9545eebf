"""A thousand live stages on one server, next to twenty: deploys, reconcile, routes and memory.

Server, ingress and registry are real. The engine is a stub in its own process, which counts calls.
"""

import asyncio
import http.client
import json
import socket
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench.poll_scale import fill_registry, repository_name
from bench.rest import cpu_s
from bench.rig import BenchError, Server, end, free_port, rss_mb, show, start_until, tagboat
from bench.stub_engine import READY
from tagboat.core.catalog import KnownTag, Project, Stage
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageName
from tagboat.core.polling import PollState
from tagboat.core.ports import Tx
from tagboat.core.push import Source
from tagboat.core.tags import parse_tag_pattern
from tagboat.deploy.places import MAX_WORKING
from tagboat.store import open_store
from tests.support.docker_registry import docker_registry

FEW, MANY = 20, 1_000
WATCH_S = 10
LIMIT_S = 1_200.0
"""Seconds for the deploys of all stages."""
ROUNDS = 5
REST_S = 60.0
_ROUND_S = 3.0
"""Seconds in which a round has ended for sure, although it gives no sign."""
_LISTING = "GET /containers/json"
_INSPECTION = "GET /containers/{container}/json"
_STUB_ENGINE = Path(__file__).with_name("stub_engine.py")


class StubEngine:
    """The stub engine at a socket, as the one who measures talks to it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, method: str, path: str) -> Any:  # noqa: ANN401 - JSON
        """Call it. Raises BenchError where it refuses."""
        connection = http.client.HTTPConnection("engine", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self._path))
        try:
            connection.request(method, f"/bench/{path}")
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise BenchError(f"the stub engine answered {answer.status}: {said[:200]!r}")
        return json.loads(said) if said else None

    def calls(self) -> Counter[str]:
        """Return how often each call came."""
        return Counter(self.ask("GET", "calls"))


@dataclass(frozen=True, slots=True)
class Round:
    """The cost of a reconcile round: calls of the engine by kind, and processor seconds."""

    calls: Counter[str]
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a server with so many live stages; times are in milliseconds."""

    deploys_s: float
    idle_mb: float
    full_mb: float
    quiet: Round
    changed: Round
    rest_cpu: float
    revived_ms: float
    switch_ms: list[float]
    route_ms: list[float]


def measure(folder: Path) -> None:
    """Print the figures of many stages, each next to that of few."""
    data = folder / "scale-images"
    with docker_registry(data=data) as registry:
        digest = fill_registry(registry, data, MANY)
        few, many = (
            _figures(folder / f"scale-{count}", registry.host, digest, count)
            for count in (FEW, MANY)
        )
    beside = f"{FEW} stages"
    holding = MAX_WORKING / WATCH_S
    show(
        f"deploys, {MANY} stages",
        [many.deploys_s],
        "if watches held places",
        [holding],
        "/s",
        "> 1",
    )
    show(f"memory, {MANY} stages live", [many.full_mb], beside, [few.full_mb], "MB")
    print(
        f"  memory for each live stage: {(many.full_mb - many.idle_mb) / MANY * 1000:.0f} kB",
        flush=True,
    )
    show("CPU at rest", [many.rest_cpu], beside, [few.rest_cpu], "% core", "<= 0.5 %")
    for name, own, other in (
        ("nothing changed", many.quiet, few.quiet),
        ("one changed", many.changed, few.changed),
    ):
        show(
            f"a round, {name}: CPU",
            [own.cpu_s * 1000],
            beside,
            [other.cpu_s * 1000],
            "ms",
        )
        print(f"  its calls of the engine: {_words(own.calls)}; of {FEW}: {_words(other.calls)}")
    show("an exit until it is started", [many.revived_ms], beside, [few.revived_ms], "ms")
    show("a switch, nothing else at work", many.switch_ms, beside, few.switch_ms, "ms")
    show("a new domain until it answers", many.route_ms, beside, few.route_ms, "ms")


def _words(calls: Counter[str]) -> str:
    known = {_LISTING: "listings", _INSPECTION: "inspections"}
    return ", ".join(f"{count} {known.get(name, name)}" for name, count in sorted(calls.items()))


@contextmanager
def _engine(path: Path) -> Iterator[StubEngine]:
    process, _ = start_until((sys.executable, str(_STUB_ENGINE), str(path)), READY)
    try:
        yield StubEngine(path)
    finally:
        end(process)


def _figures(data_dir: Path, host: str, digest: Digest, count: int) -> Figures:
    data_dir.mkdir(mode=0o700)
    asyncio.run(_fill(data_dir, host, digest, count))
    socket_path, port = data_dir.with_suffix(".sock"), free_port()
    with (
        _engine(socket_path) as engine,
        tagboat(data_dir, port, TAGBOAT_DOCKER_HOST=f"unix://{socket_path}") as server,
    ):
        time.sleep(_ROUND_S)
        idle_mb = rss_mb(server.pid)
        began = time.monotonic()
        for number in range(count):
            server.push(f"{host}/{repository_name(number)}:v1")
        _await_all(server, count)
        took_s = time.monotonic() - began
        # Reconciliations of the last deploys; and a container counts as new for some minutes.
        time.sleep(_ROUND_S)
        engine.ask("POST", "age")
        _round(server, engine, "news")
        at_rest = cpu_s(server.pid)
        time.sleep(REST_S)
        rest_cpu = (cpu_s(server.pid) - at_rest) / REST_S * 100
        quiet = [_round(server, engine, "news") for _ in range(ROUNDS)]
        revived_ms = _revived_ms(engine)
        changed = [_round(server, engine, "end") for _ in range(ROUNDS)]
        return Figures(
            deploys_s=count / took_s,
            idle_mb=idle_mb,
            full_mb=rss_mb(server.pid),
            rest_cpu=rest_cpu,
            quiet=_median(quiet),
            changed=_median(changed),
            revived_ms=revived_ms,
            switch_ms=[_switch_ms(server, number) for number in range(ROUNDS)],
            route_ms=[_route_ms(server, port, number) for number in range(ROUNDS)],
        )


def _median(rounds: Sequence[Round]) -> Round:
    return Round(rounds[-1].calls, statistics.median(one.cpu_s for one in rounds))


def _await_all(server: Server, count: int) -> None:
    """Wait for the deploys of all. Raises BenchError where one of the last ones failed."""
    deadline = time.monotonic() + LIMIT_S
    while server.call("GET", "/api/deploys?status=queued&status=running&limit=1")["items"]:
        if time.monotonic() > deadline:
            raise BenchError(f"{count} deploys took longer than {LIMIT_S:.0f} s")
        time.sleep(0.5)
    done = server.call("GET", "/api/deploys?limit=100")["items"]
    if wrong := [one for one in done if one["status"] != "succeeded"]:
        raise BenchError(f"a deploy {wrong[0]['status']}: {wrong[0]['reason']}")


def _stage(server: Server, number: int) -> str:
    project = server.call("GET", f"/api/projects?limit={ROUNDS}")["items"][number]
    (stage,) = server.call("GET", f"/api/projects/{project['id']}/stages")["items"]
    return str(stage["id"])


def _switch_ms(server: Server, number: int) -> float:
    """Deploy a stage again; return the milliseconds of its step switch, by its record."""
    again = {"tag": "v1", "force": True}
    order = server.call("POST", f"/api/stages/{_stage(server, number)}/deploys", again)
    _await_all(server, 1)
    deploy = server.call("GET", f"/api/deploys/{order['id']}")
    (step,) = [one for one in deploy["steps"] if one["name"] == "switch"]
    began, ended = (datetime.fromisoformat(step[key]) for key in ("started_at", "finished_at"))
    return (ended - began).total_seconds() * 1000


def _round(server: Server, engine: StubEngine, what: str) -> Round:
    """Have the reconciler woken; return the cost of what follows."""
    calls, cpu = engine.calls(), cpu_s(server.pid)
    engine.ask("POST", what)
    time.sleep(_ROUND_S)
    return Round(engine.calls() - calls, cpu_s(server.pid) - cpu)


def _revived_ms(engine: StubEngine) -> float:
    start = "POST /containers/{container}/start"
    before, began = engine.calls()[start], time.monotonic()
    engine.ask("POST", "end")
    while engine.calls()[start] == before:
        if time.monotonic() - began > 60:  # noqa: PLR2004 - seconds
            raise BenchError("a container that ended was not started again within a minute")
        time.sleep(0.01)
    took_s = time.monotonic() - began
    time.sleep(_ROUND_S)
    return took_s * 1000


def _route_ms(server: Server, port: int, number: int) -> float:
    """Give a stage one more domain; return the milliseconds until the ingress routes it."""
    stage = _stage(server, number)
    domain = f"d{number}.bench.example.com"
    began = time.monotonic()
    server.call("PATCH", f"/api/stages/{stage}", {"domains": [domain]})
    while not _answers(port, domain):
        if time.monotonic() - began > 60:  # noqa: PLR2004 - seconds
            raise BenchError(f"{domain} was not routed within a minute")
        time.sleep(0.002)
    return (time.monotonic() - began) * 1000


def _answers(port: int, host: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/", headers={"Host": host})
        return connection.getresponse().status == http.client.OK
    finally:
        connection.close()


def _name(number: int) -> str:
    return f"app{number}"


async def _fill(data_dir: Path, host: str, digest: Digest, count: int) -> None:
    """Create the projects and their stages; the registry need not be asked if the tag is known."""
    now = datetime.now(UTC)

    def work(numbers: range, tx: Tx) -> None:
        for number in numbers:
            project = Project(
                id=new_id(),
                name=_name(number),
                image=ImageName(host, repository_name(number)),
                port=8080,
                created_at=now,
            )
            stage = Stage(
                id=new_id(),
                project_id=project.id,
                name="dev",
                pattern=parse_tag_pattern("*"),
                watch_s=WATCH_S,
                created_at=now,
            )
            tag = KnownTag(
                project_id=project.id,
                tag="v1",
                digest=digest,
                first_seen=now,
                source=Source.POLL,
            )
            tx.add_project(project)
            tx.add_stage(stage)
            tx.record_tag(tag)
            tx.put_poll_state(PollState(project_id=project.id, first_done=True, last_at=now))

    store = open_store(None, data_dir)
    try:
        for first in range(0, count, 100):
            await store.write(partial(work, range(first, min(first + 100, count))))
    finally:
        store.close()
