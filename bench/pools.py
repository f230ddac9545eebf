"""Memory of HAProxy with a pool for each of many stages, and how long a switch among them takes."""

import asyncio
import os
import time
from pathlib import Path

from bench.rig import rss_mb, show
from tagboat.core.route import Route, RouteState
from tagboat.ingress.haproxy import HaproxyIngress
from tagboat.ingress.process import end_haproxy, our_processes
from tests.support.endpoints import target
from tests.support.http_load import App
from tests.support.ports import free_port

STAGES = 1000
_SWITCHES = 20
_SETTLE_S = 5.0
"""Seconds in which each server has been checked a few times."""
_CPU_S = 20.0


def measure(folder: Path) -> None:
    """Print both, next to the same without pools."""
    pools, switches, busy = asyncio.run(_measure(folder / "pools", ("one", "two")))
    plain, plain_switches, plain_busy = asyncio.run(_measure(folder / "plain", ("one",)))
    show(f"HAProxy, {STAGES} stages x 2 servers", pools, "without pools", plain, "MB", "<= 60 MB")
    show("a switch among them", switches, "without pools", plain_switches, "ms")
    print(f"  the checks take {busy:.1f} % of a core; without pools {plain_busy:.1f} %", flush=True)


async def _measure(
    directory: Path, names: tuple[str, ...]
) -> tuple[list[float], list[float], float]:
    """Return the memory of its processes, the milliseconds of switches, and the load at rest."""
    apps = [App(name) for name in names]
    ingress = HaproxyIngress(directory, listen=("127.0.0.1", free_port()), base_domain="localhost")
    try:
        for app in apps:
            await app.start()
        await ingress.start()
        ports = [app.port for app in apps]
        await ingress.apply_routes([_route(number, ports) for number in range(STAGES)])
        await asyncio.sleep(_SETTLE_S)
        took = []
        for number in range(_SWITCHES):
            began = time.perf_counter()
            await ingress.change_routes([_route(STAGES + number, ports, host=number)], [])
            took.append(1000 * (time.perf_counter() - began))
        before, began = _cpu_s(directory), time.perf_counter()
        await asyncio.sleep(_CPU_S)
        busy = 100 * (_cpu_s(directory) - before) / (time.perf_counter() - began)
        return [sum(rss_mb(pid) for pid in our_processes(directory))], took, busy
    finally:
        await asyncio.to_thread(end_haproxy, directory)
        for app in apps:
            await app.stop()


def _route(number: int, ports: list[int], host: int | None = None) -> Route:
    name = f"app-{number if host is None else host}.localhost"
    return Route(name, RouteState.OPEN, target(*ports, instance=f"i{number:025d}"))


def _cpu_s(directory: Path) -> float:
    ticks = 0
    for pid in our_processes(directory):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
