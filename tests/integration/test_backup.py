"""Backups of databases in use, and their restore, with SQLite and PostgreSQL."""

import io
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

import tagboat.installation.restore as restoring
from tagboat.core.audit import AuditAction, AuditFilter
from tagboat.core.catalog import Stage
from tagboat.core.config import INSTALLATION_ID, WEBHOOK_SECRET
from tagboat.core.deploy import DeployStatus, InstanceState
from tagboat.core.errors import (
    ConflictError,
    InvalidValueError,
    SettingsError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.core.ids import new_id
from tagboat.core.ports import Reader
from tagboat.core.storage import volume_name
from tagboat.core.values import replace
from tagboat.data_dir import RESTORING, open_data_dir
from tagboat.installation import backup
from tagboat.installation.archive import open_backup
from tagboat.installation.backup import BackupOrder, VolumeOutside, pipe_backup, write_backup
from tagboat.installation.claim import claim_installation
from tagboat.installation.restore import KeySources, Restored, restore_backup
from tagboat.store import SqlStore, open_store, snapshot
from tagboat.store.database import HEAD
from tagboat.store.pg_tools import load_dump
from tagboat.store.snapshot import DatabaseKind, DatabasePlace
from tagboat.webhook import ensure_webhook_secret
from tests.contract.test_store import (
    ONE,
    OPTIONS,
    a_deploy,
    a_project,
    a_registry,
    a_stage,
    add,
    an_instance,
)
from tests.support.postgres import Postgres, postgres

__all__ = ["postgres"]
pytestmark = pytest.mark.anyio
PLAIN, BARE = BackupOrder(), BackupOrder(with_key=False)
MakePlace = Callable[[str], DatabasePlace]


@pytest.fixture(params=list(DatabaseKind))
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> MakePlace:
    """Places of that kind of database: a new directory, and a new database."""

    def make(name: str) -> DatabasePlace:
        (tmp_path / name).mkdir(mode=0o700)
        url = None
        if request.param == DatabaseKind.POSTGRESQL:
            server: Postgres = request.getfixturevalue("postgres")
            url = server.new_database()
        return DatabasePlace(url, tmp_path / name)

    return make


@pytest.fixture
def place(tmp_path: Path) -> DatabasePlace:
    """A place with SQLite."""
    (tmp_path / "data").mkdir(mode=0o700)
    return DatabasePlace(None, tmp_path / "data")


async def fill(place: DatabasePlace) -> tuple[SqlStore, Callable[[Reader], list[object]]]:
    """Put secrets and a volume on record; the open store, and what reads them."""
    store = open_store(place.url, place.data_dir)
    project, registry = a_project(), a_registry(password="pass-needle")
    stage = a_stage(project, run=OPTIONS)
    await add(store, project, registry, stage)
    await store.write(lambda tx: tx.put_setting(INSTALLATION_ID, new_id()))
    await ensure_webhook_secret(store)

    def read(reader: Reader) -> list[object]:
        return [
            reader.setting(WEBHOOK_SECRET),
            reader.project(project.id),
            reader.stage(stage.id),
            reader.registry(registry.id),
            reader.setting(INSTALLATION_ID),
        ]

    return store, read


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def restore(
    place: DatabasePlace,
    file: Path,
    *,
    replace: bool = False,
    passphrase: str = "",
    key: str | None = None,
) -> Restored:
    keys = KeySources(lambda: passphrase, key)
    with file.open("rb") as stream, open_backup(stream, file.name) as opened:
        return restore_backup(place, opened, keys, replace=replace)


async def test_a_database_in_use_is_restored_with_its_secrets(
    make_place: MakePlace, tmp_path: Path
) -> None:
    old, new, file = make_place("old"), make_place("new"), tmp_path / "backup.tar.gz"
    store, read = await fill(old)
    before = await store.read(read)
    report = write_backup(old, file, PLAIN)
    # The store still works, and what it writes now is not in the backup.
    await store.write(lambda tx: tx.put_setting("later", value=True))
    store.close()

    assert (report.projects, report.manifest.schema, report.manifest.database) == (
        1,
        HEAD,
        old.kind,
    )
    assert isinstance(before[2], Stage)
    stage_id = before[2].id
    volume = volume_name(stage_id, "data")
    assert report.outside == (VolumeOutside("app", "dev", volume, "/var/lib/data"),)
    assert file.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == {"old", "new", "backup.tar.gz"}
    assert restore(new, file).aside is None
    assert {path.name for path in new.data_dir.iterdir()} - {"tagboat.db"} == {
        "lock",
        "replica",
        "encryption.key",
    }
    restored = open_store(new.url, new.data_dir)
    assert await restored.read(read) == before
    assert await restored.read(lambda reader: reader.setting("later")) is None
    (entry,) = await restored.read(lambda reader: reader.audit_entries(AuditFilter(), None, 9))
    assert (entry.action, entry.actor_kind) == (AuditAction.SERVER_RESTORE, "local")
    restored.close()


@pytest.mark.parametrize("watched", [False, True])
async def test_a_deploy_at_work_begins_again_where_it_is_restored(
    make_place: MakePlace, tmp_path: Path, *, watched: bool
) -> None:
    old, new, file = make_place("old"), make_place("new"), tmp_path / "backup.tar.gz"
    store, read = await fill(old)
    stage = (await store.read(read))[2]
    assert isinstance(stage, Stage)
    before = a_deploy(stage, "v1", status=DeployStatus.SUCCEEDED, digest=ONE)
    replaced = an_instance(before, InstanceState.DRAINING)
    deploy = a_deploy(
        stage,
        "v2",
        status=DeployStatus.RUNNING,
        digest=ONE,
        claimed_by="somebody",
        replaced=(replaced.id,),
        made_way=True,
    )
    own = replace(an_instance(deploy), watched=watched)
    await add(store, before, deploy, replaced, own)
    store.close()
    write_backup(old, file, PLAIN)
    restore(new, file)

    restored = open_store(new.url, new.data_dir)
    found = await restored.read(lambda reader: reader.deploy(deploy.id))
    instances = await restored.read(lambda reader: reader.instances(stage_id=stage.id))
    states = {one.id: one.state for one in instances}
    restored.close()
    if watched:
        # It has only to retire the old one.
        assert (found.status, found.replaced) == (DeployStatus.RUNNING, (replaced.id,))
        assert states == {replaced.id: InstanceState.DRAINING, own.id: InstanceState.LIVE}
    else:
        assert (found.status, found.replaced, found.made_way) == (DeployStatus.QUEUED, (), False)
        assert found.claimed_by is None
        assert states == {replaced.id: InstanceState.LIVE, own.id: InstanceState.STARTING}


async def test_a_passphrase_protects_the_key(place: DatabasePlace, tmp_path: Path) -> None:
    store, _ = await fill(place)
    store.close()
    file, new = tmp_path / "backup", DatabasePlace(None, tmp_path / "new")
    write_backup(place, file, BackupOrder(passphrase="correct horse"))
    key = (place.data_dir / "encryption.key").read_text()
    with pytest.raises(InvalidValueError, match="backup cannot be restored: the passphrase is wr"):
        restore(new, file, passphrase="horse")
    assert not new.data_dir.exists()
    restore(new, file, passphrase="correct horse")
    assert (new.data_dir / "encryption.key").read_text() == key
    # A person who still has the key needs no passphrase.
    restore(DatabasePlace(None, tmp_path / "another"), file, key=key)


async def test_a_backup_without_the_key_asks_for_it(place: DatabasePlace, tmp_path: Path) -> None:
    store, read = await fill(place)
    before = await store.read(read)
    store.close()
    file, new = tmp_path / "backup", DatabasePlace(None, tmp_path / "new")
    write_backup(place, file, BARE)
    for key, why in (
        (None, "it has no encryption key, .* --key-file"),
        ("00" * 32, "the key that was given is not the one"),
        ("hello", "not 64 hexadecimal digits"),
    ):
        with pytest.raises(InvalidValueError, match=why):
            restore(new, file, key=key)
        assert not new.data_dir.exists()
    restore(new, file, key=(place.data_dir / "encryption.key").read_text())
    restored = open_store(None, new.data_dir)
    assert await restored.read(read) == before
    restored.close()


async def test_what_is_there_is_kept_aside_and_only_if_asked(place: DatabasePlace) -> None:
    store, read = await fill(place)
    before = await store.read(read)
    file = place.data_dir / "backups" / "backup"
    file.parent.mkdir()
    write_backup(place, file, PLAIN)
    await store.write(lambda tx: tx.put_setting("later", value=True))
    store.close()
    (place.data_dir / "server.json").write_text("{}")
    with pytest.raises(ConflictError, match=r"not empty \(encryption.key, server.json, tagboat.db"):
        restore(place, file)

    aside = restore(place, file, replace=True).aside

    restored = open_store(None, place.data_dir)
    assert await restored.read(read) == before
    assert await restored.read(lambda reader: reader.setting("later")) is None
    restored.close()
    assert aside is not None
    kept = open_store(None, aside)
    assert await kept.read(lambda reader: reader.setting("later")) is True
    kept.close()
    assert file.exists()


async def test_nothing_is_touched_by_a_backup_that_does_not_fit(
    place: DatabasePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = await fill(place)
    store.close()
    file, new = tmp_path / "backup", DatabasePlace(None, tmp_path / "new")
    write_backup(place, file, PLAIN)
    damaged = bytearray(file.read_bytes())
    damaged[-2000] ^= 255
    (tmp_path / "damaged").write_bytes(damaged)
    with pytest.raises(InvalidValueError, match="damaged cannot be restored"):
        restore(new, tmp_path / "damaged")
    with pytest.raises(InvalidValueError, match="damaged cannot be restored"):
        restore(place, tmp_path / "damaged", replace=True)
    open_store(None, place.data_dir).close()
    with pytest.raises(ConflictError, match="TAGBOAT_DATABASE_URL is set"):
        restore(DatabasePlace("postgresql://127.0.0.1:1/x", new.data_dir), file)
    monkeypatch.setattr(restoring, "HEAD", "0001")
    with pytest.raises(ConflictError, match="made by a newer Tagboat"):
        restore(new, file)
    assert {path.name for path in new.data_dir.iterdir()} <= {"lock", "replica"}


async def test_neither_its_own_server_nor_the_original_may_run(
    place: DatabasePlace, tmp_path: Path
) -> None:
    store, _ = await fill(place)
    installation = await store.read(lambda reader: str(reader.setting(INSTALLATION_ID)))
    store.close()
    file, new = tmp_path / "backup", DatabasePlace(None, tmp_path / "new")
    write_backup(place, file, PLAIN)
    with (
        open_data_dir(place.data_dir),
        pytest.raises(SettingsError, match="another Tagboat server uses the data directory"),
    ):
        restore(place, file, replace=True)
    with (
        closing(claim_installation(installation)),
        pytest.raises(SettingsError, match="would fight with it over the same containers"),
    ):
        restore(new, file)
    restore(new, file)


async def test_a_database_is_told_from_its_copy(postgres: Postgres, tmp_path: Path) -> None:
    urls = [postgres.new_database(), postgres.new_database(), None]
    stores = [open_store(url, tmp_path) for url in (*urls, urls[0])]
    first, copy, file, same = [await store.database_id() for store in stores]
    for store in stores:
        store.close()
    assert file == ""
    assert first == same
    assert len({first, copy, file}) == 3
    # Some providers let nobody ask for the number of the cluster.
    revoke = "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public"
    with psycopg.connect(urls[1] or "", autocommit=True) as admin:
        admin.execute(revoke)
        admin.execute("CREATE ROLE plain LOGIN NOSUPERUSER PASSWORD 'x'")
        admin.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO plain")
    plain = make_url(urls[1] or "").set(username="plain", password="x")
    store = open_store(plain.render_as_string(hide_password=False), tmp_path)
    assert copy.endswith(f"-{await store.database_id()}")
    store.close()


async def test_one_that_is_cut_off_is_finished_by_the_same_command(
    place: DatabasePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, read = await fill(place)
    before = await store.read(read)
    file = tmp_path / "backup"
    write_backup(place, file, PLAIN)
    store.close()

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(restoring, "_put_in_place", die)
        with pytest.raises(KeyboardInterrupt):
            restore(place, file, replace=True)
    cut_off = "was cut off: run the same 'tagboat restore' again"
    with pytest.raises(SettingsError, match=cut_off):
        open_data_dir(place.data_dir).__enter__()
    move = Path.replace

    def die_before_it_begins(path: Path, target: Path) -> Path:
        if target.name == RESTORING:
            raise KeyboardInterrupt
        return move(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die_before_it_begins)
        with pytest.raises(KeyboardInterrupt):
            restore(place, file, replace=True)
    with pytest.raises(SettingsError, match=cut_off):
        open_data_dir(place.data_dir).__enter__()
    restore(place, file)
    with open_data_dir(place.data_dir):
        restored = open_store(None, place.data_dir)
        assert await restored.read(read) == before
        restored.close()


async def test_one_that_is_cut_off_after_postgresql_has_it_all_is_finished(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = DatabasePlace(postgres.new_database(), tmp_path / "old")
    new = DatabasePlace(postgres.new_database(), tmp_path / "new")
    old.data_dir.mkdir(mode=0o700)
    store, read = await fill(old)
    before = await store.read(read)
    write_backup(old, tmp_path / "backup", PLAIN)
    await store.write(lambda tx: tx.put_setting("later", value=True))
    store.close()
    write_backup(old, tmp_path / "another", PLAIN)

    def load_and_die(url: str, dump: Path) -> None:
        load_dump(url, dump)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(restoring, "load_dump", load_and_die)
        with pytest.raises(KeyboardInterrupt):
            restore(new, tmp_path / "backup")
    with pytest.raises(SettingsError, match="is not empty.* an earlier restore .*dropdb"):
        restore(new, tmp_path / "another")
    restore(new, tmp_path / "backup")
    with open_data_dir(new.data_dir):
        restored = open_store(new.url, new.data_dir)
        assert await restored.read(read) == before
        restored.close()


async def test_a_postgresql_database_with_tables_is_not_filled(
    postgres: Postgres, tmp_path: Path
) -> None:
    old = DatabasePlace(postgres.new_database(), tmp_path / "old")
    old.data_dir.mkdir(mode=0o700)
    store, _ = await fill(old)
    store.close()
    file = tmp_path / "backup"
    write_backup(old, file, PLAIN)
    with pytest.raises(SettingsError, match="is not empty, and nothing in it is deleted"):
        restore(DatabasePlace(old.url, tmp_path / "new"), file)


async def test_a_file_that_exists_is_replaced_only_if_asked_and_only_by_a_whole_one(
    place: DatabasePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = await fill(place)
    store.close()
    folder = tmp_path / "backups"
    folder.mkdir()
    file = folder / "backup"
    file.write_text("precious")
    with pytest.raises(TagboatError, match="exists already: .* --force"):
        write_backup(place, file, PLAIN)
    with pytest.raises(TagboatError, match="is not a file"):
        write_backup(place, folder, PLAIN, replace=True)
    with pytest.raises(TagboatError, match="the directory .*/none does not exist"):
        write_backup(place, tmp_path / "none" / "backup", PLAIN)
    with monkeypatch.context() as patch:
        patch.setattr("tagboat.installation.backup.copy_database", disk_is_full)
        with pytest.raises(StoreUnavailableError, match="full"):
            write_backup(place, file, PLAIN, replace=True)
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("backup", "precious")]
    write_backup(place, file, PLAIN, replace=True)
    restore(DatabasePlace(None, tmp_path / "new"), file)


def disk_is_full(*_: object) -> None:
    raise StoreUnavailableError("database or disk is full")


async def test_a_pipe_takes_it_and_nothing_stays(place: DatabasePlace, tmp_path: Path) -> None:
    store, read = await fill(place)
    before = await store.read(read)
    store.close()
    held = {path.name for path in place.data_dir.iterdir()}
    out = io.BytesIO()
    pipe_backup(place, out, PLAIN)
    assert {path.name for path in place.data_dir.iterdir()} == held
    (tmp_path / "backup").write_bytes(out.getvalue())
    new = DatabasePlace(None, tmp_path / "new")
    restore(new, tmp_path / "backup")
    restored = open_store(None, new.data_dir)
    assert await restored.read(read) == before
    restored.close()


async def test_versions_keys_and_damage_are_found_before_a_backup_is_made(
    place: DatabasePlace, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="no server has used the data directory"):
        write_backup(place, tmp_path / "backup", PLAIN)
    store, _ = await fill(place)
    store.close()
    key, database = place.data_dir / "encryption.key", place.data_dir / "tagboat.db"
    right, whole = key.read_text(), database.read_bytes()
    key.write_text("00" * 32)
    with pytest.raises(SettingsError, match="is not that of the database"):
        write_backup(place, tmp_path / "backup", PLAIN)
    key.write_text(right)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0018'")
    with pytest.raises(SettingsError, match="has schema 0018, and this is Tagboat .* restart"):
        write_backup(place, tmp_path / "backup", PLAIN)
    database.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TagboatError, match="database"):
        write_backup(place, tmp_path / "backup", PLAIN)
    assert names(tmp_path) == {"data"}


async def test_a_database_that_is_not_what_its_number_says_is_neither_backed_up_nor_restored(
    place: DatabasePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, read = await fill(place)
    before = await store.read(read)
    store.close()
    database, file = place.data_dir / "tagboat.db", tmp_path / "backup"
    whole = database.read_bytes()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("ALTER TABLE projects RENAME COLUMN slug TO other")
    with pytest.raises(SettingsError, match="its table projects has no column slug"):
        write_backup(place, file, PLAIN)
    with monkeypatch.context() as unchecked:
        # As the version would that made the database.
        unchecked.setattr(snapshot, "require_columns", lambda *_: None)
        unchecked.setattr(backup, "_describe", lambda _: (0, ()))
        write_backup(place, file, PLAIN)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM alembic_version")
    with pytest.raises(SettingsError, match="its schema version is missing"):
        write_backup(place, tmp_path / "other", PLAIN)
    for beside in place.data_dir.glob("tagboat.db-*"):
        beside.unlink()
    database.write_bytes(whole)
    with pytest.raises(SettingsError, match="its table projects has no column slug"):
        restore(place, file, replace=True)
    store = open_store(None, place.data_dir)
    assert await store.read(read) == before
    store.close()


async def test_a_key_that_is_being_changed_is_found(place: DatabasePlace, tmp_path: Path) -> None:
    store, read = await fill(place)
    before = await store.read(read)
    store.close()
    # As `rotate-key` leaves it when it is killed right after its commit.
    key = place.data_dir / "encryption.key"
    shutil.copy(key, place.data_dir / "encryption.key.next")
    key.write_text("11" * 32)
    write_backup(place, tmp_path / "backup", replace(PLAIN))
    new = DatabasePlace(None, tmp_path / "new")
    restore(new, tmp_path / "backup")
    restored = open_store(None, new.data_dir)
    assert await restored.read(read) == before
    restored.close()
