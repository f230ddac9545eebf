"""A Docker Swarm in network namespaces: some engines, a registry and further hosts.

Nothing is made in the machine's own namespace. Addresses are of 198.18.0.0/15 (RFC 2544, for tests
of networks between hosts of one's own), and no namespace has a default route: nothing can leave.
Needs root, and Debian's docker.io, docker-registry and iproute2.
"""

import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from tests.support.dockerd import engine_cgroup_pids, mounts_below

LAN = "198.18.77"
REGISTRY = f"{LAN}.100:5000"
_UP_S = 180.0
_STOP_S = 60.0
_CLONE_NEWNET = 0x40000000

T = TypeVar("T")


class Node:
    """One engine on a host of its own, called `n1` and so on."""

    def __init__(self, cluster: "Cluster", number: int) -> None:
        self.name = f"n{number}"
        self.ip = f"{LAN}.{number}"
        self.number = number
        self.dir = cluster.dir / self.name
        # The path of a socket has 107 bytes at most.
        self.socket = self.dir / "docker.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self._cluster = cluster

    @property
    def url(self) -> str:
        """The engine's address on this machine, in any network namespace."""
        return f"unix://{self.socket}"

    @property
    def lan_url(self) -> str:
        """The engine's address for the hosts of the cluster."""
        return f"tcp://{self.ip}:2375"

    def start(self) -> None:
        self.dir.mkdir(exist_ok=True)
        (self.dir / "daemon.json").write_text("{}")
        for left in (self.dir / "docker.pid", self.dir / "exec/containerd/containerd.pid"):
            left.unlink(missing_ok=True)
        for mount in mounts_below(self.dir):  # of an engine that was killed
            subprocess.run(["umount", "--lazy", mount], check=True)
        # `ip netns exec` would mount a new /sys, without the cgroups. Without a host name of its
        # own, constraints on node.hostname would mean nothing.
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$1"; shift; exec "$@"', "sh", self.name]
        engine = {
            "--host": self.url,
            "--data-root": self.dir / "data",
            "--exec-root": self.dir / "exec",
            "--pidfile": self.dir / "docker.pid",
            "--config-file": self.dir / "daemon.json",
            "--cgroup-parent": f"/{self._cluster.namespace(self.name)}",
            "--bip": f"198.19.{100 + self.number}.1/24",
            "--default-address-pool": "base=198.19.128.0/17,size=24",
            "--insecure-registry": f"{LAN}.0/24",
        }
        options = [str(word) for pair in engine.items() for word in pair]
        lan = ["--host", self.lan_url, "--tls=false", "--userland-proxy=false"]
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        with (self.dir / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._cluster.within(self.name, *named, "dockerd", *options, *lan),
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PATH": path},
            )

    def await_answer(self) -> None:
        end = time.monotonic() + _UP_S
        while True:
            with suppress(OSError, http.client.HTTPException):
                if self.call("GET", "/_ping")[0] == 200:
                    return
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)

    def log(self) -> str:
        return (self.dir / "log").read_text(errors="replace")[-3000:]

    def call(
        self, method: str, path: str, body: object = None, timeout: float = 120
    ) -> tuple[int, Any]:
        """Call the engine's API without the code under test; return status and decoded JSON."""
        connection = http.client.HTTPConnection("engine", timeout=timeout)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout)
        try:
            connection.sock.connect(str(self.socket))
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text or b"null")
        except ValueError:
            return answer.status, text

    def cut_off(self) -> None:
        """Take its cable out; everything on it runs on."""
        self._cluster.cable(self.name, "down")

    def join_up(self) -> None:
        self._cluster.cable(self.name, "up")

    def lose_power(self) -> None:
        """Take its cable out and kill all that runs there; `join_up` and `start` bring it back."""
        self.cut_off()
        self.kill()

    def kill(self) -> None:
        assert self.process is not None
        pids = [self.process.pid, *engine_cgroup_pids(self._cluster.namespace(self.name))]
        with suppress(OSError, ValueError):
            pids.append(int((self.dir / "exec/containerd/containerd.pid").read_text()))
        shims = f"containerd-shim.*-address {self.dir}/"
        found = subprocess.run(["pgrep", "-f", shims], capture_output=True, text=True, check=False)
        for pid in (*pids, *map(int, found.stdout.split())):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def freeze(self, *, frozen: bool = True) -> None:
        """Let the engine, not its containers, stand still: its API takes calls and says nothing."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def containers(self, label: str) -> list[str]:
        """The ids of the running containers with this label (`NAME=VALUE`)."""
        filters = urllib.parse.quote(json.dumps({"label": [label]}))
        status, found = self.call("GET", f"/containers/json?filters={filters}")
        assert status == 200, found
        return [str(one["Id"]) for one in found]


class Cluster:
    """Engines `nodes`, of which the first `managers` are managers; see `swarm_cluster`."""

    def __init__(self, size: int, managers: int) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="tbs-"))
        self.mark = f"tbs{uuid.uuid4().hex[:6]}"
        self.nodes = [Node(self, number) for number in range(1, size + 1)]
        self.managers = self.nodes[:managers]
        self.registry = REGISTRY
        self._registry: subprocess.Popen[bytes] | None = None

    @property
    def manager_urls(self) -> str:
        """What TAGBOAT_DOCKER_HOST says for this cluster, from one of its hosts."""
        return ",".join(node.lan_url for node in self.managers)

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def namespace(self, host: str) -> str:
        return f"{self.mark}-{host}"

    def host(self, name: str, number: int) -> None:
        """Make one more host of the LAN; `within` runs programs there."""
        own, lan = self.namespace(name), self.namespace("lan")
        for line in (
            f"ip netns add {own}",
            f"ip -n {own} link set lo up",
            f"ip -n {lan} link add v-{name} type veth peer name eth0 netns {own}",
            f"ip -n {lan} link set v-{name} master br0 up",
            f"ip -n {own} addr add {LAN}.{number}/24 dev eth0",
            f"ip -n {own} link set eth0 up",
        ):
            subprocess.run(line.split(), check=True)

    def within(self, host: str, *command: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.namespace(host)}", *command]

    def in_network(self, host: str, work: Callable[[], T]) -> T:
        """Do `work` in a thread that is in the network of this host."""
        answer: list[T] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                self.enter(host)
                answer.append(work())
            except BaseException as error:  # noqa: BLE001 - raised again, in the caller's thread
                failure.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return answer[0]

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """Have this thread, and those that it starts, in the network of a host for the block."""
        with Path("/proc/thread-self/ns/net").open() as own:
            self.enter(host)
            try:
                yield
            finally:
                assert ctypes.CDLL(None).setns(own.fileno(), _CLONE_NEWNET) == 0

    def enter(self, host: str) -> None:
        """Put the calling thread into the network of this host."""
        with Path(f"/run/netns/{self.namespace(host)}").open() as network:
            assert ctypes.CDLL(None).setns(network.fileno(), _CLONE_NEWNET) == 0

    def cable(self, host: str, state: str) -> None:
        link = ["ip", "-n", self.namespace("lan"), "link", "set", f"v-{host}", state]
        subprocess.run(link, check=True)

    def leader(self) -> Node:
        """The manager that leads, as soon as some manager says so."""
        end = time.monotonic() + _UP_S
        while time.monotonic() < end:
            for node in self.managers:
                with suppress(OSError, http.client.HTTPException):
                    status, found = node.call("GET", "/nodes", timeout=5)
                    for one in found if status == 200 else ():
                        if (one.get("ManagerStatus") or {}).get("Leader"):
                            return self.node(one["Description"]["Hostname"])
            time.sleep(0.1)
        raise AssertionError("no manager leads")

    def up(self) -> None:
        lan = self.namespace("lan")
        for line in (
            f"ip netns add {lan}",
            f"ip -n {lan} link add br0 type bridge",
            f"ip -n {lan} link set br0 up",
        ):
            subprocess.run(line.split(), check=True)
        self.host("hub", 100)  # registry and clients
        for node in self.nodes:
            self.host(node.name, node.number)
            node.start()
        config = {
            "version": "0.1",
            "storage": {
                "filesystem": {"rootdirectory": str(self.dir / "registry")},
                "delete": {"enabled": True},
            },
            "http": {"addr": REGISTRY, "secret": uuid.uuid4().hex},
        }
        (self.dir / "registry.json").write_text(json.dumps(config))
        serve = ("docker-registry", "serve", str(self.dir / "registry.json"))
        with (self.dir / "registry.log").open("wb") as log:
            self._registry = subprocess.Popen(self.within("hub", *serve), stdout=log, stderr=log)
        for node in self.nodes:
            node.await_answer()
        self._form()

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
        pools = {"DefaultAddrPool": ["198.19.0.0/18"], "SubnetSize": 24, "Spec": spec}
        status, said = first.call("POST", "/swarm/init", {**address(first), **pools})
        assert status == 200, said
        tokens = first.call("GET", "/swarm")[1]["JoinTokens"]
        for node in others:
            token = tokens["Manager" if node in self.managers else "Worker"]
            joined = {"RemoteAddrs": [f"{first.ip}:2377"], "JoinToken": token}
            status, said = node.call("POST", "/swarm/join", {**address(node), **joined})
            assert status == 200, said

    def down(self) -> None:
        for node in self.nodes:
            if node.process and node.process.poll() is None:
                node.freeze(frozen=False)
                node.process.terminate()
        for node in self.nodes:
            if node.process is None:
                continue
            with suppress(subprocess.TimeoutExpired):
                node.process.wait(_STOP_S)
            if node.process.poll() is None or engine_cgroup_pids(self.namespace(node.name)):
                node.kill()
        if self._registry:
            self._registry.terminate()
            self._registry.wait()
        self._remove_left()

    def _remove_left(self) -> None:
        for mount in mounts_below(self.dir):
            subprocess.run(["umount", "--lazy", mount], check=False)
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            if line.startswith(f"{self.mark}-"):
                subprocess.run(["ip", "netns", "delete", line.split()[0]], check=True)
        for cgroup in Path("/sys/fs/cgroup").glob(f"*/{self.mark}-*"):
            folders = sorted((one for one in cgroup.rglob("*") if one.is_dir()), reverse=True)
            for folder in (*folders, cgroup):
                with suppress(OSError):
                    folder.rmdir()
        shutil.rmtree(self.dir, ignore_errors=True)


@contextmanager
def swarm_cluster(size: int = 3, managers: int = 3) -> Iterator[Cluster]:
    """Run a swarm until the block ends."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        raise RuntimeError("a swarm for tests needs root, dockerd and docker-registry")
    cluster = Cluster(size, managers)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
