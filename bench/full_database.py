"""A database as large as the pages must bear: 1,000 projects, 3,000 stages, 1,000,000 deploys.

It begins with a few rows for each stage, written as the server writes them; the database multiplies
these itself, which takes a fraction of the time of sending them. The SQLite file is kept in
build/full-database for later runs, under the schema's version.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Table, text

from tagboat.core.catalog import KnownTag, Stage
from tagboat.core.deploy import DeployStatus, InstanceState
from tagboat.core.ports import Tx
from tagboat.core.values import replace
from tagboat.store import open_store, tables
from tagboat.store.database import current_revision, open_database, take_time
from tests.support.sample_pages import Sample, digest_of

PROJECTS, STAGES = 1000, ("dev", "staging", "prod")
COPIES = 332
"""Further deploys of each stage; with the one that is live, and the one before, 1,002,000."""
TAG_COPIES = 100
_EACH_US = 2 * 3600 * 1_000_000
"""Microseconds between two deploys of a stage."""
_BATCH = 25
_CACHE_KB = 2_000_000
_CACHE = Path(__file__).resolve().parent.parent / "build" / "full-database"


def full_sqlite() -> Path:
    """Return the data directory with the database, which is kept: leave it as full as it is."""
    kept = _CACHE / _revision()
    if not kept.exists():
        shutil.rmtree(_CACHE, ignore_errors=True)
        _CACHE.mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as name:
            made = Path(name) / "data"
            made.mkdir(mode=0o700)
            fill_database(None, made)
            made.rename(kept)
    return kept


def fill_database(url: str | None, data_dir: Path) -> None:
    """Fill the database at `url`, None for the SQLite file in `data_dir`."""
    store = open_store(url, data_dir)
    try:
        for first in range(0, PROJECTS, _BATCH):
            numbers = range(first, first + _BATCH)
            asyncio.run(store.write(partial(_add_projects, numbers)))
    finally:
        store.close()
    engine = open_database(url, data_dir)
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KB}")
        else:
            take_time(connection)
        _multiply(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    engine.dispose()


def _add_projects(numbers: Sequence[int], tx: Tx) -> None:
    sample = Sample(tx, datetime.now(UTC))
    for number in numbers:
        project = sample.project(f"project-{number:04}")
        tx.record_tag(
            KnownTag(
                project_id=project.id,
                tag="v2.0.0",
                digest=digest_of("v2.0.0"),
                first_seen=sample.now,
                source="poll",
            )
        )
        for position, name in enumerate(STAGES):
            _add_deploys(sample, sample.stage(project, name, position), number)


def _add_deploys(sample: Sample, stage: Stage, number: int) -> None:
    before = sample.deploy(stage, "v1.9.9", timedelta(days=2))
    instance = sample.instance(before, InstanceState.STOPPED)
    sample.tx.put_instance(replace(instance, stopped_at=sample.now - timedelta(days=1)))
    sample.live(stage, "v2.0.0", timedelta(days=1))
    if number % 100 == 0:
        reason = "the new container exited with code 1"
        sample.deploy(stage, "v2.0.1", timedelta(hours=1), DeployStatus.FAILED, reason=reason)
    if number % 50 == 0:
        sample.waits(stage, "v2.1.0", timedelta(minutes=5))


def _multiply(connection: Connection) -> None:
    """Add the history: copies of what was live before, each older than the last."""
    older = f"- series.n * {_EACH_US}"
    times = {name: f"old.{name} {older}" for name in ("created_at", "started_at", "finished_at")}
    _copy(
        connection,
        tables.deploys_table,
        COPIES,
        "old.tag = 'v1.9.9'",
        {
            **times,
            "id": _older_id(connection, "old.id"),
            "tag": "'v1.' || series.n || '.0'",
            "status": "CASE WHEN series.n % 10 = 0 THEN 'failed' ELSE old.status END",
        },
    )
    _copy(
        connection,
        tables.instances_table,
        COPIES,
        "old.tag = 'v1.9.9'",
        {
            **{name: f"old.{name} {older}" for name in ("started_at", "stopped_at", "live_at")},
            "id": _older_id(connection, "old.id"),
            "deploy_id": _older_id(connection, "old.deploy_id"),
            "tag": "'v1.' || series.n || '.0'",
        },
    )
    _copy(
        connection,
        tables.tags_table,
        TAG_COPIES,
        "old.tag = 'v2.0.0'",
        {"tag": "'v1.' || series.n || '.0'", "first_seen": f"old.first_seen {older}"},
    )


def _copy(
    connection: Connection, table: Table, copies: int, which: str, changed: Mapping[str, str]
) -> None:
    """Insert copies of the rows for which `which` holds, numbered `series.n`, with `changed`."""
    names = [column.name for column in table.columns]
    quoted = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(changed.get(name, f'old."{name}"') for name in names)
    # Ids that ascend are what the indexes of a real server have got.
    order = "ORDER BY series.n DESC" if "id" in names else ""
    # Made once at the end, an index takes a tenth of the time.
    for index in table.indexes:
        index.drop(connection)
    connection.execute(
        text(
            f"INSERT INTO {table.name} ({quoted}) "  # noqa: S608 - names of our own tables
            "WITH RECURSIVE series(n) AS "
            f"(SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {copies}) "
            f"SELECT {values} FROM series CROSS JOIN {table.name} AS old WHERE {which} {order}"
        )
    )
    for index in table.indexes:
        index.create(connection)


def _older_id(connection: Connection, column: str) -> str:
    """Return SQL for the id of a copy: less than all ids of today, and less for older copies."""
    number = f"({COPIES} - series.n)"
    digits = f"lpad(to_hex({number}), 6, '0')"
    if connection.dialect.name == "sqlite":
        digits = f"printf('%06x', {number})"
    return f"'10' || {digits} || substr({column}, 9, 16)"


def _revision() -> str:
    """Return the version of the schema."""
    with tempfile.TemporaryDirectory() as name:
        open_store(None, Path(name)).close()
        engine = open_database(None, Path(name))
        found = current_revision(engine)
        engine.dispose()
    return str(found)
