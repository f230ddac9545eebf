"""The real process, beside a real registry and on a real engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docker_registry import DockerRegistry, docker_registry
from tests.support.postgres import postgres
from tests.support.server import Server, running_server

__all__ = ["postgres"]


@pytest.fixture(scope="module")
def registry() -> Iterator[DockerRegistry]:
    with docker_registry() as running:
        yield running


@pytest.fixture
def server(tmp_path: Path, engine_url: str) -> Iterator[Server]:
    with running_server(tmp_path, engine_url) as running:
        yield running
