"""The migrations make exactly the tables that the store speaks of, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Engine, Integer, MetaData, Table, inspect, text

import tagboat.store.migrations
from tagboat.core.errors import SettingsError
from tagboat.store.database import HEAD, current_revision, migrate, open_database
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


def differences(engine: Engine, wanted: MetaData) -> list[object]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, wanted))


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(tagboat.store.migrations.__file__).parent))
    return ScriptDirectory.from_config(config)


def test_the_migrations_make_the_tables(engine: Engine) -> None:
    migrate(engine)
    assert differences(engine, metadata) == []


def test_a_difference_would_be_seen(engine: Engine) -> None:
    migrate(engine)
    wanted = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(wanted)
    Table("one_more", wanted, Column("id", Integer, primary_key=True))
    wanted.tables["settings"].append_column(Column("note", Integer))
    assert len(differences(engine, wanted)) == 2


def test_indexes_and_their_conditions_are_the_same(engine: Engine) -> None:
    migrate(engine)
    for table in metadata.tables.values():
        made = {index["name"] for index in inspect(engine).get_indexes(table.name) if not index.get("duplicates_constraint")}
        assert made == {index.name for index in table.indexes}, table.name
    with engine.connect() as connection:
        catalogue = {"sqlite": "sql FROM sqlite_master WHERE name", "postgresql": "indexdef FROM pg_indexes WHERE indexname"}
        statement = connection.scalar(text(f"SELECT {catalogue[engine.dialect.name]} = 'ix_deploys_open'"))
    assert "queued" in statement
    assert "running" in statement


def test_foreign_keys_take_along_what_hangs_on_them(engine: Engine) -> None:
    migrate(engine)
    for table in metadata.tables.values():
        made = {
            (tuple(key["constrained_columns"]), key["referred_table"], key["options"].get("ondelete"))
            for key in inspect(engine).get_foreign_keys(table.name)
        }
        wanted = {
            (tuple(constraint.column_keys), constraint.referred_table.name, constraint.ondelete)
            for constraint in table.foreign_key_constraints
        }
        assert made == wanted, table.name


def test_the_head_is_that_of_the_migrations() -> None:
    assert scripts().get_heads() == [HEAD]


def test_a_new_database_has_no_revision_and_then_the_newest(engine: Engine) -> None:
    assert current_revision(engine) is None
    migrate(engine)
    assert current_revision(engine) == HEAD


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(metadata.tables["settings"].insert().values(name="kept", value=1))
    migrate(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT name FROM settings")) == "kept"


def test_a_url_that_is_none_is_refused_without_being_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TAGBOAT_DATABASE_URL") as raised:
        open_database("hunter2 is no url", tmp_path)
    assert "hunter2" not in str(raised.value)
