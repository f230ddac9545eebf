"""A Docker Swarm in network namespaces: some engines, a registry and further hosts.

Needs root, and Debian's docker.io, docker-registry and iproute2. Its processes are on record in its
folder, so that another program can end them.
"""

import http.client
import json
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from demo.engine_traces import engine_cgroup_pids, mounts_below, remove_cgroups
from demo.lan import LAN, Lan
from demo.processes import Processes
from demo.registry import PROGRAM, REGISTRY
from demo.show import DemoError
from demo.swarm_node import Node
from demo.waiting import await_value

REGISTRY_HOST = f"{LAN}.100:5000"
HUB = "hub"
"""The host of the registry."""
_LEADER_S = 180.0
_STOP_S = 60.0


class Cluster(Lan):
    """Engines `nodes`, of which the first `managers` are managers.

    All that it has on disk is in `folder`; `mark` begins the names of namespaces and control
    groups. The same four values find a cluster again that another process has started.
    """

    def __init__(self, size: int, managers: int, folder: Path, mark: str) -> None:
        super().__init__(mark)
        self.dir = folder
        self.processes = Processes(folder)
        self.nodes = [Node(self, folder, self.processes, number) for number in range(1, size + 1)]
        self.managers = self.nodes[:managers]
        self.registry = REGISTRY_HOST

    @property
    def manager_urls(self) -> str:
        """What TAGBOAT_DOCKER_HOST says for this cluster, from one of its hosts."""
        return ",".join(node.lan_url for node in self.managers)

    def node(self, name: str) -> Node:
        """Return the node of that name."""
        return next(node for node in self.nodes if node.name == name)

    def leader(self) -> Node:
        """Return the manager that leads, as soon as some manager says so."""

        def look() -> Node | None:
            for node in self.managers:
                with suppress(OSError, http.client.HTTPException):
                    status, found = node.call("GET", "/nodes", timeout=5)
                    for one in found if status == HTTPStatus.OK else ():
                        if (one.get("ManagerStatus") or {}).get("Leader"):
                            return self.node(one["Description"]["Hostname"])
            return None

        return await_value(look, _LEADER_S, "the election of a leader")

    def services(self, project: str) -> list[dict[str, Any]]:
        """Return the services of a project of Tagboat's."""
        found = self.leader().read("/services")
        return [one for one in found if one["Spec"]["Labels"].get("tagboat.project") == project]

    def ready_nodes(self) -> list[Node]:
        """Return the nodes that the managers hear of."""
        found = self.leader().read("/nodes")
        return [
            self.node(one["Description"]["Hostname"])
            for one in found
            if one["Status"]["State"] == "ready"
        ]

    def task_nodes(self, project: str, *, ready: bool = False) -> list[Node]:
        """Return the node of each task of a project that is to run, and does, in their order.

        With `ready`, only of those tasks whose node the managers hear of.
        """
        manager = self.leader()
        names = {
            one["ID"]: one["Description"]["Hostname"]
            for one in manager.read("/nodes")
            if not ready or one["Status"]["State"] == "ready"
        }
        ids = {one["ID"] for one in self.services(project)}
        found = [
            names[one["NodeID"]]
            for one in manager.read("/tasks")
            if one["ServiceID"] in ids
            and one.get("NodeID") in names
            and (one["Status"]["State"], one["DesiredState"]) == ("running", "running")
        ]
        return [self.node(name) for name in sorted(found)]

    def up(self) -> None:
        """Make the network and start registry and engines as a swarm. Raises DemoError."""
        self.lay()
        self.host(HUB, 100)
        for node in self.nodes:
            self.host(node.name, node.number)
            node.start()
        self._start_registry()
        for node in self.nodes:
            node.await_answer()
        self._form()

    def _start_registry(self) -> None:
        config = {
            "version": "0.1",
            "storage": {
                "filesystem": {"rootdirectory": str(self.dir / "images")},
                "delete": {"enabled": True},
            },
            "http": {"addr": REGISTRY_HOST, "secret": uuid.uuid4().hex},
        }
        (self.dir / "registry.json").write_text(json.dumps(config))
        serve = (PROGRAM, "serve", str(self.dir / "registry.json"))
        self.processes.start(REGISTRY, self.within(HUB, *serve))

    def _form(self) -> None:
        first, *others = self.nodes

        def address(node: Node) -> dict[str, str]:
            return {
                "ListenAddr": f"{node.ip}:2377",
                "AdvertiseAddr": node.ip,
                "DataPathAddr": node.ip,
            }

        spec = {
            "Dispatcher": {"HeartbeatPeriod": 1_000_000_000},
            "Orchestration": {"TaskHistoryRetentionLimit": 3},
        }
        pools = {"DefaultAddrPool": ["198.19.0.0/18"], "SubnetSize": 26, "Spec": spec}
        first.order("/swarm/init", {**address(first), **pools})
        tokens = first.read("/swarm")["JoinTokens"]
        for node in others:
            token = tokens["Manager" if node in self.managers else "Worker"]
            joined = {"RemoteAddrs": [f"{first.ip}:2377"], "JoinToken": token}
            node.order("/swarm/join", {**address(node), **joined})

    def down(self) -> None:
        """End and remove all of it; what is gone already is no trouble."""
        if self.dir.exists():
            for node in self.nodes:
                node.terminate()
            for node in self.nodes:
                self.processes.end(node.name, _STOP_S)
                if engine_cgroup_pids(self.namespace(node.name)):
                    node.kill()
            self.processes.end(REGISTRY)
        for mount in mounts_below(self.dir):
            subprocess.run(["umount", "--lazy", mount], check=False)
        self.remove()
        shutil.rmtree(self.dir, ignore_errors=True)
        remove_cgroups(f"{self.mark}-*")


def new_cluster(size: int = 3, managers: int = 3) -> Cluster:
    """Return a cluster with a folder and a mark of its own, which `up` is to start.

    Raises DemoError where this machine cannot have one.
    """
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        raise DemoError("a swarm of one's own needs root, dockerd and docker-registry")
    # The path of a socket has 107 bytes at most, and a checkout may be anywhere.
    return Cluster(
        size, managers, Path(tempfile.mkdtemp(prefix="tbs-")), f"tbs{uuid.uuid4().hex[:6]}"
    )


@contextmanager
def swarm_cluster(size: int = 3, managers: int = 3) -> Iterator[Cluster]:
    """Run a swarm until the block ends."""
    cluster = new_cluster(size, managers)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
