"""A scene for deploys."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tagboat.store import SqlStore, open_store
from tests.unit.deploy.deploy_harness import World, build_world
from tests.unit.deploy.interceptor import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of everybody in the test."""
    return Clock(monkeypatch)


@pytest.fixture
def new_store(tmp_path: Path) -> Iterator[Callable[[], SqlStore]]:
    """Opens a new database at each call."""
    opened: list[SqlStore] = []

    def open_one() -> SqlStore:
        data_dir = tmp_path / f"data-{len(opened)}"
        data_dir.mkdir()
        opened.append(open_store(None, data_dir))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
async def world(new_store: Callable[[], SqlStore], clock: Clock, anyio_backend: str) -> World:  # noqa: ARG001 - it runs this
    """Return a project with a stage, nothing deployed."""
    return await build_world(new_store(), clock)


@pytest.fixture
async def led(new_store: Callable[[], SqlStore], clock: Clock, anyio_backend: str) -> World:  # noqa: ARG001 - it runs this
    """Return a project with a stage and an ingress, nothing deployed."""
    return await build_world(new_store(), clock, ingress=True)
