"""An engine behind a real sshd, reached by the real ssh: all of it on this machine."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tagboat.core.errors import EngineUnavailableError
from tagboat.core.image import parse_image_name
from tagboat.runtime.docker.engine import DockerRuntime
from tests.support.docker_registry import DockerRegistry
from tests.support.dockerd import remove_images_of
from tests.support.images import DEFAULT_CMD, listens_late, push_image
from tests.support.ports import free_port
from tests.support.server import Server, fetch, running_server
from tests.support.sshd import Sshd, running_sshd

pytestmark = pytest.mark.usefixtures("engine_url")


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    with running_sshd(tmp_path / "sshd") as sshd:
        monkeypatch.setenv("PATH", f"{sshd.program}{os.pathsep}{os.environ['PATH']}")
        yield sshd


@pytest.fixture
async def engine(sshd: Sshd) -> AsyncIterator[DockerRuntime]:
    engine = DockerRuntime(sshd.url)
    yield engine
    await engine.close()


@pytest.fixture
def image(docker_registry: DockerRegistry, engine_url: str) -> Iterator[str]:
    """A repository of its own."""
    yield f"{docker_registry.host}/acme/app-{secrets.token_hex(4)}"
    remove_images_of(engine_url, docker_registry.host)


def publish(image: str, tag: str, cmd: tuple[str, ...]) -> None:
    host, _, path = image.partition("/")
    push_image(host, path, tag, body=f"I am {tag}", cmd=cmd)


@pytest.mark.anyio
async def test_a_pull(engine: DockerRuntime, image: str) -> None:
    name = parse_image_name(image)
    digest = push_image(name.host, name.path, "v1", body=image)
    await engine.pull(name, digest, None, lambda _: None)
    assert await engine.inspect_image(f"{name}@{digest}") is not None


@pytest.mark.anyio
async def test_many_questions_at_once_do_not_frighten_sshd(
    sshd: Sshd, engine: DockerRuntime
) -> None:
    names = [f"no-{secrets.token_hex(4)}" for _ in range(40)]
    assert await asyncio.gather(*(engine.status(name) for name in names)) == [None] * 40
    assert "MaxStartups" not in sshd.log


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Sshd.new_user_key, r"Permission denied \(publickey\)\. \(it lets this user in by no key"),
        (
            Sshd.forget_host,
            r"Host key verification failed\. \(its key is not known here; run ssh to it once",
        ),
        (
            Sshd.new_host_key,
            r"Host key verification failed\. \(its key is not the one that is known here",
        ),
        (Sshd.stop, "connect to host 127.0.0.1 port [0-9]+: Connection refused"),
        (
            Sshd.hide_docker,
            r"docker: (command )?not found \(the command docker must be installed there\)",
        ),
    ],
    ids=[
        "a key not let in",
        "a host unheard of",
        "another host key",
        "nobody there",
        "no docker there",
    ],
)
async def test_what_is_wrong_is_told_and_once_it_is_mended_all_is_well(
    sshd: Sshd, engine: DockerRuntime, trouble: object, words: str
) -> None:
    assert callable(trouble)
    assert await engine.version()
    sshd.hang_up()
    trouble(sshd)
    with pytest.raises(
        EngineUnavailableError,
        match=rf"ssh://127\.0\.0\.1:{sshd.port} could not .*ssh said: .*{words}",
    ):
        await engine.version()
    sshd.mend()
    assert await engine.version()


@pytest.mark.parametrize(
    ("step", "cmd"),
    [("check", listens_late(3)), pytest.param("watch", DEFAULT_CMD, marks=pytest.mark.slow)],
)
def test_a_deploy_survives_that_sshd_is_gone_for_a_while(
    tmp_path: Path, sshd: Sshd, image: str, step: str, cmd: tuple[str, ...]
) -> None:
    publish(image, "v1", DEFAULT_CMD)
    publish(image, "v2", cmd)
    listen = f"127.0.0.1:{free_port()}"
    with running_server(
        tmp_path, sshd.url, TAGBOAT_INGRESS="haproxy", TAGBOAT_INGRESS_LISTEN=listen
    ) as server:
        first = server.push(f"{image}:v1")
        server.call(
            "PATCH", f"/api/stages/{first['stage']['id']}", {"watch_s": 0 if step == "check" else 5}
        )
        assert server.ended(first["deploy"])["status"] == "succeeded"
        deploy = server.push(f"{image}:v2")["deploy"]
        server.until(lambda: is_at(server, deploy, step), f"the step {step} of the second deploy")
        sshd.stop()
        server.until(lambda: engine_health(server) != "ok", "the engine to be missed")
        sshd.mend()
        ended = server.ended(deploy)
        assert (ended["status"], ended["reason"]) == ("succeeded", "v2 is live")
        (instance,) = server.live()
        assert fetch(instance["url"]) == "I am v2"
        assert "Traceback" not in server.log()


def is_at(server: Server, deploy: str, step: str) -> bool:
    steps = server.call("GET", f"/api/deploys/{deploy}")[1]["steps"]
    return any(one["name"] == step and one["status"] == "running" for one in steps)


def engine_health(server: Server) -> str:
    return str(server.call("GET", "/api/health")[1]["checks"]["engine"])


@pytest.mark.anyio
async def test_a_connection_that_cannot_be_taken_ends_no_other(
    sshd: Sshd, engine: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Because too many files are open, say."""
    loop, refusals = (
        asyncio.get_running_loop(),
        [OSError(24, "Too many open files"), OSError(23, "Too many open files here")],
    )
    accept = loop.sock_accept

    async def refused(listener: socket.socket) -> tuple[socket.socket, object]:
        if refusals:
            raise refusals.pop()
        return await accept(listener)

    monkeypatch.setattr(loop, "sock_accept", refused)
    assert await engine.version()
    sshd.hang_up()
    assert await engine.version()
    assert not refusals


@pytest.mark.anyio
@pytest.mark.parametrize("harm", ["the socket is tidied away", "nothing is accepted any more"])
async def test_a_lost_way_is_made_again(sshd: Sshd, engine: DockerRuntime, harm: str) -> None:
    assert await engine.version()
    tunnel = engine._connection._tunnel
    assert tunnel is not None
    if harm == "the socket is tidied away":
        tunnel.path.unlink()
    else:
        tunnel._listener.close()
        tunnel._accepting.cancel()
        await asyncio.wait([tunnel._accepting])
    sshd.hang_up()
    assert await engine.version()
    assert engine._connection._tunnel is not tunnel
