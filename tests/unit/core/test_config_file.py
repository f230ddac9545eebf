from tagboat.api import config_schemas
from tagboat.core.config_file import (
    PROJECT_KEYS,
    REGISTRY_KEYS,
    SECTIONS,
    SETTING_KEYS,
    STAGE_KEYS,
    UnknownKey,
    config_document,
    unknown_keys,
)
from tagboat.core.values import replace
from tests.unit.core.test_config_plan import NOW


def test_the_server_accepts_exactly_the_keys_that_are_known() -> None:
    for model, keys in (
        (config_schemas.ConfigDocument, SECTIONS),
        (config_schemas.SettingsConfig, SETTING_KEYS),
        (config_schemas.RegistryConfig, REGISTRY_KEYS),
        (config_schemas.ProjectConfig, PROJECT_KEYS),
        (config_schemas.StageConfig, STAGE_KEYS),
    ):
        assert set(model.model_fields) == set(keys)


def test_unknown_keys_are_found_at_each_level_with_the_nearest_one() -> None:
    stage = {"tag_patern": "*", "env": {"anything": "1"}}
    project = {"image": "a/b", "helthcheck": "", "stages": {"dev": stage, "odd": 5}}
    document = {
        "projets": {},
        "projects": {"shop": project},
        "settings": [],
        "registries": {"r": 3},
    }
    assert unknown_keys(document) == [
        UnknownKey(("projets",), "projects"),
        UnknownKey(("projects", "shop", "helthcheck"), "healthcheck"),
        UnknownKey(("projects", "shop", "stages", "dev", "tag_patern"), "tag_pattern"),
    ]
    assert unknown_keys({"zzz": 1}) == [UnknownKey(("zzz",), None)]


def test_a_password_command_is_no_secret() -> None:
    forge = replace(NOW.registries[0], password=None, password_command="give it")
    document = config_document(replace(NOW, registries=[forge]))
    assert document["registries"]["forge"] == {
        "url": "https://git.example.com",
        "kind": "oci",
        "password_command": "give it",
    }


def test_the_document_leaves_defaults_state_and_secrets_out() -> None:
    document = config_document(NOW)
    assert document["registries"] == {
        "forge": {"url": "https://git.example.com", "kind": "oci", "password": None}
    }
    assert document["projects"] == {
        "shop": {
            # The port came from the image, which may change it.
            "image": "git.example.com/acme/shop",
            "env": {"A": "1", "B": "2"},
            "secrets": {"OLD": None, "TOKEN": None},
            "memory": 64 << 20,
            "stages": {"prod": {"tag_pattern": "v*", "held": True}},
            "webhooks": ["ci"],
        }
    }
    assert document["settings"]["poll_schedule"] == "@every 5m"
