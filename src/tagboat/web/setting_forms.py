"""Forms of settings: what a person has changed in one, and what somebody else has since then.

A form carries each field twice: as it was when the page was made, in `was-NAME`, and as it is sent.
Only what differs is changed, so that nothing follows from fields that nobody has touched.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tagboat.api.bodies import RequestModel
from tagboat.api.schemas import ProjectUpdate, StageCreate, StageUpdate
from tagboat.api.stages import stage_fields
from tagboat.core.catalog import Project, Stage
from tagboat.core.errors import FieldError, InvalidValueError, TagboatError
from tagboat.web.form_bodies import ChangedMeanwhileError, as_body, as_typed
from tagboat.web.forms import Form, FormErrors, RefusedFieldsError, form_errors
from tagboat.web.setting_fields import (
    PROJECT_GROUPS,
    STAGE_GROUPS,
    FieldGroup,
)
from tagboat.web.setting_texts import clean_text

Asked = TypeVar("Asked", bound=RequestModel)
_WAS = "was-"
# Merged name by name: a name that the form has no longer must be said to be gone.
_MERGED_FIELDS = ("env", "volumes", "labels", "extra_hosts", "tmpfs")
_RENAMED = {"registry": "registry_id", "tag_pattern": "pattern"}


def setting_texts_of(groups: Sequence[FieldGroup], of: Project | Stage) -> dict[str, str]:
    """Return what is saved, as texts by the names of fields."""

    # Some are fields of the thing itself, all others are options of how it runs.
    def value(name: str) -> object:
        name = _RENAMED.get(name, name)
        return getattr(of, name) if hasattr(of, name) else getattr(of.run, name)

    return {one.name: one.kind.show(value(one.name)) for group in groups for one in group.fields}


def typed_in(form: Form, saved: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that differ from what the form began with."""
    found = {}
    # A field that was not sent is one that nobody has typed in, such as one that was disabled.
    for name, text in saved.items():
        sent = clean_text(form.exact(name)) if name in form.fields else text
        began = form.fields.get(_WAS + name, (text,))[0]
        if sent != clean_text(began):
            found[name] = sent
    return found


def moved_since(form: Form, saved: Mapping[str, str]) -> tuple[str, ...]:
    """Return the fields that are saved otherwise than when the form was made."""
    return tuple(
        name
        for name, text in saved.items()
        if clean_text(form.fields.get(_WAS + name, (text,))[0]) != clean_text(text)
    )


def read_settings(
    groups: Sequence[FieldGroup], typed: Mapping[str, str], model: type[Asked]
) -> Asked:
    """Return the fields `typed` as the API reads them; raise RefusedFieldsError."""
    values: dict[str, object] = {}
    errors: dict[str, str] = {}
    # All errors at once: a person should not mend one field only to be told of the next.
    for field in (one for group in groups for one in group.fields if one.name in typed):
        try:
            text, kind = typed[field.name], field.kind
            is_read = text or kind.reads_empty
            values[field.name] = kind.read(text) if is_read else kind.empty
        except InvalidValueError as error:
            errors[field.name] = str(error)
    try:
        read = as_body(model, values, as_typed)
    except RefusedFieldsError as error:
        raise RefusedFieldsError({**error.fields, **errors}) from None
    if errors:
        raise RefusedFieldsError(errors)
    return read


def project_edit(form: Form) -> Callable[[Project], dict[str, Any]]:
    """Return what changes a project; it raises ChangedMeanwhileError and RefusedFieldsError."""

    # Called in the transaction that saves: nobody can come in between.
    def edit(old: Project) -> dict[str, Any]:
        typed = _typed_now(form, PROJECT_GROUPS, setting_texts_of(PROJECT_GROUPS, old))
        read = read_settings(PROJECT_GROUPS, typed, ProjectUpdate)
        return _merge_settings(read.given(registry="registry_id"), old)

    return edit


def stage_edit(form: Form) -> Callable[[Stage], dict[str, Any]]:
    """Return what changes a stage; it raises ChangedMeanwhileError and RefusedFieldsError."""

    def edit(old: Stage) -> dict[str, Any]:
        typed = _typed_now(form, STAGE_GROUPS, setting_texts_of(STAGE_GROUPS, old))
        read = read_settings(STAGE_GROUPS, typed, StageUpdate)
        return _merge_settings(stage_fields(read), old)

    return edit


def new_stage_fields(typed: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a new stage; raise RefusedFieldsError."""
    read = read_settings(STAGE_GROUPS, typed, StageCreate)
    return stage_fields(read)


def settings_errors(error: TagboatError) -> FormErrors:
    """Return what a form of settings shows for an error of an operation."""
    if isinstance(error, FieldError):
        shown = {stored: name for name, stored in _RENAMED.items()}
        error = FieldError(shown.get(error.field, error.field), str(error))
    return form_errors(error, {})


def _typed_now(
    form: Form, groups: Sequence[FieldGroup], saved: Mapping[str, str]
) -> dict[str, str]:
    if moved := moved_since(form, saved):
        fields = [field for group in groups for field in group.fields]
        raise ChangedMeanwhileError([field.label for field in fields if field.name in moved])
    return typed_in(form, saved)


def _merge_settings(fields: dict[str, Any], old: Project | Stage) -> dict[str, Any]:
    for name in _MERGED_FIELDS:
        if name in fields:
            before = old.env if name == "env" else getattr(old.run, name)
            fields[name] = {**dict.fromkeys(before), **fields[name]}
    return fields
