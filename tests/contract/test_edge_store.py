"""The store of an edge on PostgreSQL: no key, no migration, and rights to one table only."""

import contextlib
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from tagboat.core.catalog import Project, Stage
from tagboat.core.errors import SettingsError, StoreUnavailableError
from tagboat.core.image import ImageName
from tagboat.core.run import NO_OPTIONS, RunOptions
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tagboat.deploy.edges import Edges
from tagboat.deploy.traffic import Traffic
from tagboat.ingress.memory import MemoryIngress
from tagboat.store import open_store
from tagboat.store.database import HEAD, begin_write, open_database
from tagboat.store.edge_store import EdgeStore
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = Project(
    id="p1",
    name="shop",
    image=ImageName("git.example.com", "acme/shop"),
    created_at=START,
    run=RunOptions(secrets={"TOKEN": "s3cret"}),
)
STAGE = Stage(
    id="s1", project_id="p1", name="dev", pattern=parse_tag_pattern("*"), created_at=START
)
DOCUMENT = Path(__file__).parents[2] / "docs" / "several-machines.md"


def documented_rights(role: str) -> bytes:
    """The lines of the document that give an edge its rights, for another role."""
    lines = re.findall(r"^GRANT .* TO tagboat_edge;$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(lines) == 2
    return "\n".join(lines).replace("tagboat_edge", role).encode()


@pytest.fixture
def database(postgres: Postgres, tmp_path: Path) -> str:
    """A database that a server has used."""
    url = postgres.new_database()
    open_store(url, tmp_path).close()
    return url


async def test_an_edge_needs_no_key_and_few_rights(database: str, tmp_path: Path) -> None:
    with contextlib.closing(open_store(database, tmp_path)) as store:
        await store.write(lambda tx: tx.add_project(PROJECT))
        await store.write(lambda tx: tx.add_stage(replace(STAGE, run=PROJECT.run)))
    role = f"edge_of_{urlsplit(database).path.removeprefix('/')}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        connection.execute(documented_rights(role))
    url = urlsplit(database)
    own = url._replace(netloc=f"{role}@{url.netloc.rpartition('@')[2]}").geturl()
    with contextlib.closing(EdgeStore(own)) as store:
        await store.require_schema()
        ingress = MemoryIngress()
        traffic = Traffic(store, ingress, "example.com", edges := Edges(store, "this-edge"))
        await traffic._follow(edges)
        assert traffic._owners == {"shop-dev.example.com": "s1"}
        # The first look reads all routes, later ones those of the stages that have changed.
        with contextlib.closing(open_store(database, tmp_path)) as server:
            await server.write(lambda tx: tx.put_stage(replace(STAGE, name="prod")))
            await traffic._follow(edges)
            assert traffic._owners == {"shop-prod.example.com": "s1"}
            await server.write(lambda tx: tx.put_stage(replace(STAGE, domains=("shop.test",))))
            for _ in range(2):
                await traffic._follow(edges)
            assert {"shop-dev.example.com", "shop.test"} <= traffic._owners.keys()
        (edge,) = await store.read(lambda reader: reader.edges())
        assert (edge.id, edge.led > 0) == ("this-edge", True)
        found = await store.read(lambda reader: reader.project("p1"))
        assert found.run == NO_OPTIONS
        with pytest.raises(SettingsError, match="an edge has no encryption key"):
            await store.write(lambda tx: tx.put_project(found))
        with pytest.raises((StoreUnavailableError, DBAPIError), match="permission denied"):
            await store.write(lambda tx: tx.put_setting("poll_schedule", "@every 1s"))


async def test_a_schema_of_another_release_is_refused_or_waited_for(
    database: str, postgres: Postgres
) -> None:
    with (
        contextlib.closing(EdgeStore(postgres.new_database())) as empty,
        pytest.raises(StoreUnavailableError, match="no Tagboat server has used the database"),
    ):
        await empty.require_schema()
    with contextlib.closing(EdgeStore(database)) as store:
        await store.require_schema()
        set_revision(database, "0001")
        with pytest.raises(StoreUnavailableError, match=rf"schema 0001, this is {HEAD}.*update"):
            await store.require_schema()
        set_revision(database, "9999")
        with pytest.raises(SettingsError, match="written by a newer Tagboat"):
            await store.require_schema()


def set_revision(database: str, revision: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", [revision])


async def test_an_edge_takes_no_turn_among_the_servers_that_write(
    database: str, tmp_path: Path
) -> None:
    server = open_database(database, tmp_path)
    with contextlib.closing(EdgeStore(database)) as store, server.begin() as connection:
        begin_write(connection)
        await store.write(lambda tx: tx.put_edge("this-edge", 7, {}))
        (edge,) = await store.read(lambda reader: reader.edges())
    server.dispose()
    assert edge.led == 7


async def test_a_database_that_is_away_is_said(postgres: Postgres) -> None:
    gone = postgres.new_database().replace(f":{postgres.port}/", ":1/")
    with (
        contextlib.closing(EdgeStore(gone)) as store,
        pytest.raises(StoreUnavailableError, match="the database cannot be used"),
    ):
        await store.require_schema()
