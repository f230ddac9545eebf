"""A PostgreSQL server of the tests' own: unprivileged, on a free loopback port, gone with its
data at the end.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.support.ports import free_port

_USER = "postgres"
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server that trusts whoever comes from loopback."""

    port: int
    _numbers: Iterator[int] = field(default_factory=count)

    def new_database(self) -> str:
        """Make an empty database and return its URL, as TAGBOAT_DATABASE_URL takes it."""
        name = f"tagboat_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def url(self, database: str) -> str:
        """The URL of a database of this server."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """Run a server until the block ends. Where the tests run as root, it runs as the user
    `postgres`. Only a `durable` one waits for the disk.
    """
    with tempfile.TemporaryDirectory(prefix="tagboat-postgres-") as folder:
        home = Path(folder)
        if os.geteuid() == 0:
            shutil.chown(home, _USER, _USER)
        data, log = home / "data", home / "log"
        _initialise(data)
        server = Postgres(free_port())
        with log.open("wb") as output:
            process = subprocess.Popen(
                _server_command(data, home, server.port, durable=durable),
                cwd=home,
                stdout=output,
                stderr=output,
            )
        try:
            _await_answer(process, server, log)
            yield server
        finally:
            _end(process)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the whole run."""
    with running_postgres() as server:
        yield server


def _initialise(data: Path) -> None:
    options = [
        "--pgdata",
        str(data),
        "--username",
        _USER,
        "--auth",
        "trust",
        "--encoding",
        "UTF8",
        "--locale",
        "C.UTF-8",
    ]
    made = subprocess.run(
        _unprivileged([str(_program("initdb")), *options, "--no-sync"]),
        cwd=data.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise RuntimeError(f"initdb ended with status {made.returncode}:\n{made.stderr}")


def _server_command(data: Path, sockets: Path, port: int, *, durable: bool) -> list[str]:
    settings = [
        "listen_addresses=127.0.0.1",
        f"port={port}",
        f"unix_socket_directories={sockets}",
        f"fsync={'on' if durable else 'off'}",
    ]
    flags = [part for setting in settings for part in ("-c", setting)]
    return _unprivileged([str(_program("postgres")), "-D", str(data), *flags])


def _unprivileged(command: Sequence[str]) -> list[str]:
    """PostgreSQL refuses to run as root. setpriv becomes the program, so that its pid is the
    server's.
    """
    if os.geteuid() != 0:
        return list(command)
    group = pwd.getpwnam(_USER).pw_gid
    return ["setpriv", f"--reuid={_USER}", f"--regid={group}", "--init-groups", *command]


def _program(name: str) -> Path:
    folders = [
        Path("/usr/lib/postgresql/15/bin"),
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
    ]
    if shutil.which("pg_config"):
        said = subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True)
        folders.append(Path(said.stdout.strip()))
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    raise RuntimeError(f"PostgreSQL's program {name} was not found; install postgresql")


def _await_answer(process: subprocess.Popen[bytes], server: Postgres, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(server.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"PostgreSQL did not start ({error}):\n{log.read_text(errors='replace')}"
                ) from None
            time.sleep(0.05)
        else:
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # a "fast" shutdown: sessions are ended, data is whole
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
