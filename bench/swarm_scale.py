"""Many services on a real swarm of three nodes: the time to deploy them, and their cost at rest.

As many as the machine carries: they are deployed some at a time, until all run or time is up.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from bench.rest import cpu_s
from bench.rig import BenchError, Server, rss_mb, show, tagboat
from demo.swarm_cluster import Cluster, swarm_cluster
from tests.support.images import push_image

SERVICES = 90
AT_ONCE = 15
DEPLOYS_S = 300.0
"""Seconds after which no more are begun."""
_BATCH_S = 150.0
"""Seconds for some of them, after which the machine is said not to carry more."""
_EDGE, _EDGE_NUMBER, _INGRESS_PORT = "edge", 91, 7080
_REST_S = 30.0
_SETTLE_S = 5.0


def measure(folder: Path) -> None:
    """Print the figures, each next to that of the same server without a service."""
    with swarm_cluster(size=3, managers=3) as cluster:
        cluster.host(_EDGE, _EDGE_NUMBER)
        with (
            cluster.inside(_EDGE),
            tagboat(
                folder / "swarm",
                _INGRESS_PORT,
                TAGBOAT_ENGINE="swarm",
                TAGBOAT_DOCKER_HOST=cluster.manager_urls,
            ) as server,
        ):
            time.sleep(_SETTLE_S)
            empty = _at_rest(server)
            took_s, bare_s = _deploy(server, cluster)
            full = _at_rest(server)
            server.remove_projects()
    count = len(took_s)
    if not count:
        raise BenchError("no service could be deployed on the swarm")
    print(f"  {count} of {SERVICES} services run", flush=True)
    each, floor = [sum(took_s) / count], [bare_s]
    show("a service, some at a time", each, "one by bare calls", floor, "s")
    show(f"at rest, {count} services", [full[0]], "none", [empty[0]], "% core")
    show("memory", [full[1]], "none", [empty[1]], "MB")


def _deploy(server: Server, cluster: Cluster) -> tuple[Sequence[float], float]:
    """Deploy as many as time allows; return the seconds that each took, and one by bare calls."""
    host = cluster.registry
    server.call("POST", "/api/registries", {"name": "lan", "url": f"http://{host}", "kind": "oci"})
    push_image(host, "bench/bare", "v1")
    bare_s = _bare_s(cluster, f"{host}/bench/bare:v1")
    began, took_s = time.monotonic(), list[float]()
    for first in range(0, SERVICES, AT_ONCE):
        if time.monotonic() - began > DEPLOYS_S:
            break
        numbers = range(first, min(first + AT_ONCE, SERVICES))
        stages = [_add(server, host, number) for number in numbers]
        batch = time.monotonic()
        for stage in stages:
            server.call("POST", f"/api/stages/{stage}/deploys", {"tag": "v1"})
        while server.call("GET", "/api/deploys?status=queued&status=running&limit=1")["items"]:
            if time.monotonic() - batch > _BATCH_S:
                break
            time.sleep(0.5)
        live = len(server.call("GET", "/api/instances?state=live&limit=200")["items"])
        more = live - len(took_s)
        took_s += [(time.monotonic() - batch) / more] * more if more else []
        if more < len(numbers):
            break
    return took_s, bare_s


def _add(server: Server, host: str, number: int) -> str:
    """Add a project with a stage of one task; return the id of the stage."""
    push_image(host, f"bench/app{number}", "v1", body=f"app {number}")
    image = {"image": f"{host}/bench/app{number}", "port": 8080, "healthcheck": "/"}
    project = server.call("POST", "/api/projects", {"name": f"app{number}", **image})
    stage = {"name": "dev", "tag_pattern": "*", "watch_s": 1, "drain_timeout_s": 5}
    made = server.call("POST", f"/api/projects/{project['id']}/stages", stage)
    return str(made["id"])


def _bare_s(cluster: Cluster, image: str) -> float:
    """Return the seconds until a service, made by one call, runs its task."""
    manager = cluster.leader()
    spec = {"Name": "bench-bare", "TaskTemplate": {"ContainerSpec": {"Image": image}}}
    began = time.monotonic()
    status, made = manager.call("POST", "/services/create", spec)
    if status >= 300:  # noqa: PLR2004 - HTTP's first one that is no success
        raise BenchError(f"the swarm answered {status}: {made}")
    try:
        while not _runs(cluster, made["ID"]):
            if time.monotonic() - began > _BATCH_S:
                raise BenchError("a service by bare calls does not run")
            time.sleep(0.05)
        return time.monotonic() - began
    finally:
        manager.call("DELETE", f"/services/{made['ID']}")


def _runs(cluster: Cluster, service: str) -> bool:
    tasks = cluster.managers[0].call("GET", "/tasks")[1]
    return any(one["ServiceID"] == service and one["Status"]["State"] == "running" for one in tasks)


def _at_rest(server: Server) -> tuple[float, float]:
    """Return the processor time in percent of a core, and the memory in MB."""
    before = cpu_s(server.pid)
    time.sleep(_REST_S)
    return (cpu_s(server.pid) - before) / _REST_S * 100, rss_mb(server.pid)
