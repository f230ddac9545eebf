"""One engine of a swarm, on a host of its own in a network of namespaces."""

import http.client
import json
import os
import signal
import socket
import subprocess
import urllib.parse
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from demo.engine_traces import engine_cgroup_pids, mounts_below
from demo.lan import LAN, Lan
from demo.processes import Processes
from demo.show import DemoError
from demo.waiting import await_value

_UP_S = 180.0


class Node:
    """One engine on a host of its own, called `n1` and so on."""

    def __init__(self, lan: Lan, folder: Path, processes: Processes, number: int) -> None:
        self.name = f"n{number}"
        self.ip = f"{LAN}.{number}"
        self.number = number
        self.dir = folder / self.name
        # The path of a socket has 107 bytes at most.
        self.socket = self.dir / "docker.sock"
        self._lan = lan
        self._processes = processes

    @property
    def url(self) -> str:
        """The engine's address on this machine, in any network namespace."""
        return f"unix://{self.socket}"

    @property
    def lan_url(self) -> str:
        """The engine's address for the hosts of the cluster."""
        return f"tcp://{self.ip}:2375"

    @property
    def runs(self) -> bool:
        """Return whether its engine runs."""
        return self._processes.get(self.name) is not None

    def start(self) -> None:
        """Start its engine, also after `kill`."""
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
            "--cgroup-parent": f"/{self._lan.namespace(self.name)}",
            "--bip": f"198.19.{100 + self.number}.1/24",
            "--default-address-pool": "base=198.19.128.0/17,size=24",
            "--insecure-registry": f"{LAN}.0/24",
        }
        options = [str(word) for pair in engine.items() for word in pair]
        lan = ["--host", self.lan_url, "--tls=false", "--userland-proxy=false"]
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        self._processes.start(
            self.name,
            self._lan.within(self.name, *named, "dockerd", *options, *lan),
            {**os.environ, "PATH": path},
        )

    def await_answer(self) -> None:
        """Wait until its engine answers. Raises DemoError if it does not."""

        def look() -> bool | None:
            with suppress(OSError, http.client.HTTPException):
                if self.call("GET", "/_ping")[0] == HTTPStatus.OK:
                    return True
            if not self.runs:
                log = self._processes.tail(self.name)
                raise DemoError(f"the engine of {self.name} has ended:\n{log}")
            return None

        await_value(look, _UP_S, f"the start of the engine of {self.name}")

    def read(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return what its engine answers to a GET. Raises DemoError for anything but a success."""
        return self._succeed("GET", path)

    def order(self, path: str, body: object) -> None:
        """Send its engine a POST. Raises DemoError for anything but a success."""
        self._succeed("POST", path, body)

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
        self._lan.cable(self.name, "down")

    def join_up(self) -> None:
        """Put its cable in again."""
        self._lan.cable(self.name, "up")

    def lose_power(self) -> None:
        """Take its cable out and kill all that runs there; `join_up` and `start` bring it back."""
        self.cut_off()
        self.kill()

    def kill(self) -> None:
        """Kill its engine and all that runs there; `start` brings it back with its disk."""
        running = self._processes.get(self.name)
        pids = [running.pid] if running else []
        pids += engine_cgroup_pids(self._lan.namespace(self.name))
        with suppress(OSError, ValueError):
            pids.append(int((self.dir / "exec/containerd/containerd.pid").read_text()))
        shims = f"containerd-shim.*-address {self.dir}/"
        found = subprocess.run(["pgrep", "-f", shims], capture_output=True, text=True, check=False)
        for pid in (*pids, *map(int, found.stdout.split())):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._processes.end(self.name)

    def freeze(self, *, frozen: bool = True) -> None:
        """Let the engine, not its containers, stand still: its API takes calls and says nothing."""
        if running := self._processes.get(self.name):
            with suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def terminate(self) -> None:
        """Ask its engine to end, and do not wait for it."""
        if running := self._processes.get(self.name):
            self.freeze(frozen=False)
            with suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGTERM)

    def containers(self, label: str) -> list[str]:
        """Return the ids of the running containers with this label (`NAME=VALUE`)."""
        filters = urllib.parse.quote(json.dumps({"label": [label]}))
        return [str(one["Id"]) for one in self.read(f"/containers/json?filters={filters}")]

    def _succeed(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        status, said = self.call(method, path, body)
        if status >= HTTPStatus.BAD_REQUEST:
            raise DemoError(f"{self.name} answered {status} to {method} {path}: {said}")
        return said
