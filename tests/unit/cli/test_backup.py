"""`tagboat backup` and `tagboat restore`, as a person types them."""

import asyncio
import json
import resource
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tagboat.core.audit import AuditFilter
from tagboat.data_dir import open_data_dir
from tagboat.store import open_store
from tests.unit.cli.conftest import PROGRAM, Tagboat


def test_a_backup_and_its_restore(here: Tagboat) -> None:
    data, other = here.directory / "data", here.directory / "other"
    data.mkdir(mode=0o700)
    open_store(None, data).close()
    with open_data_dir(data):
        # While a server runs.
        said = here("backup", "b.tar.gz").stdout
    assert "b.tar.gz has the whole database: 0 projects, SQLite, schema " in said
    assert "whoever has the file can read all secrets" in said
    assert "exists already" in here.fails("backup", "b.tar.gz")
    document = json.loads(here("backup", "b.tar.gz", "--force", "--json").stdout)
    assert (document["key"], document["format"], document["volumes"]) == ("plain", 1, [])

    done = here("restore", "b.tar.gz", TAGBOAT_DATA_DIR=str(other))
    assert done.returncode == 0, done.stderr
    assert "is restored into" in done.stdout
    assert "'tagboat serve' starts every live stage again" in done.stdout
    moved = json.loads(here("restore", "b.tar.gz", "--force", "--json").stdout)
    assert Path(moved["kept_aside"]).is_dir()


def audit_of(data: Path) -> list[tuple[str, str, str]]:
    """What is on record about backups, oldest first: kind of actor, action and note."""
    store = open_store(None, data)
    try:
        entries = asyncio.run(
            store.read(
                lambda reader: reader.audit_entries(AuditFilter(), None, 9, oldest_first=True)
            )
        )
    finally:
        store.close()
    return [(one.actor_kind, one.action, one.note) for one in entries]


def test_both_are_in_the_audit(here: Tagboat) -> None:
    data, other = here.directory / "data", here.directory / "other"
    data.mkdir(mode=0o700)
    open_store(None, data).close()
    file = here.directory / "b.tar.gz"
    assert here("backup", "b.tar.gz").returncode == 0
    assert here("restore", "b.tar.gz", TAGBOAT_DATA_DIR=str(other)).returncode == 0
    assert audit_of(data) == [("local", "server.backup", f"to {file}, with the key")]
    # The backup itself was made before its entry.
    ((kind, action, note),) = audit_of(other)
    assert (kind, action, note.endswith(f"into {other}")) == ("local", "server.restore", True)
    assert note.startswith("made at 20")


def test_a_database_that_cannot_be_written_is_backed_up_all_the_same(here: Tagboat) -> None:
    data = here.directory / "data"
    data.mkdir(mode=0o700)
    open_store(None, data).close()
    with closing(sqlite3.connect(data / "tagboat.db", isolation_level=None)) as other:
        # Somebody who writes, and does not end.
        other.execute("BEGIN IMMEDIATE")
        done = here("backup", "b.tar.gz")
    assert (done.returncode, (here.directory / "b.tar.gz").exists()) == (0, True)
    assert "note: the audit has no entry of this backup" in done.stderr
    assert audit_of(data) == []


def test_the_key_is_protected_by_a_passphrase(here: Tagboat) -> None:
    data = here.directory / "data"
    data.mkdir(mode=0o700)
    open_store(None, data).close()
    said = here("backup", "b", "--encrypt", piped="correct horse\n").stdout
    assert "protected by the passphrase" in said
    (here.directory / "words").write_text("correct horse\n")
    done = here("restore", "b", "--force", "--passphrase-file", "words")
    assert "What was there before is kept in" in done.stdout, done.stderr
    assert here("backup", "e", "--without-key", "--encrypt").returncode == 2


def test_it_goes_through_a_pipe(here: Tagboat) -> None:
    data = here.directory / "data"
    data.mkdir(mode=0o700)
    open_store(None, data).close()
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            '"$0" "$@" backup - | TAGBOAT_DATA_DIR=$PWD/other "$0" "$@" restore -',
            *PROGRAM,
        ],
        env=here.environ,
        cwd=here.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "the backup, made at " in done.stdout
    assert "The backup has the whole database" in done.stderr
    assert (here.directory / "other" / "tagboat.db").exists()


def test_a_full_disk_leaves_nothing(here: Tagboat) -> None:
    data = here.directory / "data"
    data.mkdir(mode=0o700)
    open_store(None, data).close()
    done = subprocess.run(
        [*PROGRAM, "backup", "b"],
        env=here.environ,
        cwd=here.directory,
        capture_output=True,
        text=True,
        check=False,
        # No file may become larger than that: the copy of the database cannot be written.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("tagboat: the database cannot be copied to ")
    assert [path.name for path in here.directory.iterdir()] == ["data"]


def test_a_full_disk_is_named_by_its_place(here: Tagboat) -> None:
    data, other = here.directory / "data", here.directory / "other"
    data.mkdir(mode=0o700)
    open_store(None, data).close()
    assert here("backup", "b.tar.gz").returncode == 0
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, "backup", "-"],
            env=here.environ,
            cwd=here.directory,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        1,
        "tagboat: standard output: No space left on device\n",
    )
    done = subprocess.run(
        [*PROGRAM, "restore", "b.tar.gz"],
        env=here.environ | {"TAGBOAT_DATA_DIR": str(other)},
        cwd=here.directory,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        # No file may become larger than that: the database cannot be unpacked.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert (done.returncode, done.stderr) == (1, f"tagboat: {other}: File too large\n")


@pytest.mark.parametrize("words", [("backup", "b"), ("uninstall",)])
def test_they_work_on_the_servers_machine_only(words: tuple[str, ...], tagboat: Tagboat) -> None:
    assert "Run this there, without TAGBOAT_URL" in tagboat.fails(*words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("backup", "b"), "the data directory"),
        (("restore", "b"), "b cannot be restored: "),
    ],
)
def test_a_mistake_is_one_line(here: Tagboat, words: tuple[str, ...], said: str) -> None:
    (here.directory / "b").write_text("hello")
    assert said in here.fails(*words)
    assert not (here.directory / "data").exists()
