"""A database as the first version left it, with rows in every table, keeps them all when it is
brought up to date.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, MetaData, select, text

import tagboat.store.migrations
from tagboat.core.deploy import InstanceState, StepName, StepStatus
from tagboat.core.run import NO_OPTIONS
from tagboat.store import open_store
from tagboat.store.database import HEAD, begin_write, current_revision, migrate, open_database
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio
MOMENT = 1_780_000_000_123_456  # microseconds since 1970
DIGEST = "sha256:" + "a" * 64
# Seven steps: the first version knew nothing of `watch`.
STEPS = '[{"name":"resolve","status":"done","started_at":null,"finished_at":null,"detail":"found"}]'
ROWS: dict[str, dict[str, Any]] = {
    "settings": {"name": "poll_schedule", "value": '"@every 7m"'},
    "registries": {
        "id": "r1",
        "name": "Forge",
        "url": "https://git.example.com",
        "host": "git.example.com",
        "kind": "gitea",
        "username": "bot",
        "password": None,
    },
    "projects": {
        "id": "p1",
        "name": "app",
        "image": "git.example.com/acme/app",
        "port": 8080,
        "healthcheck": "/up",
        "env": '{"A":"1"}',
        "registry_id": "r1",
        "inspected": True,
        "created_at": MOMENT,
    },
    "stages": {
        "id": "s1",
        "project_id": "p1",
        "name": "prod",
        "pattern": "v*",
        "position": -3,
        "auto_deploy": False,
        "max_instances": 4,
        "env": "{}",
        "domains": '["a.example.com"]',
        "health_timeout_s": 7,
        "drain_timeout_s": 8,
        "held": True,
        "created_at": MOMENT,
    },
    "deploys": {
        "id": "d1",
        "project_id": "p1",
        "stage_id": "s1",
        "tag": "v1",
        "digest": DIGEST,
        "trigger": "webhook",
        "status": "running",
        "reason": None,
        "force": False,
        "steps": STEPS,
        "log": "line",
        "merges": 1,
        "claimed_by": "me",
        "claimed_until": MOMENT,
        "created_at": MOMENT,
        "started_at": MOMENT,
        "finished_at": None,
    },
    "instances": {
        "id": "i1",
        "deploy_id": "d1",
        "project_id": "p1",
        "stage_id": "s1",
        "tag": "v1",
        "digest": DIGEST,
        "state": "live",
        "container": "app-prod-1",
        "host_port": 40000,
        "fingerprint": "0123456789abcdef",
        "started_at": MOMENT,
        "stopped_at": None,
    },
    "tags": {
        "project_id": "p1",
        "tag": "v1",
        "digest": DIGEST,
        "first_seen": MOMENT,
        "source": "webhook",
    },
    "deliveries": {
        "id": "e1",
        "sender": "native",
        "status": 202,
        "result": "{}",
        "received_at": MOMENT,
    },
    "polls": {"project_id": "p1", "first_done": True, "last_at": MOMENT, "error": "it was down"},
    "registry_backoffs": {
        "host": "git.example.com",
        "failures": 2,
        "error": "it is down",
        "retry_at": MOMENT,
        "refused_until": None,
    },
    "leases": {"name": "poll", "holder": "me", "until": MOMENT},
}
ADDED: dict[str, dict[str, Any]] = {
    "registries": {"ca_cert": ""},
    "projects": {"run": None},
    "stages": {"run": None, "ttl_h": None, "strategy": "rolling", "watch_s": 10},
    "deploys": {"cancelling": False, "released": False},
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def old(url: str | None, tmp_path: Path) -> Iterator[Engine]:
    """The database of the first version, with a row in every table."""
    engine = open_database(url, tmp_path)
    upgrade_to(engine, "0001")
    tables = tables_of(engine)
    with engine.begin() as connection:
        for name, row in ROWS.items():
            connection.execute(tables.tables[name].insert().values(row))
    yield engine
    engine.dispose()


def upgrade_to(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(tagboat.store.migrations.__file__).parent))
    with engine.begin() as connection:
        begin_write(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def tables_of(engine: Engine) -> MetaData:
    """The tables as the database has them, whatever the code says of them."""
    found = MetaData()
    found.reflect(engine)
    return found


def rows_of(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    found = tables_of(engine)
    with engine.connect() as connection:
        return {
            name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for name, table in found.tables.items()
            if name != "alembic_version"
        }


def test_every_table_of_the_first_version_has_a_row(old: Engine) -> None:
    assert current_revision(old) == "0001"
    assert rows_of(old) == {name: [row] for name, row in ROWS.items()}


def test_every_row_is_kept_and_filled_with_what_was_so_far(old: Engine) -> None:
    upgrade_to(old, "0002")

    assert current_revision(old) == "0002"
    kept = {name: [row | ADDED.get(name, {})] for name, row in ROWS.items()}
    assert rows_of(old) == kept | {"deploy_configs": [], "offers": []}


@pytest.mark.usefixtures("old")
async def test_what_was_there_is_read_as_it_was(url: str | None, tmp_path: Path) -> None:
    store = open_store(url, tmp_path)
    try:
        project = await store.read(lambda reader: reader.project("p1"))
        stage = await store.read(lambda reader: reader.stage("s1"))
        deploy = await store.read(lambda reader: reader.deploy("d1"))
        live = await store.read(lambda reader: reader.instances(states=[InstanceState.LIVE]))
        config = await store.read(lambda reader: reader.deploy_config("d1"))
        tag = await store.read(lambda reader: reader.known_tag("p1", "v1"))
    finally:
        store.close()

    assert (project.name, project.env, project.run) == ("app", {"A": "1"}, NO_OPTIONS)
    assert (stage.strategy, stage.watch_s, stage.ttl_h, stage.held) == (None, 10, None, True)
    assert (deploy.cancelling, deploy.released, config) == (False, False, None)
    assert [step.name for step in deploy.steps] == list(StepName)
    assert deploy.step(StepName.RESOLVE).status is StepStatus.DONE
    assert [instance.id for instance in live] == ["i1"]
    assert tag is not None
    assert (tag.digest, tag.verdict) == (DIGEST, None)


def test_the_newest_keeps_them_too(old: Engine) -> None:
    migrate(old)

    assert current_revision(old) == HEAD
    after = rows_of(old)
    assert {
        name: [{column: kept[column] for column in row} for kept in after[name]]
        for name, row in ROWS.items()
    } == {name: [row] for name, row in ROWS.items()}


def test_what_hangs_on_a_row_still_goes_with_it(old: Engine) -> None:
    migrate(old)

    with old.begin() as connection:
        connection.execute(text("INSERT INTO offers VALUES ('s1', 'v2', NULL, 'poll', 0)"))
        connection.execute(text("DELETE FROM projects"))

    left = {name for name, rows in rows_of(old).items() if rows}
    assert left == {"settings", "registries", "deliveries", "registry_backoffs", "leases"}
