from datetime import UTC, datetime

import pytest

from tagboat.core.audit import (
    LONGEST_VALUE,
    MOST_CHANGES,
    AuditAction,
    FieldChange,
    audit_entry,
    changes_between,
    deploy_subject,
    stage_subject,
)
from tagboat.core.catalog import Project, Registry, RegistryKind, Stage, Strategy, with_hold
from tagboat.core.deploy import Deploy, Trigger
from tagboat.core.image import ImageName
from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.core.project_webhook import ProjectWebhook, Signature, SignatureKind
from tagboat.core.run import RunOptions
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
PROJECT = Project(id="p", name="shop", image=ImageName("docker.io", "a/shop"), created_at=NOON)
STAGE = Stage(id="s", project_id="p", name="prod", pattern=parse_tag_pattern("v*"), created_at=NOON)
REGISTRY = Registry(id="r", name="forge", url="https://git.example.com", kind=RegistryKind.GITEA)
SIGNATURE = Signature(kind=SignatureKind.HMAC_SHA256, secret="battery staple")
ADA = Principal(
    kind=PrincipalKind.ACCOUNT, name="ada", role=Role.ADMIN, id="a1", address="192.0.2.7"
)


def told(old: object, new: object) -> list[tuple[str, object, object]]:
    return [(one.field, one.before, one.after) for one in changes_between(old, new)]


def test_a_change_has_the_values_before_and_after_by_the_names_of_the_api() -> None:
    changed = replace(
        STAGE,
        pattern=parse_tag_pattern("semver:*"),
        watch_s=0,
        ttl_h=3,
        strategy=Strategy.RECREATE,
        domains=("a.example.com",),
        env={"B": "2"},
        run=RunOptions(memory=5, labels={"x": "y"}),
    )
    before = replace(STAGE, env={"A": "1", "B": "1"})

    assert told(before, changed) == [
        ("tag_pattern", "v*", "semver:*"),
        ("env.A", "1", None),
        ("env.B", "1", "2"),
        ("memory", 0, 5),
        ("domains", [], ["a.example.com"]),
        ("strategy", None, "recreate"),
        ("watch_s", 10, 0),
        ("ttl_h", None, 3),
        ("labels.x", None, "y"),
    ]


def test_nothing_changed_is_no_change() -> None:
    assert told(STAGE, replace(STAGE)) == []
    assert told(None, None) == []


def test_of_a_new_value_only_what_was_set_is_told_and_of_a_deleted_one_too() -> None:
    made = replace(PROJECT, port=8080, registry_id="r1")
    expected = [("name", "shop"), ("image", "docker.io/a/shop"), ("port", 8080), ("registry", "r1")]

    assert told(None, made) == [(name, None, value) for name, value in expected]
    assert told(made, None) == [(name, value, None) for name, value in expected]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (REGISTRY, replace(REGISTRY, password="correct horse"), [("password", None, "***")]),
        (
            replace(REGISTRY, password="correct horse"),
            replace(REGISTRY, password="battery staple"),
            [("password", "***", "***")],
        ),
        (replace(REGISTRY, password="correct horse"), REGISTRY, [("password", "***", None)]),
        (
            replace(STAGE, run=RunOptions(secrets={"A": "correct horse"})),
            replace(
                STAGE,
                run=RunOptions(
                    secrets={"A": "battery staple"}, secret_files={"k": "correct horse"}
                ),
            ),
            [("secrets.A", "***", "***"), ("secret_files.k", None, "***")],
        ),
        (
            None,
            SIGNATURE,
            [("kind", None, "hmac-sha256"), ("secret", None, "***")],
        ),
    ],
)
def test_secrets_are_never_told(
    old: object, new: object, expected: list[tuple[str, object, object]]
) -> None:
    assert told(old, new) == expected
    assert "correct" not in repr(changes_between(old, new))
    assert "battery" not in repr(changes_between(old, new))


def test_a_signature_of_a_webhook_is_a_part_of_it() -> None:
    hook = ProjectWebhook(id="h", project_id="p", name="ci", secret_hash="0", created_at=NOON)

    signed = replace(hook, signature=SIGNATURE)
    assert told(hook, signed) == [
        ("signature.kind", None, "hmac-sha256"),
        ("signature.secret", None, "***"),
    ]
    assert told(signed, replace(signed, signature=replace(SIGNATURE, header="x"))) == [
        ("signature.header", "", "x")
    ]
    assert told(hook, replace(hook, secret_hash="1")) == []


def test_long_values_and_very_many_are_cut() -> None:
    long = changes_between(STAGE, replace(STAGE, env={"A": "x" * 1000}))
    many = changes_between(
        STAGE, replace(STAGE, env={str(number): "" for number in range(MOST_CHANGES + 7)})
    )

    assert long == (FieldChange("env.A", None, "x" * LONGEST_VALUE + "…"),)
    assert len(many) == MOST_CHANGES + 1
    assert many[-1] == FieldChange("…", None, "7 more")


def test_an_entry_says_who_from_where_and_of_what() -> None:
    deploy = Deploy(
        id="d",
        project_id="p",
        stage_id="s",
        tag="v1",
        digest=None,
        trigger=Trigger.MANUAL,
        created_at=NOON,
    )
    entry = audit_entry(
        ADA, NOON, AuditAction.DEPLOY_CREATE, deploy_subject(PROJECT, STAGE, deploy), note="so"
    )

    assert (entry.actor_kind, entry.actor_name, entry.actor_id) == ("account", "ada", "a1")
    assert (entry.address, entry.at, entry.note, entry.id) == ("192.0.2.7", NOON, "so", 0)
    assert (entry.subject_kind, entry.subject_id, entry.subject_name) == ("deploy", "d", "v1")
    assert (entry.project_id, entry.project_name) == ("p", "shop")
    assert (entry.stage_id, entry.stage_name) == ("s", "prod")
    assert stage_subject(PROJECT, STAGE).name == "prod"


def test_a_hold_has_a_time_and_a_name_for_as_long_as_it_lasts() -> None:
    held = with_hold(STAGE, replace(STAGE, held=True), "ada", NOON)
    later = with_hold(held, replace(held, watch_s=1), "bob", datetime.now(UTC))
    new = with_hold(None, replace(STAGE, held=True), "bob", NOON)
    free = with_hold(held, replace(held, held=False), "bob", NOON)

    assert (held.held_at, held.held_by) == (NOON, "ada")
    assert (later.held_at, later.held_by) == (NOON, "ada")
    assert (new.held_at, new.held_by) == (NOON, "bob")
    assert (free.held_at, free.held_by) == (None, None)
    assert told(held, free) == [("held", True, False)]
