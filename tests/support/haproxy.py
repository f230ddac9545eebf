"""A real ingress in a directory of the test, and the apps behind it."""

import asyncio
import contextlib
import csv
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from tagboat.core.route import Route, RouteState, Target
from tagboat.ingress.haproxy import HaproxyIngress
from tagboat.ingress.master import Master
from tagboat.ingress.process import end_haproxy, our_processes, running_master
from tests.support.endpoints import target
from tests.support.http_load import Answer, App, ask
from tests.support.ports import free_port

_PATIENCE_S = 60.0


@dataclass
class IngressWorld:
    """`another` builds a second object for the same HAProxy, as a restarted Tagboat does."""

    directory: Path  # absolute
    port: int = field(default_factory=free_port)
    apps: list[App] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ingress = self.another()

    def another(self, **options: object) -> HaproxyIngress:
        known: dict[str, object] = {"listen": ("127.0.0.1", self.port), "base_domain": "localhost"}
        return HaproxyIngress(self.directory, **{**known, **options})  # type: ignore[arg-type]  # the caller's to get right

    async def app(self, name: str, *, idle_s: float | None = None) -> App:
        app = App(name, idle_s=idle_s)
        await app.start()
        self.apps.append(app)
        return app

    async def ask(self, host: str, path: str = "/", **headers: str) -> Answer:
        return await ask(
            self.port,
            host,
            path,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    async def requests(self) -> int:
        """How many requests have come, those that are held included."""
        return sum(
            [int(row["req_tot"]) async for row in self._stats() if row["svname"] == "FRONTEND"]
        )

    async def checks(self) -> set[str]:
        """How the last checks of servers in pools went."""
        return {row["check_status"] async for row in self._stats() if "-" in row["svname"]}

    async def _stats(self) -> AsyncIterator[dict[str, str]]:
        for worker in self.workers:
            text = await Master(self.directory)._ask_worker(worker, ["show stat"])
            for row in csv.DictReader(text.removeprefix("# ").splitlines()):
                yield row

    @property
    def master(self) -> int | None:
        return running_master(self.directory)

    @property
    def workers(self) -> list[int]:
        return [pid for pid in our_processes(self.directory) if pid != self.master]

    def kill(self, pid: int, signal_number: signal.Signals = signal.SIGKILL) -> None:
        assert pid in our_processes(self.directory)
        os.kill(pid, signal_number)


def to(app: App, host: str = "app-prod.localhost") -> Route:
    return Route(host, RouteState.OPEN, target(app.port))


def pool(*apps: App, host: str = "app-prod.localhost", instance: str = "") -> Route:
    """The route to one instance with an endpoint at each of the apps."""
    return Route(host, RouteState.OPEN, pooled(*apps, instance=instance))


def pooled(*apps: App, instance: str = "") -> Target:
    instance = instance or "_".join(str(app.port) for app in apps)
    return target(*(app.port for app in apps), instance=instance)


@contextlib.asynccontextmanager
async def haproxy_world(directory: Path, **options: object) -> AsyncIterator[IngressWorld]:
    """Started, and ended with all that belongs to it. `options` are those of HaproxyIngress."""
    world = IngressWorld(directory)
    world.ingress = world.another(**options)
    try:
        await world.ingress.start()
        yield world
    finally:
        end_haproxy(directory)
        for app in world.apps:
            await app.stop()
        assert our_processes(directory) == []


async def held(world: IngressWorld, requests: int) -> None:
    """Return once so many requests have come, whose host is held."""
    async with asyncio.timeout(_PATIENCE_S):
        while await world.requests() < requests:  # noqa: ASYNC110 - HAProxy has no events
            await asyncio.sleep(0.02)


async def until(condition: Callable[[], bool], what: str, seconds: float = _PATIENCE_S) -> None:
    """Look until `condition` holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        await anyio.sleep(0.02)
