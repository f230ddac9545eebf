"""Stages of before there was a strategy that follows from what an app keeps."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tagboat.core.catalog import Strategy
from tagboat.core.ports import Tx
from tagboat.core.values import replace
from tagboat.store import open_store
from tagboat.store.database import open_database
from tests.migration.test_upgrade_0002 import ROWS, tables_of, upgrade_to, url

pytestmark = pytest.mark.anyio
__all__ = ["url"]


@pytest.fixture
def old(url: str | None, tmp_path: Path) -> Iterator[Engine]:
    """A stage of each strategy, as the version before wrote them."""
    engine = open_database(url, tmp_path)
    upgrade_to(engine, "0006")
    tables = tables_of(engine).tables
    with engine.begin() as connection:
        for name in ("settings", "registries", "projects"):
            connection.execute(tables[name].insert().values(ROWS[name]))
        for number, strategy in (("1", "rolling"), ("2", "recreate")):
            row = ROWS["stages"] | {
                "id": f"s{number}",
                "name": f"stage{number}",
                "strategy": strategy,
            }
            connection.execute(tables["stages"].insert().values(row))
    yield engine
    engine.dispose()


def say(strategy: Strategy | None, tx: Tx) -> None:
    tx.put_stage(replace(tx.stage("s1"), strategy=strategy))


@pytest.mark.usefixtures("old")
async def test_rolling_was_nobodys_word_and_recreate_somebodys(
    url: str | None, tmp_path: Path
) -> None:
    store = open_store(url, tmp_path)
    try:
        stages = await store.read(lambda reader: reader.stages("p1"))
    finally:
        store.close()
    assert {stage.id: stage.strategy for stage in stages} == {"s1": None, "s2": Strategy.RECREATE}
    assert all(
        (stage.image_volumes, stage.adopted_volumes, stage.allow_downgrade) == ((), {}, False)
        for stage in stages
    )


async def test_a_server_not_yet_brought_up_to_date_reads_and_writes_on(
    old: Engine, url: str | None, tmp_path: Path
) -> None:
    store = open_store(url, tmp_path)
    try:
        for strategy in (None, Strategy.ROLLING, Strategy.RECREATE):
            await store.write(partial(say, strategy))
            with old.begin() as connection:
                seen = connection.execute(
                    text("SELECT strategy FROM stages WHERE id = 's1'")
                ).scalar_one()
                connection.execute(text("UPDATE stages SET held = held WHERE id = 's1'"))
            assert seen == (strategy or "rolling")
            assert (await store.read(lambda reader: reader.stage("s1"))).strategy is strategy
        with old.begin() as connection:
            connection.execute(
                text(
                    "UPDATE stages SET strategy = 'recreate', strategy_given = false "
                    "WHERE id = 's1'"
                )
            )
        assert (await store.read(lambda reader: reader.stage("s1"))).strategy is Strategy.RECREATE
    finally:
        store.close()
