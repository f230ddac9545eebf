"""The real server: a process of its own, spoken to over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from tagboat.ingress.process import end_haproxy
from tests.support.forks import Forked, commands, servers
from tests.support.ports import free_port

TOKEN = "an-admin-token-for-tests"
PROGRAM = (sys.executable, "-c", "from tagboat.cli.entry import run; run()")
_READY_S = 120.0
_WAIT_S = 120.0


@dataclass
class Server:
    """`tagboat serve` in a directory of its own. `call` answers the status and the decoded JSON."""

    directory: Path
    engine_url: str
    environ: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: Forked | subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def variables(self) -> dict[str, str]:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith("TAGBOAT_")
        }
        own = {
            "TAGBOAT_DATA_DIR": str(self.directory / "data"),
            "TAGBOAT_PORT": str(self.port),
            "TAGBOAT_ADMIN_TOKEN": TOKEN,
            "TAGBOAT_INGRESS": "none",
            "TAGBOAT_POLL_SCHEDULE": "@every 1h",
            "TAGBOAT_DOCKER_HOST": self.engine_url,
        }
        return {**clean, **own, **self.environ}

    def launch(self, out: IO[bytes], log: IO[bytes]) -> Forked | subprocess.Popen[bytes]:
        """Begin a process of it, which writes into these files."""
        with Path(os.devnull).open() as nothing:
            return servers().start(
                ("tagboat", "serve"), self.variables(), self.directory, nothing, out, log
            )

    def start(self) -> None:
        with (self.directory / "out").open("ab") as out, (self.directory / "log").open("ab") as log:
            said = self.out()
            self.process = self.launch(out, log)
        self.until(
            lambda: self.answers() and self.out() != said, "the server to be ready", _READY_S
        )

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            return self.call("GET", "/api/health")[0] == 200
        except OSError:
            return False

    def out(self) -> str:
        return (self.directory / "out").read_text()

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(_WAIT_S)

    def terminate(self, limit_s: float = _WAIT_S) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(limit_s)

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        return commands().run(("tagboat", *words), self.variables(), self.directory)

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def items(self, path: str) -> list[Any]:
        status, page = self.call("GET", path)
        assert status == 200, page
        return list(page["items"])

    def webhook_path(self) -> str:
        return str(urlsplit(self.call("GET", "/api/settings/webhook")[1]["url"]).path)

    def clear(self) -> None:
        """Delete every project, with its containers."""
        for project in self.items("/api/projects"):
            self.call("DELETE", f"/api/projects/{project['id']}")

    def push(self, image: str) -> dict[str, Any]:
        """Call the webhook for one image; what came of it."""
        status, receipt = self.call("POST", self.webhook_path(), {"image": image})
        assert status == 202, receipt
        (push,) = receipt["pushes"]
        return dict(push)

    def ended(self, deploy: str) -> dict[str, Any]:
        """The deploy, once it has ended."""
        self.until(
            lambda: (
                self.call("GET", f"/api/deploys/{deploy}")[1]["status"] not in {"queued", "running"}
            ),
            "the deploy",
        )
        return dict(self.call("GET", f"/api/deploys/{deploy}")[1])

    def live(self) -> list[Any]:
        return [
            instance for instance in self.items("/api/instances") if instance["state"] == "live"
        ]

    def until(self, condition: Callable[[], bool], what: str, seconds: float = _WAIT_S) -> None:
        """Look until `condition` holds; fail with the log when it does not in time."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds} s for {what}\n{self.log()[-4000:]}"
            time.sleep(0.05)


def launch_executed(
    server: Server, out: IO[bytes], log: IO[bytes], *before: str
) -> subprocess.Popen[bytes]:
    """Begin a process as people do, by the program `before` if any: in place of `Server.launch`."""
    return subprocess.Popen(
        [*before, *PROGRAM, "serve"],
        env=server.variables(),
        cwd=server.directory,
        stdout=out,
        stderr=log,
    )


@contextmanager
def running_server(directory: Path, engine_url: str, **environ: str) -> Iterator[Server]:
    """A started server. At the end its containers are removed, and nothing it said may hold one
    of its secrets.
    """
    server = Server(directory, engine_url, environ)
    try:
        server.start()
        yield server
        if server.process is not None and server.process.poll() is not None:
            server.start()  # a test may leave it stopped; what it runs goes all the same
        secrets = (TOKEN, server.webhook_path().rpartition("/")[2])
        server.clear()
        assert server.terminate() == 0
        assert not [secret for secret in secrets if secret in server.log() + server.out()]
    finally:
        if server.process is not None and server.process.poll() is None:
            server.clear()
            server.kill()
        end_haproxy(directory / "data" / "ingress")  # it outlives the server on purpose


def fetch(url: str) -> str:
    """The body of a 200 at a loopback URL."""
    with urllib.request.urlopen(url, timeout=120) as answer:
        return str(answer.read().decode()).strip()
