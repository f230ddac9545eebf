"""The base of all measurements: a server process, its API, and the format of figures."""

import asyncio
import http
import http.client
import importlib.util
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiodocker

from bench.installed import installed_tagboat
from tagboat.ingress.process import end_haproxy

T = TypeVar("T")
READY = "tagboat ready on "
_SERVE = (
    "import os, sys, pathlib; from tagboat.settings import load_settings; from "
    "tagboat.app import serve; "
    "sys.exit(serve(load_settings(os.environ, cwd=pathlib.Path('/'), is_tty=False)))"
)
_MEMORY_SERVER = Path(__file__).with_name("memory_server.py")
_LIMIT_S = 60.0
_PROBE_S = 0.05
"""Seconds. Docker's proxy accepts before the container has a network, then waits: retry instead."""
_KEPT_S = 2.0
"""Seconds, less than the server keeps an idle connection: later calls would find it closed."""


class BenchError(Exception):
    """A measurement could not be made; the text says why."""


class Server:
    """A running Tagboat. `ready_s` is how many seconds it took from its start to its ready line."""

    def __init__(
        self, process: "subprocess.Popen[str]", port: int, token: str, ready_s: float
    ) -> None:
        self.pid = process.pid
        self.port = port
        self.token = token
        self.ready_s = ready_s
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._used_at = 0.0

    def call(self, method: str, path: str, body: object | None = None) -> Any:  # noqa: ANN401 - JSON
        """Call the API over one kept connection. Raises BenchError with what it answered."""
        if time.monotonic() - self._used_at > _KEPT_S:
            self._connection.close()  # it opens itself again
        self._connection.request(
            method, path, None if body is None else json.dumps(body), self._headers
        )
        response = self._connection.getresponse()
        content = response.read()
        self._used_at = time.monotonic()
        if response.status >= http.client.BAD_REQUEST:
            raise BenchError(f"{method} answered {response.status}: {content[:300]!r}")
        return json.loads(content) if content else None

    def webhook_path(self) -> str:
        """The path that senders call, with its secret."""
        return urllib.parse.urlsplit(str(self.call("GET", "/api/settings/webhook")["url"])).path

    def push(self, image: str) -> Any:  # noqa: ANN401 - JSON
        """Tell of a push of `image` and return what came of it."""
        return self.call("POST", self.webhook_path(), {"image": image})["pushes"][0]

    def await_rest(self) -> None:
        """Return once no deploy is queued or running."""
        await_value(
            lambda: None if self._open_deploys() else True, "the end of the deploys", pause_s=0.05
        )

    def remove_projects(self) -> None:
        """Delete every project, and with it every container."""
        self.await_rest()
        for project in self.call("GET", "/api/projects?limit=200")["items"]:
            self.call("DELETE", f"/api/projects/{project['id']}")

    def _open_deploys(self) -> bool:
        return any(
            self.call("GET", f"/api/deploys?status={status}&limit=1")["items"]
            for status in ("queued", "running")
        )


@contextmanager
def tagboat(
    data_dir: Path, ingress_port: int | None = None, *, in_memory: bool = False, **settings: str
) -> Iterator[Server]:
    """Run a server on `data_dir` until the block ends, with HAProxy if `ingress_port` is given.

    Its stderr goes to `DATA_DIR.log`.

    `in_memory` means an engine in memory. `settings` are more variables of its environment.
    """
    port, token = free_port(), secrets.token_urlsafe(24)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TAGBOAT_")}
    environ |= {
        "TAGBOAT_PORT": str(port),
        "TAGBOAT_DATA_DIR": str(data_dir),
        "TAGBOAT_ADMIN_TOKEN": token,
        "TAGBOAT_INGRESS": "none",
        "TAGBOAT_POLL_SCHEDULE": "@every 1h",
        "TAGBOAT_LOG_FORMAT": "json",
    }
    if ingress_port is not None:
        environ |= {
            "TAGBOAT_INGRESS": "haproxy",
            "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{ingress_port}",
        }
    command = (sys.executable, str(_MEMORY_SERVER)) if in_memory else _command()
    with data_dir.with_suffix(".log").open("ab") as log:
        process, ready_s = start_until(command, READY, environ | settings, log.fileno())
    try:
        yield Server(process, port, token, ready_s)
    finally:
        end(process)
        end_haproxy(data_dir / "ingress")  # it outlives the server on purpose


def _command() -> Sequence[str]:
    if importlib.util.find_spec("tagboat.cli.entry"):
        return (str(installed_tagboat()), "serve")
    return (sys.executable, "-c", _SERVE)


def start_until(
    command: Sequence[str],
    line: str,
    environ: dict[str, str] | None = None,
    stderr: int | None = None,
) -> tuple["subprocess.Popen[str]", float]:
    """Start `command`; return it and the seconds until its first line, which begins with `line`."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=stderr, env=environ, text=True, cwd="/"
    )
    said = process.stdout.readline() if process.stdout else ""
    took = time.perf_counter() - began
    if not said.startswith(line):
        end(process)
        raise BenchError(f"{command[0]} ended or said {said!r} in place of {line!r}")
    return process, took


def end(process: "subprocess.Popen[Any]") -> None:
    """End a process with SIGTERM, with SIGKILL if it does not hear."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def await_value(look: Callable[[], T | None], what: str, *, pause_s: float = 0.002) -> T:
    """Return the first value of `look` that is not None; raise BenchError after a minute."""
    deadline = time.monotonic() + _LIMIT_S
    while (value := look()) is None:
        if time.monotonic() > deadline:
            raise BenchError(f"{what} took longer than {_LIMIT_S:.0f} s")
        time.sleep(pause_s)
    return value


def await_page(port: int) -> None:
    """Return with the first HTTP 200 of `/` at 127.0.0.1:`port`."""
    await_value(lambda: _page(port), f"the first answer at port {port}")


def _page(port: int) -> bool | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PROBE_S)
    try:
        connection.request("GET", "/")
        return True if connection.getresponse().status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def free_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def remove_images(prefix: str) -> None:
    """Remove the images whose names begin with `prefix` from the engine."""
    asyncio.run(_remove_images(prefix))


async def _remove_images(prefix: str) -> None:
    async with aiodocker.Docker() as docker:
        for image in await docker.images.list():
            for name in (*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())):
                if name.startswith(prefix):
                    await _remove_image(docker, name)


async def _remove_image(docker: aiodocker.Docker, name: str) -> None:
    try:
        await docker.images.delete(name, force=True)
    except aiodocker.DockerError as error:
        if error.status != http.HTTPStatus.NOT_FOUND:  # an image's last tag takes its digest along
            raise


def rss_mb(pid: int) -> float:
    """The resident memory of a process, in MB of 10^6 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise BenchError(f"the memory of process {pid} cannot be read")


def show(
    what: str,
    own: Sequence[float],
    beside: str,
    other: Sequence[float],
    unit: str,
    target: str = "",
) -> None:
    """Print the medians of both and their ratio, with the target if there is one."""
    mine, theirs = statistics.median(own), statistics.median(other)
    wanted = f"   (target {target})" if target else ""
    print(
        f"  {what:<34} {mine:>9.2f} {unit:<7} {beside:<22} {theirs:>9.2f} {unit:<7} ratio "
        f"{mine / theirs:5.2f}{wanted}",
        flush=True,
    )
