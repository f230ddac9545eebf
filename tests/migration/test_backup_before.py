"""A server backs its database up before it migrates it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from tagboat.core.errors import SettingsError, StoreUnavailableError
from tagboat.first_start import open_backed_up
from tagboat.installation.archive import open_backup
from tagboat.installation.automatic import back_up_before_migration
from tagboat.settings import Settings, load_settings
from tagboat.store.cipher import load_or_make_key
from tagboat.store.database import HEAD, current_revision, open_database
from tagboat.store.snapshot import DatabasePlace
from tests.migration.test_upgrade_0002 import upgrade_to
from tests.support.postgres import Postgres

OLD = "0020"
DIES = """
import os, signal, sys
from pathlib import Path
import tagboat.installation.backup as backup
import tagboat.store.database as database
from tagboat.first_start import open_backed_up
from tagboat.settings import load_settings

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

upgrade = database.upgrade
if sys.argv[2] == "backup":
    backup.write_archive = lambda out, *_: (out.write(b"half"), out.flush(), die())
else:
    database.upgrade = lambda connection: (upgrade(connection), die())
folder = Path(sys.argv[1])
open_backed_up(load_settings({"TAGBOAT_DATA_DIR": sys.argv[1]}, cwd=folder, is_tty=False))
"""


def settings_for(data_dir: Path, url: str | None = None) -> Settings:
    environ = {"TAGBOAT_DATA_DIR": str(data_dir)} | ({"TAGBOAT_DATABASE_URL": url} if url else {})
    return load_settings(environ, cwd=data_dir, is_tty=False, dotenv=False)


def make_old(settings: Settings) -> None:
    """Make a database of an older release."""
    engine = open_database(settings.database_url, settings.data_dir)
    upgrade_to(engine, OLD)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO settings VALUES ('poll_schedule', :value)"), {"value": '"@hourly"'}
        )
    engine.dispose()


def revision(settings: Settings) -> str | None:
    engine = open_database(settings.database_url, settings.data_dir)
    try:
        return current_revision(engine)
    finally:
        engine.dispose()


def backups(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "backups").glob("*"))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_it_is_whole_and_of_the_old_schema(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = None
    if kind == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    settings = settings_for(tmp_path, url)
    make_old(settings)
    open_backed_up(settings).close()

    assert revision(settings) == HEAD
    (file,) = backups(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open("rb") as stream, open_backup(stream, "it") as backup:
        manifest, key = backup.manifest, backup.key_text()
        backup.unpack_database(None)
    assert (manifest.schema, manifest.before_migration, manifest.database) == (OLD, True, kind)
    assert key == (tmp_path / "encryption.key").read_text()
    open_backed_up(settings).close()
    assert backups(tmp_path) == [file]


def test_without_the_key_nothing_is_migrated_and_no_other_key_made(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    make_old(settings)
    engine = open_database(None, tmp_path)
    with engine.begin() as connection:
        known = text("INSERT INTO settings VALUES ('encryption_key_id', '\"0a1b2c3d\"')")
        connection.execute(known)
    engine.dispose()
    there = sorted(tmp_path.glob("[!t]*"))
    with pytest.raises(SettingsError, match="encryption.key is missing: restore it"):
        open_backed_up(settings)
    assert sorted(tmp_path.glob("[!t]*")) == there
    assert revision(settings) == OLD


def test_a_new_database_needs_none(tmp_path: Path) -> None:
    open_backed_up(settings_for(tmp_path)).close()
    assert not (tmp_path / "backups").exists()


@pytest.mark.parametrize(("keep", "left"), [(None, 5), (2, 2), (0, 0)])
def test_the_last_ones_are_kept(tmp_path: Path, keep: int | None, left: int) -> None:
    settings = settings_for(tmp_path)
    make_old(settings)
    load_or_make_key(tmp_path / "encryption.key")
    engine = open_database(None, tmp_path)
    made: list[Path | None] = []
    with engine.begin() as connection:
        if keep is not None:
            setting = text("INSERT INTO settings VALUES ('backups_keep', :value)")
            connection.execute(setting, {"value": str(keep)})
    for number in range(7):
        with engine.begin() as connection:
            changed = text("UPDATE settings SET value = :value WHERE name = 'poll_schedule'")
            connection.execute(changed, {"value": f'"@every {number + 1}m"'})
        made.append(back_up_before_migration(DatabasePlace(None, tmp_path)))
    engine.dispose()
    assert backups(tmp_path) == [file for file in made if file][len(made) - left :]


def test_a_start_that_fails_again_and_again_pushes_no_other_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path)
    make_old(settings)

    def fail(_connection: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tagboat.store.database.upgrade", fail)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            open_backed_up(settings)
    assert len(backups(tmp_path)) == 1


def test_nor_on_postgresql_whose_dumps_differ(postgres: Postgres, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, postgres.new_database())
    make_old(settings)
    load_or_make_key(tmp_path / "encryption.key")
    place = DatabasePlace(settings.database_url, tmp_path)
    made = [back_up_before_migration(place) for _ in range(2)]
    assert backups(tmp_path) == made[1:]


def test_without_it_nothing_is_migrated(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    make_old(settings)
    (tmp_path / "backups").write_text("in the way")
    with pytest.raises(StoreUnavailableError, match="could not be backed up to .*: nothing was ch"):
        open_backed_up(settings)
    assert revision(settings) == OLD
    (tmp_path / "backups").unlink()
    # Left by a server that was killed as it made one.
    (tmp_path / "backups" / ".x.partial").mkdir(parents=True)
    open_backed_up(settings).close()
    assert revision(settings) == HEAD
    assert [path.suffix for path in backups(tmp_path)] == [".gz"]


@pytest.mark.parametrize("during", ["backup", "migration"])
def test_a_server_that_is_killed_starts_again(tmp_path: Path, during: str) -> None:
    settings = settings_for(tmp_path)
    make_old(settings)
    words = [sys.executable, "-c", DIES, str(tmp_path), during]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert revision(settings) == OLD
    open_backed_up(settings).close()
    assert revision(settings) == HEAD
    assert len(backups(tmp_path)) == 1


def test_without_pg_dump_it_warns_and_goes_on(
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings = settings_for(tmp_path, postgres.new_database())
    make_old(settings)
    monkeypatch.setenv("PATH", os.devnull)
    open_backed_up(settings).close()
    assert revision(settings) == HEAD
    assert backups(tmp_path) == []
    printed = capfd.readouterr()
    assert "the program pg_dump is not found" in printed.out + printed.err
