"""The audit in words."""

from datetime import UTC, datetime

import pytest

from tagboat.core.audit import AuditAction, AuditEntry, FieldChange
from tagboat.web.audit_words import action_words, actor_words, change_words, subject_words

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def entry(action: str, kind: str = "account", name: str = "ada", **more: str) -> AuditEntry:
    return AuditEntry(at=NOON, actor_kind=kind, actor_name=name, action=action, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("action", AuditAction)
def test_each_action_has_words(action: AuditAction) -> None:
    assert action_words(action) != action


def test_an_action_of_another_release_is_shown_as_it_is() -> None:
    assert action_words("moon.land") == "moon.land"


def test_a_person_needs_no_kind() -> None:
    assert actor_words(entry("stage.hold")) == ("ada", "")
    assert actor_words(entry("stage.hold", "token", "ci")) == ("ci", "token")
    assert actor_words(entry("deploy.create", "poll", "poll")) == ("poll", "")
    assert actor_words(entry("deploy.create", "webhook", "")) == ("webhook", "webhook")


def test_what_was_changed_has_its_place() -> None:
    place = {"project_name": "shop", "stage_name": "prod"}
    assert subject_words(entry("stage.change", subject_name="prod", **place)) == "shop/prod"
    assert subject_words(entry("deploy.create", subject_name="v1", **place)) == "v1 in shop/prod"
    assert subject_words(entry("registry.create", subject_name="forge")) == "forge"
    assert subject_words(entry("settings.change")) == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "not set"),
        (True, "yes"),
        (False, "no"),
        ("", "empty"),
        (0, "0"),
        (1, "1"),
        ([], "none"),
        (["a", "b"], "a, b"),
        ("x" * 500, "x" * 120 + "…"),
    ],
)
def test_values_are_short_and_in_words(value: object, shown: str) -> None:
    assert change_words(FieldChange("f", value, value)) == ("f", shown, shown)
