"""How SQLite goes about the queries that must stay quick however many deploys there have been."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from tagboat.core.deploy import Deploy
from tagboat.store.cipher import Cipher
from tagboat.store.database import migrate, open_database
from tagboat.store.reader import SqlReader
from tagboat.store.rows import SealedRows


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = open_database(None, tmp_path)
    migrate(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.parametrize("read", [lambda reader: reader.open_deploys("s"), lambda reader: reader.all_open_deploys()])
def test_open_deploys_are_found_by_their_own_index(connection: Connection, read: Callable[[SqlReader], list[Deploy]]) -> None:
    asked: list[tuple[str, object]] = []
    event.listen(connection, "before_cursor_execute", lambda _c, _cursor, query, values, *_: asked.append((query, values)))
    read(SqlReader(connection, SealedRows(Cipher(bytes(32)))))
    ((query, values),) = [each for each in asked if each[0].startswith("SELECT")]
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values).all()  # type: ignore[arg-type]
    assert [row.detail for row in plan if "ix_deploys_open" not in row.detail] == []
