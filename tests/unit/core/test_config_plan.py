from datetime import UTC, datetime
from typing import Any

import pytest

from tagboat.core.catalog import Project, Registry, RegistryKind, Stage
from tagboat.core.config import Config
from tagboat.core.config_file import Configured
from tagboat.core.config_plan import (
    PlannedChange,
    WantedConfig,
    WantedProject,
    plan_config,
)
from tagboat.core.errors import FieldError
from tagboat.core.image import ImageName
from tagboat.core.project_webhook import ProjectWebhook
from tagboat.core.run import RunOptions
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
IMAGE = ImageName("git.example.com", "acme/shop")
FORGE = Registry(
    id="r", name="forge", url="https://git.example.com", kind=RegistryKind.OCI, password="hidden1"
)
SHOP = Project(
    id="p",
    name="shop",
    image=IMAGE,
    port=80,
    env={"A": "1", "B": "2"},
    run=RunOptions(secrets={"TOKEN": "hidden1", "OLD": "hidden2"}, memory=64 << 20),
    created_at=NOON,
)
PROD = Stage(
    id="s", project_id="p", name="prod", pattern=parse_tag_pattern("v*"), held=True, created_at=NOON
)
HOOK = ProjectWebhook(id="w", project_id="p", name="ci", secret_hash="", created_at=NOON)
CONFIG = Config(
    poll_schedule="@every 5m",
    auto_create=True,
    auto_create_images=None,
    max_projects=1000,
    deliveries_keep_days=30,
    deliveries_keep=10_000,
    images_keep=3,
    history_keep_days=365,
    audit_keep_days=365,
    backups_keep=5,
)
NOW = Configured(
    registries=[FORGE],
    projects=[SHOP],
    stages={"p": [PROD]},
    webhooks={"p": [HOOK]},
    config=CONFIG,
)
SAME: dict[str, Any] = {
    "image": IMAGE,
    "env": {"A": "1", "B": "2"},
    "secrets": {"TOKEN": None, "OLD": None},
    "memory": 64 << 20,
}
STAGE_SAME: dict[str, Any] = {"pattern": parse_tag_pattern("v*")}


def wants(
    fields: dict[str, Any],
    stages: dict[str, Any] | None = None,
    hooks: tuple[str, ...] = ("ci",),
    name: str = "shop",
) -> WantedConfig:
    said = {"prod": STAGE_SAME} if stages is None else stages
    return WantedConfig(None, None, {name: WantedProject(fields, said, hooks)})


def told(changes: list[PlannedChange]) -> list[str]:
    assert "hidden" not in repr(changes)
    return [
        " ".join(
            (change.action, change.kind, *change.names, *(one.field for one in change.changes))
        )
        for change in changes
    ]


def plan(wanted: WantedConfig, *, prune: bool = False, now: Configured = NOW) -> list[str]:
    return told(plan_config(now, wanted, prune=prune))


@pytest.mark.parametrize("prune", [False, True])
def test_what_is_the_same_is_no_change(prune: bool) -> None:
    wanted = wants(SAME)
    registry = {"url": FORGE.url, "password": None}
    everything = replace(wanted, settings={"images_keep": 3}, registries={"forge": registry})
    assert plan(everything, prune=prune) == []
    assert plan(WantedConfig(None, None, None), prune=prune) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (SAME | {"env": {"A": "1"}}, ["change project shop env.B"]),
        (SAME | {"memory": 0}, ["change project shop memory"]),
        (
            {name: SAME[name] for name in ("image", "env", "secrets")},
            ["change project shop memory"],
        ),
        (SAME | {"port": 80}, ["change project shop port_set"]),
        (SAME | {"secrets": {"TOKEN": "hidden1"}}, []),
        (SAME | {"secrets": {"TOKEN": "hidden3"}}, ["change project shop secrets.TOKEN"]),
        (SAME | {"registry_id": "forge"}, ["change project shop registry"]),
    ],
)
def test_fields_that_are_left_out_have_their_defaults_and_secrets_stay(
    fields: dict[str, Any], expected: list[str]
) -> None:
    assert plan(wants(fields)) == expected


def test_a_field_that_a_person_had_set_follows_the_image_again() -> None:
    now = replace(NOW, projects=[replace(SHOP, port_set=True)])
    assert plan(wants(SAME), now=now) == ["change project shop port_set"]


def test_prune_deletes_what_is_not_named_and_registries_last() -> None:
    wanted = WantedConfig(None, {}, {})
    assert plan(wanted) == []
    assert plan(wanted, prune=True) == ["delete project shop", "delete registry forge"]
    assert plan(wants(SAME, {}, ()), prune=True) == [
        "delete webhook shop ci",
        "delete stage shop prod",
    ]
    fewer = wants(SAME | {"secrets": {"TOKEN": None}})
    assert plan(fewer, prune=True) == ["change project shop secrets.OLD"]
    bare = WantedConfig(None, {"forge": {"url": FORGE.url}}, None)
    assert (plan(bare), plan(bare, prune=True)) == ([], ["change registry forge password"])


def test_a_hold_changes_only_where_the_file_speaks_of_it() -> None:
    assert plan(wants(SAME, {"prod": STAGE_SAME | {"held": True}})) == []
    assert plan(wants(SAME, {"prod": STAGE_SAME | {"held": False}})) == [
        "change stage shop prod held"
    ]


def test_the_same_image_under_another_name_is_renamed() -> None:
    assert plan(wants(SAME, name="store"), prune=True) == ["change project store name"]
    renamed = WantedConfig(None, {"other": {"url": f"{FORGE.url}", "password": None}}, None)
    assert plan(renamed, prune=True) == ["change registry other name"]


def test_a_secret_cannot_stay_where_there_is_none() -> None:
    fields = SAME | {"secrets": {"TOKEN": None, "OLD": None, "NEW": None}}
    stages = {"prod": STAGE_SAME | {"secret_files": {"key": None}}}
    with pytest.raises(FieldError) as caught:
        plan(wants(fields, stages))
    assert caught.value.field == "projects.shop.secrets.NEW"
    assert "projects.shop.stages.prod.secret_files.key" in str(caught.value)


def test_things_are_made_in_an_order_in_which_each_finds_what_it_names() -> None:
    wanted = WantedConfig(
        {"images_keep": 4},
        {"forge": {"url": FORGE.url}, "new": {"url": "https://r.example.com"}},
        {
            "api": WantedProject(
                {"image": ImageName("r.example.com", "api"), "registry_id": "new"},
                {"dev": STAGE_SAME},
                ("ci",),
            )
        },
    )
    assert [" ".join(one.split()[:4]) for one in plan(wanted)] == [
        "change settings images_keep",
        "create registry new name",
        "create project api name",
        "create stage api dev",
        "create webhook api ci",
    ]


def test_two_names_for_one_image_are_not_both_a_new_name_for_it() -> None:
    fields = {name: value for name, value in SAME.items() if name != "secrets"}
    projects = {name: WantedProject(fields, {}, ()) for name in ("store", "store2")}
    found = plan(WantedConfig(None, None, projects))
    assert [" ".join(one.split()[:3]) for one in found if " project " in one] == [
        "change project store",
        "create project store2",
    ]


def test_a_password_command_takes_the_place_of_a_stored_password() -> None:
    by_command = {"url": FORGE.url, "password_command": "give"}
    wanted = WantedConfig(None, {"forge": by_command}, None)
    assert plan(wanted) == ["change registry forge password password_command"]
    there = replace(FORGE, password=None, password_command="give")
    now = replace(NOW, registries=[there])
    assert plan(wanted, now=now) == []
    assert plan(WantedConfig(None, {"forge": {"url": FORGE.url}}, None), now=now) == [
        "change registry forge password_command"
    ]
