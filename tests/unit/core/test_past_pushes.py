"""Pushes that would have gone to another stage than they did."""

from datetime import UTC, datetime

from tagboat.core.catalog import Project, Stage
from tagboat.core.delivery import Named, PastPush
from tagboat.core.image import ImageName
from tagboat.core.past_pushes import Diverted, find_diverted, in_order
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace

NOW = datetime(2026, 11, 29, tzinfo=UTC)
PROJECT = Project(id="p", name="shop", image=ImageName("a.example", "shop"), created_at=NOW)


def stage(name: str, pattern: str, position: int = 0) -> Stage:
    return Stage(
        id=f"id-{name}",
        project_id="p",
        name=name,
        pattern=parse_tag_pattern(pattern),
        position=position,
        created_at=NOW,
    )


DEV, PROD = stage("dev", "*"), stage("prod", "v*")


def pushed(tag: str, to: Stage | None) -> PastPush:
    return PastPush(tag, Named(to.id, to.name) if to else None, NOW)


def test_only_pushes_that_change_their_stage_are_named() -> None:
    pushes = [pushed("v2", DEV), pushed("main", DEV), pushed("v1", PROD)]
    tried = in_order([DEV, PROD], replace(PROD, position=-1))

    assert [one.name for one in tried] == ["prod", "dev"]
    assert find_diverted(PROJECT, tried, pushes) == [
        Diverted("v2", NOW, Named("id-dev", "dev"), Named("id-prod", "prod"))
    ]


def test_no_stage_is_a_place_too() -> None:
    narrow = [stage("dev", "main")]
    assert find_diverted(PROJECT, narrow, [pushed("v1", DEV), pushed("v2", None)]) == [
        Diverted("v1", NOW, Named("id-dev", "dev"), None)
    ]


def test_a_renamed_stage_is_the_same() -> None:
    renamed = in_order([DEV], replace(DEV, name="development"))
    assert find_diverted(PROJECT, renamed, [pushed("v1", DEV)]) == []


def test_a_stage_that_hides_everything_changes_nothing_for_itself() -> None:
    hidden = in_order([DEV], stage("zeta", "v*"))
    assert [one.name for one in hidden] == ["dev", "zeta"]
    assert find_diverted(PROJECT, hidden, [pushed("v1", DEV)]) == []
