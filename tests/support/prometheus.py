"""A Prometheus of the tests' own, on a free loopback port, gone with its data at the end."""

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.ports import free_port

_WAIT_S = 120.0
_STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server; `log` is the file with what it says."""

    port: int
    log: Path

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - whatever its API answers
        """The data of an answer of its HTTP API. Raises HTTPError for an invalid expression."""
        words = urllib.parse.urlencode(query)
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{words}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.loads(answer.read())["data"]

    def query(self, expr: str) -> list[Any]:
        """The series that an expression has now."""
        return list(self.get("query", query=expr)["result"])

    def alerts(self) -> list[tuple[str, str, Mapping[str, str]]]:
        """The alerts that are pending or firing: name, state, labels."""
        found = self.get("alerts")["alerts"]
        return [(one["labels"]["alertname"], one["state"], one["labels"]) for one in found]

    def until(self, condition: Callable[[], bool], what: Callable[[], object]) -> None:
        """Look until `condition` holds; fail with `what` was the case and with the log."""
        end = time.monotonic() + _WAIT_S
        while not condition():
            assert time.monotonic() < end, f"{what()}\n{self.log.read_text()[-3000:]}"
            time.sleep(0.2)


@contextmanager
def running_prometheus(folder: Path, config: Mapping[str, Any]) -> Iterator[Prometheus]:
    """Run one with the contents of a prometheus.yml until the block ends."""
    (folder / "prometheus.yml").write_text(yaml.safe_dump(dict(config)))
    server = Prometheus(free_port(), folder / "prometheus.log")
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address=127.0.0.1:{server.port}",
    ]
    with server.log.open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)

    def is_ready() -> bool:
        assert process.poll() is None, server.log.read_text()
        try:
            return bool(server.get("status/buildinfo"))
        except (urllib.error.URLError, ConnectionError):
            return False

    try:
        server.until(is_ready, lambda: "it is not ready")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
