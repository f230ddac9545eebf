"""Receipts that were kept as JSON are carried over into rows."""

import json
from pathlib import Path

import pytest

from tagboat.core.delivery import Named, PushResult, Receipt, SkippedEvent
from tagboat.core.push import Outcome
from tagboat.store import open_store
from tagboat.store.database import open_database
from tests.migration.test_upgrade_0002 import tables_of, upgrade_to
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio
PUSH = {
    "image": "git.example.com/acme/app",
    "tag": "v1",
    "digest": None,
    "project": {"id": "p", "name": "app"},
    "stage": {"id": "s", "name": "dev"},
    "project_created": True,
    "outcome": "queued",
    "reason": "r",
    "deploy": "d",
}
CASES: dict[str, tuple[object, Receipt]] = {
    "a": (
        {
            "delivery": "a",
            "pushes": [PUSH, PUSH | {"project": None, "stage": None, "outcome": "refused"}],
            "reason": "mend it",
            "skipped": [{"image": None, "reason": "a chart"}],
            "needs_you": True,
        },
        Receipt(
            "a",
            (
                PushResult(
                    image="git.example.com/acme/app",
                    tag="v1",
                    digest=None,
                    project=Named("p", "app"),
                    stage=Named("s", "dev"),
                    project_created=True,
                    outcome=Outcome.QUEUED,
                    reason="r",
                    deploy="d",
                ),
                PushResult(
                    image="git.example.com/acme/app",
                    tag="v1",
                    digest=None,
                    project_created=True,
                    outcome=Outcome.REFUSED,
                    reason="r",
                    deploy="d",
                ),
            ),
            "mend it",
            (SkippedEvent(None, "a chart"),),
            needs_you=True,
        ),
    ),
    "b": ({"reason": "no usable image"}, Receipt("b", (), reason="no usable image")),
    "c": ({"title": "x", "detail": "too large"}, Receipt("c", (), reason="too large")),
    "d": ([], Receipt("d", ())),
    "e": ({"pushes": [3, {"outcome": "lost"}], "skipped": "none"}, Receipt("e", ())),
}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_receipts_are_carried_over(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = None
    if kind == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    engine = open_database(url, tmp_path)
    upgrade_to(engine, "0017")
    deliveries = tables_of(engine).tables["deliveries"]
    with engine.begin() as connection:
        for key, (result, _) in CASES.items():
            row = {"id": key, "sender": "native", "status": 202, "result": json.dumps(result)}
            connection.execute(deliveries.insert().values(**row, received_at=0))
    engine.dispose()
    store = open_store(url, tmp_path)
    try:
        kept = await store.read(lambda reader: reader.deliveries())
        assert {one.id: one.receipt for one in kept} == {
            key: receipt for key, (_, receipt) in CASES.items()
        }
    finally:
        store.close()
