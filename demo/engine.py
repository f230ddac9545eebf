"""The Docker engine that the demo deploys to: the one that answers, else a `dockerd` of its own."""

import http.client
import json
import os
import shutil
import socket
import urllib.parse
from http import HTTPStatus
from pathlib import Path
from typing import Any

from demo.processes import Processes
from demo.show import DemoError
from demo.waiting import await_value

DOCKERD = "dockerd"
_FOR_OTHERS = {
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.FORBIDDEN,
}  # a network in use is the last of these
_SOCKET = "/var/run/docker.sock"
_CALL_TIMEOUT_S = 60.0
_START_TIMEOUT_S = 60.0
_SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"


class Engine:
    """An engine on this machine, at the Unix socket `path`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.url = f"unix://{path}"

    def version(self) -> str:
        """Its release. Raises OSError where nobody answers."""
        return str(json.loads(self._call("GET", "/version"))["Version"])

    def containers(self, registry_host: str) -> dict[str, set[str]]:
        """Return Tagboat's containers of images from `registry_host`: networks by container id."""
        filters = urllib.parse.quote(json.dumps({"label": ["tagboat.managed=true"]}))
        found = json.loads(self._call("GET", f"/containers/json?all=1&filters={filters}"))
        ours = (
            container for container in found if container["Image"].startswith(f"{registry_host}/")
        )
        return {
            container["Id"]: set(container["NetworkSettings"]["Networks"]) for container in ours
        }

    def remove_from(self, registry_host: str) -> int:
        """Remove containers of `registry_host`'s images, networks and images; return the count."""
        containers = self.containers(registry_host)
        for container in containers:
            self._call("DELETE", f"/containers/{container}?force=1&v=1")
        for network in {
            name for names in containers.values() for name in names if name.startswith("tagboat-")
        }:
            self._call("DELETE", f"/networks/{network}")
        for image in json.loads(self._call("GET", "/images/json?digests=1")):
            for name in _names(image):
                if name.startswith(f"{registry_host}/"):
                    self._call("DELETE", f"/images/{name}?force=1")
        return len(containers)

    def is_empty(self) -> bool:
        """Return whether the engine has no containers."""
        return not json.loads(self._call("GET", "/containers/json?all=1"))

    def _call(self, method: str, path: str) -> bytes:
        """Call the engine's API; to remove what is gone, or what others use, does nothing.

        Raises OSError.
        """
        connection = _UnixConnection(self.path)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"the engine's answer is unreadable: {error}") from error
        finally:
            connection.close()
        if answer.status >= HTTPStatus.BAD_REQUEST and answer.status not in _FOR_OTHERS:
            raise OSError(f"{method} {path}: {answer.status} {body[:300].decode(errors='replace')}")
        return body


def find_engine() -> Engine:
    """The engine that DOCKER_HOST names, else the one at the usual socket; it may not run yet.

    Raises DemoError.
    """
    url = os.environ.get("DOCKER_HOST") or f"unix://{_SOCKET}"
    if not url.startswith("unix:///"):
        raise DemoError(
            "DOCKER_HOST names an engine that may be on another machine, where the demo's "
            "registry cannot be reached",
            "unset DOCKER_HOST, or set it to the socket of an engine on this machine: unix:///PATH",
        )
    return Engine(url.removeprefix("unix://"))


def ensure_engine(engine: Engine, processes: Processes) -> str:
    """Let the engine run, and return how that came about.

    Raises DemoError when none answers and none can be started.
    """
    try:
        return f"Docker engine {engine.version()} answers at {engine.path}"
    except PermissionError:
        raise DemoError(
            f"you may not use the Docker engine at {engine.path}",
            "run the demo as root, or join the group docker (sudo usermod -aG docker $USER) and "
            "log in again",
        ) from None
    except OSError:
        return f"no Docker engine ran, so dockerd {_start(engine, processes)} was started"


def _start(engine: Engine, processes: Processes) -> str:
    program = shutil.which(DOCKERD, path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PROGRAMS}")
    if program is None or os.geteuid() != 0 or "DOCKER_HOST" in os.environ:
        raise DemoError(
            f"no Docker engine answers at {engine.path}",
            "start Docker (sudo systemctl start docker), then run make demo again",
        )
    running = processes.start(DOCKERD, [program, "--host", engine.url])

    def look() -> str | None:
        if not running.is_alive:
            raise DemoError(
                f"dockerd ended at once:\n{processes.tail(DOCKERD)}",
                f"all it wrote is in {processes.log(DOCKERD)}",
            )
        try:
            return engine.version()
        except OSError:
            return None

    return await_value(
        look,
        _START_TIMEOUT_S,
        "the start of dockerd",
        f"what it wrote is in {processes.log(DOCKERD)}",
    )


def _names(image: dict[str, Any]) -> list[str]:
    return [*(image["RepoTags"] or []), *(image["RepoDigests"] or [])]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_CALL_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        if not Path(self._path).exists():
            raise FileNotFoundError(f"there is no socket {self._path}")
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
