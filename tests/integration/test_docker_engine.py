"""What only the real engine can show: confinement, private registries, odd logs, the probe behind Docker's own proxy, ssh."""

import asyncio
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiodocker
import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.deploy import ContainerSpec
from tagboat.core.errors import EngineError, EngineUnavailableError
from tagboat.core.image import parse_image_name
from tagboat.engine.docker import DockerEngine
from tagboat.engine.loglines import MAX_LINE_BYTES
from tagboat.engine.probe import LoopbackProbe
from tests.support.docker_registry import DockerRegistry
from tests.support.docker_registry import docker_registry as running_registry
from tests.support.dockerd import call, remove_images_of, remove_labelled
from tests.support.images import DEFAULT_CMD, FAILS_HEALTH, NEVER_LISTENS, listens_late, push_image, push_index
from tests.support.ports import free_port

pytestmark = pytest.mark.anyio

PATIENCE_S = 30.0
LOGIN = ("deployer", "correct horse")


@pytest.fixture
def run() -> str:
    return f"run-{secrets.token_hex(4)}"


@pytest.fixture
async def engine(engine_url: str, docker_registry: DockerRegistry, run: str) -> AsyncIterator[DockerEngine]:
    engine = DockerEngine(engine_url)
    yield engine
    await engine.close()
    remove_labelled(engine_url, f"tagboat.test={run}")
    remove_images_of(engine_url, docker_registry.host)


@pytest.fixture
def private_registry(engine_url: str) -> Iterator[DockerRegistry]:
    with running_registry(login=LOGIN) as registry:
        yield registry
        remove_images_of(engine_url, registry.host)


Started = Callable[..., Awaitable[ContainerSpec]]


@pytest.fixture
def started(engine: DockerEngine, docker_registry: DockerRegistry, run: str) -> Started:
    async def start(cmd: tuple[str, ...] = DEFAULT_CMD, *, publish: bool = True) -> ContainerSpec:
        digest = push_image(docker_registry.host, "acme/app", "v1", body=run, cmd=cmd)
        image = parse_image_name(f"{docker_registry.host}/acme/app")
        await engine.pull(image, digest, None, lambda _: None)
        spec = ContainerSpec(
            name=f"{run}-web",
            image=f"{image}@{digest}",
            labels={"tagboat.test": run},
            env={"GREETING": "hello you"},
            port=8080 if publish else 0,
            host_port=free_port() if publish else 0,
        )
        await engine.create(spec)
        await engine.start(spec.name)
        return spec

    return start


def inspected(engine_url: str, container: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(call(engine_url, "GET", f"/containers/{container}/json"))
    return answer


async def eventually(ask: Callable[[], Awaitable[str | None]]) -> list[str | None]:
    """Ask until the answer is None, a yes; returns all answers."""
    answers: list[str | None] = [await ask()]
    async with asyncio.timeout(PATIENCE_S):
        while answers[-1] is not None:
            await asyncio.sleep(0.05)
            answers.append(await ask())
    return answers


async def logged(engine: DockerEngine, container: str, line: str) -> list[str]:
    """The log, once it has `line`."""
    async with asyncio.timeout(PATIENCE_S):
        while line not in (lines := list(await engine.logs(container, 100))):  # noqa: ASYNC110 - the port has no events
            await asyncio.sleep(0.05)
    return lines


async def test_a_container_is_confined_and_bounded(engine_url: str, started: Started) -> None:
    spec = await started()
    answer = inspected(engine_url, spec.name)
    host = answer["HostConfig"]
    assert answer["NetworkSettings"]["Ports"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(spec.host_port)}]}
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert not host["Privileged"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}
    assert "GREETING=hello you" in answer["Config"]["Env"]


async def test_the_probe_sees_an_app_answer(started: Started) -> None:
    spec = await started()
    assert (await eventually(lambda: LoopbackProbe().http(spec.host_port, "/health")))[-1] is None
    assert await LoopbackProbe().http(spec.host_port, "/none") == "answered HTTP 404"
    assert await LoopbackProbe().tcp(spec.host_port) is None


async def test_the_probe_sees_through_the_proxy_of_an_app_that_listens_late(started: Started) -> None:
    spec = await started(listens_late(1))
    # A bare connection is accepted all the while: by Docker's proxy.
    with socket.create_connection(("127.0.0.1", spec.host_port), timeout=5):
        assert await LoopbackProbe().tcp(spec.host_port) == "nothing listens on the port yet"
    assert await LoopbackProbe().http(spec.host_port, "/") == "it closed the connection without an answer"
    answers = await eventually(lambda: LoopbackProbe().tcp(spec.host_port))
    assert set(answers[:-1]) == {"nothing listens on the port yet"}
    assert await LoopbackProbe().http(spec.host_port, "/") is None


async def test_the_probe_is_not_fooled_by_an_app_that_never_listens(started: Started) -> None:
    spec = await started(NEVER_LISTENS)
    for _ in range(5):
        assert await LoopbackProbe().tcp(spec.host_port) == "nothing listens on the port yet"


async def test_the_probe_tells_the_status_of_a_broken_app(engine: DockerEngine, started: Started) -> None:
    spec = await started(FAILS_HEALTH)
    await logged(engine, spec.name, "failing on port 8080")
    async with asyncio.timeout(PATIENCE_S):
        while (answer := await LoopbackProbe().http(spec.host_port, "/health")) != "answered HTTP 500":
            assert answer is not None
            await asyncio.sleep(0.05)


async def test_an_app_without_newlines_does_not_fill_the_memory(engine: DockerEngine, started: Started) -> None:
    flood = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo after; trap 'exit 0' TERM; sleep 86400 & wait"
    spec = await started(("/bin/sh", "-c", f"echo before; {flood}"), publish=False)
    (long, after) = (await logged(engine, spec.name, "after"))[-2:]
    assert long == "x" * MAX_LINE_BYTES + " … (line cut)"
    assert after == "after"


async def test_the_log_keeps_its_order_and_harms_nobody(engine: DockerEngine, started: Started) -> None:
    script = "printf '\\033[2Jred\\000alert\\n'; printf '\\377\\n' >&2; echo done; trap 'exit 0' TERM; sleep 86400 & wait"
    spec = await started(("/bin/sh", "-c", script), publish=False)
    lines = await logged(engine, spec.name, "done")
    assert sorted(lines) == sorted(["red\ufffdalert", "\ufffd", "done"])


async def test_the_log_of_a_container_with_a_terminal(
    engine_url: str, engine: DockerEngine, started: Started, run: str
) -> None:
    spec = await started(publish=False)
    async with aiodocker.Docker(engine_url) as docker:
        config: dict[str, Any] = {
            "Image": spec.image,
            "Tty": True,
            "Labels": dict(spec.labels),
            "Cmd": ["/bin/sh", "-c", "echo one; echo two >&2; trap 'exit 0' TERM; sleep 86400 & wait"],
        }
        await docker.containers.run(config, name=f"{run}-tty")
    assert await logged(engine, f"{run}-tty", "two") == ["one", "two"]


async def test_stopping_is_quick_for_an_app_that_listens_to_sigterm(
    engine_url: str, engine: DockerEngine, started: Started
) -> None:
    spec = await started(publish=False)
    await logged(engine, spec.name, "listening on port 8080")
    await engine.stop(spec.name)
    assert inspected(engine_url, spec.name)["State"]["ExitCode"] == 0


async def test_an_index_is_pulled_by_its_own_digest(engine: DockerEngine, docker_registry: DockerRegistry, run: str) -> None:
    index, own = push_index(docker_registry.host, "acme/multi", "v1", body=run)
    image = parse_image_name(f"{docker_registry.host}/acme/multi")
    for digest in (index, own):
        await engine.pull(image, digest, None, lambda _: None)
        info = await engine.inspect_image(f"{image}@{digest}")
        assert info is not None
        assert info.digest == digest


async def test_a_pulled_image_needs_no_registry(engine: DockerEngine, engine_url: str, run: str) -> None:
    with running_registry() as registry:
        image = parse_image_name(f"{registry.host}/acme/app")
        digest = push_image(registry.host, "acme/app", "v1", body=run)
        later = push_image(registry.host, "acme/app", "v2", body=f"{run} later")
        await engine.pull(image, digest, None, lambda _: None)
        registry.stop()
        await engine.pull(image, digest, None, lambda _: None)
        with pytest.raises(EngineError, match=f"could not reach the registry {registry.host}") as caught:
            await engine.pull(image, later, None, lambda _: None)
        assert caught.value.retryable
        remove_images_of(engine_url, registry.host)


def configured(registry: DockerRegistry, password: str) -> Registry:
    return Registry(id="1", name="private", url=registry.url, kind=RegistryKind.OCI, username=LOGIN[0], password=password)


async def test_a_private_registry_wants_the_login(engine: DockerEngine, private_registry: DockerRegistry, run: str) -> None:
    digest = push_image(private_registry.host, "acme/app", "v1", body=run, auth=LOGIN)
    image = parse_image_name(f"{private_registry.host}/acme/app")
    for registry in (None, configured(private_registry, "a wrong one")):
        with pytest.raises(EngineError, match="refused the login") as caught:
            await engine.pull(image, digest, registry, lambda _: None)
        assert not caught.value.retryable
        assert "a wrong one" not in str(caught.value)
    await engine.pull(image, digest, configured(private_registry, LOGIN[1]), lambda _: None)
    assert await engine.inspect_image(f"{image}@{digest}") is not None


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a program named ssh in front of the path, which notes its arguments and then does what `script` says."""

    def install(script: str) -> Path:
        program, noted = tmp_path / "ssh", tmp_path / "arguments"
        program.write_text(f'#!/bin/sh\necho "$@" >>{noted}\n{script}\n')
        program.chmod(0o700)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return noted

    return install


async def test_ssh_leads_to_the_far_engine(
    engine_url: str, ssh: Callable[[str], Path], docker_registry: DockerRegistry, run: str
) -> None:
    noted = ssh(f"exec docker --host {engine_url} system dial-stdio")
    engine = DockerEngine("ssh://me@far.example.com:2222")
    assert await engine.version()
    digest = push_image(docker_registry.host, "acme/app", "v1", body=run)
    image = parse_image_name(f"{docker_registry.host}/acme/app")
    await engine.pull(image, digest, None, lambda _: None)
    statuses = await asyncio.gather(*(engine.status(f"{run}-{number}") for number in range(5)))
    assert statuses == [None] * 5
    await engine.close()
    remove_images_of(engine_url, docker_registry.host)
    options = "-T -o BatchMode=yes -o ConnectTimeout=15"
    assert set(noted.read_text().splitlines()) == {f"{options} -l me -p 2222 -- far.example.com docker system dial-stdio"}


async def test_what_ssh_says_is_told(ssh: Callable[[str], Path]) -> None:
    ssh("echo 'me@far.example.com: Permission denied (publickey).' >&2; exit 255")
    engine = DockerEngine("ssh://me@far.example.com")
    with pytest.raises(EngineUnavailableError, match=r"ssh://far\.example\.com could not .*ssh said: .*Permission denied"):
        await engine.version()
    await engine.close()


async def test_a_machine_without_ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    engine = DockerEngine("ssh://far.example.com")
    with pytest.raises(EngineUnavailableError, match="ssh cannot be run: No such file"):
        await engine.version()
    await engine.close()
