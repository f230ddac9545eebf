"""The overview of projects and stages, on both databases."""

from collections.abc import Callable

import pytest

from tagboat.core.deploy import DeployStatus
from tagboat.core.ports import Reader
from tagboat.core.values import replace
from tagboat.store import SqlStore
from tests.contract.test_store import (
    a_deploy,
    a_project,
    a_stage,
    add,
    open_again,
    store,
)

__all__ = ["open_again", "store"]
pytestmark = pytest.mark.anyio


async def names_of(
    store: SqlStore,
    text: str = "",
    among: Callable[[Reader], set[str]] | None = None,
    after: str = "",
    limit: int = 10,
) -> list[str]:
    def work(reader: Reader) -> list[str]:
        ids = among(reader) if among else None
        return [one.name for one in reader.projects_page(text, ids, after, limit)]

    return await store.read(work)


async def test_projects_are_found_by_a_part_of_their_name_in_any_case(
    store: SqlStore,
) -> None:
    await add(store, *(a_project(name) for name in ("billing", "shop", "Shop_x", "work%shop")))

    assert set(await names_of(store, "SHOP")) == {"shop", "Shop_x", "work%shop"}
    # What people type is no pattern.
    assert await names_of(store, "%") == ["work%shop"]
    assert await names_of(store, "_") == ["Shop_x"]
    assert await names_of(store, "nothing") == []


async def test_projects_come_by_name_in_pages(store: SqlStore) -> None:
    await add(store, *(a_project(name) for name in ("c", "a", "d", "b")))

    assert await names_of(store, limit=2) == ["a", "b"]
    assert await names_of(store, after="b", limit=2) == ["c", "d"]
    assert await names_of(store, among=lambda _: set()) == []


async def test_projects_are_found_by_the_state_of_a_stage(store: SqlStore) -> None:
    busy, held, calm = (a_project(name) for name in ("busy", "held", "calm"))
    stages = {one.name: a_stage(one) for one in (busy, held, calm)}
    await add(
        store,
        busy,
        held,
        calm,
        stages["busy"],
        replace(stages["held"], held=True),
        stages["calm"],
        a_deploy(stages["busy"], status=DeployStatus.QUEUED),
        a_deploy(stages["busy"], "v2", status=DeployStatus.RUNNING),
        a_deploy(stages["calm"], status=DeployStatus.SUCCEEDED),
    )

    assert await names_of(store, among=lambda reader: reader.deploying_projects()) == ["busy"]
    assert await store.read(lambda reader: [one.tag for one in reader.newest_open_deploys(5)]) == [
        "v2",
        "v1",
    ]
    assert len(await store.read(lambda reader: reader.newest_open_deploys(1))) == 1
    assert await names_of(store, among=lambda reader: reader.held_projects()) == ["held"]


async def test_the_names_that_most_projects_have_a_stage_of_come_first(
    store: SqlStore,
) -> None:
    one, two = a_project("one"), a_project("two")
    await add(
        store, one, two, a_stage(one, "prod"), a_stage(two, "prod"), a_stage(one, "b"), a_stage(two)
    )

    assert await store.read(lambda reader: list(reader.stage_names(10))) == [
        ("prod", 2),
        ("b", 1),
        ("dev", 1),
    ]
    assert await store.read(lambda reader: list(reader.stage_names(1))) == [("prod", 2)]
