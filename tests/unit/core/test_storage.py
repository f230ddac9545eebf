"""What an app keeps, and what follows from it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tagboat.core.catalog import Stage, Strategy
from tagboat.core.image import volume_paths
from tagboat.core.run import RunConfig, RunOptions
from tagboat.core.storage import lasting_paths, stage_volumes, storage_warnings, strategy_in_force
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace

STAGE = Stage(
    id="s1",
    project_id="p1",
    name="dev",
    pattern=parse_tag_pattern("*"),
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def config(image_volumes: tuple[str, ...] = (), **said: Any) -> RunConfig:  # noqa: ANN401 - any option
    return RunConfig(
        port=80, healthcheck="", env={}, options=RunOptions(**said), image_volumes=image_volumes
    )


def test_an_images_volumes_are_its_absolute_paths_made_clean() -> None:
    declared = ["/var/lib/data/", "/a//b", "/x/../y", "relative", "/", "", "/a/b", 7]
    assert volume_paths(declared) == ("/a/b", "/var/lib/data", "/y")


def test_what_nothing_else_is_mounted_on_lasts_in_a_volume_of_the_stage() -> None:
    declared = ("/cache", "/conf", "/data", "/mine")
    asked = config(
        declared, tmpfs={"/cache": ""}, binds=("/srv/conf:/conf:ro",), volumes={"own": "/mine"}
    )
    assert lasting_paths(asked) == ["/data"]
    assert stage_volumes(STAGE, asked) == {
        "tagboat-s1-own": "/mine",
        "tagboat-s1-.data-bd47413b": "/data",
    }


def test_names_of_volumes_differ_by_path_and_stage_and_hold_for_any_path() -> None:
    paths = ("/a/b", "/a-b", "/A/b", "/ünïcode and spaces", "/" + "x" * 200)
    names = {
        **stage_volumes(STAGE, config(paths)),
        **stage_volumes(replace(STAGE, id="s2"), config(paths)),
    }
    assert len(names) == 10
    assert all(name.isascii() and len(name) < 100 and " " not in name for name in names)
    assert stage_volumes(
        replace(STAGE, name="other", project_id="p2"), config(paths)
    ) == stage_volumes(STAGE, config(paths))


def test_a_volume_taken_over_from_an_older_container_goes_before_one_made_anew() -> None:
    stage = replace(STAGE, adopted_volumes={"/data": "f" * 64})
    assert stage_volumes(stage, config(("/data", "/more"))) == {
        "f" * 64: "/data",
        "tagboat-s1-.more-a107a6c4": "/more",
    }


@pytest.mark.parametrize(
    ("asked", "strategy"),
    [
        (config(), Strategy.ROLLING),
        (config(("/data",)), Strategy.RECREATE),
        (config(volumes={"a": "/a"}), Strategy.RECREATE),
        (config(("/data",), tmpfs={"/data": ""}), Strategy.ROLLING),
        (config(("/data",), binds=("/srv:/data:ro",)), Strategy.ROLLING),
        (config(binds=("/srv:/data",)), Strategy.RECREATE),
        (config(binds=("/srv:/data:ro",)), Strategy.ROLLING),
        (config(publish=("127.0.0.1:53:53/udp",)), Strategy.RECREATE),
    ],
)
def test_the_strategy_follows_from_what_cannot_be_had_twice(
    asked: RunConfig, strategy: Strategy
) -> None:
    assert strategy_in_force(STAGE, asked) is strategy
    assert storage_warnings(STAGE, asked) == []
    for said in Strategy:
        assert strategy_in_force(replace(STAGE, strategy=said), asked) is said
    assert strategy_in_force(replace(STAGE, max_instances=3), asked) is Strategy.ROLLING


def test_who_wants_both_at_once_is_warned() -> None:
    (by_hand,) = storage_warnings(
        replace(STAGE, strategy=Strategy.ROLLING), config(("/data",), volumes={"a": "/a"})
    )
    (several,) = storage_warnings(replace(STAGE, max_instances=3), config(("/data",)))
    assert by_hand.startswith(
        "the strategy is rolling, so at each deploy old and new instance write at once to what is "
        "at /a, "
    )
    assert (
        several
        == "all instances of the stage, up to 3, share what is at /data, and write to it at once"
    )
    assert storage_warnings(replace(STAGE, strategy=Strategy.ROLLING), config()) == []
    assert storage_warnings(replace(STAGE, strategy=Strategy.RECREATE), config(("/data",))) == []
