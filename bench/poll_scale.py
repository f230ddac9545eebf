"""Thousands of repositories polled by one server, compared with a load generator.

The registry is Debian's. One repository is pushed, the others are copies of its folder. Each has
one tag, which a stage names, so that a poll is a listing and a HEAD of the tag.
"""

import asyncio
import json
import re
import shutil
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.rest import cpu_s
from bench.rig import BenchError, Server, await_value, rss_mb, show, tagboat
from tagboat.core.catalog import KnownTag, Project, Stage
from tagboat.core.config import POLL_SCHEDULE
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageName
from tagboat.core.polling import PollState
from tagboat.core.ports import Tx
from tagboat.core.push import Source
from tagboat.core.tags import parse_tag_pattern
from tagboat.data_dir import SERVER_FILE
from tagboat.registry.manifests import ACCEPT
from tagboat.store import open_store
from tests.support.docker_registry import DockerRegistry, docker_registry
from tests.support.images import push_image

FEW = 500
MANY = 5_000
ROUNDS = 2
LOAD_S = 3
CONCURRENCY = 32
PER_REPOSITORY = 2
"""Requests that a poll makes: a listing, and a HEAD."""
_LOOK_S = 0.25
_NEVER, _AT_ONCE = "@every 1000h", "@every 1s"
_REQUEST = re.compile(r'"(?:GET|HEAD) /v2/bench/r\S* HTTP')
_POLLS = re.compile(r'^tagboat_polls_total\{outcome="(\w+)"\} ([0-9.e+]+)$', re.MULTILINE)
# A GET in place of the HEAD: wrk waits for the body that a HEAD's length announces. The registry
# does the same for both.
_SCRIPT = """
local sent, threads = 0, 0
function setup(thread) thread:set("number", threads); threads = threads + 1 end
function init(args)
  repositories, accept, sent = tonumber(args[1]), args[2], number * tonumber(args[1]) end
function request()
  sent = sent + 1
  local path = string.format("/v2/bench/r%04d/", math.floor(sent / 2) % repositories)
  return wrk.format("GET", path .. (sent % 2 == 0 and "tags/list" or "manifests/v1"),
    {Accept = accept})
end
function done(summary)
  local e = summary.errors
  io.write(string.format("\\nRESULT %f %d\\n", summary.requests / summary.duration * 1e6,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Cycle:
    """A cycle over all repositories: polls a second, and processor seconds for 1,000."""

    rate: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class _Poller:
    """A server, and where its metrics are, with a token for them."""

    server: Server
    url: str
    token: str = field(repr=False)

    def metrics(self) -> str:
        """The metrics as text."""
        request = urllib.request.Request(
            f"{self.url}/metrics", headers={"Authorization": f"Bearer {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read(), "utf-8")


@dataclass(frozen=True, slots=True)
class _Moment:
    """Polls of the server and its processor time in seconds, at a time in seconds."""

    polls: int
    cpu_s: float
    at: float


def measure(folder: Path) -> None:
    """Print the cost of a poll, its rate and the registry's maximum, and memory of few and many."""
    data = folder / "scale-registry"
    with docker_registry(data=data) as registry:
        digest = fill_registry(registry, data, MANY)
        with _filled(folder / "few", registry, digest, FEW) as poller:
            for _ in range(1 + ROUNDS):
                _cycle(poller, FEW)
            few = rss_mb(poller.server.pid)
        with _filled(folder / "many", registry, digest, MANY) as poller:
            _cycle(poller, MANY)  # after its start, a server has yet to learn what is at rest
            cycles, ceilings, requests = _by_turns(poller, registry, folder)
            many = rss_mb(poller.server.pid)
    show(f"requests a repository, of {MANY}", requests, "listing + HEAD", [PER_REPOSITORY], "", "1")
    rates = [cycle.rate for cycle in cycles]
    show(
        "repositories a second",
        rates,
        "wrk, same requests",
        [rate / PER_REPOSITORY for rate in ceilings],
        "/s",
        "0.7",
    )
    show(f"memory, {MANY} repositories", [many], f"{FEW} repositories", [few], "MB", "flat")
    print(
        "  CPU seconds for 1,000 repositories "
        f"{statistics.median(cycle.cpu_s for cycle in cycles):.2f}",
        flush=True,
    )


def _by_turns(
    poller: _Poller, registry: DockerRegistry, folder: Path
) -> tuple[list[Cycle], list[float], list[float]]:
    """Measure cycles, the registry's maximum (requests/s) and requests a repository, by turns."""
    script = folder / "poll_load.lua"
    script.write_text(_SCRIPT)
    cycles, ceilings, requests = [], [], []
    for _ in range(ROUNDS):
        ceilings.append(_ceiling(registry, script))
        before = _asked(registry)
        cycles.append(_cycle(poller, MANY))
        requests.append((_asked(registry) - before) / MANY)
    return cycles, ceilings, requests


def _cycle(poller: _Poller, count: int) -> Cycle:
    """Have each of `count` repositories polled once, on schedule."""
    idle = _moment(poller)
    poller.server.call("PATCH", "/api/settings", {"poll_schedule": _AT_ONCE})
    begun = await_value(lambda: _since(poller, idle.polls + 1), "the first poll", pause_s=_LOOK_S)
    poller.server.call("PATCH", "/api/settings", {"poll_schedule": _NEVER})
    looks = [begun]
    while looks[-1].polls < idle.polls + count:
        time.sleep(_LOOK_S)
        looks.append(_moment(poller))
    if looks[-1].polls != idle.polls + count:
        raise BenchError(
            f"{count} repositories were polled {looks[-1].polls - idle.polls} times in one cycle"
        )
    # The last look came some time after the end; the one before it saw the polls still going on, if
    # it was not the first.
    late = (looks[1:-1] or looks[1:])[-1]
    done = late.polls - begun.polls
    return Cycle(done / (late.at - begun.at), (late.cpu_s - begun.cpu_s) / done * 1000)


def _since(poller: _Poller, polls: int) -> _Moment | None:
    moment = _moment(poller)
    return moment if moment.polls >= polls else None


def _moment(poller: _Poller) -> _Moment:
    counts = dict(_POLLS.findall(poller.metrics()))
    if float(counts.get("failed", 0)):
        raise BenchError(f"{counts['failed']} polls failed; the server's log says why")
    return _Moment(int(float(counts.get("done", 0))), cpu_s(poller.server.pid), time.monotonic())


def _asked(registry: DockerRegistry) -> int:
    return len(_REQUEST.findall(registry.log))


def _ceiling(registry: DockerRegistry, script: Path) -> float:
    """Requests a second that the registry answers to a load generator."""
    command = [
        "wrk",
        "-t2",
        f"-c{CONCURRENCY}",
        f"-d{LOAD_S}s",
        "-s",
        str(script),
        registry.url,
        "--",
        str(MANY),
        ACCEPT,
    ]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, errors = next(line for line in said.splitlines() if line.startswith("RESULT ")).split()[
        1:
    ]
    if int(errors):
        raise BenchError(f"{errors} requests to the registry failed under load")
    return float(rate)


def fill_registry(registry: DockerRegistry, data: Path, count: int) -> Digest:
    """Fill it with `count` repositories; the digest that the tag v1 has in each."""
    digest = push_image(registry.host, repository_name(0), "v1")
    repositories = data / "docker/registry/v2/repositories"
    for number in range(1, count):
        # What only a push or a pull needs is left out.
        unneeded = shutil.ignore_patterns("_layers", "_uploads", "index")
        shutil.copytree(
            repositories / repository_name(0),
            repositories / repository_name(number),
            ignore=unneeded,
        )
    return digest


def repository_name(number: int) -> str:
    """Return the name of a repository in the registry."""
    return f"bench/r{number:04d}"


@contextmanager
def _filled(
    data_dir: Path, registry: DockerRegistry, digest: Digest, count: int
) -> Iterator[_Poller]:
    """Run a server with `count` projects, all polled at its start, that polls when told."""
    data_dir.mkdir()
    asyncio.run(_fill_store(data_dir, registry.host, digest, count))
    with tagboat(data_dir) as server:
        said = json.loads((data_dir / SERVER_FILE).read_text())
        poller = _Poller(server, said["url"], said["token"])
        await_value(lambda: _since(poller, count), "the polls of the start", pause_s=1.0)
        yield poller


async def _fill_store(data_dir: Path, host: str, digest: Digest, count: int) -> None:
    now = datetime.now(UTC)

    def work(tx: Tx) -> None:
        tx.put_setting(POLL_SCHEDULE, _NEVER)
        for number in range(count):
            project = Project(
                id=new_id(),
                name=f"r{number}",
                image=ImageName(host, repository_name(number)),
                created_at=now,
            )
            tx.add_project(project)
            pattern = parse_tag_pattern("v1")
            tx.add_stage(
                Stage(
                    id=new_id(), project_id=project.id, name="live", pattern=pattern, created_at=now
                )
            )
            tx.record_tag(
                KnownTag(
                    project_id=project.id,
                    tag="v1",
                    digest=digest,
                    first_seen=now,
                    source=Source.POLL,
                )
            )
            tx.put_poll_state(PollState(project_id=project.id, first_done=True, last_at=now))

    store = open_store(None, data_dir)
    try:
        await store.write(work)
    finally:
        store.close()
