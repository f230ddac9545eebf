"""What tests of every kind may ask for."""

from collections.abc import Iterator

import pytest

from tests.support.docker_registry import DockerRegistry
from tests.support.docker_registry import docker_registry as running_registry
from tests.support.dockerd import running_engine


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asyncio is the only event loop Tagboat runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def engine_url() -> Iterator[str]:
    """The URL of a Docker engine that answers."""
    with running_engine() as url:
        yield url


@pytest.fixture(scope="session")
def docker_registry() -> Iterator[DockerRegistry]:
    """A registry without login, on loopback."""
    with running_registry() as registry:
        yield registry
