from dataclasses import fields

import pytest

from tagboat.core.catalog import Project, Stage
from tagboat.core.errors import FieldError
from tagboat.core.run import NO_OPTIONS, RunOptions
from tagboat.core.run_changes import MAX_ENV, MAX_VOLUMES, merge_run


def test_maps_are_merged_and_other_values_replaced() -> None:
    before = RunOptions(secrets={"A": "1", "B": "2"}, command=("old",), memory=5)
    changes = {"secrets": {"A": None, "C": "3"}, "command": ["new"], "name": "app"}
    assert merge_run(changes, before, {}) == {
        "name": "app",
        "run": RunOptions(secrets={"B": "2", "C": "3"}, command=("new",), memory=5),
    }


def test_null_removes_a_whole_map() -> None:
    changes = {"env": None, "labels": None}
    merged = merge_run(changes, RunOptions(labels={"a": "b"}), {"A": "1"})
    assert merged == {"env": {}, "run": NO_OPTIONS}
    assert merge_run({"env": {"B": "2"}}, NO_OPTIONS, {"A": "1"})["env"] == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"env": {f"N{number}": "" for number in range(MAX_ENV)}}, "env"),
        ({"volumes": {f"v{number}": f"/v{number}" for number in range(MAX_VOLUMES)}}, "volumes"),
        ({"volumes": {"other": "/data"}}, "volumes"),
    ],
)
def test_what_does_not_fit_with_what_there_is(changes: dict[str, object], field: str) -> None:
    with pytest.raises(FieldError) as refused:
        merge_run(changes, RunOptions(volumes={"data": "/data"}), {"A": "1"})
    assert refused.value.field == field


def test_no_field_of_a_project_or_stage_is_taken_for_an_option() -> None:
    options = {field.name for field in fields(RunOptions)}
    assert options.isdisjoint(field.name for kind in (Project, Stage) for field in fields(kind))
