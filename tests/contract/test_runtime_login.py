"""What every engine says of a login at a registry."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import EngineError
from tagboat.core.runtime import Runtime
from tagboat.runtime.docker.engine import DockerRuntime
from tagboat.runtime.memory import MemoryRuntime
from tests.support.docker_registry import docker_registry

pytestmark = pytest.mark.anyio
LOGIN = ("ci", "correct horse")


@dataclass(frozen=True)
class World:
    """An engine, and the host of a registry that lets in LOGIN alone."""

    runtime: Runtime
    host: str


@pytest.fixture
async def memory_world() -> World:
    engine = MemoryRuntime()
    engine.guard("registry.test", *LOGIN)
    return World(engine, "registry.test")


@pytest.fixture
async def docker_world(engine_url: str) -> AsyncIterator[World]:
    engine = DockerRuntime(engine_url)
    with docker_registry(login=LOGIN) as registry:
        yield World(engine, registry.host)
    await engine.close()


@pytest.fixture(params=["memory_world", "docker_world"])
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.getfixturevalue(request.param)
    return found


def registry(host: str, password: str) -> Registry:
    return Registry(
        id="r1",
        name="ours",
        url=f"http://{host}",
        kind=RegistryKind.OCI,
        username=LOGIN[0],
        password=password,
    )


async def test_the_right_password_is_taken(world: World) -> None:
    await world.runtime.log_in(registry(world.host, LOGIN[1]))


async def test_a_wrong_one_is_not_and_is_not_repeated(world: World) -> None:
    with pytest.raises(
        EngineError, match=f"the registry {world.host} refused the engine's login"
    ) as caught:
        await world.runtime.log_in(registry(world.host, "hunter2-and-more"))
    assert "hunter2" not in str(caught.value)
