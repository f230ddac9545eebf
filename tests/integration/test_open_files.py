"""A server that may open few files, and strangers who take what they can get of them."""

import asyncio
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from tagboat.core.errors import IngressUnavailableError
from tagboat.ingress import process
from tagboat.ingress.haproxy import HaproxyIngress
from tests.support.docker_registry import DockerRegistry
from tests.support.dockerd import remove_images_of
from tests.support.images import push_image
from tests.support.ports import free_port
from tests.support.server import Server, fetch, launch_executed, running_server

CALLERS = 600


@pytest.fixture(
    params=[("none", 200), ("haproxy", 300)], ids=["alone", "with its ingress"]
)  # which starts with 239 at least
def narrow(
    tmp_path: Path, engine_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """A server that may open few files."""
    ingress, files = request.param

    def launch(server: Server, out: IO[bytes], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return launch_executed(server, out, log, "prlimit", f"--nofile={files}:{files}")

    monkeypatch.setattr(Server, "launch", launch)
    listen = f"127.0.0.1:{free_port()}"
    with running_server(
        tmp_path, engine_url, TAGBOAT_INGRESS=ingress, TAGBOAT_INGRESS_LISTEN=listen
    ) as server:
        yield server


def test_connections_on_which_nothing_is_said_break_nothing(
    narrow: Server, docker_registry: DockerRegistry, engine_url: str
) -> None:
    path = f"acme/app-{secrets.token_hex(4)}"
    push_image(docker_registry.host, path, "v1", body="I am v1")
    try:
        with ExitStack() as held:
            for _ in range(CALLERS):
                held.enter_context(socket.create_connection(("127.0.0.1", narrow.port), timeout=10))
            deploy = narrow.push(f"{docker_registry.host}/{path}:v1")["deploy"]
            ended = narrow.ended(deploy)
            assert (ended["status"], ended["reason"]) == ("succeeded", "v1 is live")
            assert set(narrow.call("GET", "/api/health")[1]["checks"].values()) <= {"ok", "none"}
            (instance,) = narrow.live()
            assert fetch(instance["url"]) == "I am v1"
        assert narrow.process is not None
        assert narrow.process.poll() is None
        assert "Traceback" not in narrow.log()
    finally:
        narrow.clear()
        remove_images_of(engine_url, docker_registry.host)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "refused",
    ["tempfile.TemporaryFile", "asyncio.create_subprocess_exec", "pathlib.Path.read_bytes"],
)
async def test_a_file_too_many_is_an_ingress_out_of_reach_and_its_watch_goes_on(
    tmp_path: Path, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingress = HaproxyIngress(
        tmp_path / "ingress", listen=("127.0.0.1", free_port()), base_domain="apps.test"
    )
    await ingress.start()
    try:
        for pid in process.our_processes(tmp_path / "ingress"):
            process.send_signal(pid, signal.SIGKILL, tmp_path / "ingress")
        with monkeypatch.context() as full:
            full.setattr(refused, _too_many)
            with pytest.raises(IngressUnavailableError, match="Too many open files"):
                await ingress.apply_routes([])
            watching = asyncio.create_task(ingress.run())
            await asyncio.sleep(0.5)
            assert not watching.done()
        async with asyncio.timeout(60):
            while await ingress.trouble():  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.1)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    finally:
        await ingress.stop()


def _too_many(*_: object, **__: object) -> None:
    raise OSError(24, "Too many open files")
