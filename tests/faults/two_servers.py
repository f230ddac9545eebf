"""Two servers on one PostgreSQL, with one encryption key, next to each other on this machine."""

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.fault_harness import FaultHarness, world


@contextmanager
def two_servers(
    folder: Path, engine_url: str, registry: str, databases: tuple[str, str]
) -> Iterator[tuple[FaultHarness, FaultHarness]]:
    """Run them; `databases` are the URLs by which each reaches the database."""
    with contextlib.ExitStack() as stack:
        hosts: list[FaultHarness] = []
        for name, url in zip(("one", "two"), databases, strict=True):
            data = folder / name / "data"
            data.mkdir(parents=True, mode=0o700)
            if hosts:
                shutil.copy(folder / "one" / "data" / "encryption.key", data)
            environ = {"TAGBOAT_DATABASE_URL": url}
            made = world(folder / name, engine_url, registry, environ=environ)
            hosts.append(stack.enter_context(made))
        yield hosts[0], hosts[1]
