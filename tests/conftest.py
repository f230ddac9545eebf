"""What tests of every kind may ask for."""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from sqlalchemy import Engine

from tagboat.store import store
from tagboat.store.database import migrate
from tests.support.docker_registry import DockerRegistry
from tests.support.docker_registry import docker_registry as running_registry
from tests.support.dockerd import loopback_images, remove_left_images, running_engine

_IMAGES_BEFORE = pytest.StashKey[frozenset[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: what `make faults` tries, and `make test` does not")
    # Programs that the tests start would inherit from `nohup` that it is ignored; a handler of ours
    # they do not.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Note what the engine holds, which may be somebody's own."""
    if not _is_worker(session.config):
        session.config.stash[_IMAGES_BEFORE] = loopback_images()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave no image behind in an engine that was there before."""
    if not _is_worker(session.config):
        remove_left_images(session.config.stash[_IMAGES_BEFORE])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is slow, and begin with the files that need the engine.

    Those that need a browser come after them: Chromium drops its connections when a network of the
    machine changes, and the engine's do with each container.
    """
    if os.environ.get("FAULTS") != "all":
        slow = {item for item in items if item.get_closest_marker("slow")}
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    engine, browser = (
        {item.path for item in items if name in getattr(item, "fixturenames", ())}
        for name in ("engine_url", "chromium")
    )
    units = {item.path for item in items if {"unit", "migration"} & set(item.path.parts)}
    items.sort(
        key=lambda item: (
            item.path in units,
            item.path in browser,
            item.path not in engine,
            # The longest file of all: begun last, it would be waited for.
            "image" not in item.path.parts,
        )
    )


def pytest_collection_finish() -> None:
    """Collect garbage more rarely, and not among the tests themselves, millions of objects."""
    gc.freeze()
    gc.set_threshold(20_000, 10, 5)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Say at once what failed: a run that is ended from outside shows no summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        sys.stdout.write(f"\n{report.nodeid} ({report.when}): {report.longreprtext[-2000:]}\n")


def _is_worker(config: pytest.Config) -> bool:
    """Whether this process runs a share of the tests for another one, which sees to what is
    before and after them.
    """
    return hasattr(config, "workerinput")


@pytest.fixture(scope="session", autouse=True)
def _schema_made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give each new SQLite database a copy of the schema that `migrate` made for the first one.

    Making it takes longer than most tests do.
    """
    made = tmp_path_factory.mktemp("schema") / "made.db"

    def copied(engine: Engine, back_up: Callable[[], object] | None = None) -> None:
        file = Path(unquote((engine.url.database or "").removeprefix("file:")))
        if engine.dialect.name != "sqlite" or file.stat().st_size:
            migrate(engine, back_up)
        elif made.exists():
            shutil.copyfile(made, file)
        else:
            migrate(engine)
            engine.dispose()  # so that nothing is left in the log beside the file
            shutil.copyfile(file, made)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "migrate", copied)
        yield


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
