"""Fixtures of the tests of the command line."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest.mock import patch

import pytest

from tagboat.cli.entry import run
from tests.unit.cli.fake_server import TOKEN, FakeServer, fake_server

PROGRAM = (sys.executable, "-c", "from tagboat.cli.entry import run; run()")
_OURS = ("TAGBOAT_", "DOCKER_", "NO_COLOR", "FORCE_COLOR", "COLUMNS")


def environment(**given: str) -> dict[str, str]:
    """The variables of this process without those that configure Tagboat."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | given


class Tagboat:
    """Runs the command as a separate process, in an empty directory."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.directory = directory
        self.environ = dict(environ)

    def __call__(
        self, *words: str, piped: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*PROGRAM, *words],
            env={**self.environ, **more},
            cwd=self.directory,
            input=piped,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return done

    def fails(self, *words: str, piped: str = "", **more: str) -> str:
        """Return the one line that it prints when it fails, without the program's name."""
        done = self(*words, piped=piped, **more)
        last = done.stderr.splitlines()[-1]
        assert (done.returncode, last.startswith("tagboat: ")) == (1, True), done
        return last.removeprefix("tagboat: ")


class QuickTagboat(Tagboat):
    """Runs the command within this process: many times faster, but without signals or a terminal.

    Standard error of this process is not seen by what it starts.
    """

    def __call__(
        self, *words: str, piped: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        out, err, code = io.StringIO(), io.StringIO(), 0
        with (
            patch.dict(os.environ, {**self.environ, **more}, clear=True),
            patch.object(sys, "argv", ["tagboat", *words]),
            patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped.encode()))),
            contextlib.chdir(self.directory),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                run()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
        done = subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
        assert TOKEN not in done.stdout + done.stderr
        return done


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with fake_server() as fake:
        yield fake


@pytest.fixture
def process(server: FakeServer, tmp_path: Path) -> Tagboat:
    """The command as a process of its own, told of the fake server."""
    return Tagboat(tmp_path, environment(TAGBOAT_URL=server.url, TAGBOAT_TOKEN=TOKEN))


@pytest.fixture
def tagboat(request: pytest.FixtureRequest, process: Tagboat) -> Tagboat:
    """The command, told of the fake server: a process of its own if a module says `PROCESSES`."""
    is_apart = getattr(request.module, "PROCESSES", False)
    return process if is_apart else QuickTagboat(process.directory, process.environ)


@pytest.fixture
def quick(process: Tagboat) -> Tagboat:
    """The command within this process, told of the fake server."""
    return QuickTagboat(process.directory, process.environ)


@pytest.fixture
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Tagboat:
    """The command on a machine with a data directory, in which no server has run yet."""
    kind = Tagboat if getattr(request.module, "PROCESSES", False) else QuickTagboat
    return kind(
        tmp_path, environment(TAGBOAT_DATA_DIR=str(tmp_path / "data"), TAGBOAT_INGRESS="none")
    )
