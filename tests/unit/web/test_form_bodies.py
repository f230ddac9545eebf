"""Forms read by the rules of the API."""

from dataclasses import dataclass
from types import MappingProxyType

import pytest

from tagboat.api.etags import etag_of
from tagboat.api.settings_schemas import SettingsUpdate
from tagboat.web.form_bodies import (
    ChangedMeanwhileError,
    as_body,
    check_version,
    whole_or_text,
)
from tagboat.web.forms import Form, RefusedFieldsError
from tagboat.web.setting_texts import read_lines


@dataclass(frozen=True)
class Thing:
    name: str = "a"
    size: int = 1


def form(version: str) -> Form:
    return Form(MappingProxyType({"version": (version,)}))


def test_each_field_has_its_reason() -> None:
    with pytest.raises(RefusedFieldsError) as caught:
        as_body(
            SettingsUpdate,
            {"images_keep": "many", "poll_schedule": "", "auto_create_images": ["a/b", "???!"]},
        )
    assert set(caught.value.fields) == {"images_keep", "poll_schedule", "auto_create_images"}
    assert caught.value.fields["auto_create_images"].startswith("line ")
    assert as_body(SettingsUpdate, {"images_keep": 4}).given() == {"images_keep": 4}


def test_a_change_of_somebody_else_is_named() -> None:
    check = check_version(form(etag_of(Thing())))
    check(Thing())
    with pytest.raises(ChangedMeanwhileError, match="opened the form: size"):
        check(Thing(size=2))
    with pytest.raises(ChangedMeanwhileError, match="something"):
        check_version(form(""))(Thing())


def test_texts_of_fields() -> None:
    assert whole_or_text("12") == 12
    assert whole_or_text("-1") == -1
    assert whole_or_text("1" * 30) == "1" * 30
    assert whole_or_text("١٢") == "١٢"
    assert read_lines(" a \r\n\r\nb\n") == ["a", "b"]
