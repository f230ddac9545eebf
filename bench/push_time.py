"""Time from a push to the first answer of the new version, by container and by stage address.

Beside the same work done by bare engine calls.
"""

import asyncio
import http.client
import json
import statistics
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiodocker
from aiodocker.types import JSONValue

from bench.rig import (
    BenchError,
    Server,
    await_page,
    await_value,
    free_port,
    remove_images,
    show,
    tagboat,
)
from tagboat.core.values import replace
from tests.support.docker_registry import docker_registry
from tests.support.images import push_image

ROUNDS = 9
_REPOSITORY = "bench/pushed"
NETWORK = "tagboat-bench-floor"
"""The network of the bare calls' containers."""
_PAUSE_S = 0.005
"""Seconds between two requests to the address."""
_STARTS = json.dumps({"event": ["start"], "label": ["tagboat.deploy"]})


def measure(folder: Path) -> None:
    """Print each time, its minimum and their ratio, and Tagboat's time step by step."""
    with docker_registry() as registry, _network(NETWORK):
        try:
            with tagboat(folder / "pushed") as server:
                _by_turns(server, registry.host, _CONTAINER)
                server.remove_projects()
            ingress_port = free_port()
            with tagboat(folder / "addressed", ingress_port) as server:
                _by_turns(server, registry.host, replace(_ADDRESS, ingress_port=ingress_port))
                server.remove_projects()
        finally:
            remove_images(f"{registry.host}/")


@contextmanager
def _network(name: str) -> Iterator[None]:
    docker = ("docker", "network")
    subprocess.run([*docker, "rm", name], check=False, capture_output=True)
    subprocess.run([*docker, "create", name], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run([*docker, "rm", name], check=True, capture_output=True)


@dataclass(frozen=True, slots=True)
class _End:
    """The address of the first answer: `ingress_port` 0 means the container's own port."""

    what: str
    target: str
    labels: Mapping[str, str] = field(default_factory=dict)
    ingress_port: int = 0


_CONTAINER = _End("push to first answer", "ratio <= 1.25")
_ADDRESS = _End("push to new at the address", "ratio <= 1.20", {"tagboat.healthcheck": "/"})


def _by_turns(server: Server, host: str, end: _End) -> None:
    image = f"{host}/{_REPOSITORY}"
    push_image(host, _REPOSITORY, "v0", body=f"round 0, {end.what}", labels=end.labels)
    first = server.push(f"{image}:v0")
    address = server.call("PATCH", f"/api/stages/{first['stage']['id']}", {"watch_s": 1})["address"]
    _succeeded(server, first["deploy"])
    own, floor, deploys = [], [], []
    for number in range(1, ROUNDS + 1):
        body = f"round {number}, {end.what}"
        push_image(host, _REPOSITORY, f"v{number}", body=body, labels=end.labels)
        if end.ingress_port:
            seconds, deploy = _own_at(
                server,
                f"{image}:v{number}",
                end.ingress_port,
                urllib.parse.urlsplit(address).netloc,
                body,
            )
        else:
            seconds, deploy = _own(server, f"{image}:v{number}")
        own.append(seconds * 1000)
        deploys.append(deploy)
        digest = push_image(
            host,
            _REPOSITORY,
            f"floor{number}",
            body=f"floor {number}, {end.what}",
            labels=end.labels,
        )
        with _people(end.ingress_port, urllib.parse.urlsplit(address).netloc):
            floor.append(asyncio.run(_floor(f"{image}@{digest}", NETWORK)))
    show(
        end.what, own, "pull+create+start+200", [parts["200"] for parts in floor], "ms", end.target
    )
    print(
        "  Tagboat's steps, each in ms:                "
        f"{_medians([_steps(deploy) for deploy in deploys])}"
    )
    print(f"  bare calls, in ms from the beginning to:    {_medians(floor)}")


def _own(server: Server, reference: str) -> tuple[float, Mapping[str, Any]]:
    took, deploy = asyncio.run(_started(server, reference))
    return took, _succeeded(server, deploy)


async def _started(server: Server, reference: str) -> tuple[float, str]:
    """Push; return the seconds until the new container answers, and the id of the deploy.

    The engine tells of its start: the server has work enough without being asked all the time.
    Whoever asks the port before leaves the kernel looking for a container without a network, for up
    to a second.
    """
    path = server.webhook_path()
    async with aiodocker.Docker() as docker:
        news = docker.events.subscribe(filters=_STARTS)  # type: ignore[no-untyped-call]
        await docker.version()  # an answer that comes after the events' began
        began = time.perf_counter()
        pushed = await asyncio.to_thread(server.call, "POST", path, {"image": reference})
        deploy = str(pushed["pushes"][0]["deploy"])
        while (event := await news.get())["Actor"]["Attributes"]["tagboat.deploy"] != deploy:
            pass
        container = await docker.containers.get(event["Actor"]["ID"])
        published = await container.port(8080) or []
        await asyncio.to_thread(await_page, int(published[0]["HostPort"]))
        took = time.perf_counter() - began
    return took, deploy


@contextmanager
def _people(port: int, host: str) -> Iterator[None]:
    """Ask the address all the while, as `_own_at` does, so that both have the same load beside."""
    done = threading.Event()

    def ask() -> None:
        people = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        while not done.wait(_PAUSE_S):
            people.request("GET", "/", headers={"Host": host})
            people.getresponse().read()
        people.close()

    asker = threading.Thread(target=ask)
    if port:
        asker.start()
    try:
        yield
    finally:
        done.set()
        if port:
            asker.join()


def _own_at(
    server: Server, reference: str, port: int, host: str, body: str
) -> tuple[float, Mapping[str, Any]]:
    """Wait until the stage's address answers with the new version, under reloads."""
    path = server.webhook_path()
    people = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    began = time.perf_counter()
    push = server.call("POST", path, {"image": reference})["pushes"][0]

    def is_new() -> bool | None:
        people.request("GET", "/", headers={"Host": host})
        return True if body.encode() in people.getresponse().read() else None

    await_value(is_new, "the new version at the address", pause_s=_PAUSE_S)
    took = time.perf_counter() - began
    people.close()
    return took, _succeeded(server, push["deploy"])


def _succeeded(server: Server, deploy_id: str) -> Mapping[str, Any]:
    """The deploy once it has ended; raises BenchError unless it succeeded."""
    server.await_rest()
    deploy: Mapping[str, Any] = server.call("GET", f"/api/deploys/{deploy_id}")
    if deploy["status"] != "succeeded":
        raise BenchError(f"the deploy of {deploy['tag']} {deploy['status']}: {deploy['reason']}")
    return deploy


async def _floor(reference: str, network: str) -> Mapping[str, float]:
    """Return the milliseconds of each part for the same image by plain calls, connection open.

    Like Tagboat's, the container is in a network that there is already, and not in the default one.
    """
    port = free_port()
    config: dict[str, JSONValue] = {
        "Image": reference,
        "ExposedPorts": {"8080/tcp": {}},
        "HostConfig": {
            "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]},
            "NetworkMode": network,
            "RestartPolicy": {"Name": "unless-stopped"},
            "SecurityOpt": ["no-new-privileges"],
        },
    }
    done: dict[str, float] = {}
    async with aiodocker.Docker() as docker:
        await docker.version()
        began = time.perf_counter()
        await docker.images.pull(reference)
        done["pull"] = (time.perf_counter() - began) * 1000
        container = await docker.containers.create(config)
        try:
            await container.start()
            done["start"] = (time.perf_counter() - began) * 1000
            await asyncio.to_thread(await_page, port)
            done["200"] = (time.perf_counter() - began) * 1000
        finally:
            await container.delete(force=True)
    return done


def _steps(deploy: Mapping[str, Any]) -> Mapping[str, float]:
    """Return the milliseconds of each step of a deploy, by Tagboat's own record."""
    took = {"queue": _ms(deploy["created_at"], deploy["started_at"])}
    for step in deploy["steps"]:
        if step["started_at"] and step["finished_at"]:
            took[step["name"]] = _ms(step["started_at"], step["finished_at"])
    return took


def _medians(rows: Sequence[Mapping[str, float]]) -> str:
    return ", ".join(
        f"{name} {statistics.median(row[name] for row in rows):.0f}" for name in rows[0]
    )


def _ms(began: str, ended: str) -> float:
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds() * 1000
