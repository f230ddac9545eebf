"""`tagboat backup` and `tagboat restore`, as a person types them."""

import json
import resource
import subprocess
from pathlib import Path

from tagboat.data_dir import open_data_dir
from tagboat.store import open_store
from tests.unit.cli.conftest import PROGRAM, Tagboat


def test_a_backup_and_its_restore(here: Tagboat) -> None:
    data, other = here.directory / "data", here.directory / "other"
    assert "the data directory" in here.fails("backup", "b.tar.gz")
    data.mkdir(mode=0o700)
    assert "no server has used the data directory" in here.fails("backup", "b.tar.gz")
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
    assert "is not empty" in here.fails("restore", "b.tar.gz")
    said = here("restore", "b.tar.gz", "--force").stdout
    assert "What was there before is kept in" in said
    moved = json.loads(here("restore", "b.tar.gz", "--force", "--json").stdout)
    assert Path(moved["kept_aside"]).is_dir()


def test_a_passphrase_comes_from_a_file_or_a_pipe(here: Tagboat) -> None:
    data = here.directory / "data"
    data.mkdir(mode=0o700)
    open_store(None, data).close()
    (here.directory / "words").write_text("correct horse\n")
    said = here("backup", "b", "--passphrase-file", "words").stdout
    assert "protected by the passphrase" in said
    assert "the passphrase is wrong" in here.fails("restore", "b", "--force", piped="horse")
    assert here("restore", "b", "--force", piped="correct horse\n").returncode == 0
    assert here("backup", "c", "--encrypt", piped="x").returncode == 0
    assert "no encryption key" in here("backup", "d", "--without-key").stdout
    assert "--key-file" in here.fails("restore", "d", "--force")
    done = here("restore", "d", "--force", "--key-file", "data/encryption.key")
    assert done.returncode == 0, done.stderr
    assert here("backup", "e", "--without-key", "--encrypt").returncode == 2


def test_it_goes_through_a_pipe(here: Tagboat) -> None:
    data = here.directory / "data"
    data.mkdir(mode=0o700)
    open_store(None, data).close()
    environ = {**here.environ, "TAGBOAT_DATA_DIR": str(here.directory / "other")}
    made = subprocess.Popen(
        [*PROGRAM, "backup", "-"], env=here.environ, cwd=here.directory, stdout=subprocess.PIPE
    )
    restored = subprocess.run(
        [*PROGRAM, "restore", "-"], env=environ, stdin=made.stdout, capture_output=True, check=False
    )
    assert made.wait() == 0
    assert restored.returncode == 0, restored.stderr
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


def test_they_work_on_the_servers_machine_only(tagboat: Tagboat) -> None:
    assert "Run this there, without TAGBOAT_URL" in tagboat.fails("backup", "b")
    assert "Run this there, without TAGBOAT_URL" in tagboat.fails("restore", "b")
    assert "Run this there, without TAGBOAT_URL" in tagboat.fails("uninstall")


def test_a_file_that_is_no_backup_is_one_line(here: Tagboat) -> None:
    (here.directory / "b").write_text("hello")
    assert "b cannot be restored: " in here.fails("restore", "b")
    assert "No such file" in here.fails("restore", "none")
    assert not (here.directory / "data").exists()
