"""What a person has changed in a form, and what somebody else has since then."""

from datetime import UTC, datetime

import pytest

from tagboat.api.schemas import StageUpdate
from tagboat.core.catalog import Project
from tagboat.core.image import ImageName
from tagboat.core.run import RunOptions
from tagboat.core.run_changes import merge_run
from tagboat.web.form_bodies import ChangedMeanwhileError
from tagboat.web.forms import Form, RefusedFieldsError
from tagboat.web.setting_fields import PROJECT_GROUPS, STAGE_GROUPS, shown_groups
from tagboat.web.setting_forms import (
    moved_since,
    project_edit,
    read_settings,
    setting_texts_of,
    typed_in,
)

PROJECT = Project(
    id="p",
    name="shop",
    image=ImageName("git.example.com", "acme/shop"),
    port=8080,
    env={"A": "1", "B": "2"},
    run=RunOptions(memory=512 << 20, secrets={"KEY": "s3cr3t"}, labels={"a": "b"}),
    created_at=datetime(2026, 11, 29, tzinfo=UTC),
)
SAVED = setting_texts_of(PROJECT_GROUPS, PROJECT)


def form(**fields: str) -> Form:
    """A form that began with what is saved."""
    began = {f"was-{name}": (text,) for name, text in SAVED.items()}
    sent = {name: (fields.get(name, text),) for name, text in SAVED.items()}
    return Form({**began, **sent})


def test_secrets_are_no_part_of_it() -> None:
    assert "s3cr3t" not in "".join(SAVED.values())
    assert (SAVED["memory"], SAVED["env"], SAVED["port_set"]) == ("512m", "A=1\nB=2", "no")


def test_only_what_differs_is_changed() -> None:
    assert typed_in(form(), SAVED) == {}
    edited = project_edit(form(env="A=1\r\nC=3", port="9090"))(PROJECT)
    # A name that is gone is null: maps are merged with what is saved.
    assert edited == {"env": {"A": "1", "B": None, "C": "3"}, "port": 9090}


def test_an_empty_field_is_not_set_any_more() -> None:
    edited = project_edit(form(memory="", labels=""))(PROJECT)
    run = merge_run(edited, PROJECT.run, PROJECT.env)["run"]
    assert (run.memory, run.labels) == (0, {})
    assert run.secrets == {"KEY": "s3cr3t"}


def test_a_form_of_another_time_is_refused_by_its_labels() -> None:
    moved = Form({**form().fields, "was-port": ("81",), "was-env": ("A=1",)})
    assert moved_since(moved, SAVED) == ("port", "env")
    with pytest.raises(ChangedMeanwhileError, match="Port, Variables, one NAME=VALUE on each line"):
        project_edit(moved)(PROJECT)


def test_all_wrong_fields_are_named_at_once() -> None:
    typed = {"watch_s": "x", "max_instances": "0", "domains": "a_b", "cpus": "1,5"}
    with pytest.raises(RefusedFieldsError) as caught:
        read_settings(STAGE_GROUPS, typed, StageUpdate)
    assert set(caught.value.fields) == set(typed)


def test_a_wrong_entry_of_a_list_is_named_as_it_was_typed() -> None:
    with pytest.raises(RefusedFieldsError) as caught:
        read_settings(STAGE_GROUPS, {"domains": "shop.example\n\nfoo..bar"}, StageUpdate)
    assert caught.value.fields["domains"] == (
        "'foo..bar': must be a DNS name such as app.example.com"
    )


def test_groups_open_where_something_is_wrong_or_differs() -> None:
    groups = shown_groups(PROJECT_GROUPS, SAVED, {"user": "app"}, {"networks": "odd"})
    found = {one.group.title: (one.open, one.given) for one in groups}
    assert found["Environment"][0] is False
    assert found["How it runs"] == (True, 2)
    assert found["Storage, network and host"][0] is True
