"""The migrations make exactly the tables that the store speaks of, on both databases.

A new database is made at once from those tables, an older one by the migrations: both ways must
lead to the same.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Engine, Integer, MetaData, Table, inspect, text

import tagboat.store.migrations
from tagboat.core.errors import SettingsError, StoreUnavailableError
from tagboat.store import database, open_store
from tagboat.store.database import (
    HEAD,
    begin_write,
    current_revision,
    migrate,
    open_database,
    upgrade,
)
from tagboat.store.schema import columns_in
from tagboat.store.tables import metadata
from tests.support.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        url = None
    else:
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    opened = open_database(url, tmp_path)
    yield opened
    opened.dispose()


def by_migrations(engine: Engine) -> None:
    with engine.begin() as connection:
        begin_write(connection)
        upgrade(connection)


both_ways = pytest.mark.parametrize(
    "make", [by_migrations, migrate], ids=["by migrations", "at once"]
)


def differences(engine: Engine, wanted: MetaData) -> list[object]:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return list(compare_metadata(context, wanted))


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(tagboat.store.migrations.__file__).parent))
    return ScriptDirectory.from_config(config)


@both_ways
def test_the_migrations_make_the_tables(engine: Engine, make: Callable[[Engine], None]) -> None:
    make(engine)
    assert differences(engine, metadata) == []


def test_a_difference_would_be_seen(engine: Engine) -> None:
    by_migrations(engine)
    wanted = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(wanted)
    Table("one_more", wanted, Column("id", Integer, primary_key=True))
    wanted.tables["settings"].append_column(Column("note", Integer))
    assert len(differences(engine, wanted)) == 2


@both_ways
def test_indexes_and_their_conditions_are_the_same(
    engine: Engine, make: Callable[[Engine], None]
) -> None:
    make(engine)
    for table in metadata.tables.values():
        made = {
            index["name"]
            for index in inspect(engine).get_indexes(table.name)
            if not index.get("duplicates_constraint")
        }
        assert made == {index.name for index in table.indexes}, table.name
    with engine.connect() as connection:
        catalogue = {
            "sqlite": "sql FROM sqlite_master WHERE name",
            "postgresql": "indexdef FROM pg_indexes WHERE indexname",
        }
        statement = connection.scalar(
            text(f"SELECT {catalogue[engine.dialect.name]} = 'ix_deploys_open'")
        )
    assert "queued" in statement
    assert "running" in statement


@both_ways
def test_foreign_keys_take_along_what_hangs_on_them(
    engine: Engine, make: Callable[[Engine], None]
) -> None:
    make(engine)
    for table in metadata.tables.values():
        made = {
            (
                tuple(key["constrained_columns"]),
                key["referred_table"],
                key["options"].get("ondelete"),
            )
            for key in inspect(engine).get_foreign_keys(table.name)
        }
        wanted = {
            (tuple(constraint.column_keys), constraint.referred_table.name, constraint.ondelete)
            for constraint in table.foreign_key_constraints
        }
        assert made == wanted, table.name


def test_the_head_is_that_of_the_migrations() -> None:
    assert scripts().get_heads() == [HEAD]


@both_ways
def test_a_new_database_has_no_revision_and_then_the_newest(
    engine: Engine, make: Callable[[Engine], None]
) -> None:
    assert current_revision(engine) is None
    make(engine)
    assert current_revision(engine) == HEAD


@both_ways
def test_migrating_again_changes_nothing(engine: Engine, make: Callable[[Engine], None]) -> None:
    make(engine)
    with engine.begin() as connection:
        connection.execute(metadata.tables["settings"].insert().values(name="kept", value=1))
    migrate(engine)
    by_migrations(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT name FROM settings")) == "kept"


def test_both_ways_note_the_revision_in_the_same_table(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    by_migrations(engine)
    (tmp_path / "other").mkdir()
    url = (
        None
        if engine.dialect.name == "sqlite"
        else request.getfixturevalue("postgres").new_database()
    )
    other = open_database(url, tmp_path / "other")
    try:
        migrate(other)
        shapes = [
            [
                (column["name"], str(column["type"]), column["nullable"])
                for column in inspect(one).get_columns("alembic_version")
            ]
            for one in (engine, other)
        ]
        assert shapes[0] == shapes[1]
    finally:
        other.dispose()


def test_a_url_that_is_none_is_refused_without_being_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TAGBOAT_DATABASE_URL") as raised:
        open_database("hunter2 is no url", tmp_path)
    assert "hunter2" not in str(raised.value)


def test_a_database_that_a_newer_tagboat_has_used_is_refused_in_one_line(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError) as raised:
        migrate(engine)
    assert "the database was written by a newer Tagboat (schema 9999; this is " in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("made", [True, False], ids=["ours is there", "ours is not there"])
def test_the_versions_of_another_program_are_not_taken_for_ours(
    engine: Engine, tmp_path: Path, *, made: bool
) -> None:
    if made:
        migrate(engine)
        damage(engine, "DROP TABLE alembic_version")
    damage(
        engine,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('1975ea83b712')",
    )
    line = refused_by(engine, tmp_path)
    assert "the table alembic_version is another program's (version 1975ea83b712)" in line
    assert "TAGBOAT_DATABASE_URL" in line


def test_a_schema_of_its_own_next_to_another_program(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database()
    theirs = open_database(url, tmp_path)
    damage(
        theirs,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('1975ea83b712')",
        "CREATE SCHEMA tagboat",
    )
    theirs.dispose()
    for path, is_alone in (("tagboat,public", False), ("tagboat", True)):
        own = open_database(f"{url}?options=-csearch_path%3D{path}", tmp_path)
        with nullcontext() if is_alone else pytest.raises(SettingsError, match="another program's"):
            migrate(own)
        own.dispose()


def test_a_migration_does_not_wait_without_end_for_a_table_in_use(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.new_database()
    older = open_database(url, tmp_path)
    command_to("0008", older)
    monkeypatch.setattr(database, "MIGRATION_LOCKED_FOR_S", 0.2)
    with older.begin() as connection:
        connection.execute(text("LOCK TABLE instances"))
        with pytest.raises(StoreUnavailableError, match="lock timeout"):
            open_store(url, tmp_path)
    open_store(url, tmp_path).close()
    older.dispose()


def command_to(revision: str, engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(tagboat.store.migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def damage(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def refused_by(engine: Engine, tmp_path: Path) -> str:
    """The one line with which the store does not open, and with which nothing has changed."""

    def everything() -> list[object]:
        with engine.connect() as connection:
            tables = sorted(columns_in(connection).items())
            is_there = inspect(connection).has_table("alembic_version")
            query = text("SELECT version_num FROM alembic_version")
            return [*tables, *(connection.scalars(query) if is_there else ())]

    before = everything()
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    with pytest.raises(SettingsError) as raised:
        open_store(None if engine.dialect.name == "sqlite" else url, tmp_path)
    assert everything() == before
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_schema_that_is_not_what_its_number_says_is_refused(
    engine: Engine, tmp_path: Path
) -> None:
    migrate(engine)
    damage(engine, "ALTER TABLE projects RENAME COLUMN slug TO other")
    line = refused_by(engine, tmp_path)
    assert f"schema {HEAD}, but its table projects has no column slug" in line
    assert "Restore a backup with the version that made it, or" in line
    damage(engine, "DROP TABLE one_offs")
    assert "but it has no table one_offs" in refused_by(engine, tmp_path)


def test_migrations_that_do_not_fit_the_tables_are_refused(engine: Engine, tmp_path: Path) -> None:
    command_to("0020", engine)
    damage(engine, "ALTER TABLE projects ADD COLUMN slug TEXT")
    line = refused_by(engine, tmp_path)
    assert "schema 0020, but it cannot be migrated from there (" in line
    assert "slug" in line


def test_a_number_that_skips_a_migration_is_refused(engine: Engine, tmp_path: Path) -> None:
    command_to("0020", engine)
    damage(engine, "UPDATE alembic_version SET version_num = '0035'")
    assert "schema 0035, but it" in refused_by(engine, tmp_path)


@pytest.mark.parametrize("how", ["DELETE FROM alembic_version", "DROP TABLE alembic_version"])
def test_tables_without_a_revision_are_refused(how: str, engine: Engine, tmp_path: Path) -> None:
    migrate(engine)
    damage(engine, how)
    line = refused_by(engine, tmp_path)
    assert "has tables of Tagboat (" in line
    assert "its schema version is missing in the table alembic_version" in line


def test_tables_of_another_program_do_not_matter(engine: Engine) -> None:
    damage(engine, "CREATE TABLE guests (id INTEGER)")
    migrate(engine)
    assert current_revision(engine) == HEAD
