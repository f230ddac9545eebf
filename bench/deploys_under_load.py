"""Lost requests, and times of the others, during deploys; and with `docker stop && docker run`."""

import asyncio
import logging
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from bench.load import Asker, Kind, Load, LostError, Stream, Talk
from bench.loaded_apps import PAGE, push_events, push_loaded, push_websocket
from bench.phase import Phase, Span, p99_ms
from bench.rig import BenchError, Server, await_value, free_port, remove_images, show, tagboat
from tagboat.core.route import Route, RouteState
from tagboat.ingress.haproxy import HaproxyIngress
from tagboat.ingress.process import end_haproxy
from tests.support.docker_registry import docker_registry
from tests.support.endpoints import target

ROUNDS = 4
_IN_A_ROUND = 5
CHANGES = ROUNDS * _IN_A_ROUND
_WITH_LONG_REQUESTS = (5, 15)
"""The changes before which requests of ten seconds are sent: their deploys wait for them."""
_LONG_REQUESTS = 3
_REST_S = 5.0
_PAUSE_S = 1.2
"""Between two changes by hand: about as long as a deploy watches and drains."""
_STAGE = {"watch_s": 1, "drain_timeout_s": 15}
_UPLOAD = 1_000_000
_LOADED, _NEIGHBOUR, _WEBSOCKET, _EVENTS = (
    "bench/loaded",
    "bench/neighbour",
    "bench/websocket",
    "bench/events",
)

PAGES = Kind("page", "/", PAGE, every_s=0.04)
SLOW = Kind("200 ms", "/cgi-bin/slow?0.2", "slept", every_s=0.25)
LONG = Kind("10 s", "/cgi-bin/slow?10", "slept", every_s=10)
UPLOADS = Kind("upload", "/cgi-bin/upload", str(_UPLOAD), every_s=1, upload=_UPLOAD)
_EACH = ((PAGES, 2), (SLOW, 3), (UPLOADS, 1))
KINDS = (PAGES, SLOW, LONG, UPLOADS)
ASKERS = [
    Asker(kind, fresh) for kind, count in _EACH for fresh in (False, True) for _ in range(count)
]


@dataclass(frozen=True, slots=True)
class Site:
    """The measured stage, at `host` behind `port`; `neighbour` is an image that runs next to it."""

    server: Server
    stage: str
    port: int
    host: str
    neighbour: str


def measure(folder: Path) -> None:
    """Print what was lost, and the 99th percentiles beside those at rest.

    Raises BenchError where a deploy fails.
    """
    # The peer's ingress runs in this process, and has its news to tell.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    port = free_port()
    with docker_registry() as registry, tagboat(folder / "loaded", port) as server:
        try:
            for number in range(CHANGES + 1):
                push_loaded(registry.host, _LOADED, f"v{number}")
                push_loaded(registry.host, _NEIGHBOUR, f"v{number}")
            push_websocket(registry.host, _WEBSOCKET, "v1")
            push_events(registry.host, _EVENTS, "v1")
            images = (
                f"{registry.host}/{name}"
                for name in (f"{_LOADED}:v0", f"{_WEBSOCKET}:v1", f"{_EVENTS}:v1")
            )
            stage, *others = (_set_up(server, image) for image in images)
            site = Site(
                server,
                stage["id"],
                port,
                urlsplit(stage["address"]).netloc,
                f"{registry.host}/{_NEIGHBOUR}",
            )
            asyncio.run(_measure(site, *(urlsplit(other["address"]).netloc for other in others)))
            asyncio.run(_measure_peer(folder / "peer", f"{registry.host}/{_LOADED}"))
        except LostError as error:
            raise BenchError(str(error)) from error
        finally:
            server.remove_projects()
            remove_images(f"{registry.host}/")


def _set_up(server: Server, image: str) -> Mapping[str, Any]:
    """The stage, once it serves the image."""
    stage = server.push(image)["stage"]["id"]
    changed: Mapping[str, Any] = server.call("PATCH", f"/api/stages/{stage}", _STAGE)
    server.await_rest()
    return changed


async def _measure(site: Site, websocket_host: str, events_host: str) -> None:
    rest, deploys, neighbour = (Phase(site.port, site.host, ASKERS) for _ in range(3))
    async with Talk(site.port, websocket_host) as talk, Stream(site.port, events_host) as stream:
        for first in range(
            1, CHANGES + 1, _IN_A_ROUND
        ):  # by turns, so that a busy minute of the machine befalls all alike
            numbers = range(first, first + _IN_A_ROUND)
            await rest.rest(_REST_S)
            async with deploys.loaded() as load:
                for number in numbers:
                    _send_long(load, number)
                    await deploys.change(partial(_deploy, site.server, site.stage, f"v{number}"))
            async with neighbour.loaded():
                for number in numbers:
                    await neighbour.change(partial(_run_and_stop, site.neighbour, number))
                    await asyncio.sleep(_PAUSE_S)
    deploys.say_lost("deploys (target 0 lost)", KINDS)
    print(
        f"  a WebSocket of another app: {talk.broken or 'open all along'}, {talk.messages} "
        "messages, ",
        end="",
    )
    print(f"slowest {talk.longest_s * 1000:.0f} ms")
    late = (
        f"{len(stream.late_s)} events, p99 {p99_ms(stream.late_s):.1f} ms late, "
        f"at most {max(stream.late_s) * 1000:.0f} ms"
    )
    print(f"  another app's events, one each 30 ms: {stream.broken or late}   (target p99 < 5 ms)")
    longest = f"{deploys.longest_ms(PAGES):.0f} ms, at rest {rest.longest_ms(PAGES):.0f} ms"
    print(f"  the longest that a page took: {longest}   (target <= 50 ms)")
    for kind in (PAGES, SLOW):
        show(
            f"p99 during deploys, {kind.name}",
            [deploys.p99_ms(kind)],
            "at rest",
            [rest.p99_ms(kind)],
            "ms",
            "<= 1.5",
        )
        show(
            "  beside the engine's own part",
            [deploys.p99_ms(kind)],
            "run, stop another app",
            [neighbour.p99_ms(kind)],
            "ms",
        )
    print("  where the time goes, deploys and then the engine's own part:")
    deploys.say_parts(PAGES)
    neighbour.say_parts(PAGES)


async def _measure_peer(directory: Path, image: str) -> None:
    """Measure the same app and load behind an equal HAProxy, replaced by hand at its own port."""
    port, app_port, host = free_port(), free_port(), "peer.localhost"
    rest, replaced = Phase(port, host, ASKERS), Phase(port, host, ASKERS)
    ingress = HaproxyIngress(directory, listen=("127.0.0.1", port), base_domain="localhost")
    running = [_run(f"{image}:v0", app_port)]

    def replace(tag: str) -> Sequence[Span]:
        _docker("stop", running.pop())
        running.append(_run(f"{image}:{tag}", app_port))
        return ()

    try:
        await ingress.start()
        await ingress.apply_routes([Route(host, RouteState.OPEN, target(app_port))])
        await rest.rest(_REST_S)
        async with replaced.loaded() as load:
            for number in range(1, CHANGES + 1):
                _send_long(load, number)
                await replaced.change(partial(replace, f"v{number}"))
                await asyncio.sleep(_PAUSE_S)
    finally:
        end_haproxy(directory)
        for container in running:
            _docker("rm", "--force", container)
    replaced.say_lost("times docker stop && docker run", KINDS)
    for kind in (PAGES, SLOW):
        show(
            f"p99 while replaced, {kind.name}",
            [replaced.p99_ms(kind)],
            "at rest",
            [rest.p99_ms(kind)],
            "ms",
        )


def _send_long(load: Load, number: int) -> None:
    """Have long requests under way in some of the changes."""
    if number in _WITH_LONG_REQUESTS:
        load.ask_once(LONG, _LONG_REQUESTS)


def _deploy(server: Server, stage: str, tag: str) -> Sequence[Span]:
    """Deploy and return the steps once that has succeeded."""
    deploy = server.call("POST", f"/api/stages/{stage}/deploys", {"tag": tag})["id"]

    def ended() -> Mapping[str, Any] | None:
        found: Mapping[str, Any] = server.call("GET", f"/api/deploys/{deploy}")
        return None if found["status"] in {"queued", "running"} else found

    found = await_value(ended, f"the deploy of {tag}", pause_s=0.1)
    if found["status"] != "succeeded":
        raise BenchError(f"the deploy of {tag} {found['status']}: {found['reason']}")
    moments = ((step["name"], step["started_at"], step["finished_at"]) for step in found["steps"])
    return [
        Span(name, *(datetime.fromisoformat(text).timestamp() for text in (began, ended)))
        for name, began, ended in moments
    ]


def _run_and_stop(image: str, number: int) -> Sequence[Span]:
    """Do the engine's part of a deploy, with an app that gets no requests."""
    began = time.time()
    container = _run(f"{image}:v{number}", free_port())
    started = time.time()
    _docker("stop", container)
    return [Span("docker run", began, started), Span("docker stop", started, time.time())]


def _run(image: str, port: int) -> str:
    """Start an app as a person would, pulling it if need be; its container's id."""
    return _docker("run", "--detach", "--rm", "--publish", f"127.0.0.1:{port}:8080", image)


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"docker {words[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()
