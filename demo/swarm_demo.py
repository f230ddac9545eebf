"""`make demo-swarm`: a swarm of three nodes on this machine, and Tagboat next to it.

The nodes, the registry and Tagboat are in network namespaces. `forwarder.py` leads two ports of
127.0.0.1 to Tagboat and its ingress.
"""

import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.processes import Processes
from demo.registry import PROGRAM
from demo.server import SERVER, Server, program, say_link
from demo.show import DemoError, doing, say, title
from demo.swarm_cluster import Cluster, new_cluster
from demo.swarm_story import PROJECT, SwarmEnd, SwarmStory
from demo.waiting import free_port

FOLDER = Path(__file__).resolve().parent.parent / ".demo-swarm"
STOP = "make demo-swarm-stop"
FORWARDER = "forwarder"
ACCOUNT = "demo"
_NODES = 3
_EDGE = "edge"
"""The host of Tagboat and its ingress."""
_TAGBOAT_PORT = 7070
_INGRESS_PORT = 7080
_SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"
_PACKAGES = {
    "dockerd": "docker.io",
    PROGRAM: "docker-registry",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "pgrep": "procps",
}
"""The programs that it needs, with Debian's packages of them."""


def check_machine(user: int, find: Callable[[str], str | None]) -> None:
    """Raise DemoError unless `user` is root and `find` knows where all programs are."""
    if user != 0:
        raise DemoError(
            "the swarm's nodes are network namespaces, which only root can make and remove",
            "run it as root, with sudo",
        )
    missing = {one: package for one, package in _PACKAGES.items() if find(one) is None}
    if missing:
        packages = " ".join(dict.fromkeys(missing.values()))
        raise DemoError(
            f"programs are missing: {', '.join(missing)}",
            f"install them (Debian, Ubuntu: apt-get install {packages})",
        )


def run() -> None:
    """Start everything, run the story, and say where to look."""
    began = time.monotonic()
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PROGRAMS}"
    check_machine(os.geteuid(), shutil.which)
    print(
        "Tagboat on a Docker Swarm: three nodes in network namespaces of this machine; pages and "
        "app on 127.0.0.1"
    )
    with _alone():
        title("Starting a swarm, a registry and Tagboat")
        processes = Processes(FOLDER)
        refuse_second(processes)
        _clear(processes)
        cluster = _start_cluster()
        server = _start_server(cluster, processes)
        server.add_account(ACCOUNT)
        say_link(server, ACCOUNT, "Watch it in your browser, from here on:")
        end = SwarmStory(cluster, server).tell()
        _say_where(cluster, server, end, time.monotonic() - began)


def stop() -> None:
    """End and remove everything that a demo left."""
    if not FOLDER.exists():
        print("No demo of a swarm is running.")
        return
    check_machine(os.geteuid(), lambda _: "")
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PROGRAMS}"
    with _alone(), doing("the swarm and Tagboat are ended; namespaces and files are removed"):
        _clear(Processes(FOLDER))
    shutil.rmtree(FOLDER)


def refuse_second(processes: Processes) -> None:
    """Raise DemoError if the demo that these processes belong to still runs."""
    if processes.get(SERVER) or processes.get(FORWARDER):
        raise DemoError(
            "a demo of a swarm already runs",
            f"end it with {STOP}, then start again",
        )


@contextmanager
def _alone() -> Iterator[None]:
    """Keep others from starting or ending it inside the block. Raises DemoError if one does."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n")
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(
                "another make demo-swarm or demo-swarm-stop is at work in this checkout",
                "wait until it has ended, or interrupt it",
            ) from None
        yield


def _clear(processes: Processes) -> None:
    """End what runs, and remove all but the lock."""
    for name in (FORWARDER, SERVER):
        processes.end(name)
    Server(FOLDER, processes).end_ingress()
    record = FOLDER / "cluster.json"
    if record.exists():
        folder, mark = json.loads(record.read_text())
        Cluster(_NODES, _NODES, Path(folder), mark).down()
    for path in FOLDER.iterdir():
        if path.name not in {"lock", ".gitignore"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _start_cluster() -> Cluster:
    cluster = new_cluster(_NODES, _NODES)
    (FOLDER / "cluster.json").write_text(json.dumps([str(cluster.dir), cluster.mark]))
    with doing("a swarm of three managers, and a registry that they reach"):
        cluster.up()
        cluster.host(_EDGE, 90)
    return cluster


def _start_server(cluster: Cluster, processes: Processes) -> Server:
    before = cluster.within(_EDGE)
    server = Server(FOLDER, processes, before, {"TAGBOAT_ENGINE": "swarm"})
    with doing("") as line:
        port, ingress_port = free_port(_TAGBOAT_PORT), free_port(_INGRESS_PORT)
        forwarder = str(Path(__file__).with_name("forwarder.py"))
        network = f"/run/netns/{cluster.namespace(_EDGE)}"
        words = [sys.executable, "-I", forwarder, network, str(port), str(ingress_port)]
        processes.start(FORWARDER, words)
        managers = ",".join(node.url for node in cluster.managers)
        server.start(port, ingress_port, managers)
        registry = {"name": "lan", "url": f"http://{cluster.registry}", "kind": "oci"}
        server.call("POST", "/api/registries", registry)
        line.text = f"Tagboat is ready on {server.url}, its HAProxy on 127.0.0.1:{ingress_port}"
    return server


def _say_where(cluster: Cluster, server: Server, end: SwarmEnd, seconds: float) -> None:
    title(f"Done in {seconds:.0f} s. Everything but {end.off.name} keeps running:")
    rows = {
        "the app": end.address,
        "pages": server.url,
        "API": f"{server.url}/api (described at /api/openapi.json)",
        "admin token": f"in {server.token_file}",
        "logs": f"{FOLDER}/*.log, {cluster.dir}/*.log",
    }
    for name, value in rows.items():
        say(f"{name:12} {value}")
    say_link(server, ACCOUNT, "See it in your browser:")
    title("Look around on the command line, as root:")
    say(f"export TAGBOAT_DATA_DIR={server.data_dir}")
    say(f"alias tagboat={program()}")
    say("tagboat status")
    say(f"tagboat logs {PROJECT} dev")
    say(f"tagboat doctor       says that {end.off.name} does not answer")
    manager = next(node for node in cluster.managers if node is not end.off)
    for command in ("node ls", "service ls"):
        say(f"docker --host {manager.url} {command}")
    title(f"Stop it: {STOP}")
