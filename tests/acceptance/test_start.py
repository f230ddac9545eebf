"""Starting and stopping the real process: what it refuses, how it says so, what it makes, and
how it goes.
"""

import os
import signal
import socket
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.forks import servers
from tests.support.ports import free_port
from tests.support.server import TOKEN, Server, launch_executed

SECRET = "a-secret-that-is-never-repeated"
UNFINISHED = f"""POST /api/projects HTTP/1.1\r
Host: localhost\r
Authorization: Bearer {TOKEN}\r
Expect: 100-continue\r
Content-Type: application/json\r
Content-Length: 100\r
\r
""".encode()

_STOPPED_S = 15
"""Less than a caller may take over a request: the server has not waited for that."""


@pytest.fixture
def stopped(tmp_path: Path, engine_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that could be started, as people do, and was not."""
    monkeypatch.setattr(Server, "launch", launch_executed)
    server = Server(tmp_path, engine_url)
    yield server
    if server.process is not None and server.process.poll() is None:
        server.kill()


def refused(server: Server, **changed: str) -> str:
    """Start it with `changed` settings, which it must refuse: the one line that it says why, all
    else being silent.
    """
    variables = {**server.variables(), **changed}
    done = servers().run(("tagboat", "serve"), variables, server.directory)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("tagboat: ")
    assert done.stderr.endswith("\n")
    (line,) = done.stderr.splitlines()
    assert SECRET not in line
    return line


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TAGBOAT_PROT", "7070", "is not a setting of Tagboat; did you mean TAGBOAT_PORT?"),
        (
            "TAGBOAT_MAX_PARALLEL_DEPLOYS",
            "3",
            "is not a setting of Tagboat; 'tagboat serve --help' lists them all",
        ),
        ("TAGBOAT_PORT", "eighty", "a port from 1 to 65535 is expected"),
        ("TAGBOAT_PORT", "0", "a port from 1 to 65535 is expected"),
        ("TAGBOAT_PORT", "65536", "a port from 1 to 65535 is expected"),
        ("TAGBOAT_HOST", "not a host", "a host name or an IP address to listen on is expected"),
        ("TAGBOAT_POLL_SCHEDULE", "every now and then", "a cron schedule has five"),
        ("TAGBOAT_POLL_SCHEDULE", "61 * * * *", "the minute '61' cannot be used"),
        ("TAGBOAT_INGRESS", "nginx", "haproxy or none is expected"),
        ("TAGBOAT_LOG_FORMAT", "xml", "console or json is expected"),
        (
            "TAGBOAT_DOCKER_HOST",
            "the-other-machine",
            "unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST is expected",
        ),
        ("TAGBOAT_PUBLIC_URL", f"https://me:{SECRET}@example.com", "without user"),
        ("TAGBOAT_ADMIN_TOKEN", f"{SECRET} {SECRET}", "without spaces"),
        (
            "TAGBOAT_DATABASE_URL",
            f"mysql://me:{SECRET}@127.0.0.1/tagboat",
            "postgresql://USER:PASSWORD@HOST/DATABASE",
        ),
        ("TAGBOAT_DATABASE_URL_FILE", f"no-such-file-{SECRET}", "the file cannot be read"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    stopped: Server, name: str, value: str, words: str
) -> None:
    line = refused(stopped, **{name: value})
    assert line.startswith(f"tagboat: {name} ")
    assert words in line
    assert not (stopped.directory / "data").exists(), "nothing is made by a start that is refused"


def test_a_setting_in_the_working_directorys_file_is_named_with_its_place(stopped: Server) -> None:
    (stopped.directory / ".env").write_text("TAGBOAT_PROT=7070\n")
    assert (
        refused(stopped)
        == "tagboat: TAGBOAT_PROT in .env is not a setting of Tagboat; did you mean TAGBOAT_PORT?"
    )


def test_a_secret_given_twice(stopped: Server) -> None:
    (stopped.directory / "token").write_text(SECRET)
    line = refused(stopped, TAGBOAT_ADMIN_TOKEN=SECRET, TAGBOAT_ADMIN_TOKEN_FILE="token")
    assert line == (
        "tagboat: TAGBOAT_ADMIN_TOKEN and TAGBOAT_ADMIN_TOKEN_FILE are both set; set "
        "only one of them"
    )


def test_a_database_that_does_not_answer(stopped: Server) -> None:
    port = free_port()
    line = refused(
        stopped, TAGBOAT_DATABASE_URL=f"postgresql://me:{SECRET}@127.0.0.1:{port}/tagboat"
    )
    assert "the database cannot be used" in line
    assert f'"127.0.0.1", port {port} failed: Connection refused' in line


def test_a_database_or_key_that_cannot_be_used_is_one_line(stopped: Server) -> None:
    stopped.start()
    assert stopped.terminate() == 0
    database, key = stopped.directory / "data/tagboat.db", stopped.directory / "data/encryption.key"
    right = key.read_text()
    key.unlink()
    for _ in range(2):
        assert f"the encryption key {key} is missing: restore it from a backup" in refused(stopped)
        assert not key.exists()
    key.write_text("00" * 32)
    assert "was first used with another encryption key; copy encryption.key" in refused(stopped)
    key.write_text("not a key")
    assert f"{key} is not 64 hexadecimal digits; restore it from a backup" in refused(stopped)
    key.write_text(right)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    newer = refused(stopped)
    assert "the database was written by a newer Tagboat (schema 9999; this is " in newer
    assert newer.endswith("start that version, or restore the backup made before the upgrade")
    for damaged in (b"hello " * 1000, database.read_bytes()[:3000]):
        for beside in database.parent.glob("tagboat.db-*"):
            beside.unlink()
        database.write_bytes(damaged)
        assert (
            refused(stopped)
            == f"tagboat: {database} is not an SQLite database (damaged?): restore it from a backup"
        )


def test_a_key_that_was_there_before_the_database_is_warned_of_once(stopped: Server) -> None:
    def warnings() -> int:
        stopped.start()
        assert stopped.terminate() == 0
        return stopped.log().count("the database is new, but the encryption key was there before")

    assert warnings() == 0
    for made in (stopped.directory / "data").glob("tagboat.db*"):
        made.unlink()
    assert warnings() == 1
    (stopped.directory / "data" / "tagboat.db").write_bytes(b"")
    assert warnings() == 2
    assert warnings() == 2


def test_an_ingress_address_that_is_taken(stopped: Server) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        line = refused(
            stopped, TAGBOAT_INGRESS="haproxy", TAGBOAT_INGRESS_LISTEN=f"127.0.0.1:{port}"
        )
    assert line == (
        f"tagboat: the ingress cannot listen on 127.0.0.1:{port} (Address already in use); "
        "end the program that does, or set TAGBOAT_INGRESS_LISTEN to another address"
    )


def test_an_ingress_address_that_is_the_servers_own(stopped: Server) -> None:
    own = f"0.0.0.0:{stopped.port}"
    assert refused(stopped, TAGBOAT_INGRESS="haproxy", TAGBOAT_INGRESS_LISTEN=own) == (
        f"tagboat: TAGBOAT_PORT and TAGBOAT_INGRESS_LISTEN name one address, {own}: "
        "set one of the two to another"
    )
    assert not (stopped.directory / "data").exists()


def test_a_data_directory_that_cannot_be_made(stopped: Server) -> None:
    (stopped.directory / "file").touch()
    line = refused(stopped, TAGBOAT_DATA_DIR=str(stopped.directory / "file" / "data"))
    assert "set TAGBOAT_DATA_DIR" in line


def test_a_port_in_use(stopped: Server) -> None:
    with socket.create_server(("127.0.0.1", stopped.port)):
        line = refused(stopped)
    assert line.startswith(
        f"tagboat: cannot listen on 127.0.0.1:{stopped.port} (Address already in use"
    )
    assert line.endswith("; set TAGBOAT_HOST or TAGBOAT_PORT")


def test_a_second_server_on_the_same_data_directory_leaves_the_first_alone(server: Server) -> None:
    word = (server.directory / "data" / "server.json").read_bytes()
    line = refused(server, TAGBOAT_PORT=str(free_port()))
    assert f"another Tagboat server uses the data directory {server.directory / 'data'}" in line
    assert "set TAGBOAT_DATA_DIR" in line
    assert (server.directory / "data" / "server.json").read_bytes() == word
    assert server.cli("status").returncode == 0
    assert server.terminate() == 0
    server.start()  # a directory that nobody holds any more is free again


def test_what_is_made_is_the_owners_alone(stopped: Server) -> None:
    stopped.directory /= "a/b"
    stopped.directory.mkdir(parents=True)
    before = os.umask(0)
    try:
        stopped.start()
    finally:
        os.umask(before)
    data = stopped.directory / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    secrets = {
        name: stat.S_IMODE((data / name).stat().st_mode)
        for name in ("encryption.key", "server.json")
    }
    assert secrets == {"encryption.key": 0o600, "server.json": 0o600}
    assert stopped.terminate() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ready_is_one_line_and_a_signal_the_end(stopped: Server, number: signal.Signals) -> None:
    stopped.start()
    assert stopped.process is not None
    with socket.create_connection(
        ("127.0.0.1", stopped.port), timeout=10
    ):  # one that asks nothing keeps nobody
        stopped.process.send_signal(number)
        assert stopped.process.wait(_STOPPED_S) == 0
    assert stopped.out() == f"tagboat ready on {stopped.url}\n"
    assert "Traceback" not in stopped.log()
    assert not (stopped.directory / "data" / "server.json").exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", stopped.port))


def test_signals_for_others_do_not_end_it(stopped: Server) -> None:
    stopped.start()
    assert stopped.process is not None
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        stopped.process.send_signal(number)
        with socket.create_connection(("127.0.0.1", stopped.port), timeout=10):
            assert stopped.process.poll() is None
    assert stopped.terminate() == 0


def test_a_server_that_nohup_began_outlives_its_terminal(stopped: Server) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stopped.start()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert stopped.process is not None
    stopped.process.send_signal(signal.SIGHUP)
    with socket.create_connection(("127.0.0.1", stopped.port), timeout=10):
        assert stopped.process.poll() is None
    assert stopped.terminate() == 0


def test_a_request_that_never_ends_does_not_keep_the_server(stopped: Server) -> None:
    stopped.start()
    with socket.create_connection(("127.0.0.1", stopped.port), timeout=10) as unfinished:
        unfinished.sendall(UNFINISHED)
        assert unfinished.recv(100).startswith(b"HTTP/1.1 100 "), (
            "the server did not ask for the rest"
        )
        assert stopped.terminate(_STOPPED_S) == 0
    assert stopped.out() == f"tagboat ready on {stopped.url}\n"
