"""A Docker engine for the tests: the one that is there, else one of our own for as long as the
tests run.
"""

import fcntl
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

DEFAULT_SOCKET = Path("/var/run/docker.sock")

_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost):\d+/")
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0
_CALL_TIMEOUT_S = 30.0


def engine_address() -> str:
    """The URL of the engine that is asked for: DOCKER_HOST's, else the local socket's."""
    return os.environ.get("DOCKER_HOST") or f"unix://{DEFAULT_SOCKET}"


@contextmanager
def running_engine() -> Iterator[str]:
    """Yield the URL of an engine that answers: the one that is asked for, or (as root) a new
    `dockerd` in its place.

    Several processes may ask at once: one starts it, and ends it when no other needs it any more.
    """
    url = engine_address()
    with _lock_file("start") as starting, _lock_file("use") as using, ExitStack() as stack:
        fcntl.flock(starting, fcntl.LOCK_EX)
        started = not answers(url)
        if started:
            if os.environ.get("DOCKER_HOST"):
                raise RuntimeError(f"the engine that DOCKER_HOST names does not answer: {url}")
            stack.enter_context(started_engine(["dockerd", "--host", url], url))
        fcntl.flock(using, fcntl.LOCK_SH)
        fcntl.flock(starting, fcntl.LOCK_UN)
        yield url
        if started:
            fcntl.flock(using, fcntl.LOCK_EX)


def _lock_file(name: str) -> TextIO:
    return (Path(tempfile.gettempdir()) / f"tagboat-tests-{name}-{os.geteuid()}.lock").open("a")


@contextmanager
def started_engine(
    command: Sequence[str], url: str, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run an engine by `command`, wait until it answers at `url`, and end it after the block.

    `environ` is added to its environment.
    """
    if os.geteuid() != 0 or shutil.which(command[0]) is None:
        raise RuntimeError(
            "no Docker engine answers; start Docker, or run the tests as root where "
            f"{command[0]} is installed"
        )
    with tempfile.NamedTemporaryFile(prefix="tagboat-dockerd-", suffix=".log") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environ or {})},
        )
        try:
            _await_answer(process, url, Path(log.name))
            yield process
        finally:
            _end(process)


def answers(url: str) -> bool:
    """Whether a Docker engine answers at `url`."""
    try:
        return call(url, "GET", "/_ping") == b"OK"
    except (OSError, http.client.HTTPException, EngineCallError):
        return False


def remove_labelled(url: str, label: str) -> None:
    """Remove every container that bears `label` (`NAME` or `NAME=VALUE`), running or not."""
    filters = urllib.parse.quote(json.dumps({"label": [label]}))
    for container in json.loads(call(url, "GET", f"/containers/json?all=1&filters={filters}")):
        call(url, "DELETE", f"/containers/{container['Id']}?force=1&v=1")


def remove_images_of(url: str, registry_host: str) -> None:
    """Remove every image that was pulled from `registry_host`, a registry of the tests."""
    for name in _image_names(url):
        if name.startswith(f"{registry_host}/"):
            call(url, "DELETE", f"/images/{name}?force=1")


def loopback_images() -> frozenset[str]:
    """The names of all images from registries on loopback that the engine has; none where no
    engine answers.
    """
    url = engine_address()
    return frozenset(filter(_LOOPBACK.match, _image_names(url))) if answers(url) else frozenset()


def remove_left_images(kept: frozenset[str]) -> None:
    """Remove the images from loopback, but those `kept`, whose registry is gone: another run's
    may be there still.
    """
    for name in loopback_images() - kept:
        port = int(name.partition("/")[0].rpartition(":")[2])
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                with suppress(EngineCallError):  # somebody's container may need it
                    call(engine_address(), "DELETE", f"/images/{name}")


def _image_names(url: str) -> list[str]:
    images = json.loads(call(url, "GET", "/images/json?digests=1"))
    return [
        name
        for image in images
        for name in (*(image["RepoTags"] or ()), *(image["RepoDigests"] or ()))
    ]


class EngineCallError(Exception):
    """The engine refused a call of the tests' own."""


def call(url: str, method: str, path: str) -> bytes:
    """Call the engine's API without the code under test. A 404 is as good as done. Raises
    EngineCallError.
    """
    connection = _connect(url)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status >= 400 and answer.status != 404:
        raise EngineCallError(f"{method} {path}: {answer.status} {body[:500]!r}")
    return body


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_CALL_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connect(url: str) -> http.client.HTTPConnection:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "unix":
        return _UnixConnection(parts.path)
    return http.client.HTTPConnection(
        parts.hostname or "", parts.port or 2375, timeout=_CALL_TIMEOUT_S
    )


def _await_answer(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(
                f"the engine did not come up:\n{log.read_text(errors='replace')[-3000:]}"
            )
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
