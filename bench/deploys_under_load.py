"""Requests lost, and how long the others took, while deploys follow one another; beside `docker stop && docker run`."""

import asyncio
import logging
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from bench.load import Asker, Kind, Load, LostError, Talk
from bench.loaded_apps import PAGE, push_loaded, push_websocket
from bench.rig import BenchError, Server, await_value, free_port, remove_images, show, tagboat
from tagboat.core.route import Route, Way
from tagboat.ingress.haproxy import HaproxyIngress
from tagboat.ingress.process import end_haproxy
from tests.support.docker_registry import docker_registry

CHANGES = 20
REST_S = 10.0
_WITH_LONG_REQUESTS = (5, 15)
"""Before these changes, requests of ten seconds are sent: each such deploy has to wait for their end."""
_LONG_REQUESTS = 3
_PAUSE_S = 1.5
"""Between two replacements by hand: about as long as a deploy watches and drains."""
_STAGE = {"watch_s": 1, "drain_timeout_s": 15}
_UPLOAD = 1_000_000
_LOADED, _WEBSOCKET = "bench/loaded", "bench/websocket"

PAGES = Kind("page", "/", PAGE, every_s=0.04)
SLOW = Kind("200 ms", "/cgi-bin/slow?0.2", "slept", every_s=0.25)
LONG = Kind("10 s", "/cgi-bin/slow?10", "slept", every_s=10)
UPLOADS = Kind("upload", "/cgi-bin/upload", str(_UPLOAD), every_s=1, upload=_UPLOAD)
_EACH = ((PAGES, 2), (SLOW, 3), (UPLOADS, 1))
ASKERS = [Asker(kind, fresh) for kind, count in _EACH for fresh in (False, True) for _ in range(count)]


@dataclass(slots=True)
class Phase:
    """What was seen while the app was left alone, or changed in one way. `changes_s`: how long each change took."""

    port: int
    host: str
    loads: list[Load] = field(default_factory=list)
    changes_s: list[float] = field(default_factory=list)

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[Load]:
        """Load the host until the block ends."""
        load = Load(self.port, self.host)
        self.loads.append(load)
        load.begin(ASKERS)
        try:
            yield load
        finally:
            await load.end()

    def p99_ms(self, kind: Kind) -> float:
        """The 99th percentile of the answers of one kind."""
        seconds = [took for load in self.loads for took in load.seconds[kind.name]]
        return statistics.quantiles(seconds, n=100)[-1] * 1000

    def say_lost(self, what: str) -> None:
        """Print how many requests were sent and lost, and why."""
        lost = sum((load.lost for load in self.loads), Counter[str]())
        kinds = ", ".join(f"{kind.name} {lost[kind.name]}" for kind in (PAGES, SLOW, LONG, UPLOADS))
        took = statistics.median(self.changes_s)
        sent = sum(load.sent for load in self.loads)
        print(
            f"  {len(self.changes_s)} {what}, {took:.2f} s each: lost {lost.total()} of {sent} requests ({kinds})", flush=True
        )
        for reason, count in sum((load.reasons for load in self.loads), Counter[str]()).most_common(4):
            print(f"      {count:5} times: {reason}")


def measure(folder: Path) -> None:
    """Print what was lost, and the 99th percentiles beside those at rest. Raises BenchError where a deploy fails."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING)
    )  # the peer's ingress runs in here
    port = free_port()
    with docker_registry() as registry, tagboat(folder / "loaded", port) as server:
        try:
            for number in range(CHANGES + 1):
                push_loaded(registry.host, _LOADED, f"v{number}")
            push_websocket(registry.host, _WEBSOCKET, "v1")
            stage, other = (_set_up(server, f"{registry.host}/{name}") for name in (f"{_LOADED}:v0", f"{_WEBSOCKET}:v1"))
            asyncio.run(_measure(server, port, stage, urlsplit(other["address"]).netloc))
            asyncio.run(_measure_peer(folder / "peer", f"{registry.host}/{_LOADED}"))
        except LostError as error:
            raise BenchError(str(error)) from error
        finally:
            server.remove_projects()
            asyncio.run(remove_images(f"{registry.host}/"))


def _set_up(server: Server, image: str) -> Mapping[str, Any]:
    """The stage, once it serves the image."""
    stage = server.push(image)["stage"]["id"]
    changed: Mapping[str, Any] = server.call("PATCH", f"/api/stages/{stage}", _STAGE)
    server.await_rest()
    return changed


async def _measure(server: Server, port: int, stage: Mapping[str, Any], websocket_host: str) -> None:
    host = urlsplit(stage["address"]).netloc
    rest, deploys = Phase(port, host), Phase(port, host)
    async with Talk(port, websocket_host) as talk:
        await _rest(rest)
        async with deploys.loaded() as load:
            for number in _changes(load):
                began = time.perf_counter()
                await asyncio.to_thread(_deploy, server, stage["id"], f"v{number}")
                deploys.changes_s.append(time.perf_counter() - began)
        await _rest(rest)
    deploys.say_lost("deploys (target 0 lost)")
    print(f"  a WebSocket of another app: {talk.broken or 'open all along'}, {talk.messages} messages, ", end="")
    print(f"slowest {talk.longest_s * 1000:.0f} ms")
    for kind in (PAGES, SLOW):
        show(f"p99 during deploys, {kind.name}", [deploys.p99_ms(kind)], "at rest", [rest.p99_ms(kind)], "ms", "<= 1.5")


async def _measure_peer(directory: Path, image: str) -> None:
    """The same app and load behind an HAProxy of the same configuration, but replaced by hand at a port of its own."""
    port, app_port, host = free_port(), free_port(), "peer.localhost"
    rest, replaced = Phase(port, host), Phase(port, host)
    ingress = HaproxyIngress(directory, listen=("127.0.0.1", port), base_domain="localhost")
    container = await asyncio.to_thread(_run, image, 0, app_port)
    try:
        await ingress.start()
        await ingress.lead([Route(host, Way.OPEN, app_port)])
        await _rest(rest)
        async with replaced.loaded() as load:
            for number in _changes(load):
                began = time.perf_counter()
                await asyncio.to_thread(_docker, "stop", container)
                container = await asyncio.to_thread(_run, image, number, app_port)
                replaced.changes_s.append(time.perf_counter() - began)
                await asyncio.sleep(_PAUSE_S)
    finally:
        end_haproxy(directory)
        await asyncio.to_thread(_docker, "rm", "--force", container)
    replaced.say_lost("times docker stop && docker run")
    for kind in (PAGES, SLOW):
        show(f"p99 while replaced, {kind.name}", [replaced.p99_ms(kind)], "at rest", [rest.p99_ms(kind)], "ms")


async def _rest(phase: Phase) -> None:
    async with phase.loaded():
        await asyncio.sleep(REST_S)


def _changes(load: Load) -> Iterator[int]:
    """The numbers of the changes, with long requests under way where that is wanted."""
    for number in range(1, CHANGES + 1):
        if number in _WITH_LONG_REQUESTS:
            load.ask_once(LONG, _LONG_REQUESTS)
        yield number


def _deploy(server: Server, stage: str, tag: str) -> None:
    """Deploy and return once that has succeeded."""
    deploy = server.call("POST", f"/api/stages/{stage}/deploys", {"tag": tag})["id"]

    def ended() -> Mapping[str, Any] | None:
        found: Mapping[str, Any] = server.call("GET", f"/api/deploys/{deploy}")
        return None if found["status"] in {"queued", "running"} else found

    found = await_value(ended, f"the deploy of {tag}", pause_s=0.1)
    if found["status"] != "succeeded":
        raise BenchError(f"the deploy of {tag} {found['status']}: {found['reason']}")


def _run(image: str, number: int, port: int) -> str:
    """Start the app as a person would; its container's name."""
    name = f"bench-peer-{port}-{number}"
    _docker("run", "--detach", "--rm", "--name", name, "--publish", f"127.0.0.1:{port}:8080", f"{image}:v{number}")
    return name


def _docker(*words: str) -> None:
    done = subprocess.run(["docker", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"docker {words[0]} failed: {done.stderr.strip()}")
