"""Every stage with its project, from a real store."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tagboat.core.catalog import Project, Stage
from tagboat.core.image import ImageName
from tagboat.core.ports import Tx
from tagboat.core.stage_refs import iter_stages
from tagboat.core.tags import parse_tag_pattern
from tagboat.store import open_store

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 450


async def test_all_are_found_in_their_order_however_many_pages_they_fill(tmp_path: Path) -> None:
    def fill(tx: Tx) -> None:
        for number in range(COUNT):
            image = ImageName("git.example.com", f"acme/app{number}")
            tx.add_project(
                Project(id=f"p{number}", name=f"app{number:04d}", image=image, created_at=NOW)
            )
            for name in ("prod", "dev") if number % 2 else ():
                pattern = parse_tag_pattern("*")
                stage = Stage(
                    id=f"{name}{number}",
                    project_id=f"p{number}",
                    name=name,
                    pattern=pattern,
                    created_at=NOW,
                )
                tx.add_stage(stage)

    store = open_store(None, tmp_path)
    try:
        await store.write(fill)
        found = await store.read(
            lambda reader: [(project.id, stage.id) for project, stage in iter_stages(reader)]
        )
    finally:
        store.close()
    assert found == [
        (f"p{number}", f"{name}{number}")
        for number in range(1, COUNT, 2)
        for name in ("dev", "prod")
    ]
