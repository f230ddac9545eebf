"""A scene for deploys."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from structlog.typing import EventDict

from tagboat.store import SqlStore, open_store
from tests.unit.deploy.deploy_harness import World, build_world
from tests.unit.deploy.interceptor import Clock

NOT_OF_ONE_DEPLOY = frozenset(
    {
        "an ingress does not follow",
        "another server reconciles from here on",
        "cannot follow engine events",
        "cannot read which instances to watch",
        "command ended",
        "command left to the next reconcile",
        "ended without an error; starting again",
        "image removed",
        "image stays for now",
        "images stay for now",
        "internal error; starting again",
        "network left to be tidied",
        "network removed",
        "networks not tidied",
        "not deleted yet",
        "nothing is deployed",
        "old deploys are forgotten",
        "old deploys stay for now",
        "reconcile failed",
        # Of a deploy where one asks; its context says which.
        "requests not counted",
        "routing update failed",
        "the engine cannot be asked who it is",
        "the queue cannot be read",
    }
)
NAMED = ("deploy", "project", "stage", "tag")


@pytest.fixture(autouse=True)
def each_line_about_a_deploy_names_it() -> Iterator[None]:
    """Every line that a test here has logged says which deploy it is about, if it is about one."""
    nameless: list[EventDict] = []

    def look(_logger: object, _method: str, event: EventDict) -> EventDict:
        if event["event"] not in NOT_OF_ONE_DEPLOY and not all(event.get(key) for key in NAMED):
            nameless.append(dict(event))
        return event

    processors = structlog.get_config()["processors"]
    before = list(processors)
    processors[:] = [structlog.contextvars.merge_contextvars, look, *before]
    yield
    processors[:] = before
    assert nameless == []


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
