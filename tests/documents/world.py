"""The world in which the documents' commands run: a server, registries, and what a reader has."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.rig import READY
from tests.documents.registries import PASSWORD, ExampleRegistries
from tests.documents.shell import Shell
from tests.support.ports import free_port

TOKEN = "a-token-of-the-documents"
_LIMIT_S = 60.0
_THEIRS = "acme/shop:v1.4.0"
"""The image of the container `shop-web-1`, which is not Tagboat's."""
_CONFIGURATION = """\
registries:
  forge: {url: "https://git.example.com", kind: gitea, username: deploy, password: env:PASSWORD}
projects:
  shop:
    image: git.example.com/acme/shop
    port: 8080
    webhooks: [ci]
    stages:
      prod: {tag_pattern: "semver:1.x", position: -1, watch_s: 0, drain_timeout_s: 0}
      staging: {tag_pattern: "*-rc*", watch_s: 0, drain_timeout_s: 0}
      dev: {tag_pattern: "*", position: 1, watch_s: 0, drain_timeout_s: 0}
"""
_DEPLOYED = (("prod", "v1.3.0"), ("prod", "v1.4.0"), ("staging", "v1.5.0-rc1"), ("dev", "main"))
_FILES = {
    "compose.yaml": """\
name: shop
services:
  web: {image: "git.example.com/acme/api:v1.4.0", ports: ["8080:8080"]}
  worker: {image: "git.example.com/acme/worker:v1.4.0"}
""",
    ".env": "LOG_LEVEL=info\n",
    "secrets/db-password": "correct horse battery\n",
}


class Servers:
    """The servers of one test after another, of one program that is loaded once."""

    def __init__(self, registries: ExampleRegistries) -> None:
        self.registries = registries
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("memory_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Libraries read it as they are loaded.
            env={**os.environ, "SSL_CERT_FILE": str(registries.ca)},
            text=True,
        )

    @contextmanager
    def running(self, environ: Mapping[str, str], log: Path) -> Iterator[None]:
        """Run a server until the block ends."""
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        asked.write(json.dumps({"environ": dict(environ), "log": str(log)}) + "\n")
        asked.flush()
        pid = int(answers.readline())
        try:
            said = answers.readline()
            assert said.startswith(READY), f"{said} {log.read_text()}"
            yield
        finally:
            if not said.startswith("ended"):
                os.kill(pid, signal.SIGTERM)
                ended = answers.readline()
        assert ended == "ended 0\n", log.read_text()

    def close(self) -> None:
        """End the program."""
        self._process.communicate(timeout=30)


@dataclass(frozen=True)
class World:
    """A running server, and a shell in which `tagboat` means it."""

    url: str
    data_dir: Path
    shell: Shell

    def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Call the API; return what it answered."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def items(self, path: str) -> list[Any]:
        """Return what a list of the API has."""
        return list(self.call("GET", path)["items"])

    def await_rest(self) -> None:
        """Return once no deploy is queued or running."""
        ends = time.monotonic() + _LIMIT_S
        while any(
            self.items(f"/api/deploys?status={status}&limit=1") for status in ("queued", "running")
        ):
            assert time.monotonic() < ends, "deploys do not end"
            time.sleep(0.02)


@contextmanager
def running_world(folder: Path, servers: Servers, furnished: Path | None = None) -> Iterator[World]:
    """Run a server on a copy of the data directory `furnished`; without it, it knows nothing."""
    data_dir, port = folder / "data", free_port()
    if furnished:
        shutil.copytree(furnished, data_dir, ignore=shutil.ignore_patterns("*.lock"))
    here = folder / "here"
    for name, text in _FILES.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)
    url = f"http://127.0.0.1:{port}"
    own = {"TAGBOAT_DATA_DIR": str(data_dir), "TAGBOAT_INGRESS": "none", "TAGBOAT_PORT": str(port)}
    secrets = {"FORGE_PASSWORD": PASSWORD, "TAGBOAT_ADMIN_TOKEN": TOKEN}
    shell = Shell(here, own | {"FORGE_PASSWORD": PASSWORD})
    # The documents' own address of the server leads to this one.
    (shell.home / ".curlrc").write_text(f'connect-to = "127.0.0.1:7070:127.0.0.1:{port}"\n')
    environ = _servers_environment(shell, servers.registries) | own | secrets
    with servers.running(environ, folder / "log"):
        world = World(url, data_dir, shell)
        webhook = world.call("GET", "/api/settings/webhook")["url"]
        shell.environ["WEBHOOK_URL"] = f"http://127.0.0.1:7070{urlsplit(webhook).path}"
        world.await_rest()
        yield world


def furnish(folder: Path, servers: Servers) -> Path:
    """Return the data directory of a server with projects, stages, deploys and accounts."""
    with running_world(folder, servers) as world:
        (world.shell.folder / "furnish.yaml").write_text(_CONFIGURATION)
        done = world.shell.run(f"PASSWORD='{PASSWORD}' tagboat apply furnish.yaml")
        assert done.code == 0, done.said
        for stage, tag in _DEPLOYED:
            done = world.shell.run(f"tagboat deploy shop {stage} {tag} --wait")
            assert done.code == 0, done.said
        for command in (
            "tagboat users create ada --admin",
            "tagboat users create ben --role viewer",
        ):
            assert world.shell.run(command, PASSWORD).code == 0
        image = {"image": "git.example.com/acme/shop:v1.4.0"}
        world.call("POST", urlsplit(world.shell.environ["WEBHOOK_URL"]).path, image)
        world.await_rest()
    return world.data_dir


def _servers_environment(shell: Shell, registries: ExampleRegistries) -> dict[str, str]:
    clean: Mapping[str, str] = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TAGBOAT_", "DOCKER_")) and not name.lower().endswith("_proxy")
    }
    return {
        **clean,
        "PATH": shell.environ["PATH"],
        "HOME": str(shell.home),
        "HTTPS_PROXY": registries.proxy,
        "DOCUMENTS_THEIRS": f"git.example.com/{_THEIRS}@{registries.digests[_THEIRS]}",
        "TAGBOAT_POLL_SCHEDULE": "@every 1h",
        "TAGBOAT_LOG_FORMAT": "json",
    }
